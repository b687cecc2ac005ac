"""The only reader of raw usage events, so that another store can hold them when one machine is
outgrown (stores/base.py says what a store does). They are kept by UTC day, and within its day an id
is stored once.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence, Set
from contextlib import closing
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import (
    Aggregate,
    Count,
    DateTimeField,
    F,
    FloatField,
    Func,
    Max,
    Q,
    QuerySet,
    Sum,
)
from django.db.models.functions import Cast, Coalesce, TruncHour

from apps.accounts.models import Team, User
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.clocks import CLOCKS_APART
from apps.common.periods import HOUR, ZONE, day_of
from apps.metering import days
from apps.metering.access_log import COUNTED, Counts, UsageRecord
from apps.metering.gate.counts import Basis, Tokens
from apps.metering.models import (
    FAILURES,
    REFUSALS,
    Completeness,
    DirtyHour,
    Operation,
    Outcome,
    UsageEvent,
)
from apps.metering.quarantine.models import Doubt, QuarantinedRecord
from apps.metering.screening import Known
from apps.metering.stores.base import store
from apps.promotions.rollouts.health import Calls

SumsOf = Callable[[QuerySet[UsageEvent]], Generator[dict[str, Any]]]
DIMENSIONS = ("cost_center", "team", "model", "version")
TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")
TAKEN_OUT = f"""
SELECT event_id, occurred_at FROM {QuarantinedRecord._meta.db_table}
WHERE doubt = '{Doubt.OTHER_DAY}'
"""  # noqa: S608
ROWS_AT_ONCE = 1000  # that the database gives together
FEW = 1000  # taken out calls that are read whole: there are seldom any
LONGEST_CALL = timedelta(minutes=15)  # the gateway ends a call before


class EndedAt(Func):
    """When a call ended: its start, and its milliseconds later."""

    template = "%(expressions)s"
    arg_joiner = " + interval '1 millisecond' * "
    output_field = DateTimeField()

    def __init__(self) -> None:
        super().__init__(F("occurred_at"), Coalesce(F("duration_ms"), 0))

    def as_clickhouse(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return it as ClickHouse writes it."""
        more = {"template": "addMilliseconds(%(expressions)s)", "arg_joiner": ", "}
        return self.as_sql(compiler, connection, **more, **context)


