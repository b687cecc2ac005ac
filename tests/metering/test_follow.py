"""Following the gateway's file log."""

import json
import os
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from apps.metering.access_log import read_entry
from apps.metering.follow import Follower
from apps.metering.models import LogPosition
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import NOW, stored_calls
from tests.metering.test_ingest import batch, call, post  # noqa: F401


def line(**changes):
    return (json.dumps(call(**changes)) + "\n").encode()


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"")
    return path


@pytest.fixture
def follow():
    """Make followers that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(Follower(str(path))))


@pytest.mark.usefixtures("names")
class TestFollower:
    def test_stores_what_is_appended(self, follow, log):
        follower = follow(log)
        log.write_bytes(line() + line())
        assert follower.step(now=NOW) == 2
        assert follower.step(now=NOW) == 0

    def test_waits_for_the_rest_of_a_line(self, follow, log):
        follower, whole = follow(log), line()
        log.write_bytes(whole[:40])
        assert follower.step(now=NOW) == 0
        log.write_bytes(whole)
        assert follower.step(now=NOW) == 1

    def test_goes_on_after_a_restart_where_it_stopped(self, follow, log):
        log.write_bytes(line())
        follow(log).step(now=NOW)
        with log.open("ab") as file:
            file.write(line())
        assert follow(log).step(now=NOW) == 1

    def test_reads_a_rotated_file_to_its_end_and_then_the_new_one(self, follow, log):
        follower = follow(log)
        log.write_bytes(line())
        follower.step(now=NOW)
        with log.open("ab") as file:
            file.write(line())
        log.rename(log.with_suffix(".1"))
        log.write_bytes(line())
        assert follower.step(now=NOW) + follower.step(now=NOW) == 2

    def test_reads_a_truncated_file_from_its_start(self, follow, log):
        follower = follow(log)
        log.write_bytes(line() + line())
        follower.step(now=NOW)
        log.write_bytes(line())
        assert follower.step(now=NOW) + follower.step(now=NOW) == 1

    def test_keeps_apart_a_line_that_is_not_a_record(self, follow, log):
        log.write_bytes(b"not json\n[1]\n\n" + line(start_time="yesterday") + line())
        assert follow(log).step(now=NOW) == 1
        kept = QuarantinedRecord.objects.values_list("detail", "values__team", "received_via")
        assert set(kept) == {
            ("a line is not JSON", None, "FILE"),
            ("a line is not an object in JSON", None, "FILE"),
            ("start_time is missing or not ISO 8601", "claims-review", "FILE"),
        }

    def test_counts_a_call_that_came_by_otlp_once(self, follow, log, post):  # noqa: F811
        record = call()
        post(batch(record))
        log.write_bytes((json.dumps(record) + "\n").encode())
        assert follow(log).step(now=NOW) == 0
        assert stored_calls().count() == 1

    def test_waits_for_a_file_that_is_not_there_yet(self, follow, tmp_path):
        assert follow(tmp_path / "later.log").step(now=NOW) == 0

    def test_keeps_for_each_file_how_far_it_was_read(self, follow, log, tmp_path):
        other = tmp_path / "other.log"
        log.write_bytes(line())
        other.write_bytes(line() + line() + b"{")
        for path in (log, other):
            follow(path).step(now=NOW)
        positions = {p.path: (p.inode, p.offset, p.updated_at) for p in LogPosition.objects.all()}
        assert positions == {
            str(log): (log.stat().st_ino, log.stat().st_size, NOW),
            str(other): (other.stat().st_ino, other.stat().st_size - 1, NOW),
        }
        assert set(stored_calls().values_list("received_via", flat=True)) == {"FILE"}

    def test_asks_the_database_nothing_while_nothing_is_appended(
        self, follow, log, django_assert_num_queries
    ):
        log.write_bytes(line())
        follower = follow(log)
        follower.step(now=NOW)
        with django_assert_num_queries(0):
            assert follower.step(now=NOW) == 0

    def test_lets_go_of_a_file_that_was_rotated(self, follow, log):
        log.write_bytes(line())
        follower = follow(log)
        follower.step(now=NOW)
        old = log.rename(log.with_suffix(".1"))
        log.write_bytes(line())
        for _ in range(2):
            follower.step(now=NOW)
        links = Path("/proc/self/fd").iterdir()
        held = {os.readlink(link) for link in links if os.path.lexists(link)}
        assert (str(old) in held, str(log) in held) == (False, True)

    def test_takes_no_other_files_position_for_its_own(self, follow, log):
        log.write_bytes(line() + line())
        LogPosition.objects.create(
            path="/elsewhere", inode=log.stat().st_ino, offset=log.stat().st_size, updated_at=NOW
        )
        assert follow(log).step(now=NOW) == 2

    def test_reads_from_its_start_what_was_truncated_or_replaced_meanwhile(self, follow, log):
        log.write_bytes(line() + line())
        follow(log).step(now=NOW)
        log.write_bytes(line())
        assert follow(log).step(now=NOW) == 1
        log.rename(log.with_suffix(".1"))
        log.write_bytes(line() + line() + line())
        assert follow(log).step(now=NOW) == 3

    def test_opens_the_file_that_came_where_one_was_taken_away(self, follow, log):
        follower = follow(log)
        log.write_bytes(line())
        assert follower.step(now=NOW) == 1
        log.rename(log.with_suffix(".1"))
        assert follower.step(now=NOW) == 0
        log.write_bytes(line())
        assert follower.step(now=NOW) == 1

    def test_reads_more_than_fits_at_a_time_and_skips_what_never_fits(
        self, follow, log, monkeypatch
    ):
        monkeypatch.setattr("apps.metering.follow.CHUNK", 2000)
        lines = [line() for _ in range(5)]
        assert all(len(one) < 1000 for one in lines)
        log.write_bytes(b"".join(lines[:3]) + b"x" * 4500 + b"\n" + b"".join(lines[3:]))
        assert follow(log).step(now=NOW) == 5

    def test_names_no_content_of_a_line_that_it_skips(self, follow, log, caplog):
        log.write_bytes(b"secret\n" + line(start_time="secret"))
        follow(log).step(now=NOW)
        assert "put 2 lines into quarantine" in caplog.text and "secret" not in caplog.text

    def test_is_not_held_up_by_a_record_that_the_database_never_takes(
        self, follow, log, monkeypatch
    ):
        def odd(values):
            read = read_entry(values)
            refused = replace(read.record, output_tokens=None)
            return replace(read, record=refused) if values["team"] == "odd" else read

        monkeypatch.setattr("apps.metering.follow.read_entry", odd)
        follower = follow(log)
        log.write_bytes(line() + line(team="odd") + line())
        assert follower.step(now=NOW) == 2
        assert not stored_calls().filter(team="odd").exists()
        assert set(stored_calls().values_list("received_via", flat=True)) == {"FILE"}
        assert LogPosition.objects.get().offset == log.stat().st_size
        with log.open("ab") as file:
            file.write(line())
        assert follower.step(now=NOW) == 1
