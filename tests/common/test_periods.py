"""Days and months, in the one zone."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from apps.common import periods

FEBRUARY = date(2027, 2, 23)
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-11))


class TestDays:
    def test_end_with_the_first_moment_of_the_next(self):
        end = periods.end_of_day(FEBRUARY)
        assert end == datetime(2027, 2, 24, tzinfo=UTC)
        assert periods.last_day(end) == FEBRUARY

    def test_are_the_same_in_every_zone(self):
        moment = datetime(2027, 2, 23, 23, 30, tzinfo=UTC)
        for zone in (EAST, WEST):
            assert periods.day_of(moment.astimezone(zone)) == FEBRUARY
            end = periods.end_of_day(FEBRUARY).astimezone(zone)
            assert periods.last_day(end) == FEBRUARY

    def test_that_something_ends_in_the_middle_of_are_its_last(self):
        assert periods.last_day(datetime(2027, 2, 23, 0, 1, tzinfo=UTC)) == FEBRUARY
        assert periods.last_day(datetime(2027, 2, 23, tzinfo=UTC)) == date(2027, 2, 22)
        first = timedelta(microseconds=1)
        assert periods.last_day(datetime(2027, 2, 23, tzinfo=UTC) + first) == FEBRUARY

    def test_are_said_with_their_zone_where_something_ends(self):
        assert periods.until_words(FEBRUARY) == "until the end of 23 Feb 2027, UTC"
        assert periods.day_words(date(2027, 2, 3)) == "3 Feb 2027"


class TestLengths:
    def test_fit_each_other(self):
        assert timedelta(hours=1).total_seconds() == periods.SECONDS_PER_HOUR
        assert periods.DAY.total_seconds() == periods.HOURS_PER_DAY * periods.SECONDS_PER_HOUR
        assert 12 * periods.HOURS_PER_MONTH == 365 * periods.HOURS_PER_DAY


class TestMonths:
    @pytest.mark.parametrize(
        ("month", "start", "end"),
        [
            (date(2027, 1, 31), (2027, 1), (2027, 2)),
            (date(2027, 2, 1), (2027, 2), (2027, 3)),
            (date(2026, 12, 15), (2026, 12), (2027, 1)),
        ],
    )
    def test_begin_with_their_first_moment_and_end_with_the_nexts(self, month, start, end):
        assert periods.month_bounds(month) == (
            datetime(*start, 1, tzinfo=UTC),
            datetime(*end, 1, tzinfo=UTC),
        )

    def test_follow_each_other(self):
        assert periods.month_before(date(2027, 1, 31)) == date(2026, 12, 1)
        assert periods.next_month(date(2026, 12, 31)) == date(2027, 1, 1)
        assert periods.month_of(datetime(2027, 1, 1, 5, tzinfo=EAST)) == date(2026, 12, 1)