class Percentile(Aggregate):
    """The value below which a share of the rows lies, between two rows if need be; NULL values do
    not count.
    """

    function = "percentile_cont"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, expression: object, *, share: float, **extra: Any) -> None:
        super().__init__(expression, share=share, **extra)

    def as_clickhouse(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return it as ClickHouse writes it."""
        found = self.copy()
        found.template = "quantileExactInclusive(%(share)s)(%(expressions)s)"
        return found.as_sql(compiler, connection, **context)


class StepOf(Func):
    """The step that a call began in: the last whole number of steps after midnight UTC."""

    template = "date_bin('%(seconds)s seconds', %(expressions)s, TIMESTAMPTZ '1970-01-01 00:00Z')"
    output_field = DateTimeField()

    def __init__(self, step: timedelta) -> None:
        super().__init__(F("occurred_at"), seconds=int(step.total_seconds()))

    def as_clickhouse(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return it as ClickHouse writes it."""
        template = "toStartOfInterval(%(expressions)s, INTERVAL %(seconds)s SECOND, 'UTC')"
        return self.as_sql(compiler, connection, template=template, **context)


def insert(records: Iterable[UsageRecord], *, via: str, now: datetime) -> set[UUID]:
    """Store those of the records whose id is not stored yet under their day; return their ids. In
    the caller's transaction: without its commit none of them counts.

    The ids must differ, and days.make_days must have been asked for their days.
    """
    return store().insert(records, via=via, now=now)


def counts_of(records: Iterable[UsageRecord]) -> dict[UUID, Counts]:
    """Return event id → what is counted of it, of those that are stored under the record's day.
    One query a day.
    """
    found: dict[UUID, Counts] = {}
    for day, group in groupby(sorted(records, key=_when), key=_day):
        rows = days.calls_of(day).filter(event_id__in=[record.event_id for record in group])
        found |= {row[0]: tuple(row[1:]) for row in rows.values_list("event_id", *COUNTED)}
    return found


def stored_ids(ids: Collection[UUID], among: Collection[date]) -> set[UUID]:
    """Return which of these ids calls of some days have, as far as they are stored; one query a
    day, and one more.
    """
    found: set[UUID] = set()
    for day in set(among) & set(days.stored_days()):
        rows = days.calls_of(day).filter(event_id__in=list(ids))
        found |= set(rows.values_list("event_id", flat=True))
    return found


def counted_by_gate(records: Iterable[UsageRecord]) -> dict[UUID, Tokens]:
    """Return event id → the figures that count, of those calls of the records' days that the gate
    told of and no line of the access log had when they were stored. One query a day.
    """
    found: dict[UUID, Tokens] = {}
    for day, group in groupby(sorted(records, key=_when), key=_day):
        rows = days.calls_of(day).filter(event_id__in=[record.event_id for record in group])
        for event_id, *tokens in rows.filter(received_via="GATE").values_list("event_id", *TOKENS):
            found[event_id] = Tokens(*tokens)
    return found


def taken_out(ids: Collection[UUID]) -> set[tuple[UUID, date]]:
    """Return the ids of calls that were taken out, these ids at least, with the day that each was
    taken from. One query, or two where many were taken out.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"{TAKEN_OUT} LIMIT %s", [FEW + 1])
        rows = cursor.fetchall()
        if len(rows) > FEW:  # five thousand ids are more work than a few rows
            cursor.execute(f"{TAKEN_OUT} AND event_id = ANY(%s::uuid[])", [list(ids)])
            rows = cursor.fetchall()
    return {(event_id, day_of(occurred_at)) for event_id, occurred_at in rows}


def take_out(event: UsageEvent) -> None:
    """Take a call out whose id is that of an earlier one, of another day.

    Raises IntegrityError where there is no such call, or where the call is not kept in quarantine
    and in the record first.
    """
    store().take_out(event)


_when = attrgetter("occurred_at")


def _day(record: UsageRecord) -> date:
    return day_of(record.occurred_at)


def known(*, teams: Set[str], models: Set[str], versions: Set[str], since: datetime) -> Known:
    """Return which of these names there are; three queries."""
    contexts = RegisteredModel.objects.filter(name__in=models)
    numbers = ModelVersion.objects.filter(
        registered_model__name__in={name.rpartition("-v")[0] for name in versions}
    ).values_list("registered_model__name", "number")
    return Known(
        teams=frozenset(Team.objects.filter(slug__in=teams).values_list("slug", flat=True)),
        contexts=dict(contexts.values_list("name", "context_length")),
        versions=frozenset(f"{model}-v{number}" for model, number in numbers) & versions,
        since=since,
    )


def hour_sums(hours: Collection[datetime]) -> Generator[dict[str, Any]]:
    """Yield one mapping per hour, cost center, team, model and version: calls by outcome, tokens
    and rerank requests of that hour; in this order. One query, in a transaction; close what is not
    read to its end.

    hours: their starts, of one day.
    """
    wanted = frozenset(hours)
    whole = exact_sums(min(hours), max(hours) + HOUR, _sums_of, _CALLS)
    with closing(whole) as sums:
        for row in sums:
            if row["hour"] in wanted:
                yield row


def keys_by_hour() -> QuerySet[Any]:
    """Return, to be joined in Postgres, the calls as `hour_sums` counts them: their event_id,
    occurred_at and `hour`.
    """
    hour = TruncHour("occurred_at", tzinfo=ZONE)
    keys: QuerySet[Any] = store().keys().annotate(hour=hour)
    return keys


_CALLS = [f"{outcome.value.lower()}_calls" for outcome in Outcome]


def exact_sums(
    start: datetime, end: datetime, sums_of: SumsOf, counts: Sequence[str]
) -> Generator[dict[str, Any]]:
    """Yield what the calls of [start, end) come to, of those alone that count. sums_of: sums some
    calls; counts: the keys of a sum that together count each of its calls once.
    """
    raw = store()
    known = raw.known(start, end)  # before the calls are read: of each of these there is a call
    if known is None:
        yield from sums_of(raw.counted(start, end))
        return
    found = list(sums_of(raw.calls().filter(occurred_at__gte=start, occurred_at__lt=end)))
    if known != sum(row[name] for row in found for name in counts):
        found = list(sums_of(raw.counted(start, end)))
    yield from found


def _sums_of(events: QuerySet[UsageEvent]) -> Generator[dict[str, Any]]:
    """Yield what some calls come to by hour, cost center, team, model and version."""
    events = events.annotate(hour=TruncHour("occurred_at", tzinfo=ZONE))
    calls = {f"{o.value.lower()}_calls": Count("event_id", filter=Q(outcome=o)) for o in Outcome}
    calls |= {
        f"{outcome.value.lower()}_{code}_calls": Count(
            "event_id", filter=Q(outcome=outcome, response_code=code)
        )
        for outcome, codes in ((Outcome.REFUSED, REFUSALS), (Outcome.FAILED, FAILURES))
        for code in codes
    }
    calls |= {
        f"{kind.value.lower()}_calls": Count(
            "event_id", filter=Q(outcome=Outcome.UNMETERED, completeness=kind)
        )
        for kind in (Completeness.ABORTED, Completeness.ENDED_EARLY)
    }
    calls["counted_calls"] = Count("event_id", filter=Q(basis=Basis.COUNTED))
    calls |= _of_the_gate()
    never_cached = Q(operation__in=(Operation.EMBEDDING, Operation.RERANK))
    metered = Q(outcome=Outcome.METERED)
    calls["cached_unknown_calls"] = Count(
        "event_id", filter=metered & Q(cached_input_tokens__isnull=True) & ~never_cached
    )
    calls["rerank_requests"] = Count("event_id", filter=metered & Q(operation=Operation.RERANK))
    tokens = {name: Coalesce(Sum(name), 0) for name in TOKENS}
    tokens["embedding_input_tokens"] = Coalesce(
        Sum("input_tokens", filter=Q(operation=Operation.EMBEDDING)), 0
    )
    # Tokens replace the columns of the same name: the values() below must not group by them.
    sums = {f"sum_{name}": expression for name, expression in tokens.items()}
    rows = events.values("hour", *DIMENSIONS).annotate(**calls, **sums)
    with closing(rows.order_by("hour", *DIMENSIONS).iterator(chunk_size=ROWS_AT_ONCE)) as found:
        for row in found:
            yield {key.removeprefix("sum_"): value for key, value in row.items()}


def _of_the_gate() -> dict[str, Any]:
    """Return the sums of what the gate estimated, where it could tell both what was read and what
    was written: with these, a call needs no other estimate.
    """
    both = Q(
        basis=Basis.ESTIMATED,
        outcome=Outcome.UNMETERED,
        estimated_input_tokens__isnull=False,
        estimated_output_tokens__isnull=False,
    )
    return {
        "gate_calls": Count("event_id", filter=both),
        "gate_input_tokens": Coalesce(Sum("estimated_input_tokens", filter=both), 0),
        "gate_output_tokens": Coalesce(Sum("estimated_output_tokens", filter=both), 0),
    }


def calls_visible_to(user: User) -> QuerySet[UsageEvent]:
    """Return the calls this person may see, newest first: all for those who oversee, else their
    team's.
    """
    calls = store().calls().order_by("-occurred_at", "-event_id")
    if user.has_role(*SEES_EVERY_TEAM):
        return calls
    return calls.filter(team=user.team.slug) if user.team and user.roles else calls.none()


def call_of(event_id: UUID) -> UsageEvent | None:
    """Return the call of a request id, the newest where days have it twice; None where none is
    stored. One query, which looks among the keys of each stored day.
    """
    return store().calls().filter(event_id=event_id).order_by("-occurred_at").first()


def tokens_used(*, team: str, model: str, start: datetime, end: datetime) -> int:
    """Return how many tokens the calls of a team to a model used that began in [start, end), as far
    as they are counted; one query.
    """
    calls = (
        store().calls().filter(team=team, model=model, occurred_at__gte=start, occurred_at__lt=end)
    )
    sums = calls.aggregate(read=Sum("input_tokens"), written=Sum("output_tokens"))
    return (sums["read"] or 0) + (sums["written"] or 0)


def sees_calls_of(user: User, team: str) -> bool:
    """Tell whether this person may see the calls of a team: as calls_visible_to, without a
    query.
    """
    if user.has_role(*SEES_EVERY_TEAM):
        return True
    return bool(user.team and user.roles and user.team.slug == team)


def wanting_calls(
    *, model: str, version: str, unanswered_too: bool, since: datetime
) -> dict[str, int]:
    """Return how many calls that ended at `since` or later wanted a version: {"answered": n,
    "unanswered": n}. One that was received since then counts too where it ended just before: it
    was timed by the gateway's clock.

    Refused calls (no grant, over the limit) want nothing. A call that met no replica names no
    version: it counts where `unanswered_too`, for the version that the route leads to.
    """
    # The first condition is what the index serves; the second is the rule.
    recent = store().calls().filter(model=model, occurred_at__gte=since - LONGEST_CALL)
    received = Q(received_at__gte=since, ended_at__gte=since - CLOCKS_APART)
    recent = recent.alias(ended_at=EndedAt()).filter(Q(ended_at__gte=since) | received)
    recent = recent.exclude(outcome=Outcome.REFUSED)
    answered = Q(version=version, outcome__in=(Outcome.METERED, Outcome.UNMETERED))
    whose = Q(version=version) | Q(version="") if unanswered_too else Q(version=version)
    return recent.aggregate(
        answered=Count("event_id", filter=answered),
        unanswered=Count("event_id", filter=whose & ~answered),
    )


def latest_call_at(
    *, start: datetime | None = None, end: datetime | None = None
) -> datetime | None:
    """Return when the newest stored call of [start, end) began: how fresh every figure made from
    usage is. A bound that is not given holds nothing out.
    """
    calls = store().calls()
    if start is not None:
        calls = calls.filter(occurred_at__gte=start)
    if end is not None:
        calls = calls.filter(occurred_at__lt=end)
    moment: datetime | None = calls.aggregate(latest=Max("occurred_at"))["latest"]
    return moment or days.latest_archived_call_at(start=start, end=end)


def hours_waiting(start: datetime, end: datetime) -> int:
    """Return how many hours of [start, end) have calls that are not in the hourly sums yet."""
    return DirtyHour.objects.filter(hour__gte=start, hour__lt=end).count()


def in_quarantine(start: datetime, end: datetime, *, team: str | None = None) -> int:
    """Return how many records wait in quarantine that belong to [start, end): by the start of
    their call, or, where it is not told, by when they were received. team: its records alone.
    """
    bounds = Q(occurred_at__gte=start, occurred_at__lt=end) | Q(
        occurred_at=None, received_at__gte=start, received_at__lt=end
    )
    waiting = QuarantinedRecord.objects.filter(bounds, status=QuarantinedRecord.Status.WAITING)
    return (waiting if team is None else waiting.filter(team=team)).count()


# what callers met, of whatever calls are put together: the fields of promotions' Calls
_MET = {
    "calls": Count("event_id"),
    "failed": Count("event_id", filter=Q(outcome=Outcome.FAILED)),
    "timed": Count("ttft_ms"),
    "ttft_p95_ms": Percentile("ttft_ms", share=0.95),
    "tokens_per_second": Percentile(
        Cast("output_tokens", FloatField()) * 1000.0 / F("duration_ms"),
        share=0.5,
        filter=Q(output_tokens__gt=0, duration_ms__gt=0),
    ),
}


def calls_by_version(model: str, since: datetime) -> dict[str, Calls]:
    """Return what callers of each version of a model met in the calls that began since a moment;
    one query.

    Refused calls reached no version. TTFT is known for streamed calls only; speed for calls that
    were answered.
    """
    rows = _reached(model).filter(occurred_at__gte=since).values("version").annotate(**_MET)
    return {row["version"]: _met(row) for row in rows}


def calls_over_time(
    model: str, *, start: datetime, end: datetime, step: timedelta
) -> dict[str, dict[datetime, Calls]]:
    """Return what callers of each version of a model met in [start, end), step by step: version →
    when a step began → calls. One query; a step without calls is not there.

    step: whole seconds; steps are counted from midnight UTC, so it should divide a day. The rest as
    in calls_by_version.
    """
    calls = _reached(model).filter(occurred_at__gte=start, occurred_at__lt=end)
    found: dict[str, dict[datetime, Calls]] = {}
    for row in calls.values("version", at=StepOf(step)).annotate(**_MET):
        found.setdefault(row["version"], {})[row["at"]] = _met(row)
    return found


def _met(row: Mapping[str, Any]) -> Calls:
    return Calls(**{name: row[name] for name in _MET})


def _reached(model: str) -> QuerySet[UsageEvent]:
    """Return the calls of a model that a version was to answer."""
    calls = store().calls().filter(model=model)
    return calls.exclude(version="").exclude(outcome=Outcome.REFUSED)
