"""How far it is, in words."""

import io

from apps.cli.output import size, span, table
from apps.cli.progress import Progress

GIB = 1024**3


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class TestProgress:
    def test_tells_bytes_pace_and_time_left(self):
        clock = Clock()
        progress = Progress("Sending", 12 * GIB, quiet=True, clock=clock)
        for _ in range(60):
            clock.now += 1
            progress.add(GIB // 4)
            if progress.done == 3 * GIB:
                break
        assert progress.line() == "Sending: 3.0 GiB of 12.0 GiB (25 %), 256.0 MiB/s, 36 s left"

    def test_measures_the_last_seconds_alone(self):
        clock = Clock()
        progress = Progress("Sending", 100 * GIB, quiet=True, clock=clock)
        for pace in [GIB] * 20 + [GIB // 8] * 20:
            clock.now += 1
            progress.add(pace)
        assert progress.pace() == GIB / 8

    def test_begins_where_an_earlier_run_stopped(self):
        progress = Progress("Sending", 4 * GIB, done=GIB, quiet=True)
        assert progress.line() == "Sending: 1.0 GiB of 4.0 GiB (25 %)"
        progress.add(3 * GIB)
        assert progress.line() == "Sending: 4.0 GiB of 4.0 GiB (100 %)"

    def test_writes_a_line_every_ten_seconds_into_a_log(self):
        clock, log = Clock(), io.StringIO()
        with Progress("Reading", 30, stream=log, clock=clock) as progress:
            for _ in range(30):
                clock.now += 1
                progress.add(1)
        assert len(log.getvalue().splitlines()) == 4
        assert "\r" not in log.getvalue()

    def test_ends_its_line_on_a_terminal_once(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        clock, terminal = Clock(), Terminal()
        progress = Progress("Reading", 30, stream=terminal, clock=clock)
        progress.leave()
        assert terminal.getvalue() == ""
        clock.now += 1
        progress.add(3)
        progress.leave()
        progress.leave()
        assert terminal.getvalue() == "\r\x1b[KReading: 3 B of 30 B (10 %), 3 B/s, 9 s left\n"

    def test_says_nothing_where_that_was_asked_for(self):
        log = io.StringIO()
        with Progress("Reading", 1, quiet=True, stream=log) as progress:
            progress.add(1)
        assert log.getvalue() == ""


class TestWords:
    def test_of_sizes_and_times(self):
        assert [size(one) for one in (0, 1023, 8 * 1024**2, 13 * GIB)] == [
            "0 B", "1023 B", "8.0 MiB", "13.0 GiB",
        ]  # fmt: skip
        assert [span(one) for one in (0, 59, 61, 3600 * 3 + 300)] == [
            "0 s", "59 s", "1 min", "3 h 05 min",
        ]  # fmt: skip

    def test_of_tables_stand_in_columns(self):
        rows = [["Team", "Tokens"], ["a", "1,000"], ["longer", "5"]]
        assert table(rows).splitlines() == ["Team    Tokens", "a        1,000", "longer       5"]
