"""Freeze windows: the clock of their own zone, half-open, weekly and dated."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.promotions.policy.freezes import BadFreeze, Freeze, covering

NEW_YORK = "America/New_York"
WEEKEND = Freeze("No weekend starts.", "fri 16:00", "mon 08:00", NEW_YORK)
YEAR_END = Freeze("Year end.", "2026-12-18T18:00", "2027-01-04T08:00", NEW_YORK, ("triage",))


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestUntil:
    @pytest.mark.parametrize(
        ("moment", "end"),
        [
            ("2026-11-06T20:59", None),  # Friday 15:59 in New York, winter: five hours behind
            ("2026-11-06T21:00", "2026-11-09T13:00"),
            ("2026-11-07T12:00", "2026-11-09T13:00"),
            ("2026-11-08T23:59", "2026-11-09T13:00"),
            ("2026-11-09T12:59", "2026-11-09T13:00"),
            ("2026-11-09T13:00", None),  # half-open
            ("2026-11-11T10:00", None),
            # clocks change on Sunday 1 November: it begins four hours behind, and ends five
            ("2026-10-30T19:59", None),
            ("2026-10-30T20:00", "2026-11-02T13:00"),
            ("2026-11-02T12:30", "2026-11-02T13:00"),
        ],
    )
    def test_is_told_every_week_in_the_clock_of_its_zone(self, moment, end):
        assert WEEKEND.until(utc(moment)) == (utc(end) if end else None)

    @pytest.mark.parametrize(
        ("moment", "end"),
        [
            ("2026-12-18T22:59", None),
            ("2026-12-18T23:00", "2027-01-04T13:00"),
            ("2027-01-04T12:59", "2027-01-04T13:00"),
            ("2027-01-04T13:00", None),
            ("2027-12-24T12:00", None),  # once, not every year
        ],
    )
    def test_is_told_once_between_two_dates(self, moment, end):
        assert YEAR_END.until(utc(moment)) == (utc(end) if end else None)

    def test_leaves_its_exceptions_alone_and_nobody_else(self):
        inside = utc("2026-12-24T12:00")
        assert YEAR_END.until(inside, "triage") is None
        assert YEAR_END.until(inside, "triage-2") == utc("2027-01-04T13:00")

    @pytest.mark.parametrize(
        ("starts", "ends", "inside", "outside"),
        [
            ("mon 22:00", "tue 04:00", "2026-11-10T03:59", "2026-11-10T04:00"),
            ("sat 00:00", "sun 00:00", "2026-11-07T23:59", "2026-11-08T00:00"),
            # nearly the whole week: it ends an hour before it begins again
            ("wed 12:00", "wed 11:00", "2026-11-11T10:59", "2026-11-11T11:30"),
            ("sun 20:00", "mon 06:00", "2026-11-09T05:59", "2026-11-08T19:59"),
            ("tue 09:00", "tue 17:00", "2026-11-10T09:00", "2026-11-10T17:00"),
        ],
    )
    def test_goes_over_midnight_and_over_the_end_of_the_week(self, starts, ends, inside, outside):
        freeze = Freeze("Quiet.", starts, ends)
        assert freeze.until(utc(inside)) is not None
        assert freeze.until(utc(outside)) is None

    def test_covers_each_hour_of_a_year_as_often_as_it_is_long(self):
        hours = [utc("2026-01-01T00:30") + timedelta(hours=n) for n in range(24 * 7 * 50)]
        utc_weekend = Freeze("No weekend starts.", "fri 16:00", "mon 08:00")
        covered = [hour for hour in hours if utc_weekend.until(hour)]
        assert len(covered) == 50 * 64


class TestCovering:
    def test_names_the_window_that_ends_last(self):
        inside = utc("2026-12-19T12:00")  # a Saturday
        assert covering([WEEKEND, YEAR_END], "other", inside) == (
            YEAR_END, utc("2027-01-04T13:00"),
        )  # fmt: skip
        assert covering([WEEKEND, YEAR_END], "triage", inside) == (
            WEEKEND, utc("2026-12-21T13:00"),
        )  # fmt: skip
        assert covering([WEEKEND, YEAR_END], "other", utc("2026-12-16T12:00")) is None


class TestWords:
    def test_say_when(self):
        assert WEEKEND.when() == ("every week from Friday 16:00 to Monday 08:00, America/New_York")
        assert YEAR_END.when() == ("from 18 Dec 2026 18:00 to 4 Jan 2027 08:00, America/New_York")


class TestFreeze:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"words": " "}, "Say why"),
            ({"zone": "Mars/Base"}, "no time zone"),
            ({"zone": "../etc/passwd"}, "no time zone"),
            ({"ends": "2026-12-18T16:00"}, "two dates, or on two weekdays"),
            ({"ends": "fri 16:00"}, "would never end"),
            ({"starts": "fri 25:00"}, "no time of a day"),
            ({"starts": "2027-01-04T08:00", "ends": "2027-01-04T08:00"}, "ends after it begins"),
            ({"starts": "2027-01-04", "ends": "2027-01-05"}, "no date with a time"),
            ({"starts": "2026-12-1T9:05", "ends": "2026-12-02T09:05"}, "no date with a time"),
            ({"starts": "2026-12-01T09:05", "ends": "2026-13-02T09:05"}, "no date with a time"),
            ({"starts": "2026-12-01T09:05Z", "ends": "2026-12-02T09:05"}, "no date with a time"),
        ],
    )
    def test_refuses_what_is_no_window(self, changes, words):
        body = {"words": "Why", "starts": "fri 16:00", "ends": "mon 08:00", "zone": "UTC"}
        with pytest.raises(BadFreeze, match=words):
            Freeze.of(body | changes)

    def test_refuses_what_it_does_not_know(self):
        with pytest.raises(BadFreeze, match="has words"):
            Freeze.of({"words": "Why", "starts": "fri 16:00", "ends": "mon 08:00", "by": "me"})
