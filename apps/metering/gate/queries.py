"""What the gate's figures make of a month: calls that were counted up to where they were cut, and
calls of which the access log and the gate tell different figures.
"""

from datetime import datetime

from django.db.models import QuerySet, Sum

from apps.metering.gate.models import CountDifference
from apps.metering.models import HourlyUsage


def cut_calls(start: datetime, end: datetime, *, team: str | None = None) -> int:
    """Return how many calls of [start, end) were cut off, and charged for what the gate had counted
    up to there. team: its calls alone. One query.
    """
    hours = HourlyUsage.objects.filter(hour__gte=start, hour__lt=end, counted_calls__gt=0)
    if team is not None:
        hours = hours.filter(team=team)
    return int(hours.aggregate(calls=Sum("counted_calls"))["calls"] or 0)


def differences(start: datetime, end: datetime) -> QuerySet[CountDifference]:
    """Return the calls of [start, end) of which both tell different figures."""
    return CountDifference.objects.filter(occurred_at__gte=start, occurred_at__lt=end)
