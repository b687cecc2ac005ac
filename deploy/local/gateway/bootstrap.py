"""Envoy's own start: where its files are, and the three neighbors that no object names."""

from __future__ import annotations

from typing import Any

from deploy.local.gateway.listeners import watched
from deploy.local.gateway.wiring import LOOPBACK, Wiring

Json = dict[str, Any]
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(wiring: Wiring) -> Json:
    """Return the file that Envoy is started with."""
    return {
        "node": {"id": "ai-gateway", "cluster": "ai-gateway"},
        "admin": {
            "address": {"socket_address": {"address": LOOPBACK, "port_value": wiring.admin_port}}
        },
        "dynamic_resources": {
            "cds_config": watched(wiring, "cds.json"),
            "lds_config": watched(wiring, "lds.json"),
        },
        "static_resources": {
            "clusters": [
                _neighbor("processor", wiring.processor_port),
                _neighbor("ratelimit", wiring.rate_limit_port),
                _neighbor("collector", wiring.collector_port),
            ]
        },
    }


def _neighbor(name: str, port: int) -> Json:
    """Return a gRPC service on the loopback."""
    endpoint = {
        "endpoint": {"address": {"socket_address": {"address": LOOPBACK, "port_value": port}}}
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
