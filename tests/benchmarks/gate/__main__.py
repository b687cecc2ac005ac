"""`make bench-gate`: what the gate adds to a call, beside the same Envoy without it and beside
LiteLLM's proxy, in one run.

Calls of 2 and 120 KB, plain and streamed, go to a stub that answers at once. Counted are the
processor seconds of the gate's and the proxy's processes, so that it does not matter what else the
machine does: calls a second and core. What is added to a call is the difference to the same front
without it, at half of the calls that went through at most. Calls of 2 KB are measured once more
with the guard's rules looking at them, with both halves kept in the prompt record, and with both.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from joserfc.jwk import RSAKey

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from deploy.local.stack.ports import free_port
from tests.benchmarks.gate import company, front, rival
from tests.benchmarks.gate.load import Target, Times, as_many_as_go, at_a_rate, percentile
from tests.benchmarks.gate.processes import processor_seconds, running
from tests.benchmarks.report import Result, show

SECONDS = float(os.environ.get("SECONDS", "8"))
CLIENTS = 8
KINDS = tuple((size, stream) for size in (2, 120) for stream in (False, True))  # KB
PATH = "/v1/chat/completions"
READ_SECONDS = 5.0  # a gate has read by then what was decided
Kind = tuple[int, bool]


@dataclass(frozen=True)
class Decided:
    """What people decided about the calls. words: after the kind of call in a figure's name."""

    words: str
    detectors: bool
    capture: bool


NEITHER = Decided("", detectors=False, capture=False)
EITHER = (
    Decided(", detectors on", detectors=True, capture=False),
    Decided(", capture on", detectors=False, capture=True),
    Decided(", detectors and capture on", detectors=True, capture=True),
)


@dataclass(frozen=True)
class Measured:
    """A front under one kind of call. per_core: calls a processor second of its own; at_most: the
    most calls a second; half: times at half of that, bare: the same calls without it.
    """

    per_core: float
    at_most: float
    half: Times
    bare: Times

    def added(self, share: float, what: str = "whole") -> float:
        """Return how many ms are added to the time that so many of 100 are not above."""
        with_it, without = getattr(self.half, what), getattr(self.bare, what)
        return percentile(with_it, share) - percentile(without, share)


def main() -> int:
    """Measure and print the figures. Without LiteLLM's environment, say how it is made."""
    if not rival.is_installed():
        print("LiteLLM is not installed: make bench-gate makes .venv-litellm", file=sys.stderr)
        return 2
    company.found()
    with tempfile.TemporaryDirectory(prefix="qm-gate-") as folder, ExitStack() as kept:
        bench = Bench(Path(folder), kept)
        figures = bench.gate_results()
        figures += bench.rival_results()
    show("gate", figures, note=rival.NO_BUDGET, clients=CLIENTS, seconds=SECONDS)
    return 0


