"""Looks at the whole gateway: what the cluster has, what Envoy does, and where that differs from
what the portal says. Safe to run at any time; changes nothing outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from apps.catalog.models import RegisteredModel
from apps.gateway.effective import actions, compare, declared
from apps.gateway.effective.actions import Found, Read
from apps.gateway.effective.compare import Declared, Difference, Standing, standing
from apps.gateway.effective.models import RouteReading
from apps.integrations.envoy_admin.client import EnvoyAdmin
from apps.integrations.envoy_admin.reading import EnvoyRoute
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.kubernetes import readings
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.policies import PolicyStatus, policy
from apps.integrations.kubernetes.types import Kind, RouteStatus
from apps.manifests.names import MODELS

NOT_CONFIGURED = "ENVOY_ADMIN_URL names no way to Envoy's admin interface."
GATE = "gate"  # the EnvoyExtensionPolicy of deploy/gateway


@dataclass(frozen=True)
class Objects:
    """What the cluster has, by name. problem: why it could not be read, "" where it was."""

    routes: Mapping[str, RouteStatus] = field(default_factory=dict)
    access: Mapping[str, PolicyStatus] = field(default_factory=dict)
    traffic: Mapping[str, PolicyStatus] = field(default_factory=dict)
    gate: PolicyStatus | None = None
    problem: str = ""


@dataclass(frozen=True)
class Routes:
    """What Envoy does, by model. problem: as Objects has it."""

    by_model: Mapping[str, EnvoyRoute] = field(default_factory=dict)
    problem: str = ""


def look(*, cluster: KubernetesReader, envoy: EnvoyAdmin | None, now: datetime) -> None:
    """Read both places and store what was found. A place that is away is told, never an error."""
    objects = _objects(cluster)
    routes = _routes(envoy)
    models = list(RegisteredModel.objects.order_by("pk"))
    says = declared.of_models(models, now)
    seen = set(RouteReading.objects.values_list("registered_model_id", flat=True))
    found = {
        model.pk: _found(model.name, says[model.pk], objects, routes)
        for model in models
        if model.pk in seen or _is_of_interest(model.name, says[model.pk], objects, routes)
    }
    gate = standing(objects.gate.is_accepted) if objects.gate else Standing.ABSENT
    read = Read(
        cluster_problem=objects.problem,
        envoy_problem=routes.problem,
        gate=gate,
        gate_says=objects.gate.says if objects.gate else "",
    )
    actions.record_look(read=read, found=found, now=now)


def _objects(cluster: KubernetesReader) -> Objects:
    try:
        routes = cluster.list(Kind.AI_GATEWAY_ROUTE, MODELS)
        access = map(policy, cluster.list(Kind.SECURITY_POLICY, MODELS))
        traffic = map(policy, cluster.list(Kind.TRAFFIC_POLICY, MODELS))
        gates = map(policy, cluster.list(Kind.EXTENSION_POLICY, settings.GATEWAY_NAMESPACE))
        return Objects(
            routes={str(obj["metadata"]["name"]): readings.route(obj) for obj in routes},
            access={each.name: each for each in access},
            traffic={each.name: each for each in traffic},
            gate=next((each for each in gates if each.name == GATE), None),
        )
    except (TemporaryError, PermanentError) as error:
        return Objects(problem=str(error))


def _routes(envoy: EnvoyAdmin | None) -> Routes:
    if envoy is None:
        return Routes(problem=NOT_CONFIGURED)
    try:
        return Routes(envoy.routes())
    except (TemporaryError, PermanentError) as error:
        return Routes(problem=str(error))
    finally:
        envoy.close()


def _is_of_interest(name: str, says: Declared, objects: Objects, routes: Routes) -> bool:
    """Tell whether a model is routed, may be called, or has anything out there."""
    out_there = (objects.routes, objects.access, objects.traffic, routes.by_model)
    return bool(says.weights or says.limits or any(name in each for each in out_there))


def _found(name: str, says: Declared, objects: Objects, routes: Routes) -> Found:
    differences: list[Difference] = []
    in_cluster = in_envoy = None
    if not objects.problem:
        has = compare.in_cluster(
            objects.routes.get(name), objects.access.get(name), objects.traffic.get(name)
        )
        in_cluster = compare.as_json(has)
        differences += compare.of_cluster(says, has)
    if not routes.problem:
        route = routes.by_model.get(name)
        in_envoy = compare.as_json(route) if route else {}
        differences += compare.of_envoy(says, route)
    return Found(in_cluster, in_envoy, differences)
