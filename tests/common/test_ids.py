"""Ids that sort by when they were made."""

from datetime import UTC, datetime
from uuid import RFC_4122

import pytest

from apps.common import ids
from apps.common.ids import ordered_id


class TestOrderedId:
    def test_sorts_by_when_it_was_made(self):
        made = []
        for _ in range(200):
            made.append(ordered_id())
            datetime.now(tz=UTC).isoformat()  # what a row's insert takes is longer
        assert [one.hex[:15] for one in made] == sorted(one.hex[:15] for one in made)
        assert len(set(made)) == 200

    @pytest.mark.parametrize(
        ("nanoseconds", "random", "made"),
        [
            (1_700_000_000_000_500_000, b"\xff", "018bcfe5-6800-7800-bfff-ffffffffffff"),
            (1_700_000_000_001_000_000, b"\x00", "018bcfe5-6801-7000-8000-000000000000"),
            (1_700_000_000_001_999_999, b"\x0f", "018bcfe5-6801-7fff-8f0f-0f0f0f0f0f0f"),
        ],
    )
    def test_holds_milliseconds_their_fraction_and_random_bits(
        self, monkeypatch, nanoseconds, random, made
    ):
        monkeypatch.setattr(ids.time, "time_ns", lambda: nanoseconds)
        monkeypatch.setattr(ids.os, "urandom", lambda size: random * size)
        assert str(ids.ordered_id()) == made

    def test_is_a_uuid_of_version_7_that_tells_its_time(self):
        made = ordered_id()
        assert (made.version, made.variant) == (7, RFC_4122)
        assert abs((made.int >> 80) / 1000 - datetime.now(tz=UTC).timestamp()) < 5
