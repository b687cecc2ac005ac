"""Every answer that the gateway gives in its own name: a JSON body that says what was wrong and
what to do.

Envoy's filters answer with bare words or nothing; Envoy's local reply mappers turn each into
{"error": {"type", "code", "message"}}. The first mapper that agrees wins, so the narrow ones come
first.
"""

from __future__ import annotations

from typing import Any

from deploy.local.gateway.tables import MODEL_HEADER

Json = dict[str, Any]

CAUSE_HEADER = "x-gateway-cause"
# the names of the rules that refuse a token (listeners.py), and our codes
TOKEN_ENDLESS, TOKEN_INCOMPLETE = "token_endless", "token_incomplete"
RATE_LIMIT_AWAY = "rate-limit-away"
GATE_DETAILS = "qm_"  # what the details of the gate's own answers begin with
OWN_STATUSES = (401, 403, 404, 413, 429, 500, 503, 504)  # what Envoy answers by itself
_MODEL = "%REQ(X-AI-EG-MODEL)%"
_TEAM = "%REQ(X-TEAM)%"
_HOW = "Send an access token for the gateway in the header Authorization: Bearer …"

# What the token filter says (a part of it) → our code and sentence.
_TOKEN_PROBLEMS = (
    ("Jwt_is_missing", "token_missing", f"No access token was sent. {_HOW}"),
    ("Jwt_is_expired", "token_expired", "The access token has expired. Get a new one."),
    (
        "Jwt_not_yet_valid",
        "token_not_yet_valid",
        "The access token is not valid yet. Check the clocks.",
    ),
    (
        "Jwt_issuer",
        "wrong_issuer",
        "The access token comes from an issuer that the gateway does not trust.",
    ),
    (
        "Jwt_verification_fails",
        "bad_signature",
        "The access token's signature is wrong: it was altered or forged.",
    ),
    (
        "Jwks_doesn't_have_key",
        "bad_signature",
        "The access token is signed with a key that the identity provider does not publish.",
    ),
    (
        "is_not_supported",
        "algorithm_not_allowed",
        "The access token's signing algorithm is not allowed.",
    ),
    (
        "jwt_authn_access_denied",
        "token_malformed",
        f"The access token cannot be read: it must be a signed JWT of three parts. {_HOW}",
    ),
)


def local_replies(portal_url: str) -> Json:
    """Return Envoy's local_reply_config. portal_url: where a person can ask for access."""
    return {
        "mappers": [
            _from_the_gate(),
            *_lacking(),
            _overridden(),
            *_unauthenticated(),
            *_forbidden(portal_url),
            *_budget(),
            *_unavailable(),
            *_closed(),
            *_not_found(),
            _mapper(
                _status(413),
                "body_too_large",
                "The request's body is larger than the gateway takes.",
            ),
            # The processor's own refusals: it gives the sentence as the body and the code as the
            # details.
            _mapper(_status_range(400, 599), "%RESPONSE_CODE_DETAILS%", "%LOCAL_REPLY_BODY%"),
        ]
    }


def _from_the_gate() -> Json:
    """Leave alone what the gate says: it is whole, for no real gateway would write a body of it."""
    return {"filter": _expression(f"response.code_details.startsWith('{GATE_DETAILS}')")}


def _lacking() -> list[Json]:
    """Name what a good token lacks. It comes first: what policies say about 403 is about grants."""
    sentences = {
        TOKEN_ENDLESS: "The access token never ends (it has no exp); such tokens are refused. "
        "Get a new one.",
        TOKEN_INCOMPLETE: "The access token lacks a claim that calls are charged by: team, "
        "cost_center and sub must all be there. Sign in again and choose a team, or ask your "
        "identity team to send them.",
    }
    return [
        _mapper(_details(f"[{code}]"), code, text, kind="authentication_error", status=401)
        for code, text in sentences.items()
    ]


def _overridden() -> Json:
    """Leave alone what the route's own policy says something about (overrides.py): this runs before
    and after it.
    """
    statuses = "xds.route_metadata.filter_metadata['quartermaster']['overridden']"
    asked = [f"(response.code == {code} && {statuses}.contains('{code}'))" for code in OWN_STATUSES]
    return {"filter": _expression(" || ".join(asked))}


def _unauthenticated() -> list[Json]:
    keys_away = _mapper(
        _details("Jwks_remote_fetch"),
        "identity_provider_unavailable",
        "The identity provider's keys could not be fetched yet, so no token can be checked. Try "
        "again in 5 seconds.",
        kind="unavailable_error",
        retry_after="5",
        status=503,
    )
    # Envoy calls this 403; a token for somebody else is no token for us.
    audience = _mapper(
        _details("Audiences_in_Jwt"),
        "wrong_audience",
        "The access token was issued for another audience. Ask the identity provider for a token "
        "for the gateway.",
        kind="authentication_error",
        status=401,
    )
    # An unsigned token ends in a dot: its third part is empty.
    ends_in_dot = {
        "header_filter": {"header": {"name": "authorization", "string_match": {"suffix": "."}}}
    }
    unsigned = _mapper(
        _both(_details("not_in_the_form"), ends_in_dot),
        "algorithm_not_allowed",
        "The access token is not signed; unsigned tokens are refused.",
        kind="authentication_error",
    )
    known = [
        _mapper(_details(part), code, text, kind="authentication_error")
        for part, code, text in _TOKEN_PROBLEMS
    ]
    return [keys_away, audience, unsigned, *known]


