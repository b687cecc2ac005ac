"""SecurityPolicy and BackendTrafficPolicy → who may use a route, and how much of it. Pure.

A policy points at an HTTPRoute (Envoy AI Gateway makes one of each AIGatewayRoute's name) or at the
Gateway; a route's own policy replaces the Gateway's. A SecurityPolicy that cannot be honored closes
its routes: nobody gets in by a typo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from deploy.local.gateway import expressions
from deploy.local.gateway.durations import seconds
from deploy.local.gateway.objects import Object, Objects, key_of
from deploy.local.gateway.refusal import Refused
from deploy.local.gateway.tables import (
    METADATA_NAMESPACE,
    Access,
    AccessRule,
    Claim,
    HeaderMatch,
    Limit,
    Override,
    Provider,
    Route,
    Traffic,
)

Judged = tuple[Object, Refused | None, tuple[str, str] | None]
CLOSED = Access("Deny", ())
DEFAULT_CACHE_SECONDS = 300.0
UNITS = ("Second", "Minute", "Hour", "Day", "Week", "Month", "Year")
MAX_SELECTORS = 8
Policy = TypeVar("Policy")


def attach(
    objects: Objects, *, gateway: tuple[str, str], routes: tuple[Route, ...]
) -> tuple[tuple[Route, ...], tuple[Provider, ...], list[Judged]]:
    """Return the routes with their policies, the token issuers that any of them names, and the
    verdicts.
    """
    security, limits = objects.all("SecurityPolicy"), objects.all("BackendTrafficPolicy")
    judged: list[Judged] = []
    providers: dict[Provider, Provider] = {}

    def read_access(policy: Object) -> Access | None:
        return _access(policy, providers)

    closed: Access | None = CLOSED
    access = _by_route(security, gateway, routes, read_access, closed, judged)
    traffic = _by_route(limits, gateway, routes, _traffic, Traffic(), judged)
    said = _of(traffic, routes[0]).overrides if routes else ()
    found = tuple(
        replace(
            route,
            access=access.get((route.namespace, route.name)),
            limits=_named_for(route, _of(traffic, route).limits),
            # Envoy Gateway's filter for them is switched on by the route that matches before the
            # model is known, the oldest, and then speaks for every model: whatever the other
            # policies say is never heard.
            overrides=said,
        )
        for route in routes
    )
    return found, tuple(providers.values()), judged


def _of(traffic: dict[tuple[str, str], Traffic], route: Route) -> Traffic:
    return traffic.get((route.namespace, route.name), Traffic())


def _by_route(
    policies: list[Object],
    gateway: tuple[str, str],
    routes: tuple[Route, ...],
    read: Callable[[Object], Policy],
    refused: Policy,
    judged: list[Judged],
) -> dict[tuple[str, str], Policy]:
    """Return each route's policy, the oldest that points at it, else the Gateway's; `refused` where
    it is not valid.
    """
    own: dict[tuple[str, str], Policy] = {}
    common: list[Policy] = []
    for policy in policies:
        problem, meaning = None, refused
        try:
            meaning = read(policy)
        except Refused as found:
            problem = found
        targets, missing = _targets(policy, gateway, routes)
        for target in targets:
            if target is None:
                common.append(meaning)
            elif target in own:
                problem = problem or Refused(
                    f"another policy already targets HTTPRoute {target[1]}", "Conflicted"
                )
            else:
                own[target] = meaning
        judged.append((policy, problem or missing, gateway))
    for route in routes:
        if common:
            own.setdefault((route.namespace, route.name), common[0])
    return own


def _targets(
    policy: Object, gateway: tuple[str, str], routes: tuple[Route, ...]
) -> tuple[list[tuple[str, str] | None], Refused | None]:
    """Return the routes that the policy names (None: the Gateway itself), and what is wrong with
    the others.
    """
    namespace = key_of(policy)[0]
    names = {(route.namespace, route.name) for route in routes}
    found: list[tuple[str, str] | None] = []
    problem = None
    for ref in policy["spec"].get("targetRefs") or [policy["spec"].get("targetRef") or {}]:
        target = (namespace, ref.get("name", ""))
        if ref.get("kind") == "Gateway" and target == gateway:
            found.append(None)
        elif ref.get("kind") == "HTTPRoute" and target in names:
            found.append(target)
        else:
            problem = Refused(
                f"{ref.get('kind', 'target')} {'/'.join(target)} not found", "TargetNotFound"
            )
    return found, problem


def _access(policy: Object, providers: dict[Provider, Provider]) -> Access | None:
    """Return who may pass; its token issuers are added to `providers` under one key per distinct
    issuer.
    """
    spec = policy["spec"]
    for unknown in sorted(set(spec) - {"targetRefs", "targetRef", "jwt", "authorization"}):
        raise Refused(f"{unknown} is not played by the local gateway")
    keys = {
        entry["name"]: _provider_key(entry, providers)
        for entry in spec.get("jwt", {}).get("providers", [])
    }
    authorization = spec.get("authorization")
    if authorization is None:
        return None
    default = authorization.get("defaultAction", "Deny")
    rules = authorization.get("rules", [])
    if any(rule["action"] == default for rule in rules):
        raise Refused(
            f"a rule that says {default} under defaultAction {default} is not played by "
            f"the local gateway"
        )
    return Access(default, tuple(_access_rule(rule, i, keys) for i, rule in enumerate(rules)))


def _provider_key(entry: Object, providers: dict[Provider, Provider]) -> str:
    """Return the key of the issuer, which is the same for every policy that describes it alike."""
    if "remoteJWKS" not in entry:
        raise Refused(
            f"jwt provider {entry['name']}: only remoteJWKS is played by the local gateway"
        )
    remote = entry["remoteJWKS"]
    if remote.get("backendRefs") or remote.get("backendRef") or entry.get("extractFrom"):
        raise Refused(
            f"jwt provider {entry['name']}: only a plain remoteJWKS.uri is played by the "
            f"local gateway"
        )
    nameless = Provider(
        key="",
        issuer=entry.get("issuer", ""),
        audiences=tuple(entry.get("audiences", ())),
        jwks_uri=remote["uri"],
        cache_seconds=seconds(remote["cacheDuration"])
        if remote.get("cacheDuration")
        else DEFAULT_CACHE_SECONDS,
        claim_headers=tuple(
            (claim["claim"], claim["header"].lower()) for claim in entry.get("claimToHeaders", [])
        ),
    )
    if nameless not in providers:
        taken = {provider.key for provider in providers.values()}
        key = (
            entry["name"] if entry["name"] not in taken else f"{entry['name']}-{len(providers) + 1}"
        )
        providers[nameless] = replace(nameless, key=key)
    return providers[nameless].key


def _access_rule(rule: Object, index: int, keys: dict[str, str]) -> AccessRule:
    principal = rule.get("principal", {})
    if set(principal) != {"jwt"} or rule.get("operation") or principal["jwt"].get("scopes"):
        raise Refused(
            f"authorization rule {index}: only principal.jwt.claims and cel are played by the "
            f"local gateway"
        )
    jwt = principal["jwt"]
    if jwt["provider"] not in keys:
        raise Refused(
            f"authorization rule {index} names jwt provider {jwt['provider']}, which the policy "
            f"does not have"
        )
    claims = tuple(
        Claim(
            claim["name"], tuple(claim["values"]), claim.get("valueType", "String") == "StringArray"
        )
        for claim in jwt.get("claims", [])
    )
    # Here the token's claims lie under the issuer's key, there under the policy's own name for it.
    name, key = jwt["provider"], keys[jwt["provider"]]
    condition = rule.get("cel", "").replace(f"].{name}.", f"]['{key}'].")
    if condition:
        expressions.condition(condition)  # refused here, where it does not compile
    return AccessRule(rule.get("name", f"rule-{index}"), key, claims, condition)


def _traffic(policy: Object) -> Traffic:
    """Return what the policy says. Its budgets' keys lack the route's name yet: each route counts
    for itself.
    """
    spec = policy["spec"]
    for unknown in sorted(set(spec) - {"targetRefs", "targetRef", "rateLimit", "responseOverride"}):
        raise Refused(f"{unknown} is not played by the local gateway")
    rules = spec.get("rateLimit", {}).get("global", {}).get("rules", [])
    overrides = spec.get("responseOverride", [])
    return Traffic(
        tuple(_limit(rule, i, policy) for i, rule in enumerate(rules)),
        tuple(_override(override, i) for i, override in enumerate(overrides)),
    )


def _override(override: Object, index: int) -> Override:
    match, response = override["match"], override.get("response", {})
    body, header = response.get("body", {}), response.get("header", {})
    codes = match.get("statusCodes", [])
    plain = (
        set(match) == {"statusCodes"}
        and all(code.get("type", "Value") == "Value" for code in codes)
        and "redirect" not in override
        and body.get("type", "Inline") == "Inline"
        and set(header) <= {"set"}
    )
    if not plain:
        raise Refused(
            f"responseOverride {index}: only status codes by value, an inline body and header.set "
            f"are played by the "
            "local gateway"
        )
    named = [("content-type", response["contentType"])] if response.get("contentType") else []
    named += [(entry["name"].lower(), entry["value"]) for entry in header.get("set", [])]
    return Override(
        statuses=tuple(code["value"] for code in codes),
        source=override.get("source", "All"),
        status=response.get("statusCode", 0),
        body=body.get("inline", ""),
        headers=tuple(named),
    )


def _limit(rule: Object, index: int, policy: Object) -> Limit:
    if rule.get("shared") or rule["limit"].get("fromMetadata"):
        raise Refused(
            f"rateLimit rule {index}: shared and fromMetadata are not played by the local gateway"
        )
    if rule["limit"]["unit"] not in UNITS:
        raise Refused(f"rateLimit rule {index}: unit {rule['limit']['unit']} is not known")
    cost = rule.get("cost", {})
    return Limit(
        key="/".join((*key_of(policy), "rule", str(index))),
        selectors=_selectors(rule.get("clientSelectors", []), index),
        amount=rule["limit"]["requests"],
        unit=rule["limit"]["unit"],
        request_cost=_request_cost(cost.get("request"), index),
        response_cost_key=_response_cost_key(cost.get("response"), index),
        shadow=rule.get("shadowMode", False),
    )


def _selectors(selectors: list[Object], index: int) -> tuple[HeaderMatch, ...]:
    if len(selectors) > MAX_SELECTORS:
        raise Refused(f"rateLimit rule {index}: at most {MAX_SELECTORS} clientSelectors")
    for selector in selectors:
        for unknown in sorted(set(selector) - {"headers"}):
            raise Refused(
                f"rateLimit rule {index}: clientSelectors by {unknown} are not played by "
                f"the local gateway"
            )
    return tuple(
        HeaderMatch(header["name"].lower(), header.get("value", ""), header.get("type", "Exact"))
        for selector in selectors
        for header in selector.get("headers", [])
    )


def _request_cost(cost: Object | None, index: int) -> int:
    if cost is None:
        return 1
    if cost["from"] != "Number":
        raise Refused(f"rateLimit rule {index}: a request's cost must be a number")
    return int(cost.get("number", 1))


def _response_cost_key(cost: Object | None, index: int) -> str:
    if cost is None:
        return ""
    metadata = cost.get("metadata", {})
    if cost["from"] != "Metadata" or metadata.get("namespace") != METADATA_NAMESPACE:
        raise Refused(
            f"rateLimit rule {index}: an answer's cost must come from the metadata "
            f"{METADATA_NAMESPACE}"
        )
    return str(metadata["key"])


def _named_for(route: Route, limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Return the budgets as this route's own: counters are not shared between routes."""
    return tuple(
        replace(limit, key=f"{limit.key}/{route.namespace}/{route.name}") for limit in limits
    )
