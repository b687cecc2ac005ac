"""KEDA's ScaledObject of a version whose replicas come and go with its callers. Pure.

One that sleeps asks the portal whether anybody wants it (`metrics-api`), and may keep a replica at
known hours (`cron`). One with more than one replica, warm or not, goes by the requests that its
engines run and that wait in them: told by the portal, which measures them anyway, or by a
Prometheus. Traps held here: every value of a trigger's metadata is text; the target is KServe's
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
LONGEST_WINDOW = 3600  # that an HPA may look back
DEMAND_TARGET = "60"  # more than the 1 that the demand is at most
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
    """How replicas come and go. demand_url: the portal's address up to `/v1/scaling`; times in
    seconds, the cooldown also from a larger number of replicas to a smaller one. prometheus_url:
    of a server that scrapes the engines, as KEDA reaches it; "" where the portal tells their load.
    """

    demand_url: str
    polling_seconds: int = 15
    cooldown_seconds: int = 900
    prometheus_url: str = ""
    pre_warm: PreWarm | None = None


@cache
def _zones() -> set[str]:
    return available_timezones()  # reads a folder of hundreds of files


def scaled_object(version: ServedVersion, scaling: Scaling) -> Manifest:
    """Return the ScaledObject of a version. Raises BadScaling."""
    _check(scaling)
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
            "minReplicaCount": version.least_replicas,
            "maxReplicaCount": version.settings.replicas_most,
            # While nobody can be asked, what runs goes on running and what sleeps sleeps.
            "fallback": {
                "failureThreshold": 3,
                "replicas": version.settings.replicas_least,
                "behavior": "currentReplicasIfHigher",
            },
            **_slowly_down(version, scaling),
            "triggers": _triggers(version, scaling),
        },
    }


def _slowly_down(version: ServedVersion, scaling: Scaling) -> Manifest:
    """Return that a replica goes only after a whole cooldown without need of it; nothing where
    there is never a second one.
    """
    if not version.settings.scales:
        return {}
    window = min(scaling.cooldown_seconds, LONGEST_WINDOW)
    behavior = {"scaleDown": {"stabilizationWindowSeconds": window}}
    return {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}}


def _triggers(version: ServedVersion, scaling: Scaling) -> list[Manifest]:
    found = [_demand(version, scaling)] if version.sleeps else []
    if version.settings.scales:
        measured = _load_by_prometheus if scaling.prometheus_url else _load
        found.append(measured(version, scaling))
    if version.sleeps and scaling.pre_warm:
        found.append(_hours(scaling.pre_warm))
    return found


def _check(scaling: Scaling) -> None:
    if scaling.polling_seconds < 1 or scaling.cooldown_seconds < 0:
        raise BadScaling("Polling is at least 1 second apart, a cooldown at least 0.")


def _demand(version: ServedVersion, scaling: Scaling) -> Manifest:
    """Return what wakes a version: the portal says 1 while anybody wants it, else 0, so that this
    alone never asks for a second replica.
    """
    return _asked_of_the_portal("demand", DEMAND_TARGET, version, scaling)


def _load(version: ServedVersion, scaling: Scaling) -> Manifest:
    """Return how many replicas the requests need that run and wait, as the portal measures them."""
    target = str(version.settings.concurrency_target)
    return _asked_of_the_portal("load", target, version, scaling)


def _asked_of_the_portal(
    figure: str, target: str, version: ServedVersion, scaling: Scaling
) -> Manifest:
    return {
        "type": "metrics-api",
        "name": figure,
        "metricType": "AverageValue",
        "metadata": {
            "url": f"{scaling.demand_url.rstrip('/')}/{version.namespace}/{version.name}",
            "format": "json",
            "valueLocation": figure,
            "targetValue": target,
            "activationTargetValue": "0",
            "authMode": "bearer",
        },
        "authenticationRef": {"kind": "ClusterTriggerAuthentication", "name": CREDENTIAL},
    }


def _load_by_prometheus(version: ServedVersion, scaling: Scaling) -> Manifest:
    """Return the same, where a Prometheus scrapes the engines. vLLM's model name is the
    InferenceService's.
    """
    of_it = f'{{model_name="{version.name}",namespace="{version.namespace}"}}'
    figures = (f"sum(vllm:num_requests_{each}{of_it})" for each in ("running", "waiting"))
    return {
        "type": "prometheus",
        "name": "load",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": scaling.prometheus_url,
            "query": " + ".join(figures),
            "threshold": str(version.settings.concurrency_target),
            "activationThreshold": "0",
            # no engine that tells its load is not an engine without any
            "ignoreNullValues": "false",
        },
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
