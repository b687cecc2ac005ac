"""What the gateway does, as plain data: the result of `compile`, the input of everything that talks
to Envoy.

Nothing here knows Kubernetes or Envoy. `Lookup` is the small part that the processor needs on each
call; it is kept on disk, so that a restarted control plane serves on while the cluster is away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deploy.local.gateway.mutations import Mutation, mutation_from_json

MODEL_HEADER = "x-ai-eg-model"
METADATA_NAMESPACE = "io.envoy.ai_gateway"


@dataclass(frozen=True)
class HeaderMatch:
    """One header's condition. kind: Exact, RegularExpression or Distinct (any value, counted
    apart).
    """

    name: str
    value: str
    kind: str = "Exact"


@dataclass(frozen=True)
class Reference:
    """One weighted way to a model: an AIServiceBackend under a rule."""

    cluster: str  # Envoy's name for it
    weight: int
    hostname: str
    port: int
    schema: str  # whose API the engine speaks: "OpenAI", or "Cohere", which reranks
    prefix: str  # the engine's API path, "/v1"
    model: str  # the name written into the upstream body; "" keeps the caller's
    ai_service_backend: str  # "namespace/name"
    backend_name: str  # "namespace/name/route/<route>/rule/<i>/ref/<j>"
    mutation: Mutation = Mutation()
    key: str = field(default="", repr=False)  # what its engine is shown; "" for nothing of ours


@dataclass(frozen=True)
class Rule:
    """One rule of a route. matches: each is a list of headers that must all agree; any one match is
    enough.
    """

    name: str  # "httproute/<namespace>/<route>/rule/<i>", as Envoy Gateway names it
    matches: tuple[tuple[HeaderMatch, ...], ...]
    references: tuple[Reference, ...]
    timeout_seconds: float


@dataclass(frozen=True)
class Cost:
    """One number that a successful answer leaves in the metadata."""

    key: str
    kind: str  # InputToken, CachedInputToken, OutputToken, TotalToken, ReasoningToken or CEL
    expression: str = ""  # in CEL, for that kind alone


@dataclass(frozen=True)
class Claim:
    """One claim of a principal: any of the values is enough."""

    name: str
    values: tuple[str, ...]
    is_array: bool = False


@dataclass(frozen=True)
class AccessRule:
    """One authorization rule: every claim must agree, and the condition (CEL) be true."""

    name: str
    provider: str  # key of `Provider`
    claims: tuple[Claim, ...]
    condition: str = ""


@dataclass(frozen=True)
class Access:
    """Who may use a route. A caller who agrees with no rule gets default_action; rules say the
    opposite.
    """

    default_action: str  # Allow or Deny
    rules: tuple[AccessRule, ...]


@dataclass(frozen=True)
class Limit:
    """One budget. Windows are the clock's minutes, hours, …; costs are numbers or a metadata
    key.
    """

    key: str  # "namespace/policy/rule/<i>/<route>", unique: the counter's name
    selectors: tuple[HeaderMatch, ...]
    amount: int
    unit: str  # Second, Minute, Hour, Day, Week, Month or Year
    request_cost: int
    response_cost_key: str  # "" where answers cost nothing
    shadow: bool = False


@dataclass(frozen=True)
class Override:
    """What a caller gets instead of an answer with one of these statuses.

    source: Local (Envoy's own answers), Backend or All. status 0 and body "" keep what there is.
    """

    statuses: tuple[int, ...]
    source: str
    status: int
    body: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Traffic:
    """What one BackendTrafficPolicy says."""

    limits: tuple[Limit, ...] = ()
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True)
class Route:
    """One AIGatewayRoute with the policies that point at it. access None: open to all."""

    namespace: str
    name: str
    rules: tuple[Rule, ...]
    costs: tuple[Cost, ...]
    access: Access | None = None
    limits: tuple[Limit, ...] = ()
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True)
class Provider:
    """One issuer of tokens. Providers that agree in all of this are one, whoever named them."""

    key: str
    issuer: str
    audiences: tuple[str, ...]
    jwks_uri: str
    cache_seconds: float
    claim_headers: tuple[tuple[str, str], ...]  # (claim, header)


@dataclass(frozen=True)
class Tracing:
    """The spans of every call. call, hop: their names; percent: of the calls. tags: what each span
    tells, in Envoy's own operators.
    """

    service: str
    call: str
    hop: str
    percent: int
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AccessLog:
    """One sink of the access log. kind: File or OpenTelemetry; fields: (key, Envoy's format)."""

    kind: str
    fields: tuple[tuple[str, str], ...]
    resource: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Extension:
    """The external processor that every call passes after the grants: the gate. host: where it
    listens in a cluster. modes: of the bodies, "" where neither headers nor body are sent.
    """

    name: str  # "envoyextensionpolicy/<namespace>/<name>/extproc/0", as Envoy Gateway names it
    host: tuple[str, int]
    request_mode: str
    response_mode: str
    request_attributes: tuple[str, ...] = ()
    response_attributes: tuple[str, ...] = ()
    allows_override: bool = False
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    timeout_seconds: float = 0.2
    error_status: int = 500
    buffer_bytes: int = 32 * 1024
    most_calls: int = 1024  # at once: each has a stream to the gate while it lasts
    most_waiting: int = 1024  # for a connection to it


@dataclass(frozen=True)
class Listener:
    """What holds for every call, whatever its route. closed: a policy for all routes cannot be
    honored, so none of them leads anywhere.
    """

    removed_headers: tuple[str, ...] = ()
    removed_prefixes: tuple[str, ...] = ()
    extension: Extension | None = None
    closed: bool = False
    buffer_bytes: int = 32 * 1024
    generates_request_id: bool = False
    returns_request_id: bool = False
    limit_headers: bool = True
    access_logs: tuple[AccessLog, ...] = ()
    tracing: Tracing | None = None


@dataclass(frozen=True)
class Verdict:
    """What is said back about one object. ancestor: the Gateway, for kinds that report by
    ancestor.
    """

    kind: str
    namespace: str
    name: str
    generation: int
    accepted: bool
    reason: str
    message: str
    ancestor: tuple[str, str] | None = None


Endpoints = Mapping[tuple[str, int], tuple[str, ...]]


@dataclass(frozen=True)
class Tables:
    """The whole gateway. endpoints: ready "host:port" addresses of each cluster-internal (hostname,
    port).
    """

    listener: Listener = Listener()
    providers: tuple[Provider, ...] = ()
    routes: tuple[Route, ...] = ()
    endpoints: Endpoints = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()

    @property
    def references(self) -> dict[str, Reference]:
        """Return each cluster once."""
        return {
            ref.cluster: ref
            for route in self.routes
            for rule in route.rules
            for ref in rule.references
        }


@dataclass(frozen=True)
class Upstream:
    """What the processor must know of one reference. schema: whose API its backend speaks."""

    model: str
    schema: str
    prefix: str
    ai_service_backend: str
    backend_name: str
    mutation: Mutation = Mutation()
    key: str = field(default="", repr=False)  # what its engine is shown; "" for nothing of ours


@dataclass(frozen=True)
class Destination:
    """What the processor must know of one rule."""

    route: str  # "namespace/name"
    costs: tuple[Cost, ...]
    upstreams: Mapping[str, Upstream]  # by cluster


@dataclass(frozen=True)
class Lookup:
    """The processor's table: destinations by the rule's name, and the names that `GET /v1/models`
    lists.
    """

    models: tuple[str, ...] = ()
    destinations: Mapping[str, Destination] = field(default_factory=dict)

    def including(self, older: Lookup) -> Lookup:
        """Return this table with what only the older one knows: calls under way may still arrive
        there.
        """
        merged = dict(older.destinations)
        for name, destination in self.destinations.items():
            known = merged[name].upstreams if name in merged else {}
            merged[name] = Destination(
                destination.route, destination.costs, {**known, **destination.upstreams}
            )
        return Lookup(self.models, merged)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `lookup_from_json` reads."""
        return asdict(self)


def lookup_from_json(data: Mapping[str, Any]) -> Lookup:
    """Return the table that `Lookup.to_json` wrote."""
    destinations = {
        name: Destination(
            route=entry["route"],
            costs=tuple(Cost(**cost) for cost in entry["costs"]),
            upstreams={
                cluster: _upstream_from_json(upstream)
                for cluster, upstream in entry["upstreams"].items()
            },
        )
        for name, entry in data["destinations"].items()
    }
    return Lookup(tuple(data["models"]), destinations)


def _upstream_from_json(data: Mapping[str, Any]) -> Upstream:
    """Return one reference. A table of before there were mutations has none."""
    found = dict(data)
    changes = found.pop("mutation", None)
    return Upstream(**found, mutation=mutation_from_json(changes) if changes else Mutation())


def lookup_of(tables: Tables) -> Lookup:
    """Return the processor's part of the tables."""
    destinations = {
        rule.name: Destination(
            route=f"{route.namespace}/{route.name}",
            costs=route.costs,
            upstreams={
                ref.cluster: Upstream(
                    ref.model,
                    ref.schema,
                    ref.prefix,
                    ref.ai_service_backend,
                    ref.backend_name,
                    ref.mutation,
                    ref.key,
                )
                for ref in rule.references
            },
        )
        for route in tables.routes
        for rule in route.rules
    }
    return Lookup(_exact_models(tables), destinations)


def _exact_models(tables: Tables) -> tuple[str, ...]:
    """Return the model names that rules match exactly, sorted."""
    return tuple(
        sorted(
            {
                header.value
                for route in tables.routes
                for rule in route.rules
                for match in rule.matches
                for header in match
                if header.name == MODEL_HEADER and header.kind == "Exact"
            }
        )
    )
