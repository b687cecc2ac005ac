"""What was spent of budgets: the ledger's hourly sums by the price list, beside what the gateway
holds. Every page, alert and answer about budgets reads it here, and the gate's counters are held to
it (counters.py).

The ledger's sums are made anew from the calls, never counted up. A month of any zone is a range of
whole UTC hours. All parts of a zone's figures come from one statement, so from one moment.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Q

from apps.access.budgets.models import Boost, Budget
from apps.access.holds.models import ALWAYS_FROM, USD_PLACES, Counter
from apps.chargeback.budgets.limits import (
    NOTHING,
    Amount,
    Balance,
    Decision,
    Scope,
    Use,
    add_up,
    balance,
    decide,
    scope_of,
)
from apps.chargeback.forecast import LOOKED_BACK, Outlook, outlook
from apps.chargeback.queries import uses_by_day_sql, uses_sql
from apps.chargeback.spending import PRICES_ESTIMATES
from apps.common import zones
from apps.metering.gate.counts import Basis
from apps.metering.models import HourlyUsage

UTC_ZONE = "UTC"  # whose days are those of the lines
LEDGER, RESERVED, SETTLED = "LEDGER", "RESERVED", "SETTLED"
COUNTED, HELD = "COUNTED", "HELD"
_SUMS = """cost_center, team, model, NULL::date, SUM(tokens)::bigint,
    COALESCE(SUM(tokens) FILTER (WHERE usd IS NULL), 0)::bigint, 0::bigint, SUM(usd)"""
# What was estimated stays settled: the ledger's tokens do not have it, and its money has it in the
# months for which finance said so.
_SETTLED = f"""(
    SELECT u.cost_center, u.team, u.model, u.tokens, CASE
        WHEN u.basis = '{Basis.ESTIMATED.value}' AND {PRICES_ESTIMATES} THEN 0 ELSE u.usd END AS usd
    FROM (SELECT *, occurred_at AS hour FROM access_settledcall
          WHERE summed_at IS NULL AND occurred_at >= %s AND occurred_at < %s) u
) settled"""  # noqa: S608 - only our own names are in it
_HELD = f"""
    SELECT '{RESERVED}', {_SUMS} FROM access_budgetreservation
    WHERE expires_at > %s AND reserved_at >= %s AND reserved_at < %s
    GROUP BY cost_center, team, model
    UNION ALL SELECT '{SETTLED}', {_SUMS} FROM {_SETTLED}
    GROUP BY cost_center, team, model
