"""Objects in, tables out: what Envoy Gateway and Envoy AI Gateway would make of them. Pure.

An object that the gateway cannot honor is refused whole, with a verdict that says why in words;
what it described before keeps serving, as with the real controllers, which leave the last good
HTTPRoute in place. Refusing is also how this gateway stays honest: it never plays a field that it
does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from deploy.local.gateway import endpoints, expressions, keys, listener, mutations, policies
from deploy.local.gateway.durations import seconds
from deploy.local.gateway.objects import Object, Objects, key_of
from deploy.local.gateway.refusal import Refused
from deploy.local.gateway.tables import Cost, HeaderMatch, Reference, Route, Rule, Tables, Verdict

MAX_RULES = 15  # a 16th rule is the generated route-not-found
MAX_COSTS = 36
KNOWN_COSTS = (
    "InputToken",
    "CachedInputToken",
    "OutputToken",
    "TotalToken",
    "ReasoningToken",
    "CEL",
)
DEFAULT_TIMEOUT_SECONDS = 60.0
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass
class _Verdicts:
    """Collects what is said about objects."""

    found: list[Verdict] = field(default_factory=list)

    def add(
        self, obj: Object, problem: Refused | None, ancestor: tuple[str, str] | None = None
    ) -> None:
        """Say that the object is accepted, or refused with the problem's words."""
        namespace, name = key_of(obj)
        generation = obj["metadata"].get("generation", 0)
        reason, message = ("", "") if problem is None else (problem.reason, str(problem))
        self.found.append(
            Verdict(
                obj["kind"], namespace, name, generation, problem is None, reason, message, ancestor
            )
        )


def compile_gateway(
    objects: Objects,
    *,
    gateway: tuple[str, str],
    previous: Tables = Tables(),  # noqa: B008 (frozen)
) -> Tables:
    """Return what the Gateway `gateway` (namespace, name) does with these objects.

    previous: the last tables; a route that is refused now keeps its rules from there.
    """
    verdicts = _Verdicts()
    for backend in objects.all("Backend"):
        verdicts.add(backend, _problem_of(_endpoint, backend))
    for backend in objects.all("AIServiceBackend"):
        verdicts.add(backend, _problem_of(_upstream, backend, objects))
    for policy in objects.all("BackendSecurityPolicy"):
        verdicts.add(policy, _problem_of(keys.read, policy, objects))
    routes = _routes(objects, gateway, previous, verdicts)
    routes, providers, judged = policies.attach(objects, gateway=gateway, routes=routes)
    front, front_judged = listener.read(objects, gateway=gateway, attached=len(routes))
    for obj, problem, ancestor in [*judged, *front_judged]:
        verdicts.add(obj, problem, ancestor)
    hosts = {
        (ref.hostname, ref.port)
        for route in routes
        for rule in route.rules
        for ref in rule.references
    }
    return Tables(
        front, providers, routes, endpoints.resolve_all(objects, hosts), tuple(verdicts.found)
    )


def _problem_of(read: Any, *arguments: Any) -> Refused | None:
    """Return what reading the object raised."""
    try:
        read(*arguments)
    except Refused as problem:
        return problem
    return None


def _routes(
    objects: Objects, gateway: tuple[str, str], previous: Tables, verdicts: _Verdicts
) -> tuple[Route, ...]:
    """Return the accepted routes of the gateway, and the last good ones of those refused now."""
    last_good = {(route.namespace, route.name): route for route in previous.routes}
    found = []
    for obj in objects.all("AIGatewayRoute"):
        if not _belongs_to(obj, gateway):
            continue
        try:
            _check_namespace(obj, objects, gateway)
            found.append(_route(obj, objects, gateway))
            verdicts.add(obj, None)
        except Refused as problem:
            verdicts.add(obj, problem)
            if key_of(obj) in last_good:
                found.append(replace(last_good[key_of(obj)], access=None, limits=(), overrides=()))
    return tuple(found)


def _belongs_to(obj: Object, gateway: tuple[str, str]) -> bool:
    """Say whether one of the route's parents is our Gateway."""
    parents = obj["spec"].get("parentRefs", [])
    return any((ref.get("namespace", key_of(obj)[0]), ref["name"]) == gateway for ref in parents)


