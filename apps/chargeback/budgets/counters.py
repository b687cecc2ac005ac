"""The counters that the gateway's gate decides calls by, held to what budgets' pages show: the
ledger's sum, settled calls that are not in it, and open reservations.

A gate counts what it lets through. What it cannot see (calls before it was there, prices that were
published later, corrections, what engines' counters prove) is in the ledger alone, and comes into
the counters here, as the difference of one moment: so no call that is settled meanwhile is lost or
counted twice. The locks are the database's advisory ones, (7113, n).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from apps.access.budgets.models import Budget
from apps.access.holds.models import OF_BUDGETS, Counter
from apps.chargeback.budgets.limits import Scope, scope_of
from apps.chargeback.budgets.queries import Drift, drifts
from apps.common import zones

AHEAD = timedelta(days=1)  # a month's counters are there before it begins
GONE_FOR = timedelta(minutes=1)  # longer than a gate holds on to a budget that has ended
KEPT_FOR = timedelta(minutes=30)  # after its window: longer than the longest call
AT_ONCE = 1000
TURNS, JOINING = 1, 2  # what is locked: the gates' turns, and this
_JOIN = f"""
UPDATE {Counter._meta.db_table} c SET used = c.used + d.used, reserved = c.reserved + d.reserved,
    is_ready = true
FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[]) d (id, used, reserved)
WHERE c.id = d.id AND (d.used <> 0 OR d.reserved <> 0 OR NOT c.is_ready)
"""  # noqa: S608 - only our own names are in it


@dataclass(frozen=True)
class Counted:
    """What a budget is counted by: its unit, scope and zone, without the rest of it."""

    pk: Any
    unit: str
    scope: Scope
    zone: str

    @classmethod
    def of(cls, budget: Budget) -> "Counted":
        """Return that of a budget with its names loaded."""
        return cls(budget.pk, budget.unit, scope_of(budget), budget.zone)

    def windows(self, now: datetime) -> list[tuple[datetime, datetime]]:
        """Return its month of a moment, and the next one where that begins soon."""
        month = zones.month_bounds_in(self.zone, zones.month_in(self.zone, now))
        if month[1] - now > AHEAD:
            return [month]
        return [month, zones.month_bounds_in(self.zone, zones.month_in(self.zone, month[1]))]


def make_ready(budgets: Sequence[Counted], now: datetime) -> None:
    """Make the counters of budgets that lack one, and put into each what counts against its budget
    already. Afterwards calls can be decided by them.

    Two queries where all are ready; else as many more as `join`, and it waits for the turns of
    gates that are under way: those do not see the new rows.
    """
    unready = _make(budgets, now)
    if not unready:
        return
    with transaction.atomic():
        _lock(TURNS)
    join(list(Budget.objects.filter(pk__in=unready).named()), now)


def _make(budgets: Sequence[Counted], now: datetime) -> list[Any]:
    """Make what is missing; return the budgets whose counter of now is not ready."""
    known = _known(budgets, now)
    missing, unready = [], []
    for budget in budgets:
        for start, end in budget.windows(now):
            key = (budget.unit, *budget.scope, start)
            if key not in known:
                # nothing can count in a month that has not begun
                missing.append(_row(budget, start, end, is_ready=start > now))
            if start <= now and not known.get(key, False):
                unready.append(budget.pk)
    # in the order of their key, so that two who do this do not wait for each other in a ring
    missing.sort(key=lambda row: (row.cost_center, row.team, row.model, row.kind, row.starts_at))
    Counter.objects.bulk_create(missing, ignore_conflicts=True, batch_size=AT_ONCE)
    return unready


def _known(budgets: Sequence[Counted], now: datetime) -> dict[tuple[Any, ...], bool]:
    """Return the key of each counter there is → whether it is ready."""
    rows = Counter.objects.filter(kind__in=OF_BUDGETS, ends_at__gt=now)
    if len(budgets) <= AT_ONCE:
        centers, teams = ({budget.scope[place] for budget in budgets} - {""} for place in (0, 1))
        rows = rows.filter(Q(cost_center__in=centers) | Q(team__in=teams))
    names = ("kind", "cost_center", "team", "model", "starts_at", "is_ready")
    return {tuple(row[:-1]): row[-1] for row in rows.values_list(*names)}


def _row(budget: Counted, start: datetime, end: datetime, *, is_ready: bool) -> Counter:
    cost_center, team, model = budget.scope
    return Counter(
        kind=budget.unit,
        cost_center=cost_center,
        team=team,
        model=model,
        starts_at=start,
        ends_at=end,
        is_ready=is_ready,
    )


def keep(*, now: datetime) -> list[Drift]:
    """Make the counters of every budget in force, this month's and soon the next one's, hold them
    to what counts, and forget those of budgets that ended; return what was off.
    """
    budgets = list(Budget.objects.active(now).named())
    counted = [Counted.of(budget) for budget in budgets]
    make_ready(counted, now)
    found = join(budgets, now)
    _forget(now)
    return found


def join(budgets: Sequence[Budget], now: datetime) -> list[Drift]:
    """Hold the counters of budgets to what counts against them in the month of a moment; return
    what was off. budgets: with their names loaded. One query for each zone, and three.

    One at a time: of two who found the same difference, both would add it.
    """
    with transaction.atomic():
        _lock(JOINING)
        found = sorted(drifts(budgets, now), key=lambda drift: drift.counter)
        ids = [drift.counter for drift in found]
        rows = Counter.objects.filter(pk__in=ids).order_by("pk").select_for_update()
        unready = {pk for pk, is_ready in rows.values_list("pk", "is_ready") if not is_ready}
        off = [drift for drift in found if drift.used or drift.reserved]
        changed = [drift for drift in found if drift in off or drift.counter in unready]
        if changed:
            used, reserved = ([each.used for each in changed], [each.reserved for each in changed])
            with connection.cursor() as cursor:
                cursor.execute(_JOIN, [[each.counter for each in changed], used, reserved])
    return off


def _forget(now: datetime) -> None:
    """Delete the counters of windows that are over, and of months in which no budget of their scope
    is in force any more: what the ledger learns would not come into them.
    """
    over = Counter.objects.filter(ends_at__lte=now - KEPT_FOR)
    while _delete(over.order_by("pk")[:AT_ONCE]):
        pass
    # before the budgets: of one that is set meanwhile the counter is not among these
    names = ("pk", "kind", "cost_center", "team", "model", "starts_at")
    rows = list(Counter.objects.filter(kind__in=OF_BUDGETS, ends_at__gt=now).values_list(*names))
    since = now - GONE_FOR
    ended = Q(active_to__isnull=False, active_to__lte=since)
    kept = {
        (budget.unit, *budget.scope, start)
        for budget in map(Counted.of, Budget.objects.exclude(ended).named())
        for start, _ in budget.windows(now)
    }
    gone = [pk for pk, *key in rows if tuple(key) not in kept]
    for first in range(0, len(gone), AT_ONCE):
        _delete(Counter.objects.filter(pk__in=gone[first : first + AT_ONCE]).order_by("pk"))


@transaction.atomic
def _delete(rows: Any) -> int:
    """Delete counters that nobody holds now; return how many. rows: in the order of their keys."""
    free = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
    return Counter.objects.filter(pk__in=list(free)).delete()[0]


def _lock(what: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7113, %s)", [what])