"""  # noqa: S608 - only our own names are in it


@dataclass(frozen=True)
class Month:
    """What counts against the budgets of one zone in its month of a moment, by scope. days: what
    the ledger says of each day of the zone, and of LOOKED_BACK days before today, where they were
    asked for.
    """

    days: Mapping[Scope, Mapping[date, Amount]]
    spent: Mapping[Scope, Amount]
    reserved: Mapping[Scope, Amount]
    settled: Mapping[Scope, Amount]


def _month(
    budgets: Sequence[Budget], zone: str, at: datetime, back: timedelta, until: datetime | None
) -> Month:
    """Return what counts against budgets of a zone; one query. back: how far before today. until:
    what was used or is held from then on is left out.
    """
    sql, given = _month_sql(budgets, zone, at, back, until)
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        rows = cursor.fetchall()
    return _read(rows, zones.month_in(zone, at) if back else None)


def _month_sql(  # noqa: PLR0913 - what _month has, and one more
    budgets: Sequence[Budget],
    zone: str,
    at: datetime,
    back: timedelta = timedelta(),
    until: datetime | None = None,
    *,
    expired: bool = False,
) -> tuple[str, list[Any]]:
    """Return the statement of _month, and its parameters. expired: count reservations too that
    nobody keeps any more, until they are given back.
    """
    start, end = zones.month_bounds_in(zone, zones.month_in(zone, at))
    told = min(end, until) if until else end
    before = zones.start_of_day_in(zone, zones.day_in(zone, at) - back)
    first = min(start, before) if back else start
    names = [scope_of(budget) for budget in budgets]
    whose = {
        "cost_centers": {name[0] for name in names if name[0]},
        "teams": {name[1] for name in names if name[1]},
    }
    if back and zone != UTC_ZONE:
        days, given = uses_by_day_sql(start=first, end=told, zone=zone, **whose)
    else:
        days, given = uses_sql(start=first, end=told, **whose)
    # Only our own fixed texts are put into the statement; every value is a parameter.
    sql = f"SELECT '{LEDGER}', days.* FROM ({days}) days UNION ALL {_HELD}"  # noqa: S608
    return sql, [*given, ALWAYS_FROM if expired else at, start, told, start, told]


def _read(rows: Iterable[tuple[Any, ...]], month: date | None) -> Month:
    """Return the rows of the statement as a month's figures. month: its first day, where there are
    days before it.
    """
    held: dict[str, list[Use]] = {LEDGER: [], RESERVED: [], SETTLED: []}
    days: defaultdict[Scope, dict[date, Amount]] = defaultdict(dict)
    for kind, cost_center, team, model, day, tokens, *unpriced, usd in rows:
        use = Use(cost_center, team, model, usd or Decimal(0), tokens, *unpriced)
        if kind != LEDGER or month is None or day >= month:
            held[kind].append(use)
        for scope in use.scopes if kind == LEDGER else ():
            days[scope][day] = days[scope].get(day, NOTHING) + use
    return Month(days, add_up(held[LEDGER]), add_up(held[RESERVED]), add_up(held[SETTLED]))


_OF_COUNTERS = f"""cost_center, team, model, NULL::date, id, 0::bigint, 0::bigint, {{}}
    FROM {Counter._meta.db_table} WHERE kind IN ('USD', 'TOKENS') AND starts_at = %s"""
_COUNTERS = f"""
    SELECT '{COUNTED} ' || kind, {_OF_COUNTERS.format("used")}
    UNION ALL SELECT '{HELD} ' || kind, {_OF_COUNTERS.format("reserved")}