def _check_namespace(obj: Object, objects: Objects, gateway: tuple[str, str]) -> None:
    """Raise Refused unless a listener of the Gateway takes routes of the route's namespace."""
    front = objects.get("Gateway", *gateway)
    if front is not None and not any(
        _takes(listener, obj, gateway) for listener in front["spec"]["listeners"]
    ):
        raise Refused(
            f"the Gateway takes no routes from the namespace {key_of(obj)[0]}",
            "NotAllowedByListeners",
        )


def _takes(front: Object, obj: Object, gateway: tuple[str, str]) -> bool:
    """Say whether one listener takes the route. A selector is played where it names the namespace
    itself.
    """
    allowed = front.get("allowedRoutes", {}).get("namespaces", {})
    kind, namespace = allowed.get("from", "Same"), key_of(obj)[0]
    if kind == "Selector":
        labels = allowed["selector"].get("matchLabels", {})
        if set(labels) != {NAMESPACE_LABEL} or set(allowed["selector"]) != {"matchLabels"}:
            raise Refused(
                f"allowedRoutes: only matchLabels {NAMESPACE_LABEL} is played by the local gateway"
            )
        return bool(labels[NAMESPACE_LABEL] == namespace)
    return kind == "All" or (kind == "Same" and namespace == gateway[0])


def _route(obj: Object, objects: Objects, gateway: tuple[str, str]) -> Route:
    namespace, name = key_of(obj)
    spec = obj["spec"]
    if objects.get("Gateway", *gateway) is None:
        raise Refused(f"the Gateway {gateway[0]}/{gateway[1]} does not exist")
    if spec.get("hostnames"):
        raise Refused("hostnames are not played by the local gateway")
    rules = spec.get("rules", [])
    if len(rules) > MAX_RULES:
        raise Refused(
            f"{len(rules)} rules: at most {MAX_RULES} fit, because route-not-found is "
            f"added as the last one"
        )
    compiled = tuple(_rule(rule, i, namespace, name, objects) for i, rule in enumerate(rules))
    return Route(namespace, name, compiled, _costs(spec.get("llmRequestCosts", [])))


def _costs(costs: list[Object]) -> tuple[Cost, ...]:
    if len(costs) > MAX_COSTS:
        raise Refused(f"{len(costs)} llmRequestCosts: at most {MAX_COSTS}")
    for cost in costs:
        if cost["type"] not in KNOWN_COSTS:
            known = ", ".join(KNOWN_COSTS)
            raise Refused(
                f"llmRequestCosts type {cost['type']} is not played by the local "
                f"gateway; it knows {known}"
            )
        if cost["type"] == "CEL":
            expressions.program(cost.get("cel", ""))
    return tuple(Cost(cost["metadataKey"], cost["type"], cost.get("cel", "")) for cost in costs)


def _rule(rule: Object, index: int, namespace: str, route: str, objects: Objects) -> Rule:
    references = tuple(
        _reference(ref, (index, position), namespace, route, objects)
        for position, ref in enumerate(rule.get("backendRefs", []))
    )
    if not references:
        raise Refused(f"rule {index} names no backend")
    matches = tuple(
        tuple(_header(header) for header in match.get("headers", []))
        for match in rule.get("matches", [])
    )
    timeout = rule.get("timeouts", {}).get("request")
    return Rule(
        name=f"httproute/{namespace}/{route}/rule/{index}",
        matches=matches or ((),),
        references=references,
        timeout_seconds=seconds(timeout) if timeout else DEFAULT_TIMEOUT_SECONDS,
    )


def _header(header: Object) -> HeaderMatch:
    return HeaderMatch(header["name"].lower(), header["value"], header.get("type", "Exact"))


