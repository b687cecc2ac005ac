"""How templates are written: short lines, one element a line."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
LONGEST = 120


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_is_longer_than_a_reader_takes_in(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), start=1)
    assert not [f"{path.name}:{number}" for number, line in lines if len(line) > LONGEST]
