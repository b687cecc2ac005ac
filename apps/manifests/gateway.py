"""Envoy AI Gateway's objects of one model: its route, its backends, who may call it and how much.
Pure.

Traps held here: Backends carry the predictor's DNS name, never an address (with IP endpoints the
gateway charges every call to the first backend of a rule); a rule's cost counts 0 at request time
(else each call costs one more); a route names at most 15 rules, and one that asks for more headers
comes first, wherever it stands; vLLM refuses a priority where it does not schedule by it, so a rule
sets one for those versions alone that do; the policies point at the HTTPRoute
of the route's own name, one of a kind (of two, the younger is ignored): so BackendTrafficPolicy
carries the limits and, in `responseOverride`, what callers hear when they are refused; those
sentences are the same in every model's policy, for Envoy switches the filter on by the route that
it finds before it knows the model, which is any model's; a cost expression type-checks.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from apps.common.counts import counted
from apps.common.token_claims import COST_CENTER, LONGEST_COST_CENTER
from apps.manifests import cel
from apps.manifests.names import ENGINE_KEY, MODELS, checked, labels, serving_name
from apps.manifests.text import CannotRender, Manifest

MODEL_HEADER = "x-ai-eg-model"
METADATA_NAMESPACE = "io.envoy.ai_gateway"
# The class of a call's grant. The gate alone sets it: what a client sends under this name is
# removed before anything reads it.
CLASS_HEADER = "x-qm-class"
INTERACTIVE, BATCH = "interactive", "batch"
BATCH_PRIORITY = 10  # vLLM takes the lower value first, and 0 where a call has none
LIMIT_KEY = "llm_limit_token"  # what a call counts against its team's limit, computed in CEL
TOTAL_KEY = "llm_total_token"
WHOLE_COST = "total_tokens"
COSTS = (
    ("llm_input_token", "InputToken"),
    ("llm_cached_input_token", "CachedInputToken"),
    ("llm_output_token", "OutputToken"),
    (TOTAL_KEY, "TotalToken"),
)
_CLAIM_HEADERS = (("team", "x-team"), ("cost_center", "x-cost-center"), ("sub", "x-user-id"))
# What the portal asks of a token beside its team (apps/accounts): Envoy Gateway's JWT settings can
# ask for neither an end nor a claim, so each rule does, of what the token check has left.
_TOKEN = "metadata.filter_metadata['envoy.filters.http.jwt_authn'].idp"  # noqa: S105 - a path
_WHOLE_TOKEN = " && ".join(
    (
        f"has({_TOKEN}.exp)",
        f"{_TOKEN}.cost_center.matches('{COST_CENTER}')",
        f"size({_TOKEN}.cost_center) <= {LONGEST_COST_CENTER}",
        f"{_TOKEN}.sub != ''",
    )
)
MAX_RULES = 15
MAX_TEAMS = 256  # rules of a BackendTrafficPolicy
# Filled in by Envoy at each call. Any other percent sign in a sentence would make it refuse the
# whole policy.
_MODEL, _TEAM, _REQUEST_ID = "%REQ(X-AI-EG-MODEL)%", "%REQ(X-TEAM)%", "%REQ(X-REQUEST-ID)%"
_LIMIT = "%RESP(X-RATELIMIT-LIMIT)%"
# What the gate notes of each call that it lets on, and of each that it refuses so: see gate.yaml.
_RETRY_AFTER = "%DYNAMIC_METADATA(quartermaster.usage:retry_after)%"
_IPV4 = re.compile(r"[0-9.]+")


class BadRoute(CannotRender):
    """The gateway would refuse these objects, or serve the wrong thing with them."""


@dataclass(frozen=True)
class Weight:
    """How much of a model's traffic one version gets. percent: 0 to 100. by_priority: its engine
    takes calls in the order of their priority.
    """

    number: int
    percent: int
    by_priority: bool = False


@dataclass(frozen=True)
class TeamLimit:
    """What one team may use of a model. team: the claim's value."""

    team: str
    tokens_per_minute: int