def _reference(
    ref: Object, place: tuple[int, int], namespace: str, route: str, objects: Objects
) -> Reference:
    """Return one backendRef. place: (rule, position). Raises Refused for anything that would be
    played wrongly.
    """
    if ref.get("headerMutation"):
        raise Refused(
            f"backendRef {ref['name']}: headerMutation is not played by the local gateway"
        )
    if ref.get("priority"):
        raise Refused(
            f"backendRef {ref['name']}: priority (fallback) is not played by the local gateway"
        )
    if ref.get("kind", "AIServiceBackend") != "AIServiceBackend":
        raise Refused(
            f"backendRef {ref['name']}: kind {ref['kind']} is not played by the local gateway"
        )
    if ref.get("namespace", namespace) != namespace:
        raise Refused(
            f"backendRef {ref['name']}: another namespace needs a ReferenceGrant, which "
            f"is not played here"
        )
    backend = objects.get("AIServiceBackend", namespace, ref["name"])
    if backend is None:
        raise Refused(f"AIServiceBackend {namespace}/{ref['name']} does not exist")
    hostname, port, schema, prefix = _upstream(backend, objects)
    model = ref.get("modelNameOverride", "")
    return Reference(
        cluster=f"{namespace}/{route}/{ref['name']}"
        + (f"@{model}" if model not in ("", ref["name"]) else ""),
        weight=ref.get("weight", 1),
        hostname=hostname,
        port=port,
        schema=schema,
        prefix=prefix,
        model=model,
        ai_service_backend=f"{namespace}/{ref['name']}",
        backend_name=f"{namespace}/{ref['name']}/route/{route}/rule/{place[0]}/ref/{place[1]}",
        mutation=mutations.read(ref),
        key=keys.key_for(ref["name"], namespace, objects),
    )


def _upstream(backend: Object, objects: Objects) -> tuple[str, int, str, str]:
    """Return (hostname, port, schema, API path prefix) of an AIServiceBackend."""
    namespace, name = key_of(backend)
    schema, ref = backend["spec"]["schema"], backend["spec"]["backendRef"]
    if schema["name"] not in ("OpenAI", "Cohere"):
        raise Refused(
            f"schema {schema['name']} is not played by the local gateway; it knows OpenAI and "
            "Cohere"
        )
    if ref.get("kind") != "Backend":
        raise Refused(f"AIServiceBackend {name}: backendRef must be of kind Backend")
    if ref.get("namespace", namespace) != namespace:
        raise Refused(
            f"AIServiceBackend {name}: a Backend in another namespace needs a ReferenceGrant"
        )
    target = objects.get("Backend", namespace, ref["name"])
    if target is None:
        raise Refused(f"Backend {namespace}/{ref['name']} does not exist")
    # as Envoy AI Gateway: OpenAI's path has a prefix, Cohere's the version of its API
    path = (
        schema.get("prefix") or "/v1" if schema["name"] == "OpenAI" else schema.get("version", "")
    )
    return (*_endpoint(target), schema["name"], f"/{path.strip('/')}".rstrip("/"))


def _endpoint(backend: Object) -> tuple[str, int]:
    """Return the FQDN and port of a Backend.

    An IP is refused: with several weighted backends, Envoy AI Gateway 1.1 then writes the model
    name of the first one into every call and charges every call to it.
    """
    (namespace, name), found = key_of(backend), backend["spec"].get("endpoints", [])
    if len(found) != 1:
        raise Refused(
            f"Backend {name} has {len(found)} endpoints; the local gateway plays exactly one",
            "Invalid",
        )
    if "ip" in found[0]:
        raise Refused(
            f"Backend {name} names the IP {found[0]['ip']['address']}: with IP endpoints calls are "
            f"charged to the "
            "wrong version; give the predictor Service's DNS name as fqdn",
            "Invalid",
        )
    if "fqdn" not in found[0]:
        raise Refused(f"Backend {name} has no fqdn endpoint", "Invalid")
    hostname = found[0]["fqdn"]["hostname"].rstrip(".")
    place = endpoints.namespace_of(hostname)
    if place not in (None, namespace):
        raise Refused(
            f"Backend {name} names a Service of the namespace {place}: a route leads to its own "
            f"namespace only, so "
            "that no candidate under evaluation answers callers",
            "Invalid",
        )
    return hostname, found[0]["fqdn"]["port"]
