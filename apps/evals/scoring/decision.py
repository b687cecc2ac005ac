"""Whether a version is good enough: each figure against its threshold, and, where one serves
already, not worse than that by more than the suite allows. Pure.

The rule is data of the suite:
{"confidence": 0.95, "not_worse_by": {"f1": 0.02, "groundedness": 0.03}}
It holds where the difference, candidate less baseline over the same packets, lies above −δ with
that confidence: a one-sided bound by a paired bootstrap, with fixed draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.evals.scoring.bootstrap import Parts, paired
from apps.evals.scoring.figures import LOWER_IS_BETTER, SHARES, label
from apps.evals.scoring.scores import PacketScore

NOTHING = (0.0, 0.0)
Thresholds = Mapping[str, Mapping[str, float]]
COMPARABLE = tuple(SHARES)
METHOD = (
    "Candidate and baseline answer the same packets. The packets are drawn again 2,000 times with "
    "replacement, each with both of its answers, always with the same draws; how far the "
    "difference may lie below zero is read off those draws (scipy.stats.bootstrap, paired, "
    "percentile, one-sided)."
)


class BadRule(Exception):
    """What is given is no decision rule; the message says why."""


@dataclass(frozen=True)
class Verdict:
    """One figure against its threshold; exactly one of minimum and maximum is set. value None: not
    measured, which meets no threshold.
    """

    metric: str
    label: str
    value: float | None
    minimum: float | None
    maximum: float | None

    @property
    def met(self) -> bool:
        """Tell whether the value is within its threshold, the boundary included."""
        if self.value is None:
            return False
        return (self.minimum is None or self.value >= self.minimum) and (
            self.maximum is None or self.value <= self.maximum
        )


@dataclass(frozen=True)
class Rule:
    """By how much a candidate may be worse than the baseline. not_worse_by: figure → δ, a share
    from 0 to 1; confidence: from 0.8 to 0.999.
    """

    not_worse_by: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.95

    def as_json(self) -> dict[str, Any]:
        """Return the rule as a suite keeps it."""
        return {"confidence": self.confidence, "not_worse_by": dict(self.not_worse_by)}

    @classmethod
    def of_json(cls, data: Any) -> "Rule":
        """Return the rule of a suite. Raises BadRule."""
        if not isinstance(data, dict) or set(data) - {"confidence", "not_worse_by"}:
            raise BadRule("A rule has the fields confidence and not_worse_by, and no others.")
        confidence, margins = data.get("confidence", 0.95), data.get("not_worse_by", {})
        if not _is_number(confidence) or not 0.8 <= confidence <= 0.999:
            raise BadRule("A rule's confidence is a number from 0.8 to 0.999, such as 0.95.")
        if not isinstance(margins, dict):
            raise BadRule("not_worse_by names figures, each with a share from 0 to 1.")
        for name, margin in margins.items():
            if name not in COMPARABLE:
                raise BadRule(f"not_worse_by names any of these figures: {', '.join(COMPARABLE)}.")
            if not _is_number(margin) or not 0 <= margin <= 1:
                raise BadRule(f"The margin of {name} is a share from 0 to 1.")
        return cls({name: float(value) for name, value in margins.items()}, float(confidence))


@dataclass(frozen=True)
class Comparison:
    """One figure of candidate and baseline on the same packets. low, high: where the difference
    lies with twice the rule's one-sided confidence; None where too few packets measure it.

    held: whether it is not worse by more than δ; None where no packet measures the figure.
    """

    metric: str
    label: str
    candidate: float | None
    baseline: float | None
    low: float | None
    high: float | None
    margin: float
    packets: int

    @property
    def difference(self) -> float | None:
        """Return candidate less baseline; None where one of them was not measured."""
        if self.candidate is None or self.baseline is None:
            return None
        return self.candidate - self.baseline

    @property
    def held(self) -> bool | None:
        """Tell whether the rule holds for this figure, the boundary included."""
        if self.candidate is None and self.baseline is None:
            return None
        if self.low is None or self.high is None:
            return False
        if self.metric in LOWER_IS_BETTER:
            return self.high <= self.margin + 1e-12
        return self.low >= -self.margin - 1e-12


@dataclass(frozen=True)
class Judgement:
    """What the rule makes of a run. comparisons: none where nothing serves yet."""

    verdicts: tuple[Verdict, ...]
    comparisons: tuple[Comparison, ...]
    confidence: float

    @property
    def passed(self) -> bool:
        """Tell whether every threshold is met and no comparison is lost."""
        floors = all(verdict.met for verdict in self.verdicts)
        return floors and all(each.held is not False for each in self.comparisons)

    def as_json(self) -> dict[str, Any]:
        """Return the judgement as a report keeps it; figures with 4 decimals."""
        return {
            "passed": self.passed,
            "confidence": self.confidence,
            "met": {verdict.metric: verdict.met for verdict in self.verdicts},
            "comparisons": [_comparison(each) for each in self.comparisons],
        }


def verdicts(found: Mapping[str, float | None], thresholds: Thresholds) -> list[Verdict]:
    """Return each threshold's verdict, in the order of the suite."""
    return [
        Verdict(name, label(name), found.get(name), limits.get("minimum"), limits.get("maximum"))
        for name, limits in thresholds.items()
    ]


