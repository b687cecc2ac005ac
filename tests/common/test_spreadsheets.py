"""Text for CSV files that people open in a spreadsheet."""

import pytest

from apps.common.spreadsheets import cell, csv_lines


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