class Bench:
    """The stub and the Envoy without a gate, which run throughout."""

    def __init__(self, folder: Path, kept: ExitStack) -> None:
        self._folder, self._kept = folder, kept
        self._key = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"})
        self._stub = free_port()
        words = [sys.executable, "-m", "tests.benchmarks.gate.upstream", str(self._stub)]
        self._start(words, self._stub)
        self._bare = self._front(None)
        self._ours: dict[tuple[Kind, str], Measured] = {}

    def _start(self, words: list[str], port: int, **env: str) -> psutil.Process:
        return self._kept.enter_context(running(words, {**os.environ, **env}, port=port))

    def _front(self, gate: int | None) -> int:
        port, path = free_port(), self._folder / f"envoy-{gate}.json"
        front.write(path, port=port, admin=free_port(), stub=self._stub, key=self._key, gate=gate)
        self._start(front.command(path), port)
        return port

    def _gate(self, copies: int) -> tuple[int, psutil.Process]:
        """Start so many gates on one address, and return Envoy's port and their process."""
        port, health = free_port(), free_port()
        listen = {
            "GATE_LISTEN": f"127.0.0.1:{port}", "GATE_HEALTH_LISTEN": f"127.0.0.1:{health}",
            "GATE_PROCESSES": str(copies),
        }  # fmt: skip
        words = [sys.executable, "-m", "worker.processes", "gate"]
        process = self._start(words, port, **listen)
        return self._front(port), process

    def gate_results(self) -> list[Result]:
        """Return the gate's own figures."""
        company.decide(detectors=False, capture=False)
        port, process = self._gate(1)
        found = [one for kind in KINDS for one in self._ours_of(port, process, kind, NEITHER)]
        for decided in EITHER:
            company.decide(detectors=decided.detectors, capture=decided.capture)
            time.sleep(READ_SECONDS)
            for kind in KINDS[:2]:
                found += self._ours_of(port, process, kind, decided)
        company.decide(detectors=False, capture=False)
        return [*found, self._scaling()]

    def _ours_of(
        self, port: int, process: psutil.Process, kind: Kind, decided: Decided
    ) -> list[Result]:
        ours = self._measured(self._call(port, kind), self._call(self._bare, kind), process)
        self._ours[kind, decided.words] = ours
        return _of_gate(kind, ours, decided)

    def _scaling(self) -> Result:
        """Return how many times as many calls two gates let through as one."""
        ports = [self._gate(copies) for copies in (1, 2)]
        one, two = (
            asyncio.run(
                as_many_as_go(self._call(port, KINDS[0]), clients=4 * CLIENTS, seconds=SECONDS)
            ).rate
            for port, _ in ports
        )
        return Result("from 1 to 2 gates", round(two / one, 2), "x", 1.5, better="higher")

    def rival_results(self) -> list[Result]:
        """Return LiteLLM's figures, and how many times as many calls the gate takes."""
        port = free_port()
        words, env = rival.command(self._folder, port=port, stub=self._stub)
        process = self._kept.enter_context(running(words, env, port=port))
        found = []
        for kind in KINDS:
            theirs = self._measured(_their_call(port, kind), _their_call(self._stub, kind), process)
            for (ours_of, words), ours in self._ours.items():
                if ours_of == kind:
                    found += _beside(kind, words, ours, theirs)
        return found

    def _call(self, port: int, kind: Kind) -> Target:
        headers = (
            ("authorization", f"Bearer {front.token(self._key)}"),
            ("x-ai-eg-model", front.MODEL),
        )
        return Target(port, PATH, headers, _body(front.MODEL, kind))

    def _measured(self, target: Target, bare: Target, process: psutil.Process) -> Measured:
        asyncio.run(as_many_as_go(target, clients=CLIENTS, seconds=2))
        before = processor_seconds(process)
        most = asyncio.run(as_many_as_go(target, clients=CLIENTS, seconds=SECONDS))
        used = processor_seconds(process) - before
        if most.failed or not most.whole:
            raise RuntimeError(f"{most.failed} calls of {len(most.whole) + most.failed} failed")
        half = asyncio.run(at_a_rate(target, rate=most.rate / 2, seconds=SECONDS))
        alone = asyncio.run(at_a_rate(bare, rate=most.rate / 2, seconds=SECONDS))
        return Measured(len(most.whole) / used, most.rate, half, alone)


def _body(model: str, kind: Kind) -> bytes:
    size, stream = kind
    words = ("The member asks for the requested service again. " * 21 * size)[: size * 1000]
    message = {"role": "user", "content": words}
    call = {"model": model, "messages": [message], "stream": stream, "max_tokens": 50}
    return json.dumps(call).encode()


def _their_call(port: int, kind: Kind) -> Target:
    headers = (("authorization", f"Bearer {rival.KEY}"),)
    return Target(port, PATH, headers, _body(rival.MODEL, kind))


def _words(kind: Kind) -> str:
    size, stream = kind
    return f"{size} KB, {'streamed' if stream else 'plain'}"


def _of_gate(kind: Kind, ours: Measured, decided: Decided) -> list[Result]:
    name, size = _words(kind) + decided.words, kind[0]
    goal = 5.0 if size == 2 and not decided.detectors else 15.0
    found = [
        Result(f"{name}: added, p50", round(ours.added(50), 2), "ms", goal / 2),
        Result(f"{name}: added, p99", round(ours.added(99), 2), "ms", goal),
    ]
    if kind[1]:
        first = round(ours.added(50, "first"), 2)
        found.append(Result(f"{name}: first event added, p50", first, "ms", 5.0))
    return found


def _beside(kind: Kind, words: str, ours: Measured, theirs: Measured) -> list[Result]:
    name, times = _words(kind) + words, ours.per_core / theirs.per_core
    per_core = round(ours.per_core)
    return [
        Result(
            f"{name}: calls a second and core (LiteLLM {theirs.per_core:.0f})",
            per_core, "1/s", round(10 * theirs.per_core), round(times, 1), "higher",
        ),
        Result(
            f"{name}: added, p99, beside LiteLLM's",
            round(ours.added(99), 2), "ms", round(theirs.added(99), 2),
            round(ours.added(99) / max(theirs.added(99), 0.01), 3),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
