"""What budgets read of the ledger: from lines where these are right, from hours where they are not;
the same to the last digit.
"""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from apps.chargeback.actions import price_due_days
from apps.chargeback.models import DailyLine, DirtyDay
from apps.chargeback.queries import uses_by_day_sql, uses_sql
from apps.common.zones import month_bounds_in
from tests.chargeback.pricing import CHEAP, DEAR, price
from tests.chargeback.test_queries import START, use
from tests.factories import RegisteredModelFactory

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WHOSE = {"cost_centers": {"CC-4100"}, "teams": {"prior-auth"}}


def rows(found):
    """Return what a statement finds, by names and day, summed."""
    sums = {}
    with connection.cursor() as cursor:
        cursor.execute(*found)
        for *names, tokens, unpriced, requests, usd in cursor.fetchall():
            found = tokens, unpriced, requests, usd or 0
            old = sums.get(tuple(names), (0, 0, 0, 0))
            sums[tuple(names)] = tuple(map(sum, zip(old, found, strict=True)))
    return sums


@pytest.fixture
def hours(registered_model):
    """Hours around the seams of days and months, of models with and without prices; some of their
    days are priced, of some the hours or the prices have changed since.
    """
    other = RegisteredModelFactory(name="clinical-summary")
    price(registered_model, CHEAP, START - 40 * DAY)
    for back in range(3):
        for hour in (0, 3, 4, 5, 23):
            for day in (-1, 0, 1, 8, 29, 30):
                at = START + day * DAY + hour * HOUR
                use(at, version=f"v{back}", input_tokens=1000 + hour + back)
                use(at, team="prior-auth", cost_center="CC-1", version=f"v{back}")
                use(at, team="stranger", cost_center="CC-1", version=f"v{back}")
                use(at, model=other.name, version=f"v{back}")
    price_due_days()
    use(START + 9 * HOUR, version="late")
    use(START + 30 * DAY + 2 * HOUR, version="late")
    price(registered_model, DEAR, START + 29 * DAY + 4 * HOUR)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "America/Los_Angeles"])
def test_both_ways_find_the_same(hours, zone):
    start, end = month_bounds_in(zone, date(2026, 11, 1))
    assert DirtyDay.objects.count() > 2
    of_hours = rows(uses_by_day_sql(start=start, end=end, zone="UTC", **WHOSE))
    assert rows(uses_sql(start=start, end=end, **WHOSE)) == of_hours
    assert {(names[0], names[1]) for names in of_hours} == {
        ("CC-4100", "claims-review"),
        ("CC-1", "prior-auth"),
    }
    assert any(unpriced for _, unpriced, *_ in of_hours.values())
    price_due_days()
    assert not DirtyDay.objects.exists()
    assert rows(uses_sql(start=start, end=end, **WHOSE)) == of_hours


def test_whole_priced_days_are_read_from_their_lines(hours):
    price_due_days()
    day = date(2026, 11, 9)
    DailyLine.objects.filter(day=day).delete()
    start, end = month_bounds_in("America/New_York", date(2026, 11, 1))
    found = rows(uses_sql(start=start, end=end, **WHOSE))
    assert day not in {names[3] for names in found}
    assert {date(2026, 11, 1), date(2026, 11, 30), date(2026, 12, 1)} <= {
        names[3] for names in found
    }


def test_a_day_within_one_utc_day_is_read_once(hours):
    price_due_days()
    start = START + 4 * HOUR
    found = rows(uses_sql(start=start, end=start + 2 * HOUR, **WHOSE))
    assert found == rows(uses_by_day_sql(start=start, end=start + 2 * HOUR, zone="UTC", **WHOSE))
    assert sum(tokens for tokens, *_ in found.values()) > 0
    assert Decimal(0) < sum(usd for *_, usd in found.values())