def judge(
    candidate: Sequence[PacketScore],
    baseline: Sequence[PacketScore] | None,
    rule: Rule,
    thresholds: Thresholds,
    figures: Mapping[str, float | None],
) -> Judgement:
    """Return what the rule makes of a run. figures: the candidate's, as metrics gives them.

    baseline: the scores of the version that serves, on the same packets in any order; None where
    none serves, so that the thresholds decide alone. Raises ValueError where the packets differ.
    """
    found = tuple(verdicts(figures, thresholds))
    if baseline is None:
        return Judgement(found, (), rule.confidence)
    pairs = _pairs(candidate, baseline)
    compared = (_compare(name, pairs, rule) for name in rule.not_worse_by)
    return Judgement(found, tuple(compared), rule.confidence)


def _pairs(
    candidate: Sequence[PacketScore], baseline: Sequence[PacketScore]
) -> list[tuple[PacketScore, PacketScore]]:
    mine = {score.packet_id: score for score in candidate}
    theirs = {score.packet_id: score for score in baseline}
    if len(mine) != len(candidate) or len(theirs) != len(baseline) or set(mine) != set(theirs):
        raise ValueError("candidate and baseline are compared on the same packets, each once")
    return [(mine[name], theirs[name]) for name in sorted(mine)]


def _compare(name: str, pairs: Sequence[tuple[PacketScore, PacketScore]], rule: Rule) -> Comparison:
    share, mine, theirs = SHARES[name], [], []
    for one, other in pairs:
        left, right = share.parts(one), share.parts(other)
        if left is not None or right is not None:
            mine.append(left or NOTHING)
            theirs.append(right or NOTHING)
    low, high = _bounds(mine, theirs, rule)
    return Comparison(
        metric=name,
        label=label(name),
        candidate=share.of([one for one, _ in pairs]),
        baseline=share.of([other for _, other in pairs]),
        low=low,
        high=high,
        margin=rule.not_worse_by[name],
        packets=len(mine),
    )


def _bounds(mine: Parts, theirs: Parts, rule: Rule) -> tuple[float | None, float | None]:
    """Return the bounds of the difference, each one-sided with the rule's confidence."""
    return paired(mine, theirs, confidence=2 * rule.confidence - 1)


def _comparison(each: Comparison) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return {
        "metric": each.metric,
        "candidate": rounded(each.candidate),
        "baseline": rounded(each.baseline),
        "difference": rounded(each.difference),
        "low": rounded(each.low),
        "high": rounded(each.high),
        "margin": each.margin,
        "packets": each.packets,
        "held": each.held,
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