def _forbidden(portal_url: str) -> list[Json]:
    no_grant = (
        f"Team {_TEAM} has no grant for model {_MODEL}. Request access in the portal: {portal_url}"
    )
    return [
        _mapper(_status(403), "no_grant", no_grant, kind="permission_error"),
    ]


def _budget() -> list[Json]:
    return [
        _mapper(
            _status(429),
            "budget_exceeded",
            f"Team {_TEAM} has used up its %METADATA(ROUTE:quartermaster:budget)% for model "
            f"{_MODEL} "
            "(limit: %RESP(RATELIMIT-LIMIT)%). The budget resets in %RESP(RATELIMIT-RESET)% "
            "seconds.",
            kind="rate_limit_error",
            retry_after="%RESP(RATELIMIT-RESET)%",
        )
    ]


def _unavailable() -> list[Json]:
    return [
        _mapper(
            _flags("UH"),
            "model_not_ready",
            f"Model {_MODEL} has no replica that is ready. It may be starting; try again in 30 "
            f"seconds.",
            kind="unavailable_error",
            retry_after="30",
        ),
        _mapper(
            _flags("UF", "UC", "NC", "URX", "UO"),
            "replica_unreachable",
            f"The replica of model {_MODEL} did not take the call or broke it off. Try again in 5 "
            f"seconds.",
            kind="unavailable_error",
            retry_after="5",
        ),
        _mapper(
            _flags("UT"),
            "timeout",
            f"Model {_MODEL} did not answer in time.",
            kind="timeout_error",
        ),
    ]


def _closed() -> list[Json]:
    """Say why nothing passes while a part that every call needs is away."""
    away = "Nothing was sent to a model. Try again in 5 seconds."
    return [
        *(
            _mapper(
                _details(part),
                "gate_unavailable",
                f"The gateway cannot check calls now. {away}",
                kind="server_error",
                retry_after="5",
                status=502,
            )
            for part in ("ext_proc_error", "spurious_message", "unhandled_message")
        ),
        _mapper(
            _details("rate_limiter_error"),
            "rate_limit_unavailable",
            f"The rate limit service does not answer, so budgets cannot be checked. {away}",
            kind="unavailable_error",
            retry_after="5",
            status=503,
            cause=RATE_LIMIT_AWAY,
        ),
    ]


def _not_found() -> list[Json]:
    named = {"header_filter": {"header": {"name": MODEL_HEADER, "present_match": True}}}
    text = f"No route serves the model {_MODEL}. GET /v1/models lists the models there are."
    return [_mapper(_both(_status(404), named), "model_not_found", text)]


def _mapper(
    condition: Json,
    code: str,
    message: str,
    *,
    kind: str = "invalid_request_error",
    retry_after: str = "",
    status: int = 0,
    cause: str = "",
) -> Json:
    """Return one mapper; status 0 keeps the status. cause: which part failed, for filters that see
    the reply.
    """
    mapper: Json = {
        "filter": condition,
        "body_format_override": {
            "json_format": {"error": {"type": kind, "code": code, "message": message}}
        },
    }
    headers = {"retry-after": retry_after, CAUSE_HEADER: cause}
    if added := [
        {"header": {"key": key, "value": value}} for key, value in headers.items() if value
    ]:
        mapper["headers_to_add"] = added
    if status:
        mapper["status_code"] = status
    return mapper


def _both(first: Json, second: Json) -> Json:
    return {"and_filter": {"filters": [first, second]}}


def _status(code: int) -> Json:
    value = {"default_value": code, "runtime_key": "local_reply_status"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _status_range(lowest: int, highest: int) -> Json:
    low = {"default_value": lowest, "runtime_key": "local_reply_status_low"}
    high = {"default_value": highest, "runtime_key": "local_reply_status_high"}
    return _both(
        {"status_code_filter": {"comparison": {"op": "GE", "value": low}}},
        {"status_code_filter": {"comparison": {"op": "LE", "value": high}}},
    )


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _details(part: str) -> Json:
    """Agree where Envoy's own words about the answer contain this part."""
    quoted = part.replace("'", "\\'")
    return _expression(f"response.code_details.contains('{quoted}')")


def _expression(text: str) -> Json:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",  # noqa: E501
                "expression": text,
            },
        }
    }
