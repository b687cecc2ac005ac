"""Tables → Envoy's clusters: one per way to a model, one per issuer of keys, one for the gate.

Each way to a model carries the processor once more, after the backend was chosen: only then is it
known which name the engine goes by.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from deploy.local.gateway.tables import Extension, Reference, Tables
from deploy.local.gateway.wiring import LOOPBACK, Wiring

Json = dict[str, Any]
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster_resources(tables: Tables, wiring: Wiring) -> list[Json]:
    """Return every cluster that routes, the token check and the gate's filter name, by name."""
    models = {name: _model_cluster(ref, tables) for name, ref in tables.references.items()}
    keys = {cluster_of_uri(p.jwks_uri): _key_cluster(p.jwks_uri) for p in tables.providers}
    found = {**models, **keys}
    if tables.listener.extension:
        gate = tables.listener.extension
        found[gate.name] = _gate_cluster(gate, wiring)
    return [cluster for _, cluster in sorted(found.items())]


def cluster_of_uri(uri: str) -> str:
    """Return the name of the cluster that a JWKS address is fetched through."""
    parts = urlsplit(uri)
    return f"jwks/{parts.scheme}/{parts.netloc}"


def processor_service(phase: str) -> Json:
    """Return how a filter calls the processor; it says which filter it is ("listener" or
    "upstream").
    """
    return {
        "envoy_grpc": {"cluster_name": "processor"},
        "timeout": "10s",
        "initial_metadata": [{"key": "x-phase", "value": phase}],
    }


def _model_cluster(ref: Reference, tables: Tables) -> Json:
    host = (ref.hostname, ref.port)
    if host in tables.endpoints:
        kind, addresses = "STATIC", [_split(address) for address in tables.endpoints[host]]
    else:
        kind, addresses = "STRICT_DNS", [host]
    return {
        **_cluster(ref.cluster, kind, addresses, ref.hostname),
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http_protocol_options": {}},
                "http_filters": [
                    {"name": "envoy.filters.http.ext_proc", "typed_config": _upstream_processor()},
                    {
                        "name": "envoy.filters.http.upstream_codec",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"  # noqa: E501
                        },
                    },
                ],
            }
        },
    }


def _upstream_processor() -> Json:
    """Return the second call to the processor. Headers must be sent too: skipped, a body may pass
    unrewritten.
    """
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": processor_service("upstream"),
        "message_timeout": "10s",
        "processing_mode": {
            "request_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "response_header_mode": "SKIP",
            "response_body_mode": "NONE",
            "request_trailer_mode": "SKIP",
            "response_trailer_mode": "SKIP",
        },
        "request_attributes": ["xds.cluster_name", "xds.route_name"],
    }


def _gate_cluster(gate: Extension, wiring: Wiring) -> Json:
    """Return the gate's cluster. Where it leads is local, as with the Collector: no Service of the
    cluster can lead to a process of this machine.
    """
    return {
        **_cluster(gate.name, "STATIC", [(LOOPBACK, wiring.gate_port)], gate.host[0]),
        "connect_timeout": "10s",
        "per_connection_buffer_limit_bytes": gate.buffer_bytes,
        "circuit_breakers": {
            "thresholds": [
                {"max_requests": gate.most_calls, "max_pending_requests": gate.most_waiting}
            ]
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _key_cluster(uri: str) -> Json:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    cluster = _cluster(cluster_of_uri(uri), "STRICT_DNS", [(parts.hostname or "", port)])
    if parts.scheme == "https":
        cluster["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",  # noqa: E501
                "sni": parts.hostname,
                "common_tls_context": {"validation_context": {"system_root_certs": {}}},
            },
        }
    return cluster


def _cluster(name: str, kind: str, addresses: list[tuple[str, int]], hostname: str = "") -> Json:
    """Return a cluster. hostname: what the access log calls its hosts, as it does where DNS names
    them.
    """
    named = {"hostname": hostname} if hostname else {}
    endpoints = [
        {
            "endpoint": {
                "address": {"socket_address": {"address": host, "port_value": port}},
                **named,
            }
        }
        for host, port in addresses
    ]
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": kind,
        **({"dns_lookup_family": "V4_PREFERRED"} if kind == "STRICT_DNS" else {}),
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
