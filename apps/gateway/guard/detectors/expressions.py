r"""Regular expressions whose time grows with the text alone: RE2's, which has no look-around and no
back-references, and so nothing that a text could make it try again and again. Pure.

`\b` and `\w` know ASCII only; texts come through views.py first.
"""

from collections.abc import Iterator
from typing import Any

import re2

MOST_MEMORY = 16 << 20  # bytes of an expression's automaton; beyond it RE2 is slower, not wrong


class BadExpression(ValueError):
    """No such expression can be used: in words for whoever wrote it."""


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MOST_MEMORY
    return options


def compiled(pattern: str) -> Any:
    """Return an expression ready for use. Raises BadExpression."""
    try:
        return re2.compile(pattern, _options())
    except re2.error as error:
        said = error.args[0] if error.args else b""
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise BadExpression(f"RE2 cannot read this expression: {words}.") from None


def spans(expression: Any, text: str, group: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where an expression matches, by a group of it."""
    for match in expression.finditer(text):
        yield match.span(group)
