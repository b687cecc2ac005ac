"""Encoded queries of the Table API, with their trap: a term that names no field is ignored, and the
rest runs, which may be every row.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .store import Row

_TERM = re.compile(r"([a-z_]+)(!=|>=|<=|=|>|<|STARTSWITH|ENDSWITH|LIKE|IN)(.*)", re.DOTALL)
OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda value, asked: value == asked,
    "!=": lambda value, asked: value != asked,
    ">": lambda value, asked: value > asked,
    "<": lambda value, asked: value < asked,
    ">=": lambda value, asked: value >= asked,
    "<=": lambda value, asked: value <= asked,
    "LIKE": lambda value, asked: asked.lower() in value.lower(),
    "STARTSWITH": lambda value, asked: value.lower().startswith(asked.lower()),
    "ENDSWITH": lambda value, asked: value.lower().endswith(asked.lower()),
    "IN": lambda value, asked: value in asked.split(","),
}
Test = Callable[[Row], bool]


def select(rows: list[Row], query: str, fields: set[str]) -> list[Row]:
    """Return the rows that a query means, in its order. fields: the names that there are."""
    groups = [_group(part, fields) for part in query.split("^NQ")]
    found = [row for row in rows if any(_holds(group, row) for group in groups)]
    for name, is_down in reversed(_orders(query, fields)):
        found.sort(key=lambda row: row.get(name, ""), reverse=is_down)
    return found


def _holds(group: list[list[Test]], row: Row) -> bool:
    return all(any(test(row) for test in either) for either in group)


def _group(text: str, fields: set[str]) -> list[list[Test]]:
    """Return what must hold together: each a list of which one must hold."""
    group: list[list[Test]] = []
    for part in text.split("^"):
        is_or = part.startswith("OR") and not part.startswith("ORDERBY")
        test = _test(part.removeprefix("OR") if is_or else part, fields)
        if test is None:
            continue
        if is_or and group:
            group[-1].append(test)
        else:
            group.append([test])
    return group


def _test(part: str, fields: set[str]) -> Test | None:
    term = _TERM.fullmatch(part)
    if term is None or term[1] not in fields:
        return None
    name, holds, asked = term[1], OPERATORS[term[2]], term[3]
    return lambda row: holds(row.get(name, ""), asked)


def _orders(query: str, fields: set[str]) -> list[tuple[str, bool]]:
    found = []
    for part in query.split("^"):
        is_down = part.startswith("ORDERBYDESC")
        name = part.removeprefix("ORDERBYDESC").removeprefix("ORDERBY")
        if part.startswith("ORDERBY") and name in fields:
            found.append((name, is_down))
    return found
