"""Reads which usage of the past is still to come, and which usage was made up."""

from datetime import date, datetime

from django.db.models import F, Min

from apps.common.periods import month_bounds, month_of, next_month
from apps.metering.backfill.models import Backfill


def still_to_come() -> datetime | None:
    """Return the first moment whose usage a backfill has not stored yet; None where none is under
    way. One query.
    """
    under_way = Backfill.objects.filter(stored_until__lt=F("until"))
    moment: datetime | None = under_way.aggregate(first=Min("stored_until"))["first"]
    return moment


def sample() -> Backfill | None:
    """Return the sample that was brought in, or is being; None where there is none. One query."""
    return Backfill.objects.filter(is_sample=True).order_by("begun_at").first()


def sample_months() -> frozenset[date]:
    """Return the months that hold usage of the sample, by their first days: what is made of them
    says so. One query.
    """
    found = sample()
    if found is None:
        return frozenset()
    months, month = set(), month_of(found.since)
    while month_bounds(month)[0] < found.until:
        months.add(month)
        month = next_month(month)
    return frozenset(months)
