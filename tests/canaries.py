"""Canaries: words that nobody else writes, sent in every way a text gets into the product, and
looked for in every place that could hold it.

Whoever adds a way in, or a place, adds it here or to a test's own: the rest is tried with it.
"""

import base64
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from secrets import token_hex

from django.db import connection


@dataclass(frozen=True)
class Canary:
    """A word that was sent one way. way: what it is called."""

    way: str
    word: str

    def is_in(self, content: bytes) -> bool:
        """Tell whether something holds it: as it is, in hexadecimal, or in base64."""
        return any(form in content for form in self.forms())

    def forms(self) -> Iterable[bytes]:
        """Yield the bytes that whatever holds it has one of."""
        raw = self.word.encode()
        yield raw
        yield raw.hex().encode()
        for shift in range(
            3
        ):  # where in the base64 it begins is not known; its ends are not its own
            encoded = base64.b64encode(b"\0" * shift + raw)
            yield encoded[4:-4]


def canary(way: str) -> Canary:
    """Return a new one."""
    return Canary(way, f"canary{token_hex(12)}")


def database() -> bytes:
    """Return every row of every table, texts and bytes alike, as the server holds them."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND has_table_privilege(oid, 'SELECT')"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')  # noqa: S608
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found).encode()


def logs(records: Iterable[logging.LogRecord]) -> bytes:
    """Return what was logged, as it would be written, with arguments and tracebacks."""
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")
    return "\n".join(formatter.format(record) for record in records).encode()


def holding(
    canaries: Iterable[Canary], places: dict[str, Callable[[], bytes]]
) -> list[tuple[str, str]]:
    """Return (place, way) of every canary that a place holds."""
    contents = {name: content() for name, content in places.items()}
    sent = list(canaries)
    return [
        (name, one.way) for name, content in contents.items() for one in sent if one.is_in(content)
    ]
