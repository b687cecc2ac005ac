"""Tables → Envoy's listener: the filters every call passes, in the order that Envoy Gateway gives
them.

Header removal → token check → its claims → processor (model from the body) → (on the way back: what
a policy says instead) → authorization → gate → rate limit → router.
"""

from __future__ import annotations

from typing import Any

from deploy.local.gateway import overrides
from deploy.local.gateway.clusters import cluster_of_uri, processor_service
from deploy.local.gateway.replies import TOKEN_ENDLESS, TOKEN_INCOMPLETE, local_replies
from deploy.local.gateway.tables import (
    METADATA_NAMESPACE,
    AccessLog,
    Extension,
    Provider,
    Tables,
    Tracing,
)
from deploy.local.gateway.wiring import LOOPBACK, RATE_LIMIT_DOMAIN, ROUTE_TABLE, Wiring

Json = dict[str, Any]
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_FILTERS = f"{_EXTENSIONS}.filters.http"
_WORDS: Json = {"string_match": {"safe_regex": {"regex": ".+"}}}


def listener_resource(tables: Tables, wiring: Wiring) -> Json:
    """Return the one listener."""
    return {
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "http",
        "address": {"socket_address": {"address": LOOPBACK, "port_value": wiring.envoy_port}},
        "per_connection_buffer_limit_bytes": tables.listener.buffer_bytes,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(tables, wiring),
                    }
                ]
            }
        ],
    }


def _connection_manager(tables: Tables, wiring: Wiring) -> Json:
    tracing = tables.listener.tracing
    return {
        **({"tracing": _tracing(tracing)} if tracing else {}),
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "normalize_path": True,
        "merge_slashes": True,
        "always_set_request_id_in_response": tables.listener.returns_request_id,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_EXTENSIONS}.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        "early_header_mutation_extensions": _removals(tables),
        "rds": {"route_config_name": ROUTE_TABLE, "config_source": watched(wiring, "rds.json")},
        "http_filters": _http_filters(tables, wiring),
        "access_log": [_access_log(log, wiring) for log in tables.listener.access_logs],
        "local_reply_config": local_replies(wiring.portal_url),
    }


def _tracing(tracing: Tracing) -> Json:
    """Return Envoy's own spans, as Envoy Gateway asks for them: to the stack's Collector."""
    names = {"operation": tracing.call, "upstream_operation": tracing.hop}
    return {
        "client_sampling": {"value": 100},
        "random_sampling": {"value": tracing.percent},
        "overall_sampling": {"value": 100},
        "spawn_upstream_span": True,
        **{key: name for key, name in names.items() if name},
        "custom_tags": [{"tag": tag, "value": form} for tag, form in tracing.tags],
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "grpc_service": {
                    "envoy_grpc": {"cluster_name": "collector"},
                    "timeout": "10s",
                },
                "service_name": tracing.service,
            },
        },
    }


def watched(wiring: Wiring, name: str) -> Json:
    """Return the source of a file that is replaced by renaming."""
    path = wiring.tables / name
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _removals(tables: Tables) -> list[Json]:
    """Remove what clients must not send; a removed request id makes Envoy create its own."""
    front = tables.listener
    names = [*front.removed_headers, *(["x-request-id"] if front.generates_request_id else [])]
    mutations: list[Json] = [{"remove": name} for name in names]
    mutations += [
        {"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}}
        for prefix in front.removed_prefixes
    ]
    if not mutations:
        return []
    return [
        {
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": f"{_EXTENSIONS}.http.early_header_mutation.header_mutation.v3.HeaderMutation",  # noqa: E501
                "mutations": mutations,
            },
        }
    ]


def _http_filters(tables: Tables, wiring: Wiring) -> list[Json]:
    gate = tables.listener.extension
    filters = [
        ("ext_proc/aigateway", _processor(wiring)),
        ("custom_response", overrides.filter_settings(())),
        ("rbac", {"@type": f"{_FILTERS}.rbac.v3.RBAC"}),
        *([(f"ext_proc/{gate.name}", _gate(gate))] if gate else []),
        ("ratelimit", _rate_limit(tables.listener.limit_headers)),
        ("router", {"@type": f"{_FILTERS}.router.v3.Router"}),
    ]
    if tables.providers:
        filters[:0] = [
            ("jwt_authn", _token_check(tables.providers)),
            ("rbac.token", _whole_token(tables.providers)),
        ]
    return [
        {"name": f"envoy.filters.http.{name}", "typed_config": config} for name, config in filters
    ]


def _token_check(providers: tuple[Provider, ...]) -> Json:
    """Check every call's token before its model is known: any issuer that some route trusts will
    do.

    Which issuer and claims a route wants is then the authorization filter's question.
    """
    names = [{"provider_name": provider.key} for provider in providers]
    requires = names[0] if len(names) == 1 else {"requires_any": {"requirements": names}}
    return {
        "@type": f"{_FILTERS}.jwt_authn.v3.JwtAuthentication",
        "providers": {provider.key: _provider(provider) for provider in providers},
        "rules": [{"match": {"prefix": "/"}, "requires": requires}],
    }


