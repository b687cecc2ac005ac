"""What engines counted by themselves: the second opinion on what calls used."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, Sum
from django.db.models.functions import TruncHour

from apps.common.periods import HOUR, ZONE
from apps.fleet.metrics.models import ReplicaSample
from apps.fleet.models import Replica

# Scrapes of a replica that has just become ready, or is about to end, may miss so much of its time.
MAY_MISS = timedelta(seconds=90)


@dataclass(frozen=True)
class EngineCount:
    """Tokens that the replicas of a version counted. is_whole: every replica was counted for all
    the time in which it was ready; where it is not, the figures are too low by what nobody saw.

    cached_prompt_tokens: of the prompt tokens, those that were not computed. further_answers: that
    requests asked for beyond one each; for each of them the prompt is counted once more
    (vllm#56361). None: an engine does not tell.
    """

    prompt_tokens: int
    generation_tokens: int
    is_whole: bool
    cached_prompt_tokens: int | None = None
    further_answers: int | None = None


def engine_hours(
    *, namespace: str, hours: Collection[datetime]
) -> dict[datetime, dict[str, EngineCount]]:
    """Return hour → InferenceService → what its replicas counted in it; two queries, however many
    hours.

    A service that had no ready replica in an hour is left out of it.
    """
    if not hours:
        return {}
    first, last = min(hours), max(hours) + HOUR
    ready = list(
        Replica.objects.filter(
            Q(ended_at=None) | Q(ended_at__gt=first), namespace=namespace, ready_at__lt=last
        )
    )
    sums = _sums([one.pk for one in ready], first, last)
    return {hour: _counts(ready, sums, hour) for hour in hours}


def _sums(
    replicas: Collection[int], first: datetime, last: datetime
) -> dict[tuple[int, datetime], dict[str, Any]]:
    """Return (replica, hour) → what was counted."""
    rows = (
        ReplicaSample.objects.filter(replica__in=replicas, minute__gte=first, minute__lt=last)
        .annotate(hour=TruncHour("minute", tzinfo=ZONE))
        .values("replica", "hour")
        .annotate(
            prompt=Sum("prompt_tokens"),
            generation=Sum("generation_tokens"),
            cached=Sum("cached_prompt_tokens"),
            further=Sum("further_answers"),
            seconds=Sum("counted_seconds"),
        )
        .order_by()
    )
    return {(row["replica"], row["hour"]): dict(row) for row in rows}


def _counts(
    replicas: Iterable[Replica],
    sums: Mapping[tuple[int, datetime], Mapping[str, Any]],
    hour: datetime,
) -> dict[str, EngineCount]:
    services: dict[str, list[Replica]] = {}
    for replica in replicas:
        if _ready_for(replica, hour):
            services.setdefault(replica.service, []).append(replica)
    return {service: _added(found, sums, hour) for service, found in services.items()}


def _added(
    replicas: Collection[Replica],
    sums: Mapping[tuple[int, datetime], Mapping[str, Any]],
    hour: datetime,
) -> EngineCount:
    prompt = generation = 0.0
    is_whole = True
    for replica in replicas:
        counted = sums.get((replica.pk, hour), {})
        prompt += counted.get("prompt") or 0
        generation += counted.get("generation") or 0
        seconds = timedelta(seconds=counted.get("seconds") or 0)
        is_whole = is_whole and seconds >= _ready_for(replica, hour) - MAY_MISS
    found = [sums.get((replica.pk, hour), {}) for replica in replicas]
    return EngineCount(
        round(prompt), round(generation), is_whole, _told(found, "cached"), _told(found, "further")
    )


def _told(found: Iterable[Mapping[str, Any]], name: str) -> int | None:
    """Return a sum over replicas that worked; None where one of them does not tell its part."""
    told = [counted.get(name) for counted in found if counted.get("prompt")]
    known = [float(part) for part in told if part is not None]
    return round(sum(known)) if len(known) == len(told) else None


def _ready_for(replica: Replica, hour: datetime) -> timedelta:
    """Return for how long of an hour a replica was there after it had become ready."""
    end = hour + HOUR
    began = max(replica.ready_at or end, hour)
    ended = min(replica.ended_at or end, end)
    return max(ended - began, timedelta(0))
