"""How fast one replica answers under a load, from its figures. Pure.

A step of the engine continues every answer that is under way by one token; a step that carries
prompts takes longer, by their prefill (vLLM's chunked prefill, 8,192 tokens a step).

Closed loop (`of_callers`): so many callers, each of whom asks again when they have their answer.
Prompts arrive as answers end, and share steps. A prompt waits for the step under way and for the
one that the engine has scheduled ahead before its own.
Open loop (`of_rate`): so many requests a second, whenever they come. Prompts take a share of the
time; a queue forms before it as one does before a counter (M/D/1).

`make bench-sizing` says how far these are from what was measured.
"""

from dataclasses import dataclass
from math import ceil, log

from apps.catalog.sizing.figures import STEP_TOKENS, Figures

AHEAD = 2  # steps before a prompt's own: the one under way, and one that is scheduled
LATE = 0.05  # a share of the prompts: the 95th percentile
FULL = 0.95  # of the time, spent on prompts: beyond, the queue has no end
ROUNDS = 60
LEAST_MS = 0.01  # of an answer: below the shortest measured prompt the line may fall to 0


@dataclass(frozen=True)
class Pace:
    """What callers meet. ttft_ms: 95th percentile, without HTTP; itl_ms: mean time between two
    tokens of an answer; step_ms: a step without prompts, which is the median of that time.
    tokens_per_second: of answers. in_flight: answers under way at once.
    """

    ttft_ms: float
    itl_ms: float
    step_ms: float
    tokens_per_second: float
    in_flight: float


def of_callers(figures: Figures, prompt: int, answer: int, callers: int) -> Pace:
    """Return the pace for so many callers at once. prompt, answer: tokens; callers: 1 or more."""
    length = prompt + answer / 2
    step = figures.decode_ms(callers, length)
    if callers == 1:
        first = figures.prefill_ms(prompt)
        cycle = max(first + (answer - 1) * step, LEAST_MS)
        return Pace(first, step, step, answer * 1000 / cycle, 1)
    share = max(1, STEP_TOKENS // prompt)  # prompts that one step carries whole
    own = ceil(prompt / STEP_TOKENS)  # steps that one prompt takes
    steps = ceil(callers / share) * own
    tokens = min(STEP_TOKENS, callers * prompt)
    mixed = figures.mixed_ms(max(callers - min(share, callers), 1), prompt, tokens)
    cycle = max(steps * mixed + max(answer - 1 - steps, 0) * step, LEAST_MS)
    first = min(steps, own + AHEAD) * mixed
    mean = max((cycle - first) / max(answer - 1, 1), step)
    return Pace(first, mean, step, callers * answer * 1000 / cycle, callers)


def of_rate(figures: Figures, prompt: int, answer: int, rate: float) -> Pace | None:
    """Return the pace at so many requests a second; None where one replica cannot keep up."""
    length = prompt + answer / 2
    under_way = 1.0
    for _ in range(ROUNDS):
        step = figures.decode_ms(under_way, length)
        carrying = figures.single_ms(under_way, prompt) * ceil(prompt / STEP_TOKENS)
        busy = rate * max(carrying - step, 0) / 1000
        if busy >= FULL:
            return None
        mean = step / (1 - busy)
        found = max(rate * (carrying + (answer - 1) * mean) / 1000, 1.0)
        if found > 4 * figures.batches[-1]:
            return None
        if abs(found - under_way) < 0.01 * under_way:
            break
        under_way = (under_way + found) / 2
    taken = rate * carrying / 1000  # of the time, by steps that carry a prompt
    late = carrying / (2 * (1 - min(taken, FULL))) * log(max(taken / LATE, 1))
    ahead = carrying if taken > LATE else step  # the step that the engine has scheduled ahead
    return Pace(late + ahead + carrying, mean, step, rate * answer, under_way)
