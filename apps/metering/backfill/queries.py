"""Reads which usage of the past is still to come, and which usage was made up."""

from datetime import datetime

from django.db.models import F, Min

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
