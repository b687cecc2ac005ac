"""Who calls a model, and how much every hour holds: hourly sums by team and version, never by
person.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from django.db.models import F, Min, Q, Sum

from apps.common.simulated import Simulated
from apps.fleet.simulated import stand_in_versions
from apps.metering.models import HourlyUsage

SUMS = (
    "metered_calls",
    "unmetered_calls",
    "refused_calls",
    "failed_calls",
    "input_tokens",
    "output_tokens",
)


@dataclass(frozen=True)
class ModelLine:
    """What one team asked of one version. team and version: "" where the calls name none."""

    team: str
    version: str
    metered_calls: int
    unmetered_calls: int
    refused_calls: int
    failed_calls: int
    input_tokens: int
    output_tokens: int
    simulated: Simulated


def model_lines(*, model: str, team: str | None, since: datetime) -> list[ModelLine]:
    """Return the usage of a model in the hours from `since` on; two queries.

    team: the only one whose usage is wanted; None for every team's.
    """
    rows = HourlyUsage.objects.filter(model=model, hour__gte=since)
    if team is not None:
        rows = rows.filter(team=team)
    sums = {f"sum_{name}": Sum(name) for name in SUMS}
    found = list(rows.order_by().values_list("team", "version").annotate(**sums))
    played = stand_in_versions({version for _, version, *_ in found})
    return [
        ModelLine(
            team,
            version,
            **dict(zip(SUMS, figures, strict=True)),
            simulated=Simulated(engine=version in played),
        )
        for team, version, *figures in found
    ]


@dataclass(frozen=True)
class CallSums:
    """The metered calls of a model that told their tokens, and these tokens. versions: that
    answered them.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    versions: frozenset[str]


def call_sums(*, model: str, team: str | None, since: datetime, until: datetime) -> CallSums:
    """Return the sums of a model's calls in the hours of [since, until); one query. Reranks tell no
    tokens and are not among them.

    team: the only one whose calls are wanted; None for every team's.
    """
    rows = HourlyUsage.objects.filter(model=model, hour__gte=since, hour__lt=until)
    if team is not None:
        rows = rows.filter(team=team)
    sums = {
        "sum_calls": Sum(F("metered_calls") - F("rerank_requests")),
        "sum_read": Sum("input_tokens"),
        "sum_written": Sum("output_tokens"),
    }
    found = list(rows.order_by().values_list("version").annotate(**sums))
    told = [row for row in found if row[1]]
    calls, read, written = (sum(row[place] for row in told) for place in (1, 2, 3))
    return CallSums(calls, read, written, frozenset(version for version, *_ in told))


@dataclass(frozen=True)
class HourOfWork:
    """What a team asked of a version in an hour, estimates of what no answer told included.
    input_tokens includes the cached ones. untold_calls: of whose use nothing is known, and reranks,
    which tell no tokens.
    """

    hour: datetime
    version: str
    team: str
    cost_center: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    untold_calls: int


def hours_of_work(start: datetime, end: datetime) -> list[HourOfWork]:
    """Return the hours of [start, end) in which versions worked, oldest first; one query."""
    rows = HourlyUsage.objects.filter(hour__gte=start, hour__lt=end).exclude(version="")
    worked = rows.filter(Q(metered_calls__gt=0) | Q(unmetered_calls__gt=0))
    told = worked.order_by("hour", "version", "team", "cost_center").values_list(
        "hour",
        "version",
        "team",
        "cost_center",
        F("input_tokens") + F("estimated_input_tokens"),
        "cached_input_tokens",
        F("output_tokens") + F("estimated_output_tokens"),
        F("unmetered_calls") - F("estimated_calls") + F("rerank_requests"),
    )
    return [HourOfWork(*row) for row in told]


def of_hours(rows: Iterable[HourlyUsage]) -> list[HourOfWork]:
    """Return the same of hours that are at hand, stored or not."""
    return sorted(
        (
            HourOfWork(
                hour=row.hour,
                version=row.version,
                team=row.team,
                cost_center=row.cost_center,
                input_tokens=row.input_tokens + row.estimated_input_tokens,
                cached_input_tokens=row.cached_input_tokens,
                output_tokens=row.output_tokens + row.estimated_output_tokens,
                untold_calls=row.unmetered_calls - row.estimated_calls,
            )
            for row in rows
            if row.version and (row.metered_calls or row.unmetered_calls)
        ),
        key=attrgetter("hour", "version", "team", "cost_center"),
    )


def first_hour() -> datetime | None:
    """Return the first hour with usage; None where there is none. One query."""
    first: datetime | None = HourlyUsage.objects.aggregate(first=Min("hour"))["first"]
    return first
