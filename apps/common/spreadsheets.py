"""CSV files that people open in a spreadsheet: one way to write a cell, one way to stream a file.

How to use:
    return csv_answer("grants", [("Model", "USD"), *((row.name, row.cost_usd) for row in rows)])

Rows are read while the file is sent, so a file may be longer than memory. Times are ISO 8601 with
their offset, amounts have every digit that counts, and what nobody knows is an empty cell.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal

from django.http import StreamingHttpResponse
from django.utils import timezone

from apps.common.money import exact
from apps.common.simulated import SAMPLE_MARK

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula: names come from tokens and from
    callers.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def plain(value: object) -> str | int | float:
    """Return a value as a cell of a CSV file. None is an empty cell, never 0."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return cell(json.dumps(value, sort_keys=True, ensure_ascii=False))
    return cell(str(value))


class _Echo:
    """Gives back what the csv module writes."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Return rows as the lines of a CSV file, one by one, for an answer that is streamed."""
    writer = csv.writer(_Echo())
    return (writer.writerow(row) for row in rows)


def csv_answer(
    name: str, rows: Iterable[Sequence[object]], *, of: str = "", is_sample: bool = False
) -> StreamingHttpResponse:
    """Return rows, the head first, as a file to download; every cell goes through `plain`.

    name: of the file, without its ending. of: the days that it holds, for its name; the moment
    stands there where none are named. is_sample: its name and each of its rows say so.
    """
    lines = csv_lines(
        [plain(value) for value in row] for row in (_marked(rows) if is_sample else rows)
    )
    mark = f"-{SAMPLE_MARK.lower()}" if is_sample else ""
    file = f"{name}-{of or f'{timezone.now():%Y%m%dT%H%M%SZ}'}{mark}.csv"
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )


def _marked(rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
    """Yield the head and the rows with a last column that says what they are."""
    for place, row in enumerate(rows):
        yield [*row, SAMPLE_MARK if place else SAMPLE_MARK.lower()]
