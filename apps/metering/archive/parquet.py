"""A day of calls as a Parquet file, and back. The same calls become the same bytes. No database, no
network.

Any reader of Parquet can open it. What PostgreSQL works out by itself (completeness) is left out.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice, repeat
from typing import IO
from uuid import UUID

import pyarrow
from pyarrow import parquet

GROUP = 50_000  # calls in a row group; one of them is in memory at a time
_TIME, _TEXT = pyarrow.timestamp("us", tz="UTC"), pyarrow.string()
SCHEMA = pyarrow.schema(
    [
        pyarrow.field("event_id", pyarrow.uuid(), nullable=False),
        pyarrow.field("occurred_at", _TIME, nullable=False),
        pyarrow.field("outcome", _TEXT, nullable=False),
        pyarrow.field("team", _TEXT, nullable=False),
        pyarrow.field("cost_center", _TEXT, nullable=False),
        pyarrow.field("user_id", _TEXT, nullable=False),
        pyarrow.field("model", _TEXT, nullable=False),
        pyarrow.field("version", _TEXT, nullable=False),
        pyarrow.field("operation", _TEXT, nullable=False),
        pyarrow.field("route", _TEXT, nullable=False),
        pyarrow.field("response_code", pyarrow.int32(), nullable=False),
        pyarrow.field("response_flags", _TEXT, nullable=False),
        pyarrow.field("input_tokens", pyarrow.int64()),
        pyarrow.field("cached_input_tokens", pyarrow.int64()),
        pyarrow.field("output_tokens", pyarrow.int64()),
        pyarrow.field("duration_ms", pyarrow.int64()),
        pyarrow.field("ttft_ms", pyarrow.float64()),
        pyarrow.field("unmetered_because", _TEXT, nullable=False),
        pyarrow.field("basis", _TEXT, nullable=False),
        pyarrow.field("estimated_input_tokens", pyarrow.int64()),
        pyarrow.field("estimated_output_tokens", pyarrow.int64()),
        pyarrow.field("received_at", _TIME, nullable=False),
        pyarrow.field("received_via", _TEXT, nullable=False),
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)


class NotParquet(ValueError):
    """The bytes are no Parquet file that can be read whole."""


@dataclass(frozen=True)
class File:
    """A file in memory. last_call_at: of the last row; None where there are none."""

    body: bytes
    sha256: str
    rows: int
    last_call_at: object | None


def write(rows: Iterable[Sequence[object]]) -> File:
    """Return the file of these rows, in their order. A row has the values of COLUMNS."""
    sink, count, last = BytesIO(), 0, None
    pending = iter(rows)
    with parquet.ParquetWriter(sink, SCHEMA, compression="zstd", store_schema=False) as writer:
        while group := list(islice(pending, GROUP)):
            writer.write_batch(batch(group, COLUMNS))
            count, last = count + len(group), group[-1][1]
    body = sink.getvalue()
    return File(body, hashlib.sha256(body).hexdigest(), count, last)


def batch(rows: Sequence[Sequence[object]], columns: Sequence[str]) -> pyarrow.RecordBatch:
    """Return rows in memory with the types of a file. A row has the values of `columns`; there is
    one row at least.
    """
    schema = pyarrow.schema([SCHEMA.field(name) for name in columns])
    arrays = [
        pyarrow.array(map(_plain, values), type=field.type)
        for field, values in zip(schema, zip(*rows, strict=True), strict=True)
    ]
    return pyarrow.record_batch(arrays, schema=schema)


def _plain(value: object) -> object:
    return value.bytes if isinstance(value, UUID) else value


def read(body: bytes, defaults: Mapping[str, object]) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a file, with the values of COLUMNS. defaults: column → the value where the
    file is older than the column. Raises NotParquet.
    """
    try:
        for batch in _open(body).iter_batches(GROUP):
            there = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield from zip(
                *(
                    there[name].to_pylist() if name in there else repeat(defaults[name], len(batch))
                    for name in COLUMNS
                ),
                strict=True,
            )
    except (pyarrow.ArrowException, OSError) as error:
        raise NotParquet(str(error)) from error


def batches(
    body: bytes | IO[bytes], columns: Sequence[str], defaults: Mapping[str, object]
) -> Iterator[pyarrow.RecordBatch]:
    """Yield some columns of a file, GROUP rows at a time. defaults: as in read. Raises
    NotParquet.
    """
    try:
        file = _open(body)
        there = [name for name in columns if name in file.schema_arrow.names]
        for found in file.iter_batches(GROUP, columns=there):
            arrays = [
                found[name]
                if name in there
                else pyarrow.repeat(
                    pyarrow.scalar(defaults[name], SCHEMA.field(name).type), len(found)
                )
                for name in columns
            ]
            yield pyarrow.record_batch(arrays, names=list(columns))
    except (pyarrow.ArrowException, OSError) as error:
        raise NotParquet(str(error)) from error


def _open(body: bytes | IO[bytes]) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(BytesIO(body) if isinstance(body, bytes) else body)
    except (pyarrow.ArrowException, OSError) as error:
        raise NotParquet(str(error)) from error
