"""What engines counted by themselves: the second opinion on what calls used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, Sum

from apps.fleet.metrics.models import ReplicaSample
from apps.fleet.models import Replica

# Scrapes of a replica that has just become ready, or is about to end, may miss so much of its time.
MAY_MISS = timedelta(seconds=90)


@dataclass(frozen=True)
class EngineCount:
    """Tokens that the replicas of a version counted. is_whole: every replica was counted for all
    the time in which it was ready; where it is not, the figures are too low by what nobody saw.
    """

    prompt_tokens: int
    generation_tokens: int
    is_whole: bool


def engine_counts(*, namespace: str, start: datetime, end: datetime) -> dict[str, EngineCount]:
    """Return InferenceService → what its replicas counted in [start, end); two queries.

    One that had no ready replica in that time is left out.
    """
    ready = Replica.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=start),
        namespace=namespace,
        ready_at__lt=end,
    )
    replicas: dict[str, list[Replica]] = {}
    for replica in ready:
        replicas.setdefault(replica.service, []).append(replica)
    sums = {
        row["replica"]: row
        for row in ReplicaSample.objects.filter(
            replica__in=[one.pk for found in replicas.values() for one in found],
            minute__gte=start,
            minute__lt=end,
        )
        .values("replica")
        .annotate(
            prompt=Sum("prompt_tokens"),
            generation=Sum("generation_tokens"),
            seconds=Sum("counted_seconds"),
        )
        .order_by()
    }
    return {service: _added(found, sums, start, end) for service, found in replicas.items()}


def _added(
    replicas: Iterable[Replica],
    sums: Mapping[int, Mapping[str, Any]],
    start: datetime,
    end: datetime,
) -> EngineCount:
    prompt = generation = 0.0
    is_whole = True
    for replica in replicas:
        counted = sums.get(replica.pk, {})
        prompt += counted.get("prompt") or 0
        generation += counted.get("generation") or 0
        seconds = timedelta(seconds=counted.get("seconds") or 0)
        is_whole = is_whole and seconds >= _ready_for(replica, start, end) - MAY_MISS
    return EngineCount(round(prompt), round(generation), is_whole)


def _ready_for(replica: Replica, start: datetime, end: datetime) -> timedelta:
    """Return for how long of [start, end) a replica was there after it had become ready."""
    began = max(replica.ready_at or end, start)
    ended = min(replica.ended_at or end, end)
    return max(ended - began, timedelta(0))
