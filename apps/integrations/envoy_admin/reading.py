"""Envoy's configuration, as its admin interface dumps it → what it does with each model's calls.
Pure: what is missing or odd becomes an empty value, no error.

Both shapes are read that Envoy Gateway makes of the same objects: weights as weighted clusters, or
as weighted localities of one cluster; who may pass as RBAC rules, or as a list of matchers. A way
whose cluster names no version is left out, and the weights are then not known.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
MODEL_HEADER, CLASS_HEADER, TEAM_HEADER = "x-ai-eg-model", "x-qm-class", "x-team"
RBAC, RATE_LIMIT = "envoy.filters.http.rbac", "envoy.filters.http.ratelimit"
_PREDICTOR = re.compile(r"^([a-z0-9-]+-v[0-9]+)-predictor\.")
_CLUSTER = re.compile(r"(?:^|/)([a-z0-9-]+-v[0-9]+)$")


@dataclass(frozen=True)
class EnvoyRoute:
    """What Envoy does with the calls of a model. weights: version → weight, None where some way
    names no version. classes: that have a rule of their own. teams: that it lets in; limited: whose
    tokens per minute it counts.
    """

    weights: Mapping[str, int] | None
    classes: tuple[str, ...]
    teams: tuple[str, ...]
    limited: tuple[str, ...]


def routes(route_dump: Json, cluster_dump: Json) -> dict[str, EnvoyRoute]:
    """Return model → what Envoy does with its calls. The dumps: of dynamic_route_configs and of
    dynamic_active_clusters.
    """
    clusters = {str(each.get("name", "")): each for each in _clusters(cluster_dump)}
    by_model: dict[str, list[tuple[str, Json]]] = {}
    for route in _routes(route_dump):
        wanted = dict(_exact_headers(route.get("match") or {}))
        if model := wanted.get(MODEL_HEADER):
            by_model.setdefault(model, []).append((wanted.get(CLASS_HEADER, ""), route))
    return {model: _together(found, clusters) for model, found in by_model.items()}


def _together(found: list[tuple[str, Json]], clusters: Mapping[str, Json]) -> EnvoyRoute:
    """Return a model's routes as one. Where their weights differ, the first that says otherwise
    than the first of all counts, as it does for the object they are made of.
    """
    first, *others = [_weights(route.get("route") or {}, clusters) for _, route in found]
    configs = [route.get("typed_per_filter_config") or {} for _, route in found]
    return EnvoyRoute(
        weights=next((weights for weights in others if weights != first), first),
        classes=tuple(sorted({name for name, _ in found if name})),
        teams=_sorted(_teams(each.get(RBAC)) for each in configs),
        limited=_sorted(_limited(route) for _, route in found),
    )


def _sorted(found: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(sorted({name for names in found for name in names}))


def _routes(dump: Json) -> Iterator[Json]:
    for config in dump.get("configs") or []:
        for host in (config.get("route_config") or {}).get("virtual_hosts") or []:
            yield from host.get("routes") or []


def _clusters(dump: Json) -> Iterator[Json]:
    for config in dump.get("configs") or []:
        yield config.get("cluster") or {}


def _exact_headers(match: Json) -> Iterator[tuple[str, str]]:
    for header in match.get("headers") or []:
        value = (header.get("string_match") or {}).get("exact")
        if value is not None:
            yield str(header.get("name", "")).lower(), str(value)


# -- Weights ---------------------------------------------------------------------------------------
def _weights(action: Json, clusters: Mapping[str, Json]) -> dict[str, int] | None:
    weighted = (action.get("weighted_clusters") or {}).get("clusters") or []
    found: dict[str, int] = {}
    for each in weighted:
        version = _version_of(str(each.get("name", "")), clusters)
        if not version:
            return None
        found[version] = found.get(version, 0) + int(each.get("weight", 0))
    if weighted or "cluster" not in action:
        return found
    return _by_locality(str(action["cluster"]), clusters)


def _version_of(name: str, clusters: Mapping[str, Json]) -> str:
    """Return the version that a cluster leads to: what its hosts are called, or its own name."""
    hosts = {version for places in _places(clusters.get(name) or {}) for version in places[0]}
    named = _CLUSTER.search(name)
    if len(hosts) == 1:
        return hosts.pop()
    return named.group(1) if named and not hosts else ""


def _by_locality(name: str, clusters: Mapping[str, Json]) -> dict[str, int] | None:
    places = list(_places(clusters.get(name) or {}))
    if len(places) < 2:
        version = _version_of(name, clusters)
        return {version: 100} if version else None
    found: dict[str, int] = {}
    for versions, weight in places:
        if len(versions) != 1:
            return None
        found[versions[0]] = found.get(versions[0], 0) + weight
    return found


def _places(cluster: Json) -> Iterator[tuple[list[str], int]]:
    """Yield the versions that each locality's hosts are named for, and its weight."""
    for place in (cluster.get("load_assignment") or {}).get("endpoints") or []:
        names: set[str] = set()
        for host in place.get("lb_endpoints") or []:
            endpoint = host.get("endpoint") or {}
            address = ((endpoint.get("address") or {}).get("socket_address") or {}).get("address")
            for text in (endpoint.get("hostname"), address):
                if isinstance(text, str) and (match := _PREDICTOR.match(text)):
                    names.add(match.group(1))
        yield sorted(names), int(place.get("load_balancing_weight", 1))


# -- Who may pass, and who is counted --------------------------------------------------------------
def _teams(config: Json | None) -> set[str]:
    """Return the values of the claim `team` that a route's RBAC lets pass."""
    return {value for node in _nodes(config) for value in _claim_of(node)}


def _claim_of(node: Json) -> Iterator[str]:
    matcher = node.get("metadata_matcher")
    if isinstance(matcher, dict) and _is_team(matcher.get("path")):
        yield from _exact(matcher.get("value"))
    given = node.get("input")
    if isinstance(given, dict) and _is_team((given.get("typed_config") or {}).get("path")):
        wanted = (node.get("custom_match") or {}).get("typed_config") or {}
        yield from _exact(wanted.get("value"))


def _is_team(path: Any) -> bool:
    return isinstance(path, list) and bool(path) and path[-1].get("key") == "team"


def _exact(value: Any) -> Iterator[str]:
    found = ((value or {}).get("string_match") or {}).get("exact")
    if isinstance(found, str):
        yield found


def _limited(route: Json) -> set[str]:
    """Return the teams that a route's rate limits select by their header, wherever they stand."""
    own = (route.get("route") or {}).get("rate_limits")
    of_filter = (route.get("typed_per_filter_config") or {}).get(RATE_LIMIT)
    return {
        str(value)
        for node in _nodes([own, of_filter])
        if str(node.get("name", "")).lower() == TEAM_HEADER
        and (value := (node.get("string_match") or {}).get("exact")) is not None
    }


def _nodes(value: Any) -> Iterator[Json]:
    """Yield every object in a configuration, at any depth."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _nodes(each)
