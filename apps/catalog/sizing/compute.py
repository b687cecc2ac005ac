"""Works out figures with the library `aiconfigurator-core`, in a process of its own.

The library reads tables of hundreds of megabytes for each kind of GPU, and takes a configuration
that somebody uploaded: so it runs in a child with a bound on its memory, which ends after its work.
`python -m apps.catalog.sizing.compute` takes a question as JSON on its standard input and writes
one line of JSON for each of its answers. It asks no network: it is given a folder, not a name.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from apps.catalog.sizing.figures import BATCHES, LENGTHS, STEP_TOKENS, Figures
from apps.catalog.sizing.shapes import ALIKE, Shape, of_config

ENGINE = "vllm"
LONGEST = 100.0  # seconds for all of a question
MOST_CPU = 150  # seconds of a processor: it ends by itself where nobody is left to end it
MOST_MEMORY = 6 * 1024**3  # bytes of address space; the tables of all cards take some 300 MB
WITHOUT_LIMIT = 10**13  # bytes: the library refuses what does not fit, and we ask what it takes
BORROWED = "some of its measurements are another shape's"
ANOTHERS = "its attention was measured with another engine"


@dataclass(frozen=True)
class Computed:
    """Figures for one table and one split, or in `problem` why there are none."""

    table: str
    ways: int
    figures: Figures | None
    problem: str = ""


def library() -> str:
    """Return the library with its version; reads no table."""
    return f"aiconfigurator-core {version('aiconfigurator-core')}"


def computed(shape: Shape, wanted: Sequence[tuple[str, int]]) -> Iterator[Computed]:
    """Yield figures as they are ready, for pairs of a table and a split. About 3 s for each table
    and 0.1 s for each further split. What the child does not reach is not yielded.
    """
    question = {"config": dict(shape.config), "wanted": list(wanted)}
    environment = {"PATH": os.defpath, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "apps.catalog.sizing.compute"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdin and child.stdout, "both are pipes"  # noqa: S101
    watch = threading.Timer(LONGEST, child.kill)
    watch.start()
    try:
        child.stdin.write(json.dumps(question).encode())
        child.stdin.close()
        for line in child.stdout:
            if (found := _read(line)) is not None:
                yield found
    except BrokenPipeError:
        return
    finally:
        watch.cancel()
        child.kill()
        child.stdout.close()
        child.wait()


def _read(line: bytes) -> Computed | None:
    """Return an answer of the child; None for a line that it did not finish, or not write."""
    try:
        found = json.loads(line)
        figures = Figures.of_json(found["figures"]) if found["figures"] else None
        return Computed(found["table"], found["ways"], figures, found["problem"])
    except (ValueError, TypeError, KeyError):
        return None


# -- In the child ----------------------------------------------------------------------------------


def main() -> None:
    """Answer the question on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    # whoever watches it may be killed first
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU))
    question = json.loads(sys.stdin.read())
    shape = of_config(question["config"])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(_as_known(question["config"])))
        for table, ways in question["wanted"]:
            found = one(folder, shape, table, ways)
            figures = found.figures.as_json() if found.figures else None
            line = {"table": table, "ways": ways, "figures": figures, "problem": found.problem}
            print(json.dumps(line), flush=True)


def one(folder: str, shape: Shape, table: str, ways: int) -> Computed:
    """Return the figures of the model in a folder, on one table and split. Imports the library."""
    logging.disable(logging.CRITICAL)  # it warns of tables that it reads and nobody asked for
    try:
        return Computed(table, ways, _figures(folder, shape, table, ways))
    except Exception as error:  # it raises whatever a configuration makes it meet
        return Computed(table, ways, None, _problem(error, shape))


def _figures(folder: str, shape: Shape, table: str, ways: int) -> Figures:
    from aiconfigurator_core.sdk.engine import EngineHandle

    options: dict[str, Any] = {"tp_size": ways, "kvcache_quant_mode": shape.kv_kind}
    if shape.has_experts:
        options["moe_tp_size"] = ways
    engine = EngineHandle.compile(folder, table, ENGINE, **options)
    lengths = _lengths(shape)
    notes: set[str] = {ANOTHERS} if shape.is_latent else set()
    if words := ALIKE.get(shape.architecture):
        notes.add(words[1])

    def ask(method: str, *arguments: int) -> float:
        answer = float(getattr(engine, method)(*arguments))
        if not isfinite(answer):
            raise ArithmeticError(method)
        with suppress(AttributeError):
            if engine.last_provenance() not in (None, "silicon"):
                notes.add(BORROWED)
        return round(answer, 4)

    memory = _memory(folder, table, options)
    return Figures(
        lengths=lengths,
        batches=BATCHES,
        decode=[[ask("predict_decode_latency", b, n) for n in lengths] for b in BATCHES],
        prefill=[ask("predict_prefill_latency", 1, n) for n in lengths],
        single=[
            [ask("mixed_step_latency", min(n, STEP_TOKENS), b, n, 2) for n in lengths]
            for b in BATCHES
        ],
        full=[[ask("mixed_step_latency", STEP_TOKENS, b, n, 2) for n in lengths] for b in BATCHES],
        note="; ".join(sorted(notes)),
        **memory,
    )


def _lengths(shape: Shape) -> tuple[int, ...]:
    """Return the lengths that the model takes, two at least."""
    longest = shape.context or LENGTHS[-1]
    return tuple(each for each in LENGTHS if each <= max(longest, LENGTHS[1]))


def _memory(folder: str, table: str, options: dict[str, Any]) -> dict[str, int]:
    from aiconfigurator_core.sdk.memory import estimate_kv_cache

    found = estimate_kv_cache(
        folder,
        table,
        ENGINE,
        "current",
        max_num_tokens=STEP_TOKENS,
        max_batch_size=1024,
        memory_fraction_kind="of_total",
        memory_fraction_value=0.9,
        gpu_memory_capacity_bytes_override=WITHOUT_LIMIT,
        **options,
    )
    parts = found["memory_breakdown"]
    other = sum(size for name, size in parts.items() if name != "weights_bytes")
    return {"overhead_bytes": round(other), "kv_bytes": round(found["kv_size_per_token_bytes"])}


def _problem(error: Exception, shape: Shape) -> str:
    """Return the library's error in a line of our own."""
    said = str(error)
    if "is not supported" in said and "architecture" in said:
        return f"the architecture {shape.architecture or 'of this model'} was never measured"
    if "flops" in said:
        return "this GPU does not compute in the numbers of these weights"
    return f"the library cannot model it there ({type(error).__name__})"


def _as_known(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration under the name of a family that the library knows."""
    named = config.get("architectures") or [""]
    alike = ALIKE.get(named[0])
    return {**config, "architectures": [alike[0]]} if alike else config


if __name__ == "__main__":
    main()
