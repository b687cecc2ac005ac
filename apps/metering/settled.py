"""Calls that the gateway's gate settled, as the ledger takes them in: until the sum of its hour has
a call, budgets count what the gate counted; from then on the sum alone.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef

from apps.access.holds.models import SettledCall
from apps.common.periods import DAY, HOUR
from apps.metering import store
from apps.metering.models import DirtyHour


def take_in(hours: Sequence[datetime], now: datetime) -> int:
    """Say of the settled calls of some hours of one day that their sums have them; return how many.

    In the transaction that makes the sums, and locked their marks before: no call of these hours
    can be committed meanwhile, for it would mark its hour first.
    """
    told = store.keys_by_hour().filter(
        event_id=OuterRef("call_id"),
        occurred_at__gte=min(hours),
        occurred_at__lt=max(hours) + HOUR,
        hour__in=hours,
    )
    # by the gate's clock and the gateway's, and a request may take its time to arrive; one that
    # takes longer is taken in a little later
    near = SettledCall.objects.filter(
        summed_at=None,
        occurred_at__gte=min(hours) - store.LONGEST_CALL,
        occurred_at__lt=max(hours) + HOUR + store.LONGEST_CALL,
    )
    return near.filter(Exists(told)).update(summed_at=now)


def take_in_late(now: datetime) -> int:
    """Say the same of calls that were settled after the sum of their hour was made; return how
    many.

    One statement, so one moment: where a call is stored and its hour has no mark, the sum has it.
    """
    told = store.keys_by_hour().filter(
        event_id=OuterRef("call_id"),
        # the gate's moment is the end of the request, which a slow caller can put off for long
        occurred_at__gte=OuterRef("occurred_at") - DAY,
        occurred_at__lt=OuterRef("occurred_at") + DAY,
    )
    waits = DirtyHour.objects.filter(hour=OuterRef("hour"))
    late = SettledCall.objects.filter(Exists(told.exclude(Exists(waits))), summed_at=None)
    return late.update(summed_at=now)
