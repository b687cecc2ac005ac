"""Text for CSV files that people open in a spreadsheet."""

import csv
from collections.abc import Iterable, Iterator, Sequence

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula: names come from tokens and from
    callers.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


class _Echo:
    """Gives back what the csv module writes."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Return rows as the lines of a CSV file, one by one, for an answer that is streamed."""
    writer = csv.writer(_Echo())
    return (writer.writerow(row) for row in rows)
