"""Text for CSV files that people open in a spreadsheet."""

import csv
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apps.common.spreadsheets import cell, csv_answer, csv_lines


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(text):
    assert cell(text) == f"'{text}"


def test_other_text_stays():
    assert cell("a=b") == "a=b"


def test_lines_come_one_by_one_as_a_reader_asks_for_them():
    asked = []

    def rows():
        for row in (["a", "b"], ["1, 2", 'say "so"']):
            asked.append(row)
            yield row

    lines = csv_lines(rows())
    assert (next(lines), len(asked)) == ("a,b\r\n", 1)
    assert next(lines) == '"1, 2","say ""so"""\r\n'


class TestCsvAnswer:
    """The one way in which the portal sends a CSV file."""

    HEAD = ("name", "cost_usd", "calls", "live", "at", "day", "data")
    ROWS = (
        ("=cmd()", Decimal("0.0000012500"), 7, True, datetime(2026, 11, 2, 8, tzinfo=UTC),
         date(2026, 11, 2), {"b": "–", "a": [1]}),
        ("appeals, triage", None, 0, False, None, None, ["x"]),
    )  # fmt: skip

    def test_holds_the_head_and_every_row_in_order(self):
        answer = csv_answer("grants", [self.HEAD, *self.ROWS])
        first, second = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert first == {
            "name": "'=cmd()", "cost_usd": "0.00000125", "calls": "7", "live": "yes",
            "at": "2026-11-02T08:00:00+00:00", "day": "2026-11-02",
            "data": '{"a": [1], "b": "–"}',
        }  # fmt: skip
        assert second == {
            "name": "appeals, triage", "cost_usd": "", "calls": "0", "live": "no", "at": "",
            "day": "", "data": '["x"]',
        }  # fmt: skip

    def test_is_named_after_its_days_or_else_the_moment(self):
        answer = csv_answer("usage", [])
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        name = r'attachment; filename="usage-\d{8}T\d{6}Z\.csv"'
        assert re.fullmatch(name, answer["Content-Disposition"])
        named = csv_answer("usage", [], of="2026-11")
        assert named["Content-Disposition"] == 'attachment; filename="usage-2026-11.csv"'

    def test_of_a_sample_says_so_in_its_name_and_in_each_row(self):
        answer = csv_answer("grants", [("a", "b"), (1, 2), (3, None)], is_sample=True, of="2026-11")
        assert answer["Content-Disposition"] == 'attachment; filename="grants-2026-11-sample.csv"'
        assert b"".join(answer).decode().split() == ["a,b,sample", "1,2,Sample", "3,,Sample"]
        assert list(csv_answer("grants", [], is_sample=True)) == []

    def test_reads_no_row_before_it_is_sent(self):
        asked = []

        def rows():
            for row in (self.HEAD, *self.ROWS):
                asked.append(row)
                yield row

        answer = csv_answer("grants", rows())
        assert asked == []
        next(iter(answer))
        assert asked == [self.HEAD]
