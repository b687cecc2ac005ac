"""BackendTrafficPolicy.responseOverride → Envoy's custom response filter, as Envoy Gateway makes
it. Pure.

A sleeping model's callers hear from here: Envoy's own 503 (no endpoint, nobody listens) becomes the
policy's sentence with its Retry-After. The filter sees answers last, with the words and status that
`replies` gave them.
"""

from __future__ import annotations

from typing import Any

from deploy.local.gateway.replies import CAUSE_HEADER, RATE_LIMIT_AWAY
from deploy.local.gateway.tables import Override

Json = dict[str, Any]
_FILTER = "type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse"
_POLICY = (
    "type.googleapis.com/envoy.extensions.http.custom_response"
    ".local_response_policy.v3.LocalResponsePolicy"
)
_INPUT = "type.googleapis.com/envoy.type.matcher.v3.HttpResponse"


def filter_settings(overrides: tuple[Override, ...]) -> Json:
    """Return the filter's settings; the first override that agrees wins, none leaves answers as
    they are.
    """
    settings: Json = {"@type": _FILTER}
    if overrides:
        matchers = [_matcher(override, i) for i, override in enumerate(overrides)]
        settings["custom_response_matcher"] = {"matcher_list": {"matchers": matchers}}
    return settings


def _matcher(override: Override, index: int) -> Json:
    status = _any([_equals("StatusCodeMatchInput", str(code)) for code in override.statuses])
    wanted = [status, _not(_equals("HeaderMatchInput", RATE_LIMIT_AWAY, header_name=CAUSE_HEADER))]
    if override.source != "All":
        wanted.append(
            _equals("LocalReplyMatchInput", "true" if override.source == "Local" else "false")
        )
    action = {"name": f"override-{index}", "typed_config": _response(override)}
    return {"predicate": {"and_matcher": {"predicate": wanted}}, "on_match": {"action": action}}


def _response(override: Override) -> Json:
    response: Json = {"@type": _POLICY}
    if override.body:
        response["body_format"] = {"text_format_source": {"inline_string": override.body}}
    if override.status:
        response["status_code"] = override.status
    response["response_headers_to_add"] = [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in override.headers
    ]
    return response


def _any(predicates: list[Json]) -> Json:
    return predicates[0] if len(predicates) == 1 else {"or_matcher": {"predicate": predicates}}


def _not(predicate: Json) -> Json:
    # Elsewhere an unreachable limiter answers 500; here `replies` makes it a 503 with words of its
    # own, which stay.
    return {"not_matcher": predicate}


def _equals(kind: str, value: str, **more: str) -> Json:
    typed = {"@type": f"{_INPUT}{kind}", **more}
    return {
        "single_predicate": {
            "input": {"name": kind, "typed_config": typed},
            "value_match": {"exact": value},
        }
    }
