"""The faults that `make mutants` makes."""

import ast

import pytest

from tests.mutants import __main__ as command
from tests.mutants.core import CORE
from tests.mutants.equivalents import EQUIVALENT
from tests.mutants.operators import mutants, mutated, required_keywords
from tests.mutants.runner import ROOT

SOURCE = '''
LIMIT = 3

@transaction.atomic
def end(*, row, by, now, note=""):
    """End a row."""
    if row.ended_at and row.ended_at < now:
        raise Ended("It has ended already.")
    Row.objects.filter(pk=row.pk, ended_at=None).update(ended_at=now + LATER)
    record(row, by=by, note="ended")
    return row
'''


REQUIRED = {("record", "by")}


def changed() -> list[str]:
    """Every changed source, as Python writes it."""
    return [
        ast.unparse(mutated(mutant, SOURCE, REQUIRED))
        for mutant in mutants("m.py", SOURCE, REQUIRED)
    ]


class TestMutants:
    @pytest.mark.parametrize(
        "there",
        [
            "LIMIT = 6",
            "LIMIT = 3\ndef end",
            "if not (row.ended_at and row.ended_at < now):",
            "if row.ended_at or row.ended_at < now:",
            "if row.ended_at and row.ended_at <= now:",
            ".filter(ended_at=None)",
            ".filter(pk=row.pk).update",
            ".update()",
            "now - LATER",
            "LATER)\n    pass\n    return",
            "record(row, by=by)",
            "note='ended_'",
            "return None",
        ],
    )
    def test_has(self, there):
        assert sum(there in text.replace("\n\n", "\n") for text in changed()) in (1, 2)

    def test_leaves_words_for_people_and_what_must_be_given_alone(self):
        for text in changed():
            assert "It has ended already.'" in text or "raise" not in text
            assert "record(row, note" not in text

    def test_gives_amounts_another_value(self):
        found = mutants("m.py", 'A = Decimal("0.01") + Decimal(0)\n', set())
        assert {key.partition(" → ")[2] for key in (mutant.key for mutant in found)} == {
            "A = Decimal('0.02') + Decimal(0)",
            "A = Decimal('0.01') + Decimal('1')",
            "A = Decimal('0.01') - Decimal(0)",
        }

    def test_leaves_what_annotations_are_made_of_alone(self):
        types = 'Kind = Literal["a", "b"]\nAny = int | str | None\nRow = TypeVar("Row")\n'
        assert mutants("m.py", types, set()) == []
        assert mutants("m.py", "FLAGS = A | 4\n", set())

    def test_leaves_what_zip_asserts_alone(self):
        found = mutants("m.py", "pairs = zip(a, b, strict=True)\n", set())
        assert found == []

    def test_finds_what_a_call_cannot_leave_out(self):
        source = "def f(a, b=1, *, c, d=2): ...\nclass C:\n    x: int\n    y: int = 3\n"
        assert required_keywords([source]) == {("f", "a"), ("f", "c"), ("C", "x")}

    def test_each_makes_one_change_that_python_reads(self):
        found = mutants("m.py", SOURCE, set())
        texts = {ast.unparse(mutated(mutant, SOURCE, set())) for mutant in found}
        assert len(texts) == len(found) > 15
        assert ast.unparse(ast.parse(SOURCE)) not in texts


class TestSample:
    def test_is_the_same_for_a_seed_while_other_lines_change(self):
        found = mutants("m.py", SOURCE, set())
        moved = mutants("m.py", "OTHER = f()\n" + SOURCE, set())
        first = [mutant.key for mutant in command.sample(found, 5, 1)]
        assert [mutant.key for mutant in command.sample(moved, 5, 1)] == first
        assert [mutant.key for mutant in command.sample(found, 5, 2)] != first


class TestTheCore:
    def test_names_modules_that_are_there(self):
        assert [glob for glob in CORE if not list(ROOT.glob(glob))] == []

    def test_has_tests_beside_every_module(self):
        missing = [
            module for module in command.core_modules([]) if not any(command.tests_of(module))
        ]
        assert missing == []

    def test_knows_no_equivalent_that_is_gone(self):
        required = required_keywords(p.read_text() for p in ROOT.glob("apps/**/*.py"))
        gone = []
        for module, known in EQUIVALENT.items():
            found = mutants(module, (ROOT / module).read_text(), required)
            gone += sorted(known.keys() - {mutant.key for mutant in found})
        assert gone == []
