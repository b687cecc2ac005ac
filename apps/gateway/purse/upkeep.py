"""What a worker does for the purses of all gates: gives back what gates that died held, holds the
counters to what budgets' pages show, and forgets what nobody needs any more.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from apps.access.holds.models import BudgetReservation, SettledCall
from apps.chargeback.budgets import counters
from apps.chargeback.budgets.queries import Drift
from apps.gateway.purse.turns import SQL, Turn, answers, parameters
from apps.metering import settled
from apps.metering.gate.actions import note_lost
from apps.metering.gate.models import LostCall

AT_ONCE = 1000
# Once the ledger's sum has a call, its row says nothing more; a day is for whoever looks into one.
SUMMED_KEPT_FOR = timedelta(days=1)
# A call that is in no sum of the ledger counts in its month, of any zone, and in no later one.
LOST_KEPT_FOR = timedelta(days=33)
log = logging.getLogger(__name__)


def give_back_expired(*, now: datetime) -> list[UUID]:
    """Give back what calls hold whose lease has ended, because their gate died; return their ids,
    and name each in the log. What they used is known once the ledger hears of them; each is noted
    as lost, for where it never does.
    """
    found: list[UUID] = []
    while expired := _expired(now):
        with transaction.atomic(), connection.cursor() as cursor:
            turn = Turn(given_back=list(expired))
            cursor.execute(SQL, parameters(turn, now=now))
            _, released = answers(turn, cursor.fetchall())
            note_lost(_lost(expired[call_id], now) for call_id in released)
        for call_id in released:
            log.warning("the gate of the call %s died: %s", call_id, _words(expired[call_id]))
        found += released
        if not released:  # somebody else was faster, or a gate came back
            break
    return found


def _expired(now: datetime) -> dict[UUID, BudgetReservation]:
    """Return the calls whose lease has ended → what they hold; one query."""
    rows = BudgetReservation.objects.filter(expires_at__lte=now).order_by("expires_at")
    return {row.call_id: row for row in rows[:AT_ONCE]}


def _words(row: BudgetReservation) -> str:
    since = f"{row.reserved_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{row.tokens:,} tokens of {row.team} for {row.model}, since {since}, given back"


def _lost(row: BudgetReservation, now: datetime) -> LostCall:
    return LostCall(
        call_id=row.call_id,
        occurred_at=row.reserved_at,
        cost_center=row.cost_center,
        team=row.team,
        model=row.model,
        noted_at=now,
    )


def keep_counters(*, now: datetime) -> list[Drift]:
    """Take into the ledger's sums what was settled late, then hold every counter to what counts
    against its budget; return what was off, which is told in the log.
    """
    settled.take_in_late(now)
    found = counters.keep(now=now)
    if found:
        log.info("%d counters of budgets were brought up to the ledger", len(found))
    return found


def forget_settled(*, now: datetime) -> int:
    """Delete settled calls that count nowhere any more; return how many."""
    summed = SettledCall.objects.filter(summed_at__lte=now - SUMMED_KEPT_FOR)
    lost = SettledCall.objects.filter(summed_at=None, occurred_at__lte=now - LOST_KEPT_FOR)
    deleted = 0
    for rows in (summed, lost):
        while some := list(rows.values_list("pk", flat=True)[:AT_ONCE]):
            deleted += SettledCall.objects.filter(pk__in=some).delete()[0]
    return deleted
