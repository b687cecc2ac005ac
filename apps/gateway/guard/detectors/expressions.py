r"""Regular expressions whose time grows with the text alone: RE2's, which has no look-around and no
back-references, and so nothing that a text could make it try again and again. Pure.

`\b` and `\w` know ASCII only; texts come through views.py first.
"""

from collections.abc import Iterator
from typing import Any

import re2

# bytes of an expression's automaton; beyond it RE2 is slower, not wrong
USUAL, LARGE = 16 << 20, 64 << 20


class BadExpression(ValueError):
    """No such expression can be used: in words for whoever wrote it."""


def compiled(pattern: str, memory: int = USUAL) -> Any:
    """Return an expression ready for use. memory: what its automaton may take. Raises
    BadExpression.
    """
    options = re2.Options()
    options.log_errors, options.max_mem = False, memory
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else b""
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise BadExpression(f"RE2 cannot read this expression: {words}.") from None


def spans(expression: Any, text: str, group: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where an expression matches, by a group of it."""
    for match in expression.finditer(text):
        yield match.span(group)
