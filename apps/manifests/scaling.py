"""KEDA's ScaledObject of a version that sleeps while nobody calls it. Pure.

It asks the portal how many calls want the version (`metrics-api`), and may keep a replica at known hours (`cron`).
Traps held here: every value of a trigger's metadata is text; the target is KServe's Deployment, which KServe leaves
alone only under `autoscalerClass: external`; without `fallback` or an answer KEDA changes nothing, so a portal that is
away neither wakes nor ends a replica; the credential is named, never carried, for Git holds no secret.
"""

import re
from dataclasses import dataclass

from apps.manifests.names import checked, labels
from apps.manifests.serving import ServedVersion
from apps.manifests.text import Manifest

CREDENTIAL = "quartermaster-demand"  # the ClusterTriggerAuthentication in deploy/keda
FIVE_FIELDS = re.compile(r"^\S+( \S+){4}$")


class BadScaling(ValueError):
    """KEDA would refuse these settings."""


@dataclass(frozen=True)
class PreWarm:
    """Hours in which one replica is kept ready without demand. start, end: cron of five fields in `timezone`."""

    timezone: str
    start: str
    end: str


@dataclass(frozen=True)
class Scaling:
    """How a version sleeps and wakes. demand_url: the portal's address up to `/v1/scaling`; times in seconds.

    calls_per_replica: calls of the demand's window that one replica answers; above one replica the HPA divides by it.
    """

    demand_url: str
    polling_seconds: int = 15
    cooldown_seconds: int = 900
    max_replicas: int = 1
    calls_per_replica: int = 60
    pre_warm: PreWarm | None = None


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
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{version.name}-predictor"},
            "pollingInterval": scaling.polling_seconds,
            "cooldownPeriod": scaling.cooldown_seconds,
            "initialCooldownPeriod": scaling.cooldown_seconds,
            "minReplicaCount": 0,
            "maxReplicaCount": scaling.max_replicas,
            # While the portal cannot be asked, what runs goes on running and what sleeps sleeps.
            "fallback": {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"},
            "triggers": triggers,
        },
    }


def _check(scaling: Scaling) -> None:
    if (
        min(scaling.polling_seconds, scaling.max_replicas, scaling.calls_per_replica) < 1
        or scaling.cooldown_seconds < 0
    ):
        raise BadScaling("Polling, replicas and calls per replica are at least 1, a cooldown at least 0.")


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


def _hours(pre_warm: PreWarm) -> Manifest:
    times = (pre_warm.start, pre_warm.end)
    if not all(FIVE_FIELDS.match(time) for time in times) or pre_warm.start == pre_warm.end or not pre_warm.timezone:
        raise BadScaling(
            "Pre-warming needs a time zone, and a start and an end that differ, each a cron of five fields."
        )
    return {
        "type": "cron",
        "name": "pre-warm",
        "metadata": {
            "timezone": pre_warm.timezone,
            "start": pre_warm.start,
            "end": pre_warm.end,
            "desiredReplicas": "1",
        },
    }
