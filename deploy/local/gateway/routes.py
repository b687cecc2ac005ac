"""Tables → Envoy's route table and the rate limit service's descriptors.

The last route answers 404. Authorization and budgets hang on each route; the listener's filters
read them there.
"""

from __future__ import annotations

from typing import Any

from deploy.local.gateway import expressions, overrides
from deploy.local.gateway.tables import (
    METADATA_NAMESPACE,
    Access,
    AccessRule,
    Claim,
    HeaderMatch,
    Limit,
    Route,
    Rule,
    Tables,
)
from deploy.local.gateway.wiring import RATE_LIMIT_DOMAIN, ROUTE_TABLE

Json = dict[str, Any]
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"


def route_resource(tables: Tables) -> Json:
    """Return the one route table. What asks for more headers comes first, as Envoy Gateway sorts
    it; else the order stays as it is.
    """
    ways = [
        (route, rule, position)
        for route in tables.routes
        for rule in route.rules
        for position in range(len(rule.matches))
    ]
    ways.sort(key=lambda way: len(way[1].matches[way[2]]), reverse=True)
    routes = [_route(*way) for way in ways]
    if tables.listener.closed:
        routes = [_closed(route) for route in routes]
    not_found = {
        "name": "route-not-found",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": "No route serves this."}},
    }
    host = {"name": ROUTE_TABLE, "domains": ["*"], "routes": [*routes, not_found]}
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": ROUTE_TABLE,
        "virtual_hosts": [host],
    }


def _route(route: Route, rule: Rule, position: int) -> Json:
    found: Json = {
        "name": f"{rule.name}/match/{position}/*",
        "match": {
            "prefix": "/",
            "headers": [_header_matcher(header) for header in rule.matches[position]],
        },
        "metadata": {"filter_metadata": {"quartermaster": _for_replies(route)}},
        "typed_per_filter_config": _policies(route),
    }
    weights = [(ref, ref.weight) for ref in rule.references if ref.weight > 0]
    if not weights:
        return {
            **found,
            "direct_response": {
                "status": 503,
                "body": {"inline_string": "Every backend has weight 0."},
            },
        }
    clusters = [
        {"name": ref.cluster, "weight": weight, "host_rewrite_literal": ref.hostname}
        for ref, weight in weights
    ]
    return {
        **found,
        "route": {
            "weighted_clusters": {"clusters": clusters},
            "timeout": f"{rule.timeout_seconds:g}s",
        },
    }


def _closed(route: Json) -> Json:
    """Return the route leading nowhere, as Envoy Gateway makes it where a policy for it is no
    good.
    """
    said = {"inline_string": "A policy of the gateway cannot be honored, so nothing passes."}
    kept = {key: value for key, value in route.items() if key != "route"}
    return {**kept, "direct_response": {"status": 500, "body": said}}


def _for_replies(route: Route) -> Json:
    """Return what the gateway's own replies must know of a route."""
    statuses = [
        str(code) for each in route.overrides if each.source != "Backend" for code in each.statuses
    ]
    return {"budget": _budget_in_words(route.limits), "overridden": " ".join(statuses)}


def _header_matcher(header: HeaderMatch) -> Json:
    if header.kind == "RegularExpression":
        return {"name": header.name, "string_match": {"safe_regex": {"regex": header.value}}}
    return {"name": header.name, "string_match": {"exact": header.value}}


def _policies(route: Route) -> Json:
    policies: Json = {}
    if route.access is not None:
        policies["envoy.filters.http.rbac"] = {
            "@type": f"{_FILTERS}.rbac.v3.RBACPerRoute",
            "rbac": {"rules": _authorization(route.access)},
        }
    if route.limits:
        policies["envoy.filters.http.ratelimit"] = {
            "@type": f"{_FILTERS}.ratelimit.v3.RateLimitPerRoute",
            "rate_limits": [entry for limit in route.limits for entry in _rate_limits(limit)],
        }
    if route.overrides:
        policies["envoy.filters.http.custom_response"] = overrides.filter_settings(route.overrides)
    return policies


