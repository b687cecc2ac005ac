"""`make bench-sizing`: how far sizing is from what was measured on one H100 with vLLM 0.26.

What was measured stands here, figure by figure: a Llama of 8 billion parameters, in 16 bits and
with fp8 weights, closed and open loop, prompts of 2,000 and 8,000 tokens. Each result is the error
in percent, whatever its sign; its name says both figures. Nothing but the library's tables is read:
no GPU, no weights, no database. Corrected KV tokens are those that follow for one start from what
the engine reported of another one: its second start, and its start with fp8 weights.
"""

import json
import math
import time

from apps.catalog.facts.reading import Sources, read
from apps.catalog.sizing import pace
from apps.catalog.sizing.cards import Machine
from apps.catalog.sizing.compute import computed, library
from apps.catalog.sizing.figures import Figures
from apps.catalog.sizing.memory import Reported, room
from apps.catalog.sizing.shapes import Shape
from tests.benchmarks.report import Result, show
from tests.catalog import configs

GIB = 1024**3
H100 = Machine("p5.4xlarge", "h100", 1, 81920, 16, 256, None, None)
# clients → ms between tokens (p50), 2,000 in and 200 out; of fp8 weights as well
DECODE = {1: 6.5, 8: 7.2, 32: 9.6, 64: 12.7, 128: 19.0}
DECODE_FP8 = {1: 4.2, 32: 7.5, 128: 16.7}
# tokens of a prompt → ms to the first token for one client; HTTP is in it
PREFILL = {2000: 55.0, 8000: 227.0}
# (prompt, answer, clients) → tokens a second; p95 of the first token after the first wave, ms;
# mean time between tokens, ms
CLOSED = {
    (2000, 200, 1): (148.4, 56, 6.5), (2000, 200, 8): (883.6, 356, 7.8),
    (2000, 200, 32): (1890.4, 586, 14.1), (2000, 200, 64): (2328.0, 593, 23.2),
    (2000, 200, 128): (2624.7, 835, 41.6), (8000, 300, 1): (133.3, 228, 6.8),
    (8000, 300, 12): (629.1, 650, 16.4), (8000, 300, 32): (805.6, 668, 34.1),
}  # fmt: skip
CLOSED_FP8 = {
    (2000, 200, 1): 223.6, (2000, 200, 32): 2586.2, (2000, 200, 128): 3505.9,
    (8000, 300, 12): 836.2,
}  # fmt: skip
# requests a second → p95 of the first token, p50 between tokens, ms
OPEN = {4.24: (111, 7.6), 7.13: (180, 8.7), 8.92: (240, 9.5)}
KV_COLD, KV_WARM, KV_FP8 = 449_968, 451_840, 502_640
WEIGHTS, WEIGHTS_FP8 = 14.96 * GIB, 8.54 * GIB


def main() -> int:
    """Compare, and print the errors."""
    begun = time.perf_counter()
    plain = shape_of(configs.LLAMA_8B, "")
    small = shape_of(configs.LLAMA_8B_FP8, "F8_E4M3")
    figures, figures_fp8 = (_figures(each) for each in (plain, small))
    took = round((time.perf_counter() - begun) / 2, 1)
    results = [
        *decoding(figures, figures_fp8),
        *closed_loop(figures, figures_fp8),
        *open_loop(figures),
        *memory(plain, small, figures, figures_fp8),
        Result("figures of one kind of GPU, once for a model", took, "s", 30),
    ]
    show("sizing", results, library=library())
    return 0


def shape_of(config: dict[str, object], layers: str) -> Shape:
    """Return the shape of a configuration with the headers of its weights."""
    headers = {"model.safetensors": configs.header(config, layers=layers)}
    content = json.dumps(config).encode()
    return Shape.of(read(Sources(["config.json"], {"config.json": content}, headers)))


def decoding(figures: Figures, fp8: Figures) -> list[Result]:
    """Return the errors of a step that only continues answers, and of prompts alone."""
    found = [
        off(f"decode step, {n} clients", figures.decode_ms(n, 2100), measured, "ms", 7)
        for n, measured in DECODE.items()
    ]
    found += [
        off(f"decode step, fp8 weights, {n} clients", fp8.decode_ms(n, 2100), measured, "ms", 7)
        for n, measured in DECODE_FP8.items()
    ]
    return found + [
        off(f"prefill of {n:,} without HTTP", figures.prefill_ms(n), measured, "ms", 25)
        for n, measured in PREFILL.items()
    ]


def closed_loop(figures: Figures, fp8: Figures) -> list[Result]:
    """Return the errors with clients that ask again when they have their answer."""
    found: list[Result] = []
    for (prompt, answer, clients), (speed, first, mean) in CLOSED.items():
        made = pace.of_callers(figures, prompt, answer, clients)
        what = f"{prompt:,}/{answer}, {clients} clients"
        found += [
            off(f"{what}: tokens a second", made.tokens_per_second, speed, "", 7),
            off(f"{what}: first token p95", made.ttft_ms, first, "ms", 35),
            off(f"{what}: mean between tokens", made.itl_ms, mean, "ms", 10),
        ]
    for (prompt, answer, clients), speed in CLOSED_FP8.items():
        made = pace.of_callers(fp8, prompt, answer, clients)
        what = f"{prompt:,}/{answer}, fp8 weights, {clients} clients: tokens a second"
        found.append(off(what, made.tokens_per_second, speed, "", 7))
    return found


def open_loop(figures: Figures) -> list[Result]:
    """Return the errors with requests that come whenever they come."""
    found: list[Result] = []
    for rate, (first, median) in OPEN.items():
        made = pace.of_rate(figures, 2000, 200, rate)
        what = f"2,000/200, {rate} requests a second"
        found += [
            off(f"{what}: first token p95", made.ttft_ms if made else math.inf, first, "ms", 35),
            off(f"{what}: step p50", made.step_ms if made else math.inf, median, "ms", 7),
        ]
    return found


def memory(plain: Shape, small: Shape, figures: Figures, fp8: Figures) -> list[Result]:
    """Return the errors of weights and of the KV cache, by the library and corrected."""
    cold = Reported(
        "v1", "vllm 0.26.0", "h100", 1, round(79.18 * GIB), 0.9, round(WEIGHTS), 131072, KV_COLD
    )
    by_library = room(plain, H100, 1, figures, None)
    again = room(plain, H100, 1, figures, cold)
    other = room(small, H100, 1, fp8, cold)
    assert by_library and again and other, "the weights are known"  # noqa: S101
    return [
        off("weights, from the headers", plain.weight_bytes or 0, WEIGHTS, "bytes", 2),
        off("weights in fp8, from the headers", small.weight_bytes or 0, WEIGHTS_FP8, "bytes", 2),
        off("KV tokens by the library alone", by_library.kv_tokens or 0, KV_COLD, "", 10),
        off("KV tokens corrected by another start", again.kv_tokens or 0, KV_WARM, "", 2),
        off("KV tokens in fp8, corrected by 16 bits", other.kv_tokens or 0, KV_FP8, "", 2),
    ]


def off(name: str, found: float, measured: float, unit: str, goal: float) -> Result:
    """Return an error in percent, with both figures in its name."""
    error = abs(found / measured - 1) * 100
    words = f"{name}: {found:,.4g} of {measured:,.4g} {unit}".strip()
    return Result(words, round(error, 1), "%", goal)


def _figures(shape: Shape) -> Figures:
    (found,) = computed(shape, [("h100_sxm", 1)])
    assert found.figures, found.problem  # noqa: S101
    return found.figures


if __name__ == "__main__":
    raise SystemExit(main())
