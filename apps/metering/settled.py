"""Calls that the gateway's gate settled, as the ledger takes them in: until the sum of its hour has
a call, budgets count what the gate counted; from then on the sum alone.

What was only estimated is in no sum of what was metered. Budgets go on counting it by what the gate
settled: else whoever leaves each stream before its end would spend nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.access.holds.models import SettledCall
from apps.common.periods import DAY, HOUR
from apps.metering import store
from apps.metering.gate.counts import Basis
from apps.metering.models import DirtyHour, Operation

# an answered rerank is a request, whatever it read: of that the sum has all
_ESTIMATED = Q(basis=Basis.ESTIMATED) & ~Q(operation=Operation.RERANK)


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
    near = SettledCall.objects.exclude(_ESTIMATED).filter(
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
    waits = DirtyHour.objects.filter(hour=OuterRef("hour"))
    is_summed = Exists(_of_the_call().exclude(Exists(waits)))
    late = SettledCall.objects.exclude(_ESTIMATED).filter(is_summed, summed_at=None)
    return late.update(summed_at=now)


def missing(before: datetime) -> QuerySet[SettledCall]:
    """Return the calls of before a moment that the ledger never heard of."""
    unsummed = SettledCall.objects.filter(summed_at=None, occurred_at__lt=before)
    return unsummed.exclude(Exists(_of_the_call()))


def _of_the_call() -> QuerySet[Any]:
    """Return the key of a settled call in the ledger, to be asked for by a query of those."""
    return store.keys_by_hour().filter(
        event_id=OuterRef("call_id"),
        # the gate's moment is the end of the request, which a slow caller can put off for long
        occurred_at__gte=OuterRef("occurred_at") - DAY,
        occurred_at__lt=OuterRef("occurred_at") + DAY,
    )
