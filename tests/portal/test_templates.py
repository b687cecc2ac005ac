"""How templates are written: short lines, one element a line."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
LONGEST = 120


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_is_longer_than_a_reader_takes_in(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), start=1)
    assert not [f"{path.name}:{number}" for number, line in lines if len(line) > LONGEST]


ROLES = {
    "table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tfoot": "rowgroup", "tr": "row",
    "td": "cell",
}  # fmt: skip
STACKED = [path for path in TEMPLATES if "table-stacks" in path.read_text()]


@pytest.mark.parametrize("path", STACKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_table_that_stacks_on_a_phone_stays_a_table_to_those_who_hear_it(path: Path) -> None:
    for table in re.findall(r"<table[^>]*table-stacks.*?</table>", path.read_text(), re.DOTALL):
        for name, attributes in re.findall(r"<(table|thead|tbody|tfoot|tr|td|th)\b([^>]*)", table):
            roles = ("rowheader", "columnheader") if name == "th" else (ROLES[name],)
            assert any(f'role="{role}"' in attributes for role in roles), f"<{name}{attributes}>"