"""  # noqa: S608 - only our own names are in it


@dataclass(frozen=True)
class Drift:
    """How far a budget's counter is from what counts against the budget. counter: its id; used,
    reserved: what it lacks of each, below 0 where it has too much.
    """

    counter: int
    used: Decimal
    reserved: Decimal


def drifts(budgets: Sequence[Budget], at: datetime) -> list[Drift]:
    """Return how far the counter of each budget's month is from what counts against it, of those
    that have one; one query for each zone, whose figures are all of one moment.
    """
    by_zone: defaultdict[str, list[Budget]] = defaultdict(list)
    for budget in budgets:
        by_zone[budget.zone].append(budget)
    return [each for zone, theirs in by_zone.items() for each in _drifts(theirs, zone, at)]


def _drifts(budgets: Sequence[Budget], zone: str, at: datetime) -> Iterable[Drift]:
    sql, given = _month_sql(budgets, zone, at, expired=True)
    start, _ = zones.month_bounds_in(zone, zones.month_in(zone, at))
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} UNION ALL {_COUNTERS}", [*given, start, start])
        rows = cursor.fetchall()
    counted = {(row[0], row[1:4]): row for row in rows if row[0].startswith((COUNTED, HELD))}
    month = _read((row for row in rows if row[0] in (LEDGER, RESERVED, SETTLED)), None)
    for budget in budgets:
        scope, unit = scope_of(budget), budget.unit
        if (row := counted.get((f"{COUNTED} {unit}", scope))) is None:
            continue
        spent, settled, reserved = (
            sums.get(scope, NOTHING).of(unit)
            for sums in (month.spent, month.settled, month.reserved)
        )
        held = counted[f"{HELD} {unit}", scope][-1]
        yield Drift(row[5], round(spent + settled - row[-1], USD_PLACES), reserved - held)


@dataclass(frozen=True)
class Standing:
    """A budget's month at a moment, day by day. spent_by_day: in its unit and zone, of this month
    and of the weeks before today. outlook: None where too few days are known.
    """

    balance: Balance
    today: date
    spent_by_day: Mapping[date, Decimal]
    outlook: Outlook | None

    @property
    def budget(self) -> Budget:
        """Return the budget."""
        return self.balance.budget


def balances(
    budgets: Iterable[Budget], at: datetime, *, until: datetime | None = None
) -> dict[Any, Balance]:
    """Return budget → what is left of it in the month of a moment. One query, and one for each zone
    that the budgets have. budgets: with their names loaded (Budget.objects.named()). until: the
    start of an hour of that month, as of which it is asked.
    """
    return {pk: found for pk, (found, _) in _read_all(budgets, at, timedelta(), until).items()}


def standings(budgets: Iterable[Budget], at: datetime) -> list[Standing]:
    """Return the month of each budget, day by day, with its outlook; as many queries as
    `balances`.
    """
    return [
        _standing(found, month.days.get(scope_of(found.budget), {}), at)
        for found, month in _read_all(budgets, at, LOOKED_BACK).values()
    ]


def _read_all(
    budgets: Iterable[Budget], at: datetime, back: timedelta, until: datetime | None = None
) -> dict[Any, tuple[Balance, Month]]:
    by_zone: defaultdict[str, list[Budget]] = defaultdict(list)
    found: dict[Any, Any] = {}
    for budget in budgets:
        by_zone[budget.zone].append(budget)
        found[budget.pk] = None
    if not found:
        return {}
    boosts = list(Boost.objects.active(at).select_related("budget"))
    for zone, theirs in by_zone.items():
        month = _month(theirs, zone, at, back, until)
        for budget in theirs:
            left = balance(
                budget,
                boosts=boosts,
                spent=month.spent,
                reserved=month.reserved,
                settled=month.settled,
                at=at,
            )
            found[budget.pk] = left, month
    return found


def _standing(found: Balance, days: Mapping[date, Amount], at: datetime) -> Standing:
    budget = found.budget
    spent = {day: amount.of(budget.unit) for day, amount in days.items()}
    today = zones.day_in(budget.zone, at)
    return Standing(
        balance=found,
        today=today,
        spent_by_day=spent,
        outlook=outlook(
            spent,
            first=zones.month_in(budget.zone, at),
            today=today,
            left=zones.share_of_day_left(budget.zone, at),
        ),
    )


def decision(
    *,
    cost_center: str,
    team: str,
    model: str,
    usd: Decimal | None,
    tokens: int,
    at: datetime,
) -> Decision:
    """Return whether a call may go on that uses so much at most, by every budget that it counts
    against. Two queries, and one for each zone of those budgets.

    The names are those of the call's token and request. usd: None where its tokens have no price.
    The gateway's gate decides by counters of the same figures (apps/gateway/purse).
    """
    asked = Budget.objects.active(at).of_call(cost_center=cost_center, team=team, model=model)
    return decide(list(balances(asked.named(), at).values()), usd=usd, tokens=tokens)


def versions_of(found: Iterable[Balance]) -> set[str]:
    """Return the versions whose calls are in the ledger's figures of these months; one query, which
    names each month once, however many budgets it has.
    """
    months: dict[tuple[datetime, datetime], tuple[set[str], set[str]]] = {}
    for left in found:
        cost_center, team, _ = scope_of(left.budget)
        both = months.setdefault((left.start, left.end), (set(), set()))
        both[0 if cost_center else 1].add(cost_center or team)
    wanted = Q(pk__in=())
    for (start, end), (cost_centers, teams) in months.items():
        whose = Q(cost_center__in=cost_centers) | Q(team__in=teams)
        wanted |= Q(hour__gte=start, hour__lt=end) & whose
    return set(HourlyUsage.objects.filter(wanted).values_list("version", flat=True).distinct())
