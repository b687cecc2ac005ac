"""Which rules are in force: those of the newest revision, or the first ones."""

from dataclasses import dataclass
from typing import Any

from apps.common.canonical import digest_of
from apps.common.rulings import Ruling


@dataclass(frozen=True)
class Said:
    body: dict[str, Any]

    def as_json(self):
        return self.body


@dataclass(frozen=True)
class Row:
    number: int
    digest: str


class TestRuling:
    def test_is_the_first_where_nothing_rests_on_it_yet(self):
        ruling = Ruling(Said({"days": 30}), None)
        assert (ruling.number, ruling.digest) == (1, digest_of({"days": 30}))

    def test_is_that_of_its_row(self):
        ruling = Ruling(Said({"days": 30}), Row(7, "sha256:of the row"))
        assert (ruling.number, ruling.digest) == (7, "sha256:of the row")
