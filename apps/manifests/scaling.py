"""KEDA's ScaledObject of a version that sleeps while nobody calls it. Pure.

It asks the portal how many calls want the version (`metrics-api`), and may keep a replica at known
hours (`cron`). Traps held here: every value of a trigger's metadata is text; the target is KServe's
Deployment, which KServe leaves alone only under `autoscalerClass: external`; without `fallback` or
an answer KEDA changes nothing, so a portal that is away neither wakes nor ends a replica; the
credential is named, never carried, for Git holds no secret.
"""

import re
from dataclasses import dataclass
from datetime import time
from functools import cache
from zoneinfo import available_timezones

from apps.common.periods import HOURS_PER_MONTH
from apps.manifests.names import checked, labels
from apps.manifests.serving import ServedVersion
from apps.manifests.text import Manifest

CREDENTIAL = "quartermaster-demand"  # the ClusterTriggerAuthentication in deploy/keda
# days → their words, their number in a week, their cron field, and that of the days after them
DAYS = {"mon-fri": ("Monday to Friday", 5, "1-5", "2-6"), "daily": ("Every day", 7, "*", "*")}
_WINDOW = re.compile(r"(\S+) (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)")
_WEEKS_PER_MONTH = float(HOURS_PER_MONTH) / (24 * 7)
_EXAMPLE = "mon-fri 07:30-19:00 America/New_York"


class BadScaling(ValueError):
    """KEDA would refuse these settings; the text says why, for people."""


@dataclass(frozen=True)
class PreWarm:
    """Hours in which one replica is kept ready without demand. days: a key of DAYS, those on which
    the hours begin.

    Hours that end before they begin end on the next day. As text: `mon-fri 07:30-19:00
    America/New_York`.
    """

    days: str
    start: time
    end: time
    timezone: str

    def __str__(self) -> str:
        return f"{self.days} {self.start:%H:%M}-{self.end:%H:%M} {self.timezone}"

    @property
    def words(self) -> str:
        """Return the hours for people."""
        next_day = " of the next day" if self.end < self.start else ""
        return (
            f"{DAYS[self.days][0]}, {self.start:%H:%M} to {self.end:%H:%M}{next_day}, "
            f"{self.timezone}"
        )

    @property
    def hours_per_month(self) -> float:
        """Return how many hours these are in a month of 730."""
        minutes = (self.end.hour - self.start.hour) * 60 + self.end.minute - self.start.minute
        return DAYS[self.days][1] * (minutes % (24 * 60)) / 60 * _WEEKS_PER_MONTH


def pre_warm_of(text: str) -> PreWarm:
    """Return the hours that a text names. Raises BadScaling with words for people."""
    found = _WINDOW.fullmatch(text)
    if found is None or found[1] not in DAYS:
        raise BadScaling(
            f"{text!r} names no hours: write them as {_EXAMPLE}; the days are {' or '.join(DAYS)}."
        )
    if found[6] not in _zones():
        raise BadScaling(
            f"{found[6]!r} is not a time zone: write one such as America/New_York, or UTC."
        )
    try:
        start, end = time(int(found[2]), int(found[3])), time(int(found[4]), int(found[5]))
    except ValueError:
        raise BadScaling("An hour is 00:00 to 23:59.") from None
    if start == end:
        raise BadScaling(
            "Hours begin and end at different times. For a replica that always runs, choose warm."
        )
    return PreWarm(found[1], start, end, found[6])


@dataclass(frozen=True)
class Scaling:
    """How a version sleeps and wakes. demand_url: the portal's address up to `/v1/scaling`; times
    in seconds.

    calls_per_replica: calls of the demand's window that one replica answers; above one replica the
    HPA divides by it.
    """

    demand_url: str
    polling_seconds: int = 15
    cooldown_seconds: int = 900
    max_replicas: int = 1
    calls_per_replica: int = 60
    pre_warm: PreWarm | None = None


@cache
def _zones() -> set[str]:
    return available_timezones()  # reads a folder of hundreds of files


def scaled_object(version: ServedVersion, scaling: Scaling) -> Manifest:
    """Return the ScaledObject of a version. Raises BadScaling."""
    _check(scaling)
    triggers = [_demand(version, scaling)]
    if scaling.pre_warm:
        triggers.append(_hours(scaling.pre_warm))
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": checked(version.name),
            "namespace": version.namespace,
            "labels": labels(version.model, version.number),
        },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"{version.name}-predictor",
            },
            "pollingInterval": scaling.polling_seconds,
            "cooldownPeriod": scaling.cooldown_seconds,
            "initialCooldownPeriod": scaling.cooldown_seconds,
            "minReplicaCount": 0,
            "maxReplicaCount": scaling.max_replicas,
            # While the portal cannot be asked, what runs goes on running and what sleeps sleeps.
            "fallback": {
                "failureThreshold": 3,
                "replicas": 1,
                "behavior": "currentReplicasIfHigher",
            },
            "triggers": triggers,
        },
    }


def _check(scaling: Scaling) -> None:
    if (
        min(scaling.polling_seconds, scaling.max_replicas, scaling.calls_per_replica) < 1
        or scaling.cooldown_seconds < 0
    ):
        raise BadScaling(
            "Polling, replicas and calls per replica are at least 1, a cooldown at least 0."
        )


def _demand(version: ServedVersion, scaling: Scaling) -> Manifest:
    return {
        "type": "metrics-api",
        "name": "demand",
        "metricType": "AverageValue",
        "metadata": {
            "url": f"{scaling.demand_url.rstrip('/')}/{version.namespace}/{version.name}",
            "format": "json",
            "valueLocation": "demand",
            "targetValue": str(scaling.calls_per_replica),
            "activationTargetValue": "0",
            "authMode": "bearer",
        },
        "authenticationRef": {"kind": "ClusterTriggerAuthentication", "name": CREDENTIAL},
    }


def _hours(hours: PreWarm) -> Manifest:
    """Return the trigger. KEDA is within the hours when the next end comes before the next
    start.
    """
    _, _, days, days_after = DAYS[hours.days]
    ends_on = days_after if hours.end < hours.start else days
    return {
        "type": "cron",
        "name": "pre-warm",
        "metadata": {
            "timezone": hours.timezone,
            "start": f"{hours.start.minute} {hours.start.hour} * * {days}",
            "end": f"{hours.end.minute} {hours.end.hour} * * {ends_on}",
            "desiredReplicas": "1",
        },
    }
