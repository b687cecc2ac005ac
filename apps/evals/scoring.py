"""How good answers are: codes out of free text, micro-averaged precision, recall and F1,
groundedness, latency. Pure.

Answers are read leniently: a code counts wherever it stands in the answer, whether or not the JSON
around it is valid.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CANDIDATE = re.compile(
    r"(?<![A-Za-z0-9.])(?:[A-TV-Za-tv-z]\d[0-9A-Za-z](?:\.?[0-9A-Za-z]{1,4})?|\d{5})(?![A-Za-z0-9])"
)
_DIAGNOSIS = re.compile(r"[A-TV-Z]\d[0-9AB](?:\.[0-9A-Z]{1,4})?")
_PROCEDURE = re.compile(r"\d{5}|[A-V]\d{4}")
RESAMPLES = 400

LABELS = {
    "f1": "F1 of codes",
    "precision": "Precision",
    "recall": "Recall",
    "groundedness": "Groundedness",
    "ttft_p50_ms": "Time to first token, median",
    "ttft_p95_ms": "Time to first token, p95",
    "latency_p50_ms": "Whole answer, median",
    "latency_p95_ms": "Whole answer, p95",
    "tokens_per_second": "Tokens per second",
}


@dataclass(frozen=True)
class PacketScore:
    """One answered packet. expected, predicted: codes, each once; grounded: predicted codes that
    stand in the text.
    """

    expected: tuple[str, ...]
    predicted: tuple[str, ...]
    grounded: int
    ttft_ms: float
    latency_ms: float
    output_tokens: int

    @property
    def hits(self) -> int:
        """Return how many predicted codes are right."""
        return len(set(self.expected) & set(self.predicted))


@dataclass(frozen=True)
class Verdict:
    """One metric against its threshold; exactly one of minimum and maximum is set."""

    metric: str
    label: str
    value: float
    minimum: float | None
    maximum: float | None

    @property
    def met(self) -> bool:
        """Tell whether the value is within its threshold, the boundary included."""
        return (self.minimum is None or self.value >= self.minimum) and (
            self.maximum is None or self.value <= self.maximum
        )


def parse_codes(answer: str) -> tuple[str, ...]:
    """Return the ICD-10, CPT and HCPCS codes in an answer, normalized, each once, in their
    order.
    """
    found = (normalized(match.group()) for match in _CANDIDATE.finditer(answer))
    return tuple(dict.fromkeys(code for code in found if code))


def normalized(code: str) -> str:
    """Return a code in the way it is compared (upper case, ICD-10 with its dot); "" when it is
    none.

    A letter and four digits is HCPCS; other ICD-10 codes may come without their dot.
    """
    code = code.strip().upper()
    if _PROCEDURE.fullmatch(code):
        return code
    if len(code) > 3 and "." not in code:
        code = f"{code[:3]}.{code[3:]}"
    return code if _DIAGNOSIS.fullmatch(code) else ""


def count_grounded(predicted: Sequence[str], text: str) -> int:
    """Return how many predicted codes stand in the packet's text."""
    return len(set(predicted) & set(parse_codes(text)))


def metrics(scores: Sequence[PacketScore]) -> dict[str, float]:
    """Return the figures of a run; shares with 4 decimals, times in ms with 1. Raises ValueError
    without packets.

    Nothing predicted gives precision and groundedness 0: silence is no evidence. f1_low and
    f1_high: the middle 95 % of F1 when the packets are drawn again, always the same way.
    """
    if not scores:
        raise ValueError("a run has at least one packet")
    precision, recall, f1 = micro(scores)
    predicted = sum(len(score.predicted) for score in scores)
    seconds = sum(score.latency_ms for score in scores) / 1000
    low, high = _interval(scores)
    return {
        "f1": round(f1, 4),
        "f1_low": round(low, 4),
        "f1_high": round(high, 4),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "groundedness": round(_share(sum(score.grounded for score in scores), predicted), 4),
        "ttft_p50_ms": round(percentile([score.ttft_ms for score in scores], 0.5), 1),
        "ttft_p95_ms": round(percentile([score.ttft_ms for score in scores], 0.95), 1),
        "latency_p50_ms": round(percentile([score.latency_ms for score in scores], 0.5), 1),
        "latency_p95_ms": round(percentile([score.latency_ms for score in scores], 0.95), 1),
        "tokens_per_second": round(sum(score.output_tokens for score in scores) / seconds, 1)
        if seconds
        else 0.0,
        "packets": float(len(scores)),
    }


def micro(scores: Sequence[PacketScore]) -> tuple[float, float, float]:
    """Return precision, recall and F1 over all codes of all packets."""
    hits = sum(score.hits for score in scores)
    predicted = sum(len(set(score.predicted)) for score in scores)
    expected = sum(len(set(score.expected)) for score in scores)
    return _share(hits, predicted), _share(hits, expected), _share(2 * hits, predicted + expected)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed (nearest
    rank).
    """
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]


def judge(
    found: Mapping[str, float], thresholds: Mapping[str, Mapping[str, float]]
) -> list[Verdict]:
    """Return each threshold's verdict, in the order of the suite. A metric that is missing is 0."""
    return [
        Verdict(
            name,
            LABELS.get(name, name),
            found.get(name, 0.0),
            limits.get("minimum"),
            limits.get("maximum"),
        )
        for name, limits in thresholds.items()
    ]


def _interval(scores: Sequence[PacketScore]) -> tuple[float, float]:
    draw = random.Random(0)  # noqa: S311 (resampling, not secrets)
    drawn = sorted(micro(draw.choices(scores, k=len(scores)))[2] for _ in range(RESAMPLES))
    return drawn[int(RESAMPLES * 0.025)], drawn[int(RESAMPLES * 0.975)]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
