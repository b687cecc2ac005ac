"""The Envoy that calls go through: token check, the gate where there is one, the stub behind it.

Nothing else is in it, so that what differs with the gate is the gate's: Envoy AI Gateway's own
processor costs the same on both sides. The filters are those that Envoy Gateway makes of
deploy/gateway/gate.yaml.
"""

import json
import time
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from deploy.local.gateway.parts import envoy_program

EXTENSIONS = "type.googleapis.com/envoy.extensions"
FILTERS = f"{EXTENSIONS}.filters.http"
ISSUER, AUDIENCE = "https://bench.example.com", "quartermaster-gateway"
TEAM, COST_CENTER, MODEL = "squad-100", "CC-10", "model-100"
Json = dict[str, Any]


def token(key: RSAKey) -> str:
    """Return a caller's token, good for an hour."""
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "caller-1", "team": TEAM,
        "cost_center": COST_CENTER, "exp": int(time.time()) + 3600,
    }  # fmt: skip
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def write(path: Path, *, port: int, admin: int, stub: int, key: RSAKey, gate: int | None) -> None:
    """Write Envoy's whole configuration. gate: the gate's port, None without it."""
    filters = [_token_check(key)]
    if gate is not None:
        filters.append(_gate())
    filters.append({"name": "router", "typed_config": {"@type": f"{FILTERS}.router.v3.Router"}})
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [_routes()]},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    clusters = [_cluster("stub", stub)]
    if gate is not None:
        clusters.append(_cluster("gate", gate, http2=True))
    path.write_text(
        json.dumps(
            {
                "admin": {"address": _address(admin)},
                "static_resources": {
                    "listeners": [
                        {
                            "name": "bench",
                            "address": _address(port),
                            "per_connection_buffer_limit_bytes": 50 * 2**20,
                            "filter_chains": [chain],
                        }
                    ],
                    "clusters": clusters,
                },
            }
        )
    )


def command(path: Path) -> list[str]:
    """Return how Envoy is started: with one worker, as each has its own connections to the gate."""
    words = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return [str(envoy_program()), "-c", str(path), *words]


def _routes() -> Json:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "stub", "timeout": "60s"}}
    return {"name": "all", "domains": ["*"], "routes": [route]}


def _token_check(key: RSAKey) -> Json:
    keys = json.dumps({"keys": [key.as_dict(private=False)]})
    provider = {
        "issuer": ISSUER, "audiences": [AUDIENCE], "local_jwks": {"inline_string": keys},
        "payload_in_metadata": "idp",
    }  # fmt: skip
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"{FILTERS}.jwt_authn.v3.JwtAuthentication",
            "providers": {"idp": provider},
            "rules": [rule],
        },
    }


def _gate() -> Json:
    return {
        "name": "gate",
        "typed_config": {
            "@type": f"{FILTERS}.ext_proc.v3.ExternalProcessor",
            "grpc_service": {"envoy_grpc": {"cluster_name": "gate"}, "timeout": "10s"},
            "message_timeout": "10s",
            "allow_mode_override": True,
            "processing_mode": {
                "request_header_mode": "SEND",
                "request_body_mode": "BUFFERED",
                "response_header_mode": "SEND",
                "response_body_mode": "BUFFERED",
            },
            "metadata_options": {
                "forwarding_namespaces": {"untyped": ["envoy.filters.http.jwt_authn"]},
                "receiving_namespaces": {"untyped": ["quartermaster.usage"]},
            },
        },
    }


def _cluster(name: str, port: int, *, http2: bool = False) -> Json:
    cluster: Json = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": 50 * 2**20,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }
    if http2:
        options = f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions"
        http2_config = {"explicit_http_config": {"http2_protocol_options": {}}}
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options, **http2_config,
            }
        }  # fmt: skip
    return cluster


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
