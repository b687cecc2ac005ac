"""Months and days of named zones: February, nights when clocks change, and the seam of a month."""

from datetime import UTC, date, datetime, timedelta

import pytest

from apps.common import zones

NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


class TestMonthBoundsIn:
    @pytest.mark.parametrize(
        ("zone", "month", "start", "end"),
        [
            ("UTC", date(2027, 2, 1), utc(2027, 2, 1), utc(2027, 3, 1)),
            (NEW_YORK, date(2027, 2, 1), utc(2027, 2, 1, 5), utc(2027, 3, 1, 5)),
            (NEW_YORK, date(2028, 2, 29), utc(2028, 2, 1, 5), utc(2028, 3, 1, 5)),
            # clocks go forward on 14 March and back on 7 November
            (NEW_YORK, date(2027, 3, 1), utc(2027, 3, 1, 5), utc(2027, 4, 1, 4)),
            (NEW_YORK, date(2027, 11, 1), utc(2027, 11, 1, 4), utc(2027, 12, 1, 5)),
            (CHICAGO, date(2027, 12, 31), utc(2027, 12, 1, 6), utc(2028, 1, 1, 6)),
        ],
    )
    def test_are_midnights_of_the_zone(self, zone, month, start, end):
        assert zones.month_bounds_in(zone, month) == (start, end)

    @pytest.mark.parametrize(
        ("month", "hours"),
        [((2027, 2), 28 * 24), ((2028, 2), 29 * 24), ((2027, 3), 31 * 24 - 1),
         ((2027, 11), 30 * 24 + 1)],
    )  # fmt: skip
    def test_are_an_hour_apart_from_the_calendar_where_clocks_change(self, month, hours):
        start, end = zones.month_bounds_in(NEW_YORK, date(*month, 1))
        assert end - start == timedelta(hours=hours)

    @pytest.mark.parametrize("zone", zones.ZONES)
    def test_are_whole_hours_that_follow_each_other(self, zone):
        ends = None
        for month in [date(year, number, 1) for year in (2026, 2027) for number in range(1, 13)]:
            start, end = zones.month_bounds_in(zone, month)
            assert start == start.replace(minute=0, second=0, microsecond=0)
            assert ends in (None, start)
            ends = end


class TestDaysAndMonths:
    def test_belong_to_the_zone(self):
        moment = utc(2026, 12, 1, 4, 59, 59)
        assert zones.month_in(NEW_YORK, moment) == date(2026, 11, 1)
        assert zones.month_in("UTC", moment) == date(2026, 12, 1)
        assert zones.day_in(NEW_YORK, moment) == date(2026, 11, 30)
        assert zones.month_in(NEW_YORK, moment + timedelta(seconds=1)) == date(2026, 12, 1)
        assert zones.start_of_day_in(CHICAGO, date(2026, 7, 4)) == utc(2026, 7, 4, 5)

    def test_have_so_much_left(self):
        assert zones.share_of_day_left("UTC", utc(2026, 11, 2)) == 1
        assert zones.share_of_day_left("UTC", utc(2026, 11, 2, 18)) == 0.25
        # the day on which clocks go back has 25 hours
        day = utc(2027, 11, 7, 4)
        assert zones.share_of_day_left(NEW_YORK, day) == 1
        assert zones.share_of_day_left(NEW_YORK, day + timedelta(hours=20)) == 5 / 25