@dataclass(frozen=True)
class Answers:
    """What refused callers are told. retry_after: seconds to wait for a replica; portal_url: who
    gives access.
    """

    retry_after: int
    portal_url: str


@dataclass(frozen=True)
class Issuer:
    """Whose tokens the gateway accepts."""

    issuer: str
    jwks_uri: str
    audience: str = "quartermaster-gateway"


def route(
    *,
    model: str,
    weights: Sequence[Weight],
    gateway_name: str,
    gateway_namespace: str,
    namespace: str = MODELS,
    request_timeout: str = "600s",
    limit_cost: str = WHOLE_COST,
) -> Manifest:
    """Return the AIGatewayRoute of a model: its versions with their weights, which must sum to 100.

    One rule, and one more for batch calls where an engine of some version takes calls by their
    priority: interactive ones have none, which comes first. limit_cost: what a call counts against
    its team's limit, in CEL (apps/manifests/cel.py); raises BadExpression.
    """
    if namespace != MODELS:
        raise BadRoute(
            "A route lives in the namespace models: candidates under evaluation are "
            "never routed to."
        )
    if not weights or sum(weight.percent for weight in weights) != 100:
        raise BadRoute("A route's weights must sum to 100.")
    rules = [_rule(model, weights, request_timeout)]
    if any(weight.by_priority for weight in weights):
        rules.append(_rule(model, weights, request_timeout, BATCH))
    if len(rules) * len(weights) > MAX_RULES:
        raise BadRoute(
            f"{len(weights)} versions in {counted(len(rules), 'rule')}: a route has room for "
            f"{MAX_RULES} ways to a version, one of each in each rule."
        )
    return {
        "apiVersion": "aigateway.envoyproxy.io/v1beta1",
        "kind": "AIGatewayRoute",
        "metadata": {"name": model, "namespace": namespace, "labels": labels(model)},
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": gateway_name,
                    "namespace": gateway_namespace,
                }
            ],
            "rules": rules,
            "llmRequestCosts": _costs(limit_cost),
        },
    }


def _rule(
    model: str, weights: Sequence[Weight], request_timeout: str, call_class: str = ""
) -> Manifest:
    """Return the rule for a model's calls of a class; "" for those that no other rule takes."""
    wanted = [(MODEL_HEADER, model), *([(CLASS_HEADER, call_class)] if call_class else [])]
    headers = [{"type": "Exact", "name": name, "value": value} for name, value in wanted]
    return {
        "matches": [{"headers": headers}],
        "backendRefs": [_backend_ref(model, weight, call_class) for weight in weights],
        "timeouts": {"request": request_timeout},
    }


def _costs(limit_cost: str) -> list[Manifest]:
    found: list[Manifest] = [{"metadataKey": key, "type": kind} for key, kind in COSTS]
    return [*found, {"metadataKey": LIMIT_KEY, "type": "CEL", "cel": cel.checked(limit_cost)}]


def _backend_ref(model: str, weight: Weight, call_class: str) -> Manifest:
    name = serving_name(model, weight.number)
    found = {"name": name, "weight": weight.percent, "modelNameOverride": name}
    if weight.by_priority and call_class == BATCH:
        found["bodyMutation"] = {"set": [{"path": "priority", "value": str(BATCH_PRIORITY)}]}
    return found


