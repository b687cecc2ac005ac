"""Numbers with their nouns."""

from decimal import Decimal

import pytest

from apps.common.counts import counted, sentence


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 hours are"), (1, "1 hour is"), (2, "2 hours are"), (12_345, "12,345 hours are"),
        (Decimal(1), "1 hour is"), (Decimal("1.50"), "1.50 hours are"),
    ],
)  # fmt: skip
def test_a_number_has_its_noun_and_verb(number, words):
    assert counted(number, "hour is", "hours are") == words
    assert counted(number, "hour") == words.replace(" is", "").replace(" are", "")


def test_parts_are_one_sentence():
    assert sentence(["on 2 days no engine was watched", "1 hour is open"]) == (
        "On 2 days no engine was watched; 1 hour is open."
    )
    assert sentence([]) == ""
