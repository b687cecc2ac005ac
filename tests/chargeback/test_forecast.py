"""What a month comes to."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from apps.chargeback.forecast import Forecast, forecast

NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)


def spent(**days):
    """Return what days of November cost: spent(d1=10)."""
    return {date(2026, 11, int(day[1:])): Decimal(cost) for day, cost in days.items()}


class TestForecast:
    def test_goes_on_at_the_pace_of_the_month_so_far(self):
        now = datetime(2026, 11, 6, tzinfo=UTC)
        assert forecast(spent(d1=3, d2=7), now) == Forecast(Decimal(60), Decimal(60))

    def test_goes_on_at_the_pace_of_the_last_seven_whole_days_too(self):
        now = datetime(2026, 11, 16, tzinfo=UTC)
        found = forecast(spent(d1=75, d9=7, d15=7), now)
        # 89 in 15 days, 15 more as they were; or 14 in 7 days, which is 2 a day
        assert found == Forecast(Decimal(89 + 30), Decimal(178))

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
        now = datetime(2026, 11, 16, tzinfo=UTC)
        assert forecast(spent(d1=75, d9=7, d15=7), now).words == "about $119 to $178"