def backend_objects(
    *, model: str, number: int, namespace: str = MODELS, hostname: str = ""
) -> list[Manifest]:
    """Return the AIServiceBackend of a version and the Backend it points at.

    hostname: the predictor Service's DNS name ("" for the usual one). An IP address, and a name or
    namespace of candidates under evaluation, raise BadRoute.
    """
    if namespace != MODELS:
        raise BadRoute(
            "A Backend lives in the namespace models: candidates under evaluation are "
            "never routed to."
        )
    name = serving_name(model, number)
    host = hostname or f"{name}-predictor.{namespace}.svc.cluster.local"
    if _IPV4.fullmatch(host) or ":" in host:
        raise BadRoute(
            "A Backend needs a DNS name: with an IP address calls are charged to the wrong version."
        )
    if not host.endswith(f".{namespace}.svc.cluster.local"):
        raise BadRoute(f"A Backend leads to a Service of the namespace {namespace} alone.")
    metadata: Manifest = {
        "name": checked(name),
        "namespace": namespace,
        "labels": labels(model, number),
    }
    backend = {"name": name, "kind": "Backend", "group": "gateway.envoyproxy.io"}
    return [
        {
            "apiVersion": "aigateway.envoyproxy.io/v1beta1",
            "kind": "AIServiceBackend",
            "metadata": metadata,
            "spec": {"schema": {"name": "OpenAI", "prefix": "/v1"}, "backendRef": backend},
        },
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "Backend",
            "metadata": metadata | {"labels": dict(metadata["labels"])},
            "spec": {"endpoints": [{"fqdn": {"hostname": host, "port": 80}}]},
        },
    ]


def key_policy(*, model: str, number: int) -> Manifest:
    """Return what makes the gateway show a version's engine the key of its namespace, in place of
    the caller's own token.

    One for each version: a backend may have one, and one may have 16 backends. Where the Secret is
    missing, Envoy AI Gateway sends no call on.
    """
    name = serving_name(model, number)
    target = {"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": name}
    return {
        "apiVersion": "aigateway.envoyproxy.io/v1beta1",
        "kind": "BackendSecurityPolicy",
        "metadata": {"name": name, "namespace": MODELS, "labels": labels(model, number)},
        "spec": {
            "type": "APIKey",
            "apiKey": {"secretRef": {"name": ENGINE_KEY}},
            "targetRefs": [target],
        },
    }


def _policy(kind: str, model: str, namespace: str, spec: Manifest) -> Manifest:
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": model}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": model, "namespace": namespace, "labels": labels(model)},
        "spec": {"targetRefs": [target], **spec},
    }


def security_policy(
    *, model: str, issuer: Issuer, teams: Sequence[str], namespace: str = MODELS
) -> Manifest:
    """Return who may call the model: holders of a token of the issuer that ends, names whom to
    charge, and whose team was granted. No teams: nobody.
    """
    provider = {
        "name": "idp",
        "issuer": issuer.issuer,
        "audiences": [issuer.audience],
        "remoteJWKS": {"uri": issuer.jwks_uri, "cacheDuration": "300s"},
        "claimToHeaders": [{"claim": claim, "header": header} for claim, header in _CLAIM_HEADERS],
    }
    rules = [
        {
            "name": f"team-{team}",
            "action": "Allow",
            "principal": {
                "jwt": {"provider": "idp", "claims": [{"name": "team", "values": [team]}]}
            },
            "cel": _WHOLE_TOKEN,
        }
        for team in sorted(set(teams))
    ]
    authorization: Manifest = {"defaultAction": "Deny"}
    if rules:
        authorization["rules"] = rules
    return _policy(
        "SecurityPolicy",
        model,
        namespace,
        {"jwt": {"providers": [provider]}, "authorization": authorization},
    )


def traffic_policy(
    *,
    model: str,
    limits: Sequence[TeamLimit],
    answers: Answers,
    limit_cost: str = WHOLE_COST,
    namespace: str = MODELS,
) -> Manifest:
    """Return the tokens per minute of each team, counted from the answers' own usage, and what
    refused callers hear.

    limit_cost: as `route` has it. The whole is counted by the key that every route of any age
    writes.
    """
    if len(limits) > MAX_TEAMS:
        raise BadRoute(
            f"{len(limits)} teams are granted {model}; the gateway keeps limits of at "
            f"most {MAX_TEAMS}."
        )
    key = TOTAL_KEY if limit_cost == WHOLE_COST else LIMIT_KEY
    spec: Manifest = {}
    if limits:
        rules = [
            _limit(model, limit, key) for limit in sorted(limits, key=lambda limit: limit.team)
        ]
        spec["rateLimit"] = {"global": {"rules": rules}}
    spec["responseOverride"] = _overrides(answers)
    return _policy("BackendTrafficPolicy", model, namespace, spec)


