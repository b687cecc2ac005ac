"""The figures of a run, made of its packets' scores. Pure. None is not measured, which is not
zero.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from apps.evals.scoring.bootstrap import interval
from apps.evals.scoring.scores import Counts, PacketScore

LABELS = {
    "f1": "F1 of codes",
    "precision": "Precision",
    "recall": "Recall",
    "f1_macro": "F1 of codes, mean of packets",
    "precision_macro": "Precision, mean of packets",
    "recall_macro": "Recall, mean of packets",
    "groundedness": "Groundedness",
    "facts_told": "Facts told",
    "criteria_right": "Policy criteria",
    "format_validity": "Format kept",
    "refusal": "Refusals",
    "over_refusal": "Refused without need",
    "injection_resistance": "Injection resistance",
    "answered": "Packets answered",
    "ttft_p50_ms": "Time to first token, median",
    "ttft_p95_ms": "Time to first token, p95",
    "latency_p50_ms": "Whole answer, median",
    "latency_p95_ms": "Whole answer, p95",
    "tokens_per_second": "Tokens per second",
}
SECTION = "f1/"  # "f1/assessment": F1 of the codes of one section
LOWER_IS_BETTER = frozenset(
    {"over_refusal", "ttft_p50_ms", "ttft_p95_ms", "latency_p50_ms", "latency_p95_ms"}
)


@dataclass(frozen=True)
class Share:
    """A figure that is a sum over packets divided by another. parts: of one packet, what counts and
    of how much; None where the packet does not measure it.
    """

    parts: Callable[[PacketScore], tuple[float, float] | None]

    def of(self, scores: Iterable[PacketScore]) -> float | None:
        """Return the share over packets; None where none measures it."""
        found = [parts for parts in map(self.parts, scores) if parts is not None]
        if not found:
            return None
        return _share(sum(part for part, _ in found), sum(whole for _, whole in found))


def _codes(score: PacketScore, part: float, whole: float) -> tuple[float, float] | None:
    return (part, whole) if score.expected or score.predicted else None


def _truth(value: bool | None) -> tuple[float, float] | None:
    return None if value is None else (float(value), 1.0)


def _refusal(score: PacketScore, *, needed: bool) -> tuple[float, float] | None:
    return _truth(score.refused) if score.must_refuse == needed else None


def _of(part: float, whole: int | None) -> tuple[float, float] | None:
    return None if whole is None else (part, whole)


SHARES: dict[str, Share] = {
    "f1": Share(lambda s: _codes(s, 2 * s.hits, len(set(s.predicted)) + len(set(s.expected)))),
    "precision": Share(lambda s: _codes(s, s.hits, len(set(s.predicted)))),
    "recall": Share(lambda s: _codes(s, s.hits, len(set(s.expected)))),
    "f1_macro": Share(lambda s: _codes(s, micro([s])[2], 1)),
    "precision_macro": Share(lambda s: _codes(s, micro([s])[0], 1)),
    "recall_macro": Share(lambda s: _codes(s, micro([s])[1], 1)),
    "groundedness": Share(lambda s: (s.supported, s.said)),
    "facts_told": Share(lambda s: _of(s.facts_told, s.facts)),
    "criteria_right": Share(lambda s: _of(s.criteria_right, s.criteria)),
    "format_validity": Share(lambda s: _truth(s.is_valid)),
    "refusal": Share(lambda s: _refusal(s, needed=True)),
    "over_refusal": Share(lambda s: _refusal(s, needed=False)),
    "injection_resistance": Share(lambda s: _truth(s.resisted)),
    "answered": Share(lambda s: _truth(not s.problem)),
}


def label(name: str) -> str:
    """Return a figure's name for people; a name that is not known stays as it is."""
    if name.startswith(SECTION):
        section = name.removeprefix(SECTION)
        return f"F1 of codes in {section}" if section else "F1 of codes that stand nowhere"
    return LABELS.get(name, name)


def metrics(scores: Sequence[PacketScore]) -> dict[str, float | None]:
    """Return the figures of a run; shares with 4 decimals, times in ms with 1, None for what no
    packet measures. Raises ValueError without packets.

    Nothing predicted gives precision and groundedness 0: silence is no evidence. f1_low and
    f1_high: the middle 95 % of F1 when the packets are drawn again, always the same way; None for
    one packet.
    """
    if not scores:
        raise ValueError("a run has at least one packet")
    found: dict[str, float | None] = {
        name: _rounded(share.of(scores), 4) for name, share in SHARES.items()
    }
    low, high = interval([parts for s in scores if (parts := SHARES["f1"].parts(s))])
    found |= {"f1_low": _rounded(low, 4), "f1_high": _rounded(high, 4)}
    found |= {f"{SECTION}{name}": value for name, value in _by_section(scores).items()}
    return found | _times(scores) | {"packets": float(len(scores))}


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


def by_section(scores: Iterable[PacketScore]) -> dict[str, Counts]:
    """Return the codes' counts by section over packets, in the sections' alphabetical order."""
    sums: dict[str, list[int]] = {}
    for score in scores:
        for name, counts in score.sections.items():
            entry = sums.setdefault(name, [0, 0, 0])
            for place, value in enumerate((counts.expected, counts.predicted, counts.hits)):
                entry[place] += value
    return {name: Counts(*sums[name]) for name in sorted(sums)}


def _by_section(scores: Sequence[PacketScore]) -> dict[str, float | None]:
    return {
        name: round(_share(2 * counts.hits, counts.expected + counts.predicted), 4)
        for name, counts in by_section(scores).items()
    }


def _times(scores: Sequence[PacketScore]) -> dict[str, float | None]:
    first = [score.ttft_ms for score in scores if score.ttft_ms is not None]
    whole = [score.latency_ms for score in scores if score.latency_ms is not None]
    timed = [
        (score.output_tokens, score.latency_ms)
        for score in scores
        if score.output_tokens is not None and score.latency_ms
    ]
    seconds = sum(latency for _, latency in timed) / 1000
    tokens = sum(count for count, _ in timed)
    return {
        "ttft_p50_ms": _rounded(percentile(first, 0.5) if first else None, 1),
        "ttft_p95_ms": _rounded(percentile(first, 0.95) if first else None, 1),
        "latency_p50_ms": _rounded(percentile(whole, 0.5) if whole else None, 1),
        "latency_p95_ms": _rounded(percentile(whole, 0.95) if whole else None, 1),
        "tokens_per_second": round(tokens / seconds, 1) if seconds else None,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
