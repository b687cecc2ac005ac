"""What the portal says of a model, held against what the cluster has and what Envoy does. Pure.

What was not read is not the same and not different: nothing is said of it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from apps.gateway.effective.models import GatewayDrift
from apps.integrations.envoy_admin.reading import EnvoyRoute
from apps.integrations.kubernetes.policies import PolicyStatus
from apps.integrations.kubernetes.types import RouteStatus

Json = dict[str, Any]
Place, What = GatewayDrift.Place, GatewayDrift.What
LONGEST = 300


class Standing(StrEnum):
    """What became of an object."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    WAITING = "WAITING"  # no gateway has looked at it yet
    ABSENT = "ABSENT"


@dataclass(frozen=True)
class Declared:
    """What the portal says of a model. weights: version → percent; nothing for one that nobody is
    sent to. limits: team → tokens per minute, of each team that may call it.
    """

    weights: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """What the cluster has of a model, and what its gateway made of it."""

    weights: Mapping[str, int]
    teams: tuple[str, ...]
    limits: Mapping[str, int]
    route: str
    access: str
    traffic: str
    says: str = ""


@dataclass(frozen=True)
class Difference:
    """One thing that is otherwise than it should be."""

    place: str
    what: str
    subject: str
    declared: str
    found: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what it is about, whatever was found."""
        return self.place, self.what, self.subject


def as_json(found: Cluster | EnvoyRoute) -> Json:
    """Return what was found as it is kept: as the database gives it back."""
    kept: Json = json.loads(json.dumps(asdict(found), sort_keys=True))
    return kept


def standing(is_accepted: bool | None) -> Standing:
    """Return what became of an object that is there."""
    if is_accepted is None:
        return Standing.WAITING
    return Standing.ACCEPTED if is_accepted else Standing.REFUSED


def in_cluster(
    route: RouteStatus | None, access: PolicyStatus | None, traffic: PolicyStatus | None
) -> Cluster:
    """Return what the cluster has of a model; None for an object that it does not have."""
    judged = Standing.ABSENT if route is None else standing(_judged(route))
    says = [
        (route.refused.message if route and route.refused else ""),
        *(each.says for each in (access, traffic) if each),
    ]
    return Cluster(
        weights={name: weight for name, weight in (route.weights if route else {}).items()},
        teams=access.teams if access else (),
        limits=traffic.limits if traffic else {},
        route=judged,
        access=standing(access.is_accepted) if access else Standing.ABSENT,
        traffic=standing(traffic.is_accepted) if traffic else Standing.ABSENT,
        says=" ".join(text for text in says if text),
    )


def _judged(route: RouteStatus) -> bool | None:
    return False if route.refused else True if route.accepted else None


def shares(weights: Mapping[str, int] | None) -> str:
    """Return weights in words: "extract-v1 90 %, extract-v2 10 %"."""
    if weights is None:
        return "not known"
    whole = sum(weights.values())
    parts = [
        f"{name} {100 * weight / whole:.4g} %"
        for name, weight in sorted(weights.items())
        if weight > 0
    ]
    return ", ".join(parts) or "nobody"


# -- The comparison --------------------------------------------------------------------------------
def of_cluster(declared: Declared, found: Cluster) -> list[Difference]:
    """Return what the cluster has otherwise than the portal says."""
    return [*_objects(declared, found), *_weights(Place.CLUSTER, declared, found.weights),
            *_access(Place.CLUSTER, declared, found.teams),
            *_limits_in_cluster(declared, found)]  # fmt: skip


def of_envoy(declared: Declared, found: EnvoyRoute | None) -> list[Difference]:
    """Return what Envoy does otherwise than the portal says. None: it has no route of the model."""
    if found is None:
        return list(_weights(Place.ENVOY, declared, {}))
    return [
        *(_weights(Place.ENVOY, declared, found.weights) if found.weights is not None else ()),
        *_access(Place.ENVOY, declared, found.teams),
        *(
            Difference(Place.ENVOY, What.LIMIT, team, f"{limit:,}", "not counted")
            for team, limit in sorted(declared.limits.items())
            if team in found.teams and team not in found.limited
        ),
    ]


def _objects(declared: Declared, found: Cluster) -> Iterator[Difference]:
    """Yield the objects that the gateway refuses, or that are missing while callers are sent to the
    model.
    """
    named = (
        (What.ROUTE, "Its route", found.route),
        (What.ACCESS, "Who may call it", found.access),
        (What.LIMIT, "Its limits", found.traffic),
    )
    for what, words, state in named:
        is_missing = state == Standing.ABSENT and bool(declared.weights) and what != What.ROUTE
        if state == Standing.REFUSED or is_missing:
            why = found.says if state == Standing.REFUSED else "the cluster has no such object"
            yield Difference(Place.CLUSTER, what, "", f"{words}: accepted", why[:LONGEST])


def _weights(
    place: str, declared: Declared, found: Mapping[str, int] | None
) -> Iterator[Difference]:
    wanted, has = shares(declared.weights), shares(found)
    if wanted != has:
        yield Difference(place, What.WEIGHTS, "", wanted[:LONGEST], has[:LONGEST])


def _access(place: str, declared: Declared, teams: Iterable[str]) -> Iterator[Difference]:
    has = set(teams)
    for team in sorted(has - set(declared.limits)):
        yield Difference(place, What.ACCESS, team, "may not call", "may call")
    for team in sorted(set(declared.limits) - has):
        yield Difference(place, What.ACCESS, team, "may call", "may not call")


def _limits_in_cluster(declared: Declared, found: Cluster) -> Iterator[Difference]:
    for team, limit in sorted(declared.limits.items()):
        has = found.limits.get(team)
        if has != limit:
            words = "none" if has is None else f"{has:,}"
            yield Difference(Place.CLUSTER, What.LIMIT, team, f"{limit:,}", words)