def too_many_tokens(team: str, model: str, *, limit: str, retry_after: str) -> str:
    """Return what a caller hears whose team has used up a minute's tokens. retry_after: seconds
    until the next minute; the header says the same.
    """
    return (
        f"Team {team} has used up its tokens per minute for model {model} (limit: {limit}). "
        f"{send_again(retry_after)}"
    )


def send_again(retry_after: str) -> str:
    """Return when a call that came too early may come again. retry_after: seconds."""
    return f"The limit resets in {retry_after} seconds: send it again then."


def not_granted(team: str, model: str, portal_url: str) -> str:
    """Return what a caller hears whose team may not call a model."""
    return (
        f"Team {team} has no grant for model {model}, or no model of this name is served, or the "
        f"access token names no cost center or no end. "
        f"Request access in the portal: {portal_url}"
    )


def _overrides(answers: Answers) -> list[Manifest]:
    """Return what is said instead of Envoy's own 503, 429 and 403: bare words, or nothing.

    Nothing in it names the model but what Envoy fills in: see the module. A 503 is given while no
    replica takes calls.
    """
    no_replica = (
        f"No replica of model {_MODEL} takes calls now. If it sleeps while nobody calls, this call "
        f"was counted and "
        f"wakes it; nothing was charged. Send it again in {answers.retry_after} seconds."
    )
    too_much = (  # said by the gate or by the gateway's own limiter: of tokens, or of calls
        f"Team {_TEAM} has used up its tokens per minute for model {_MODEL}, or has as many calls "
        f"under way as it may have at once (limit: {_LIMIT}). {send_again(_RETRY_AFTER)}"
    )
    # of an unknown model too: its caller meets the policy of the oldest route
    no_grant = not_granted(_TEAM, _MODEL, answers.portal_url)
    return [
        _override(503, "unavailable_error", "no_replica", no_replica, str(answers.retry_after)),
        _override(429, "rate_limit_error", "budget_exceeded", too_much, _RETRY_AFTER),
        _override(403, "permission_error", "no_grant", no_grant),
    ]


def _override(status: int, kind: str, code: str, message: str, retry_after: str = "") -> Manifest:
    """Return one sentence in JSON. `source: Local` leaves the engine's own answers alone."""
    error = {"type": kind, "code": code, "message": message}
    # what the listener sets does not reach these answers
    headers = [{"name": "x-request-id", "value": _REQUEST_ID}]
    if retry_after:
        headers.append({"name": "Retry-After", "value": retry_after})
    response = {
        "contentType": "application/json",
        "header": {"set": headers},
        "body": {"type": "Inline", "inline": json.dumps({"error": error})},
    }
    return {
        "match": {"statusCodes": [{"type": "Value", "value": status}]},
        "source": "Local",
        "response": response,
    }


def _limit(model: str, limit: TeamLimit, key: str) -> Manifest:
    headers = [
        {"name": "x-team", "type": "Exact", "value": limit.team},
        {"name": MODEL_HEADER, "type": "Exact", "value": model},
    ]
    metadata = {"namespace": METADATA_NAMESPACE, "key": key}
    return {
        "clientSelectors": [{"headers": headers}],
        "limit": {"requests": limit.tokens_per_minute, "unit": "Minute"},
        "cost": {
            "request": {"from": "Number", "number": 0},
            "response": {"from": "Metadata", "metadata": metadata},
        },
    }
