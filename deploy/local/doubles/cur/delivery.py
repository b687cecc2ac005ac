"""A delivery as AWS Data Exports makes it: Parquet files in the month's folder, numbered, over
those of the delivery before; then the manifest that names them.

A delivery that is smaller than the one before leaves the files that it does not write anew where
they are: who reads the folder and not the manifest counts them again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from .rows import Row

TIME = pa.timestamp("ms")
TEXT, NUMBER, MAP = pa.string(), pa.float64(), pa.map_(pa.string(), pa.string())
SCHEMA = pa.schema(
    [
        ("identity_line_item_id", TEXT),
        ("bill_bill_type", TEXT),
        ("bill_billing_period_start_date", TIME),
        ("bill_billing_period_end_date", TIME),
        ("bill_invoice_id", TEXT),
        ("bill_payer_account_id", TEXT),
        ("line_item_usage_account_id", TEXT),
        ("line_item_line_item_type", TEXT),
        ("line_item_usage_start_date", TIME),
        ("line_item_usage_end_date", TIME),
        ("line_item_product_code", TEXT),
        ("line_item_usage_type", TEXT),
        ("line_item_operation", TEXT),
        ("line_item_availability_zone", TEXT),
        ("line_item_resource_id", TEXT),
        ("line_item_usage_amount", NUMBER),
        ("line_item_unblended_cost", NUMBER),
        ("line_item_currency_code", TEXT),
        ("product_instance_type", TEXT),
        ("product_region_code", TEXT),
        ("pricing_term", TEXT),
        ("pricing_public_on_demand_cost", NUMBER),
        ("reservation_reservation_a_r_n", TEXT),
        ("reservation_effective_cost", NUMBER),
        ("reservation_unused_amortized_upfront_fee_for_billing_period", NUMBER),
        ("reservation_unused_recurring_fee", NUMBER),
        ("savings_plan_savings_plan_a_r_n", TEXT),
        ("savings_plan_savings_plan_effective_cost", NUMBER),
        ("savings_plan_total_commitment_to_date", NUMBER),
        ("savings_plan_used_commitment", NUMBER),
        ("resource_tags", MAP),
    ]
)
LINES_A_FILE = 50_000
GROUP = 10_000
Put = Callable[[str, bytes], None]


@dataclass(frozen=True)
class Place:
    """Where an export is delivered to."""

    bucket: str
    prefix: str
    export: str

    @property
    def root(self) -> str:
        """Return how its keys begin."""
        return f"{self.prefix.strip('/')}/{self.export}".strip("/")

    def file(self, month: date, number: int) -> str:
        """Return the key of a file of a month."""
        name = f"{self.export}-{number:05}.snappy.parquet"
        return f"{self.root}/data/BILLING_PERIOD={month:%Y-%m}/{name}"

    def manifest(self, month: date) -> str:
        """Return the key of a month's manifest."""
        return f"{self.root}/metadata/BILLING_PERIOD={month:%Y-%m}/{self.export}-Manifest.json"


def deliver(
    put: Put,
    place: Place,
    month: date,
    rows: Iterable[Row],
    execution_id: str,
    *,
    lines_a_file: int = LINES_A_FILE,
    schema: pa.Schema = SCHEMA,
) -> list[str]:
    """Write a month's files, then its manifest; return the keys of the files. put: writes an object
    over whatever is there.
    """
    keys = []
    for number, body in enumerate(_files(rows, lines_a_file, schema), start=1):
        key = place.file(month, number)
        put(key, body)
        keys.append(key)
    put(place.manifest(month), manifest(place, keys, execution_id, schema))
    return keys


def manifest(
    place: Place, keys: Iterable[str], execution_id: str, schema: pa.Schema = SCHEMA
) -> bytes:
    """Return a manifest in AWS's shape."""
    told = {
        "executionId": execution_id,
        "exportArn": f"arn:aws:bcm-data-exports:us-east-1:000000000000:export/{place.export}",
        "columns": [{"name": field.name, "type": str(field.type)} for field in schema],
        "dataFiles": [f"s3://{place.bucket}/{key}" for key in keys],
        "additionalOutputFiles": [],
    }
    return json.dumps(told, indent=2).encode()


def _files(rows: Iterable[Row], lines_a_file: int, schema: pa.Schema) -> Iterator[bytes]:
    """Yield Parquet files; one without a line where there is none."""
    left = iter(rows)
    chunk = list(islice(left, lines_a_file))
    yield parquet(chunk, schema)
    while chunk := list(islice(left, lines_a_file)):
        yield parquet(chunk, schema)


def parquet(rows: list[Row], schema: pa.Schema = SCHEMA) -> bytes:
    """Return rows as a Parquet file; what a row does not tell is null."""
    columns = [
        pa.array([_plain(row.get(field.name)) for row in rows], field.type) for field in schema
    ]
    sink = io.BytesIO()
    table = pa.Table.from_arrays(columns, schema=schema)
    pq.write_table(table, sink, row_group_size=GROUP, write_page_checksum=True)
    return sink.getvalue()


def _plain(value: object) -> object:
    """Return a moment without its zone, as AWS tells it."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
