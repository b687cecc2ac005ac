"""Whether a candidate may get more callers: its measured health against the baseline's. Pure:
numbers to words.

Measured is what callers experienced: the gateway's own records since it accepted the present
weights. Calls that their caller spoiled (4xx) count for nobody. Where too few calls came to compare
speed, the errors of those that came are compared all the same, so that calls which fail with any
engine bring no good candidate down; whether it then goes on is not decided here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from apps.common.counts import counted
from apps.promotions.models import GateResult
from apps.promotions.policy.rules import Rules

Verdict = GateResult.Verdict


@dataclass(frozen=True)
class Calls:
    """What callers of one version met. failed: 5xx. timed: streamed calls, whose first token's time
    is known.

    tokens_per_second: the median over calls of output tokens over duration.
    """

    calls: int = 0
    failed: int = 0
    timed: int = 0
    ttft_p95_ms: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True)
class Health:
    """One version at one weight: its calls, and how many of its replicas are ready."""

    calls: Calls
    ready_replicas: int

    @property
    def error_percent(self) -> float:
        """Return how many of 100 calls failed; 0 without calls."""
        return 100 * self.calls.failed / self.calls.calls if self.calls.calls else 0.0

    def as_json(self) -> dict[str, float | int | None]:
        """Return the numbers as they are stored and answered."""
        calls = self.calls
        return {
            "calls": calls.calls,
            "failed": calls.failed,
            "error_percent": round(self.error_percent, 2),
            "ttft_p95_ms": None if calls.ttft_p95_ms is None else round(calls.ttft_p95_ms, 1),
            "tokens_per_second": None
            if calls.tokens_per_second is None
            else round(calls.tokens_per_second, 2),
            "ready_replicas": self.ready_replicas,
        }


@dataclass(frozen=True)
class Limits:
    """How much worse than the baseline a candidate may be: what the promotion's policy says."""

    minimum_calls: int
    ttft_factor: float
    ttft_slack_ms: float
    error_points: float
    speed_factor: float

    @classmethod
    def of(cls, rules: Rules) -> "Limits":
        """Return the limits of a policy."""
        return cls(
            minimum_calls=rules.minimum_calls,
            ttft_factor=rules.ttft_factor,
            ttft_slack_ms=rules.ttft_slack_ms,
            error_points=rules.error_points,
            speed_factor=rules.speed_factor,
        )


@dataclass(frozen=True)
class Bounds:
    """The worst that a candidate may be beside its baseline; None for what the baseline has no
    figure of: then nothing is compared.
    """

    error_percent: float
    ttft_ms: float | None
    tokens_per_second: float | None

    @classmethod
    def beside(
        cls,
        limits: Limits,
        *,
        error_percent: float,
        ttft_p95_ms: float | None,
        tokens_per_second: float | None,
    ) -> "Bounds":
        """Return the bounds beside these figures of the baseline."""
        return cls(
            error_percent=error_percent + limits.error_points,
            ttft_ms=None
            if ttft_p95_ms is None
            else ttft_p95_ms * limits.ttft_factor + limits.ttft_slack_ms,
            tokens_per_second=None
            if tokens_per_second is None
            else tokens_per_second * limits.speed_factor,
        )


@dataclass(frozen=True)
class Decision:
    """A verdict with its words. final: it need not wait for the end of the hold."""

    verdict: Verdict
    words: str
    final: bool = False


def decide(*, candidate: Health, baseline: Health, limits: Limits) -> Decision:
    """Return what the numbers say at this moment. A failure is final at once; the rest counts when
    the hold is over.
    """
    if min(candidate.calls.calls, baseline.calls.calls) < limits.minimum_calls:
        return _too_few(candidate, baseline, limits)
    found = list(_compare(candidate, baseline, limits))
    bad = [words for holds, words in found if not holds]
    if bad:
        return Decision(Verdict.FAILED, " ".join(bad), final=True)
    if candidate.ready_replicas < 1:
        return Decision(Verdict.FAILED, "No replica of the candidate is ready.")
    return Decision(Verdict.PASSED, " ".join(words for _, words in found))


def _too_few(candidate: Health, baseline: Health, limits: Limits) -> Decision:
    mine, theirs = candidate.calls, baseline.calls
    counted = (
        f"Not enough traffic to compare: {_counted(mine.calls)} to the candidate and "
        f"{theirs.calls} to the baseline; {limits.minimum_calls} to each are needed."
    )
    if candidate.error_percent > baseline.error_percent + limits.error_points:
        words = f"{counted} But {_failed(mine)}; of the baseline's, {_failed(theirs)}."
        return Decision(Verdict.FAILED, words, final=mine.calls >= limits.minimum_calls)
    if candidate.ready_replicas < 1:
        return Decision(Verdict.FAILED, f"{counted} But none of its replicas is ready.")
    if mine.failed:
        words = f"{counted} {_failed(mine)}, no worse than the baseline's: {_failed(theirs)}."
        return Decision(Verdict.NO_TRAFFIC, words)
    return Decision(Verdict.NO_TRAFFIC, f"{counted} A replica is ready and no call failed.")


def _counted(calls: int) -> str:
    return counted(calls, "call")


def _failed(calls: Calls) -> str:
    return f"{calls.failed} of {_counted(calls.calls)} failed"


def _compare(candidate: Health, baseline: Health, limits: Limits) -> Iterator[tuple[bool, str]]:
    """Yield whether each figure holds, in words."""
    mine, theirs = candidate.error_percent, baseline.error_percent
    usual = baseline.calls
    allowed = Bounds.beside(
        limits,
        error_percent=theirs,
        ttft_p95_ms=usual.ttft_p95_ms,
        tokens_per_second=usual.tokens_per_second,
    )
    yield (
        mine <= allowed.error_percent,
        f"Errors {mine:.1f} % ({theirs:.1f} % baseline, at most {allowed.error_percent:.1f} %).",
    )
    yield _ttft(candidate.calls, usual, limits, allowed.ttft_ms)
    fast, least = candidate.calls.tokens_per_second, allowed.tokens_per_second
    if fast is None or least is None:
        yield True, "Tokens/s not compared: no answers with tokens."
    else:
        words = f"({usual.tokens_per_second:.1f} baseline, at least {least:.1f})"
        yield fast >= least, f"Tokens/s {fast:.1f} {words}."


def _ttft(
    candidate: Calls, baseline: Calls, limits: Limits, most: float | None
) -> tuple[bool, str]:
    mine, theirs = candidate.ttft_p95_ms, baseline.ttft_p95_ms
    if mine is None or most is None or min(candidate.timed, baseline.timed) < limits.minimum_calls:
        return True, "TTFT not compared: too few streamed calls."
    return (
        mine <= most,
        f"TTFT p95 {mine:.0f} ms ({theirs:.0f} ms baseline, at most {most:.0f} ms).",
    )


@dataclass(frozen=True)
class Measured:
    """Both versions at the present weight, and what their numbers say."""

    candidate: Health
    baseline: Health
    decision: Decision

    @classmethod
    def of(cls, candidate: Health, baseline: Health, limits: Limits) -> "Measured":
        """Return the measurement with its decision."""
        return cls(
            candidate, baseline, decide(candidate=candidate, baseline=baseline, limits=limits)
        )

    def as_json(self) -> dict[str, object]:
        """Return both versions' numbers and what they say, as the page and the API show them while
        it moves.
        """
        return {
            "candidate": self.candidate.as_json(),
            "baseline": self.baseline.as_json(),
            "words": self.decision.words,
        }
