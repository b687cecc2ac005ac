"""A trace as a waterfall: its spans in the order in which one caused the other, each with when it
began and how long it took. Pure.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.traces.models import Span

MOST_DEPTH = 12  # deeper ones stand there without a further indent
WORDS = {
    "model": "Model asked for",
    "answered_by": "Answered by",
    "input_tokens": "Tokens in",
    "cached_input_tokens": "Of them cached",
    "output_tokens": "Tokens out",
    "queue_seconds": "Waited for a seat",
    "prefill_seconds": "Read the prompt for",
    "decode_seconds": "Wrote the answer for",
    "first_token_seconds": "First token after",
    "first_token_ms": "First token after",
    "status": "Response code",
    "flags": "Gateway's flags",
    "cluster": "Sent to",
    "verdict": "Verdict",
    "basis": "Figures rest on",
    "task": "Task",
    "state": "Ended as",
    "retries": "Tried again",
    "route": "Page",
    "database": "Database",
    "error": "Kind of error",
}
SPOKEN = ("input_tokens", "output_tokens")  # said in the line itself


@dataclass(frozen=True)
class Line:
    """One span. after: how long after the start of the whole it began, for people; begins, takes:
    in percent of the whole; depth: 0 for the first. facts: label, words.
    """

    span: Span
    depth: int
    after: str
    begins: float
    takes: float
    facts: Sequence[tuple[str, str]]

    @property
    def took(self) -> str:
        """Return how long it took, for people."""
        return duration_words(self.span.duration_us / 1000)

    @property
    def is_stand_in(self) -> bool:
        """Tell whether the stand-in made it, in the place of a real engine."""
        return "stand_in" in self.span.facts

    @property
    def tokens(self) -> str:
        """Return the tokens that it tells of, for people; "" where it tells of none."""
        read, written = (self.span.facts.get(name) for name in SPOKEN)
        told = [f"{read:,} in"] if read is not None else []
        told += [f"{written:,} out"] if written is not None else []
        return f"{' · '.join(told)} tokens" if told else ""


@dataclass(frozen=True)
class Waterfall:
    """A trace. lines: from the first span on, each followed by what it caused."""

    started_at: datetime
    took_ms: float
    lines: Sequence[Line]

    @property
    def took(self) -> str:
        """Return how long the whole took, for people."""
        return duration_words(self.took_ms)

    @property
    def ticks(self) -> list[tuple[int, str]]:
        """Return the marks of the time axis: percent, words."""
        later = [(share, duration_words(self.took_ms * share / 100)) for share in (25, 50, 75)]
        return [(0, "0"), *later]

    @property
    def stand_in(self) -> bool:
        """Tell whether some of it was made by the stand-in."""
        return any(line.is_stand_in for line in self.lines)


def waterfall(spans: Sequence[Span]) -> Waterfall | None:
    """Return the waterfall of some spans; None where there are none."""
    if not spans:
        return None
    start = min(span.started_at for span in spans)
    end = max(span.started_at + timedelta(microseconds=span.duration_us) for span in spans)
    whole = max((end - start).total_seconds() * 1000, 0.001)
    lines = [_line(span, depth, start, whole) for span, depth in _in_order(spans)]
    return Waterfall(start, whole, lines)


def _in_order(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    """Yield each span once, after what caused it, with its depth. One whose cause is not there, or
    that would be its own, begins anew.
    """
    caused: dict[tuple[str, str], list[Span]] = defaultdict(list)
    there = {(span.trace_id, span.span_id) for span in spans}
    first: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.started_at, one.id)):
        cause = (span.trace_id, span.parent_id)
        (caused[cause] if cause in there else first).append(span)
    seen: set[str] = set()
    waiting = [(span, 0) for span in reversed(first)]
    # last of all what lies in a circle: then nothing leads there
    rest = [span for span in spans if span not in first]
    while waiting or rest:
        span, depth = waiting.pop() if waiting else (rest.pop(0), 0)
        if span.id in seen:
            continue
        seen.add(span.id)
        yield span, depth
        for one in reversed(caused[span.trace_id, span.span_id]):
            waiting.append((one, min(depth + 1, MOST_DEPTH)))


def _line(span: Span, depth: int, start: datetime, whole: float) -> Line:
    after = (span.started_at - start).total_seconds() * 1000
    begins = after / whole * 100
    takes = min(span.duration_us / 1000 / whole * 100, 100 - begins)
    return Line(span, depth, duration_words(after), begins, takes, _facts(span))


def _facts(span: Span) -> list[tuple[str, str]]:
    return [
        (words, _fact_words(name, span.facts[name]))
        for name, words in WORDS.items()
        if name in span.facts
    ]


def _fact_words(name: str, value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    if name.endswith("_seconds"):
        return duration_words(value * 1000)
    if name.endswith("_ms"):
        return duration_words(value)
    return f"{value:,}" if name.endswith("_tokens") else f"{value:g}"


def duration_words(milliseconds: float) -> str:
    """Return a duration in the unit that fits it: "0.4 ms", "38 ms", "1.24 s"."""
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.2f} s"
