"""What a month comes to, day by day, and when a limit is reached."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.chargeback.forecast import Forecast, forecast, outlook, ran_out_on

NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)


def spent(**days):
    """Return what days of November cost: spent(d1=10)."""
    return {date(2026, 11, int(day[1:])): Decimal(cost) for day, cost in days.items()}


class TestForecast:
    def test_goes_on_at_the_pace_of_the_month_so_far(self):
        now = datetime(2026, 11, 6, tzinfo=UTC)
        assert forecast(spent(d1=3, d2=7), now) == Forecast(Decimal(60), Decimal(60))

    def test_goes_on_at_the_pace_of_the_last_seven_whole_days_too(self):
        now = datetime(2026, 11, 13, tzinfo=UTC)
        found = forecast(spent(d1=46, d6=7, d12=7), now)
        # 60 in 12 days, 18 more as they were; or 14 in 7 days, which is 2 a day
        assert found == Forecast(Decimal(60 + 36), Decimal(150))

    def test_knows_a_pace_of_late_from_the_eighth_day_on(self):
        noon = datetime(2026, 11, 8, 12, tzinfo=UTC)
        # 30 in 7.5 days, which is 4 a day; or 21 in 7 days, which is 3
        found = forecast(spent(d1=7, d7=14, d8=9), noon)
        assert found == Forecast(30 + 3 * Decimal("22.5"), 30 + 4 * Decimal("22.5"))
        seventh = forecast(spent(d1=7, d6=14, d7=5), noon - timedelta(days=1))
        assert seventh == Forecast(Decimal(120), Decimal(120))

    def test_takes_today_for_no_whole_day(self):
        found = forecast(spent(d4=70, d11=21), NOON)
        assert found.low_usd == found.low_usd.min(found.high_usd)
        lately = 91 + Decimal(70) / 7 * Decimal("19.5")
        so_far = Decimal(91) / Decimal("10.5") * 30
        assert {round(found.low_usd, 6), round(found.high_usd, 6)} == {
            round(lately, 6),
            round(so_far, 6),
        }

    def test_leaves_other_months_and_days_to_come_out(self):
        others = {date(2026, 10, 31): Decimal(900), date(2026, 11, 12): Decimal(900)}
        own = spent(d2=11)
        assert forecast(own | others, NOON) == forecast(own, NOON)

    def test_says_nothing_in_the_first_24_hours(self):
        first = datetime(2026, 11, 1, tzinfo=UTC)
        assert forecast(spent(d1=5), first + timedelta(hours=23, minutes=59)) is None
        assert forecast(spent(d1=5), first + timedelta(days=1)).words == "about $150"

    def test_has_no_more_digits_than_it_deserves(self):
        now = datetime(2026, 11, 13, tzinfo=UTC)
        assert forecast(spent(d1=46, d6=7, d12=7), now).words == "about $96 to $150"

    def test_goes_by_the_weekdays_once_whole_weeks_are_known(self):
        # two weeks of 10 on Mondays, which Tuesday the 17th is not; four Mondays and Tuesdays come
        now = datetime(2026, 11, 17, 12, tzinfo=UTC)
        days = spent(d2=10, d9=20, d16=30) | {date(2026, 10, 5): Decimal(1)}
        found = forecast(days, now)
        assert found == Forecast(Decimal(60), Decimal(60 + 2 * 30))


FIRST, TODAY = date(2026, 11, 1), date(2026, 11, 18)  # a Wednesday


def weeks(*of):
    """Return four weeks before TODAY, the oldest first: Mondays cost so much, Tuesdays half."""
    found = {}
    for back, cost in zip(range(len(of), 0, -1), of, strict=True):
        monday = TODAY - timedelta(days=2 + 7 * (back - 1))
        found |= {monday: Decimal(cost), monday + timedelta(days=1): Decimal(cost) / 2}
    return found


def seen(days, today=TODAY, left=1):
    return outlook(days, first=FIRST, today=today, left=left)


class TestOutlook:
    def test_takes_each_day_for_its_weekday_in_a_quiet_and_in_a_busy_week(self):
        found = seen(weeks(8, 4, 16, 12))
        spent = Decimal(6 + 24 + 18)  # the weeks of 2, 9 and 16 November
        quiet, busy = (4, 2), (16, 8)
        by_day = {day: (low - spent, high - spent) for day, low, high in found.days}
        assert list(by_day) == [TODAY + timedelta(days=back) for back in range(13)]
        assert by_day[TODAY] == by_day[date(2026, 11, 22)] == (0, 0)
        assert by_day[date(2026, 11, 23)] == (quiet[0], busy[0])
        assert by_day[date(2026, 11, 24)] == by_day[date(2026, 11, 29)] == (6, 24)
        assert by_day[date(2026, 11, 30)] == (10, 40)
        assert (found.low, found.high) == (spent + 10, spent + 40)

    def test_counts_what_is_left_of_today(self):
        monday = TODAY - timedelta(days=2)
        days = {day: cost for day, cost in weeks(8, 4, 16, 12).items() if day < monday}
        whole = seen(days | {monday: Decimal(3)}, today=monday)
        quarter = seen(days | {monday: Decimal(3)}, today=monday, left=0.25)
        assert whole.days[0] == (monday, 30 + 3 + 4, 30 + 3 + 16)
        assert quarter.days[0] == (monday, 30 + 3 + 1, 30 + 3 + 4)

    def test_looks_at_four_weeks_at_most_and_at_whole_ones_alone(self):
        assert seen(weeks(1000, 8, 4, 16, 12)) == seen(weeks(8, 4, 16, 12))
        assert seen(weeks(4, 16, 12)).high == seen(weeks(8, 4, 16, 12)).high
        # the 70 are not three whole weeks ago: they are spent, and tell nothing of other weeks
        found = seen(weeks(70, 16, 12))
        assert (found.low, found.high) == (105 + 24 + 18 + 30, 105 + 24 + 18 + 40)

    @pytest.mark.parametrize(
        ("days_ago", "is_known"), [(13, False), (14, True), (1, False), (40, True)]
    )
    def test_needs_two_whole_weeks(self, days_ago, is_known):
        days = {TODAY - timedelta(days=days_ago): Decimal(1), TODAY: Decimal(7)}
        days[TODAY - timedelta(days=20)] = Decimal(0)  # nothing was used then
        assert (seen(days) is not None) is is_known
        assert seen({}) is None

    def test_of_a_team_that_stopped_is_what_it_has_spent(self):
        found = seen({TODAY - timedelta(days=40): Decimal(9), FIRST: Decimal(0)})
        assert (found.low, found.high) == (0, 0)

    @pytest.mark.parametrize(("month", "days"), [(date(2027, 2, 1), 28), (date(2028, 2, 1), 29)])
    def test_ends_with_february(self, month, days):
        before = {month - timedelta(days=back): Decimal(1) for back in range(1, 30)}
        found = outlook(before, first=month, today=month, left=1)
        assert (len(found.days), found.low, found.high) == (days, days, days)


class TestRunsOut:
    def test_is_between_the_day_of_busy_weeks_and_that_of_quiet_ones(self):
        found = seen(weeks(8, 4, 16, 12))
        mondays, tuesday = (date(2026, 11, 23), date(2026, 11, 30)), date(2026, 11, 24)
        assert found.runs_out(Decimal(48 + 4)) == (mondays[0], mondays[0])
        assert found.runs_out(Decimal(48 + 10)) == (mondays[0], mondays[1])
        assert found.runs_out(Decimal(48 + 17)) == (tuesday, None)
        assert found.runs_out(Decimal(48 + 41)) == (None, None)


class TestRanOutOn:
    def test_is_the_day_on_which_the_month_reached_it(self):
        days = {date(2026, 10, 31): Decimal(99)} | spent(d2=5, d9=5, d20=5)
        assert ran_out_on(days, Decimal(5), first=FIRST, today=TODAY) == date(2026, 11, 2)
        assert ran_out_on(days, Decimal(6), first=FIRST, today=TODAY) == date(2026, 11, 9)
        assert ran_out_on(days, Decimal(11), first=FIRST, today=TODAY) is None
