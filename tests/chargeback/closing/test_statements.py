"""What statements say: numbered, in their order, and to the cent."""

from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.chargeback.closing.rounding import cents
from apps.chargeback.closing.statements import (
    COST,
    LIST,
    NOTHING,
    Amount,
    Key,
    corrections,
    digest_of_all,
    drafts,
    total_of,
)
from apps.common.money import exact

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


def key(cost_center="CC-1", basis=LIST, month=NOVEMBER, team="a", version="m-v1", item="INPUT"):
    return Key(cost_center, basis, month, team, "m", version, item, 7 if basis == LIST else None)


def amount(usd, quantity="1"):
    return Amount(Decimal(quantity), Decimal(usd))


class TestDrafts:
    def test_are_one_for_each_cost_center_without_a_gap(self):
        lines = {
            key("CC-2"): amount("1"), key("CC-1"): amount("2"),
            key("", COST, item="IDLE"): amount("3"),
        }  # fmt: skip
        made = drafts(NOVEMBER, lines)
        assert [(d.number, d.cost_center) for d in made] == [
            ("2026-11-001", ""), ("2026-11-002", "CC-1"), ("2026-11-003", "CC-2"),
        ]  # fmt: skip
        assert (made[0].total(COST), made[0].total(LIST)) == (Decimal("3.00"), Decimal("0.00"))

    def test_put_the_price_list_first_and_corrections_before_the_month(self):
        lines = {
            key(basis=COST, item="WORK"): amount("1"), key(team="b"): amount("1"),
            key(month=OCTOBER): amount("-1"), key(team="a"): amount("1"),
        }  # fmt: skip
        (made,) = drafts(NOVEMBER, lines)
        found = [(line.key.basis, line.key.usage_month, line.key.team) for line in made.lines]
        assert found == [
            (LIST, OCTOBER, "a"), (LIST, NOVEMBER, "a"), (LIST, NOVEMBER, "b"),
            (COST, NOVEMBER, "a"),
        ]  # fmt: skip

    def test_are_the_same_bytes_for_the_same_lines_and_others_for_others(self):
        lines = {key(): amount("0.1", "3.50"), key("CC-2"): amount("2")}
        again = dict(reversed({key(): amount("0.100", "3.5"), key("CC-2"): amount("2")}.items()))
        assert digest_of_all(drafts(NOVEMBER, lines)) == digest_of_all(drafts(NOVEMBER, again))
        for other in (amount("0.11", "3.5"), amount("0.1", "3.6")):
            changed = lines | {key(): other}
            assert digest_of_all(drafts(NOVEMBER, changed)) != digest_of_all(
                drafts(NOVEMBER, lines)
            )

    @given(
        st.dictionaries(
            st.builds(
                key, st.sampled_from(["CC-1", "CC-2", ""]), st.sampled_from([LIST, COST]),
                team=st.sampled_from("abc"), version=st.sampled_from(["m-v1", "m-v2"]),
            ),
            st.builds(Amount, st.just(Decimal(1)), st.decimals(-1000, 1000, places=12)),
            max_size=25,
        )
    )  # fmt: skip
    @settings(max_examples=150)
    def test_sum_to_the_months_total_on_each_side_to_the_cent(self, lines):
        made = drafts(NOVEMBER, lines)
        for basis in (LIST, COST):
            exact = sum((a.usd for k, a in lines.items() if k.basis == basis), Decimal(0))
            assert total_of(made, basis) == cents(exact)
            assert total_of(made, basis) == sum(
                (line.cents for d in made for line in d.lines if line.key.basis == basis),
                Decimal(0),
            )


class TestCorrections:
    def test_are_what_is_known_now_less_what_was_billed(self):
        now = {key(): amount("5", "50"), key(team="b"): amount("1", "10")}
        billed = {key(): amount("3", "30"), key(team="c"): amount("2", "20")}
        assert corrections(now, billed) == {
            key(): amount("2", "20"), key(team="b"): amount("1", "10"),
            key(team="c"): amount("-2", "-20"),
        }  # fmt: skip

    def test_of_a_correction_are_told_once(self):
        first = {key(): amount("5", "50")}
        billed = {key(): amount("3", "30")}
        found = corrections(first, billed)
        billed_now = {k: billed.get(k, NOTHING) + a for k, a in found.items()}
        assert corrections(first, billed_now) == {}


def test_numbers_are_written_alike_however_they_came():
    for text in ("1.50", "1.5", "0.15E1"):
        assert exact(Decimal(text)) == "1.5"
    assert [exact(Decimal(t)) for t in ("-0", "0.000", "1E+3")] == ["0", "0", "1000"]
