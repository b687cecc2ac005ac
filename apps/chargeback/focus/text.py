"""FOCUS rows as text: decimals without exponents, times in UTC, JSON in one order."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from apps.chargeback.focus.columns import Row, Value, Version, columns
from apps.common.money import exact


def text_of(row: Row, version: Version) -> list[str]:
    """Return a row as CSV holds it: no thousands separators, no exponent, UTC with a Z, "" where
    there is nothing.
    """
    return [_text(row.get(column.name)) for column in columns(version)]


def csv_rows(rows: Iterable[Row], version: Version) -> Iterable[Sequence[str]]:
    """Return the head and the rows of a CSV file."""
    yield [column.name for column in columns(version)]
    for row in rows:
        yield text_of(row, version)


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return exact(value)
    return time_text(value) if isinstance(value, datetime) else value


def time_text(moment: datetime) -> str:
    """Return a moment as FOCUS writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def json_text(value: Mapping[str, object]) -> str:
    """Return an object as a column of JSON holds it."""
    return json.dumps(value, sort_keys=True, default=lambda one: float(one))