def _whole_token(providers: tuple[Provider, ...]) -> Json:
    """Refuse a good token that never ends, or lacks a claim which the policies hand on as a header:
    usage is charged by those.

    The real gateway has no such check of its own: the product's policies ask for the same in each
    rule, and there the answer is 403.
    """
    ends = [_says(provider.key, "exp", {"present_match": True}) for provider in providers]
    named = [
        {"and_ids": {"ids": [_says(provider.key, claim, _WORDS) for claim, _ in claims]}}
        for provider in providers
        if (claims := provider.claim_headers)
    ]
    policies = {TOKEN_ENDLESS: _unless(ends)}
    if len(named) == len(providers):
        policies[TOKEN_INCOMPLETE] = _unless(named)
    return {
        "@type": f"{_FILTERS}.rbac.v3.RBAC",
        "rules": {"action": "DENY", "policies": policies},
    }


def _unless(any_of: list[Json]) -> Json:
    principal = {"not_id": {"or_ids": {"ids": any_of}}}
    return {"permissions": [{"any": True}], "principals": [principal]}


def _says(provider: str, claim: str, value: Json) -> Json:
    matcher = {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{"key": key} for key in (provider, *claim.split("."))],
        "value": value,
    }
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _provider(provider: Provider) -> Json:
    return {
        "issuer": provider.issuer,
        "audiences": list(provider.audiences),
        "remote_jwks": {
            "http_uri": {
                "uri": provider.jwks_uri,
                "cluster": cluster_of_uri(provider.jwks_uri),
                "timeout": "5s",
            },
            "cache_duration": f"{provider.cache_seconds:g}s",
            # Fetched ahead of the first call, and calls pass on the old keys while the issuer is
            # away.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "1s"},
        },
        "payload_in_metadata": provider.key,
        "claim_to_headers": [
            {"header_name": header, "claim_name": claim} for claim, header in provider.claim_headers
        ],
    }


def _processor(wiring: Wiring) -> Json:
    return {
        "@type": f"{_FILTERS}.ext_proc.v3.ExternalProcessor",
        "grpc_service": processor_service("listener"),
        "message_timeout": "10s",
        "allow_mode_override": True,
        "processing_mode": {
            "request_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "response_header_mode": "SEND",
            "response_body_mode": "BUFFERED",
            "request_trailer_mode": "SKIP",
            "response_trailer_mode": "SKIP",
        },
        "response_attributes": ["xds.cluster_name", "xds.route_name"],
        "metadata_options": {"receiving_namespaces": {"untyped": [METADATA_NAMESPACE]}},
    }


def _gate(gate: Extension) -> Json:
    """Return the gate's filter as Envoy Gateway builds it. It is on for every route: all of them
    share the one policy, so that Envoy Gateway's switching on by route comes to the same.
    """
    found: Json = {
        "@type": f"{_FILTERS}.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": gate.name}, "timeout": "10s"},
        "message_timeout": f"{gate.timeout_seconds:g}s",
        "failure_mode_allow": False,
        "status_on_error": {"code": gate.error_status},
        "allow_mode_override": gate.allows_override,
        "processing_mode": {
            "request_header_mode": "SEND",
            "response_header_mode": "SEND",
            **_body_mode("request", gate.request_mode),
            **_body_mode("response", gate.response_mode),
        },
        "metadata_options": {
            "forwarding_namespaces": {"untyped": list(gate.reads)},
            "receiving_namespaces": {"untyped": list(gate.writes)},
        },
    }
    if gate.request_attributes:
        found["request_attributes"] = list(gate.request_attributes)
    if gate.response_attributes:
        found["response_attributes"] = list(gate.response_attributes)
    return found


def _body_mode(half: str, mode: str) -> Json:
    """Return one half's modes; Envoy Gateway sends trailers with the mode that needs them alone."""
    duplex = mode == "FullDuplexStreamed"
    return {
        f"{half}_body_mode": "FULL_DUPLEX_STREAMED" if duplex else "BUFFERED",
        f"{half}_trailer_mode": "SEND" if duplex else "SKIP",
    }


def _rate_limit(headers: bool) -> Json:
    return {
        "@type": f"{_FILTERS}.ratelimit.v3.RateLimit",
        "domain": RATE_LIMIT_DOMAIN,
        "failure_mode_deny": True,
        "timeout": "2s",
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03" if headers else "OFF",
        "rate_limit_service": {
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "ratelimit"}},
        },
    }


# Envoy's operator %REQ_WITHOUT_QUERY% is an extension, which Envoy Gateway adds where it is used.
_WITHOUT_QUERY: Json = {
    "name": "envoy.formatter.req_without_query",
    "typed_config": {
        "@type": f"{_EXTENSIONS}.formatter.req_without_query.v3.ReqWithoutQuery",
    },
}


def _access_log(log: AccessLog, wiring: Wiring) -> Json:
    """Return one sink: the file in the stack's folder, or the stack's Collector."""
    if log.kind == "File":
        return {
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": f"{_EXTENSIONS}.access_loggers.file.v3.FileAccessLog",
                "path": str(wiring.access_log),
                "log_format": {"json_format": dict(log.fields), "formatters": [_WITHOUT_QUERY]},
            },
        }
    attributes = [{"key": key, "value": {"string_value": form}} for key, form in log.fields]
    resource = [{"key": key, "value": {"string_value": value}} for key, value in log.resource]
    return {
        "name": "envoy.access_loggers.open_telemetry",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
            "log_name": "ai-gateway",
            "grpc_service": {"envoy_grpc": {"cluster_name": "collector"}},
            "resource_attributes": {"values": resource},
            "attributes": {"values": attributes},
            "formatters": [_WITHOUT_QUERY],
        },
    }
