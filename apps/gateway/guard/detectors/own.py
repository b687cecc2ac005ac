"""Patterns that a team or a reviewer wrote: names of projects, internal numbers, words that must
not leave. Pure.

RE2 reads them, so none can take longer than its text is long; what is refused here is what would
find nothing of use, or take more memory and time than a rule is worth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.escapes import past_escape, unescaped
from apps.gateway.guard.detectors.expressions import BadExpression, compiled, spans
from apps.gateway.guard.detectors.hits import Hit, without_overlaps
from apps.gateway.guard.detectors.views import PLAIN, View

LONGEST = 500  # characters of a pattern
LARGEST = 1_000  # instructions that it compiles to; time is at most this times the text
SCORE = 1.0


@dataclass(frozen=True)
class OwnPattern:
    """A pattern with the name that its hits carry, as PROJECT_ORCHID. Raises BadExpression."""

    name: str
    pattern: str

    def __post_init__(self) -> None:
        if len(self.pattern) > LONGEST:
            raise BadExpression(f"A pattern has at most {LONGEST} characters.")
        if any(ord(one) < 32 for one in self.pattern):
            raise BadExpression("A pattern is one line; write a line's end as \\n.")
        expression = compiled(self.pattern)
        if expression.programsize > LARGEST:
            raise BadExpression(
                "This pattern is too large: repeat less, or say it with fewer alternatives."
            )
        if expression.search("") is not None:
            raise BadExpression("This pattern matches an empty text, so it would match all texts.")


class OwnPatterns:
    """Several patterns as one detector."""

    def __init__(self, known: Sequence[OwnPattern]) -> None:
        self._known = [(one.name, compiled(one.pattern)) for one in known]

    @property
    def reach(self) -> int:
        """Return the overlap that windows need; a longer find can be missed in a stream."""
        return 1024

    def detect(self, texts: Sequence[Text]) -> list[Hit]:
        """Return where the patterns match, in texts without what is invisible: as they are, and
        as their escapes and tags show them.
        """
        return [hit for text in texts for hit in without_overlaps(self._in(text))]

    def _in(self, text: Text) -> Iterator[Hit]:
        for source in dict.fromkeys((text.text, unescaped(text.text))):
            view = View(source, PLAIN)
            for name, expression in self._known:
                for start, end in spans(expression, view.text):
                    if end > start:
                        begin, behind = view.span(start, end)
                        yield Hit(name, text.where, begin, past_escape(source, behind), SCORE)
