"""A control plane of a test's own: etcd and the API server as real processes, with everything
installed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deploy.local.cluster import control_plane, kubeconfigs, layout, probes
from deploy.local.cluster.api import Api
from deploy.local.platform import programs
from deploy.local.stack.part import Context, NotReady, Part
from deploy.local.stack.ports import free_port
from tests.local.cluster_context import cluster_context

READY_WITHIN_SECONDS = 120


def missing(*names: str) -> list[str]:
    """Return which programs are not built yet."""
    binaries = programs.binaries(os.environ)
    return [name for name in names if not (binaries / name).exists()]


def own_context(state: Path, **env: str) -> Context:
    """Return a Context whose state lies in `state` and whose ports are free ones, the same for the
    same name. It signs with keys in files: no Vault runs beside the parts that tests start.
    """
    taken: dict[str, int] = {}

    def port(name: str, _: int) -> int:
        while name not in taken:
            found = free_port()
            if found not in taken.values():
                taken[name] = found
        return taken[name]

    signers = {"SIGNER": "file", "AUDIT_SIGNER": "file"}
    found = cluster_context(state, **{**os.environ, **signers, **env})
    return replace(found, binaries=programs.binaries(os.environ), python=sys.executable, ports=port)


@contextmanager
def running(context: Context, parts: Sequence[Part]) -> Iterator[dict[str, subprocess.Popen]]:
    """Start parts one after the other, each once the one before is ready; yield name → process; end
    them all.
    """
    started: dict[str, subprocess.Popen] = {}
    try:
        for part in parts:
            started[part.name] = _launch(part, context.state / f"{part.name}.log")
            _wait(part, started[part.name], context.state / f"{part.name}.log")
            part.after()
        yield started
    finally:
        # one by one: each would wait for what it talks to
        for process in reversed(started.values()):
            process.terminate()
            _end(process)


@contextmanager
def control_plane_of(
    state: Path, *, more: Sequence[Part] = (), context: Context | None = None
) -> Iterator[Context]:
    """Run etcd and the API server, and `more` after them, for as long as the block lasts."""
    found = context or own_context(state)
    with running(found, [*control_plane.parts(found)[:2], *more]):
        yield found


def api_as(context: Context, client: str = "admin") -> Api:
    """Return a connection to the API server with one client's certificate; to be closed after
    use.
    """
    pair = kubeconfigs.client_pair(context, client)
    trust = probes.tls(kubeconfigs.authority(context).pair.certificate, pair.certificate, pair.key)
    return Api(layout.address(context, "kube-apiserver"), trust)


def _launch(part: Part, log: Path) -> subprocess.Popen:
    part.prepare()
    env = {"PATH": os.environ["PATH"], "HOME": str(log.parent), **part.env}
    with log.open("wb") as file:
        return subprocess.Popen(part.command, env=env, stdout=file, stderr=file, cwd=part.cwd)


def _wait(part: Part, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        try:
            return part.ready()
        except NotReady:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.2)


def _end(process: subprocess.Popen) -> None:
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
