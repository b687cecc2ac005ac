"""The file of a day: the same bytes for the same calls, and the same calls out of it again."""

from dataclasses import astuple, fields
from datetime import timedelta
from io import BytesIO

import pyarrow
import pytest
from pyarrow import parquet as public

from apps.metering.archive import parquet
from apps.metering.days import DEFAULTS
from apps.metering.models import UsageEvent
from apps.metering.stores.columns import STORED
from tests.factories import NOW
from tests.metering.test_actions import record


def row(minutes=0, **changes):
    made = record(NOW + timedelta(minutes=minutes), **changes)
    values = dict(zip([field.name for field in fields(made)], astuple(made), strict=True))
    values |= {"received_at": NOW, "received_via": "OTLP"}
    return tuple(values[name] for name in parquet.COLUMNS)


def two():
    nothing = {"input_tokens": None, "cached_input_tokens": None, "output_tokens": None}
    left = {"outcome": "UNMETERED", "unmetered_because": "CLIENT_LEFT", "ttft_ms": None}
    return [row(ttft_ms=81.25, user_id="Łukasz"), row(7, duration_ms=None, **nothing | left)]


class TestWrite:
    def test_has_every_stored_column(self):
        assert set(parquet.COLUMNS) == set(STORED)

    def test_may_lack_what_the_table_may_lack(self):
        file = public.ParquetFile(BytesIO(parquet.write(two()).body))
        for field in file.schema_arrow:
            assert field.nullable == UsageEvent._meta.get_field(field.name).null, field.name

    def test_makes_the_same_bytes_of_the_same_calls(self):
        rows = two()
        first, again, other = (
            parquet.write(rows),
            parquet.write(iter(rows)),
            parquet.write(rows[:1]),
        )
        assert (first.body, first.sha256) == (again.body, again.sha256)
        assert (first.rows, other.rows) == (2, 1)
        assert first.sha256 != other.sha256
        assert first.last_call_at == NOW + timedelta(minutes=7)

    def test_tells_nothing_of_a_day_without_calls(self):
        file = parquet.write([])
        assert (file.rows, file.last_call_at) == (0, None)
        assert list(parquet.read(file.body, DEFAULTS)) == []

    def test_can_be_read_by_others(self):
        table = public.read_table(BytesIO(parquet.write(two()).body))
        assert table.column("user_id").to_pylist() == ["Łukasz", "maya"]
        assert table.schema.field("event_id").type == pyarrow.uuid()
        assert table.schema.field("occurred_at").type == pyarrow.timestamp("us", tz="UTC")
        assert table.column("output_tokens").to_pylist() == [30, None]


class TestRead:
    def test_gives_the_calls_back_over_several_groups(self, monkeypatch):
        monkeypatch.setattr(parquet, "GROUP", 2)
        rows = [*two(), row(9), *two()]
        file = parquet.write(rows)
        assert public.ParquetFile(BytesIO(file.body)).num_row_groups == 3
        assert list(parquet.read(file.body, DEFAULTS)) == rows

    def test_fills_in_what_an_older_file_has_not(self):
        table = public.read_table(BytesIO(parquet.write(two()).body))
        older, sink = table.drop_columns(["unmetered_because", "ttft_ms"]), BytesIO()
        public.write_table(older.append_column("gone", pyarrow.array([1, 2])), sink)
        at = [parquet.COLUMNS.index(name) for name in ("unmetered_because", "ttft_ms", "team")]
        found = [[each[index] for index in at] for each in parquet.read(sink.getvalue(), DEFAULTS)]
        assert found == [["", None, "claims-review"]] * 2

    @pytest.mark.parametrize("body", [b"", b"PAR1", b"PAR1 no such file PAR1"])
    def test_refuses_what_is_no_such_file(self, body):
        with pytest.raises(parquet.NotParquet):
            list(parquet.read(body, DEFAULTS))

    def test_refuses_a_file_that_was_cut_in_the_middle(self):
        body = parquet.write(two()).body
        with pytest.raises(parquet.NotParquet):
            list(parquet.read(body[:40] + bytes(60) + body[100:], DEFAULTS))