def _authorization(access: Access) -> Json:
    """Return the rules; Envoy's filter does the opposite of its action where none agrees, which is
    the default.
    """
    action = "ALLOW" if access.default_action == "Deny" else "DENY"
    policies = {f"{i:03d}-{rule.name}": _principal(rule) for i, rule in enumerate(access.rules)}
    return {"action": action, "policies": policies}


def _principal(rule: AccessRule) -> Json:
    claims = [_claim(rule.provider, claim) for claim in rule.claims]
    # A token of this issuer must be there at all, even where no claim is asked for.
    issued = _metadata(rule.provider, ["iss"], {"present_match": True})
    policy: Json = {
        "permissions": [{"any": True}],
        "principals": [{"and_ids": {"ids": [issued, *claims]}}],
    }
    if rule.condition:
        policy["condition"] = expressions.condition(rule.condition)
    return policy


def _claim(provider: str, claim: Claim) -> Json:
    values: list[Json] = [{"string_match": {"exact": value}} for value in claim.values]
    if claim.is_array:
        values = [{"list_match": {"one_of": value}} for value in values]
    return {
        "or_ids": {"ids": [_metadata(provider, claim.name.split("."), value) for value in values]}
    }


def _metadata(provider: str, path: list[str], value: Json) -> Json:
    matcher = {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{"key": key} for key in (provider, *path)],
        "value": value,
    }
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _rate_limits(limit: Limit) -> list[Json]:
    """Return the check before the call and, where answers cost something, the charge after it."""
    before = {"actions": _actions(limit), "hits_addend": {"number": limit.request_cost}}
    if not limit.response_cost_key:
        return [before]
    charge = f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:{limit.response_cost_key})%"
    return [
        before,
        {
            "actions": _actions(limit),
            "apply_on_stream_done": True,
            "hits_addend": {"format": charge},
        },
    ]


def _actions(limit: Limit) -> list[Json]:
    """Return what makes the counter's name. A header that does not agree leaves the whole limit
    out.
    """
    actions: list[Json] = [
        {"generic_key": {"descriptor_key": "policy", "descriptor_value": limit.key}}
    ]
    wanted = [_header_matcher(header) for header in limit.selectors if header.kind != "Distinct"]
    if wanted:
        match = {"descriptor_key": "selected", "descriptor_value": "yes", "headers": wanted}
        actions.append({"header_value_match": match})
    for header in _distinct(limit):
        actions.append(
            {"request_headers": {"header_name": header.name, "descriptor_key": header.name}}
        )
    return actions


def _distinct(limit: Limit) -> list[HeaderMatch]:
    return [header for header in limit.selectors if header.kind == "Distinct"]


def descriptors(tables: Tables) -> Json:
    """Return the rate limit service's configuration: one counter per limit, by the names that the
    routes send.
    """
    limits = [limit for route in tables.routes for limit in route.limits]
    return {"domain": RATE_LIMIT_DOMAIN, "descriptors": [_descriptor(limit) for limit in limits]}


def _descriptor(limit: Limit) -> Json:
    steps: list[Json] = [{"key": "policy", "value": limit.key}]
    if len(_distinct(limit)) < len(limit.selectors):
        steps.append({"key": "selected", "value": "yes"})
    steps += [{"key": header.name} for header in _distinct(limit)]
    steps[-1]["rate_limit"] = {"unit": limit.unit.lower(), "requests_per_unit": limit.amount}
    if limit.shadow:
        steps[-1]["shadow_mode"] = True
    for outer, inner in zip(steps, steps[1:], strict=False):
        outer["descriptors"] = [inner]
    return steps[0]


def _budget_in_words(limits: tuple[Limit, ...]) -> str:
    """Return "tokens per minute" where all of a route's limits agree, else plainly "budget"."""
    words = {
        f"{'tokens' if limit.response_cost_key else 'requests'} per {limit.unit.lower()}"
        for limit in limits
    }
    return words.pop() if len(words) == 1 else "budget"
