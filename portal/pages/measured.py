"""How fast the version is that serves: as its callers met it, and as its evaluation measured it,
side by side. Pure: rows in, words out.
"""

from dataclasses import dataclass
from datetime import datetime

from apps.common.counts import counted
from apps.evals import pages as evals
from apps.evals.models import EvalRun
from apps.metering.performance.models import Performance

NOT_MEASURED = "not measured"
SECONDS = (("0.5", "Within 0.5 s"), ("1", "Within 1 s"), ("3", "Within 3 s"))
UNKNOWN = "none"
CHOICES = (*SECONDS, (UNKNOWN, "Not measured"))


@dataclass(frozen=True)
class Speed:
    """What is known of a version's speed. calls: by its callers, None where too few came lately;
    result: by its evaluation, None without one.
    """

    calls: Performance | None = None
    result: EvalRun | None = None

    @property
    def ttft_p95_ms(self) -> float | None:
        """Return the p95 of the time to the first token: callers' where it is known."""
        if self.calls is not None:
            return self.calls.ttft_p95_ms
        return self.result.metrics.get("ttft_p95_ms") if self.result else None

    @property
    def words(self) -> str:
        """Return it in a line, and how it was measured; "" where it was not."""
        if self.calls is None:
            return evals.measured(self.result)
        found = self.calls
        parts = [f"TTFT p95 {evals.figure('ttft_p95_ms', found.ttft_p95_ms)}"]
        if found.tokens_per_second is not None:
            parts.append(f"{evals.figure('tokens_per_second', found.tokens_per_second)} tokens/s")
        words = " · ".join(parts)
        return f"{words} on {found.hardware}" if found.hardware else words

    @property
    def source(self) -> str:
        """Return whose figures the line has; "" where it was not measured."""
        if self.calls is not None:
            return "by its callers"
        return "in its evaluation" if self.words else ""

    @property
    def facets(self) -> tuple[str, ...]:
        """Return the choices of the facet that it fits."""
        found = self.ttft_p95_ms
        if found is None:
            return (UNKNOWN,)
        return tuple(limit for limit, _ in SECONDS if found <= float(limit) * 1000)

    def lines(self) -> list[tuple[str, str, str]]:
        """Return what was measured: (figure, by its callers, in its evaluation)."""
        metrics = self.result.metrics if self.result else {}
        found = self.calls
        lines = [
            (label, _figure(name, getattr(found, name, None)), _figure(name, metrics.get(name)))
            for name, label in (
                ("ttft_p95_ms", "TTFT p95"),
                ("tokens_per_second", "Tokens per second"),
            )
        ]
        return [
            *lines,
            ("Requests at once", _at_once(found), ""),
            (
                "On",
                found.hardware if found else "",
                self.result.instance_type if self.result else "",
            ),
            ("Engine", found.engine if found else "", self.result.engine if self.result else ""),
            ("Measured over", _over(found), _packets(self.result)),
        ]

    @property
    def until(self) -> datetime | None:
        """Return until when callers' figures hold."""
        return self.calls.until if self.calls else None


def _figure(name: str, value: float | None) -> str:
    return NOT_MEASURED if value is None else evals.figure(name, value)


def _at_once(found: Performance | None) -> str:
    if found is None or found.concurrency is None:
        return NOT_MEASURED
    words = f"{found.concurrency:.1f} on average while any ran"
    most = found.concurrency_max
    return f"{words}, {most:.0f} at most" if most is not None else words


def _over(found: Performance | None) -> str:
    return f"{counted(found.calls, 'call')} of a day" if found else ""


def _packets(result: EvalRun | None) -> str:
    return counted(result.packets_done, "packet") if result else ""
