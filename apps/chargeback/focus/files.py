"""FOCUS rows as files. A file is written whole, each row held against the rules, before its first
byte is sent: what breaks a rule half way is never delivered as if it were all.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from apps.chargeback.focus.columns import Row, Version, columns
from apps.chargeback.focus.rules import checked
from apps.chargeback.focus.text import csv_rows

IN_MEMORY = 8 * 1024 * 1024  # bytes of a file; a larger one lies on disk
AT_ONCE = 5000  # rows of a Parquet row group
_PARQUET = {
    "text": pa.string(),
    "json": pa.string(),
    "decimal": pa.decimal128(38, 18),
    "time": pa.timestamp("us", tz="UTC"),
}


def csv_file(found: Iterable[Row], version: Version) -> IO[bytes]:
    """Return rows as a CSV file, at its start. Raises NotFocus."""
    with _new_file() as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        csv.writer(text).writerows(csv_rows(checked(found, version), version))
        text.detach()
    return file


def parquet_file(found: Iterable[Row], version: Version) -> IO[bytes]:
    """Return rows as a Parquet file, at its start: exact decimals, moments in UTC. Raises
    NotFocus.
    """
    schema = pa.schema([(column.name, _PARQUET[column.kind]) for column in columns(version)])
    with _new_file() as file, pq.ParquetWriter(file, schema) as writer:
        for part in _parts(checked(found, version)):
            made = [{name: row.get(name) for name in schema.names} for row in part]
            writer.write_table(pa.Table.from_pylist(made, schema=schema))
    return file


@contextmanager
def _new_file() -> Iterator[IO[bytes]]:
    """Give a file to write, and leave it at its start for whoever sends and closes it. Where
    writing breaks off, it is closed here.
    """
    file: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - see above
    try:
        yield file
    except BaseException:
        file.close()
        raise
    file.seek(0)


def _parts(found: Iterator[Row]) -> Iterator[list[Row]]:
    while part := list(islice(found, AT_ONCE)):
        yield part
