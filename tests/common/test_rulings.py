"""Which rules are in force: those of the newest revision, or the first ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.common.canonical import digest_of
from apps.common.rulings import Ruling, beside_former
from tests.factories import NOW


@dataclass(frozen=True)
class Said:
    body: dict[str, Any]

    def as_json(self):
        return self.body


@dataclass(frozen=True)
class Row:
    number: int
    digest: str
    active_from: datetime = NOW


class TestRuling:
    def test_is_the_first_where_nothing_rests_on_it_yet(self):
        ruling = Ruling(Said({"days": 30}), None)
        assert (ruling.number, ruling.digest) == (1, digest_of({"days": 30}))

    def test_is_that_of_its_row(self):
        ruling = Ruling(Said({"days": 30}), Row(7, "sha256:of the row"))
        assert (ruling.number, ruling.digest) == (7, "sha256:of the row")

    def test_is_answered_with_its_rules_and_since_when(self):
        said = Said({"days": 30})
        row = {"number": 7, "digest": "sha256:of the row", "active_from": NOW}
        first = {"number": 1, "digest": digest_of({"days": 30}), "active_from": None}
        assert Ruling(said, Row(**row)).as_json() == {**row, "rules": {"days": 30}}
        assert Ruling(said, None).as_json() == {**first, "rules": {"days": 30}}


class TestBesideFormer:
    def test_puts_each_beside_the_one_before_it(self):
        third, second, first = (Row(number, f"sha256:{number}") for number in (3, 2, 1))
        assert beside_former([third, second, first]) == [
            (third, second), (second, first), (first, None),
        ]  # fmt: skip

    def test_is_nothing_where_nothing_rests_on_any_yet(self):
        assert beside_former([]) == []
