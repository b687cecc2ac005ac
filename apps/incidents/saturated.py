"""Which versions have had no room for a while: callers waited at every replica, and the KV cache or
the GPUs were full, in each minute that was measured.

From what engines tell of waiting requests and their cache (vLLM), and GPUs of the time in which
they computed (DCGM). A minute that nobody measured says nothing; too few of them, and nobody says
that a version is saturated.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Avg, Min

from apps.catalog.models import ModelVersion
from apps.fleet.metrics.models import ReplicaSample, UtilizationSample
from apps.fleet.models import Replica
from apps.manifests.names import MODELS
from apps.promotions.models import Rollout

LASTS = timedelta(minutes=15)
ENOUGH = 10  # of the minutes
WAITING = 1.0  # requests at once, on the average of a minute, at every replica
FULL_CACHE, BUSY = 0.9, 0.95  # shares of the KV cache, and of the time
WORDS = (
    "Callers have waited at every replica for 15 minutes, and the KV cache or the GPUs are full."
)


@dataclass
class _Minute:
    """What one minute of a version's replicas says. None: not measured."""

    waiting: float | None = None
    kv_use: float | None = None
    active: list[float] = field(default_factory=list)

    @property
    def is_measured(self) -> bool:
        """Tell whether it says anything of room."""
        return self.waiting is not None and (self.kv_use is not None or bool(self.active))

    @property
    def is_full(self) -> bool:
        """Tell whether callers waited because there was no room."""
        is_cache_full = self.kv_use is not None and self.kv_use >= FULL_CACHE
        is_busy = bool(self.active) and min(self.active) >= BUSY
        has_queue = self.waiting is not None and self.waiting >= WAITING
        return has_queue and (is_cache_full or is_busy)


def saturated(now: datetime) -> list[tuple[ModelVersion, str]]:
    """Return the versions that serve and have had no room, each with that in words. Two queries
    where no engine was measured lately, four otherwise.
    """
    full = [name for name, minutes in _minutes(now).items() if _is_saturated(minutes)]
    if not full:
        return []
    live = Rollout.objects.live().select_related("model_version__registered_model")
    return [
        (rollout.model_version, WORDS) for rollout in live if rollout.model_version.name in full
    ]


def _is_saturated(minutes: dict[datetime, _Minute]) -> bool:
    measured = [minute for minute in minutes.values() if minute.is_measured]
    return len(measured) >= ENOUGH and all(minute.is_full for minute in measured)


def _minutes(now: datetime) -> dict[str, dict[datetime, _Minute]]:
    """Return version → minute → what was measured of it lately."""
    found: dict[str, dict[datetime, _Minute]] = defaultdict(lambda: defaultdict(_Minute))
    lately = {"minute__gte": now - LASTS, "minute__lt": now}
    engines = ReplicaSample.objects.filter(replica__namespace=MODELS, **lately).order_by()
    for row in engines.values("replica__service", "minute").annotate(
        least_waiting=Min("waiting"), least_use=Min("kv_use")
    ):
        minute = found[row["replica__service"]][row["minute"]]
        minute.waiting, minute.kv_use = row["least_waiting"], row["least_use"]
    waited = [name for name, minutes in found.items() if any(m.waiting for m in minutes.values())]
    if not waited:
        return {}
    pods = dict(
        Replica.objects.filter(namespace=MODELS, service__in=waited, ended_at=None).values_list(
            "name", "service"
        )
    )
    gpus = UtilizationSample.objects.filter(
        device__namespace=MODELS, device__pod__in=pods, active__isnull=False, **lately
    ).order_by()
    means = gpus.values_list("device__pod", "minute").annotate(mean=Avg("active"))
    for pod, at, mean in means:
        found[pods[pod]][at].active.append(mean)
    return found
