"""What a difference between the cloud's bill and the ledger is called."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.chargeback.reconciliation.bill.compare import (
    BilledTime,
    LedgerTime,
    MachineDay,
    Name,
    State,
    added,
    names_of,
    rows,
    summary,
)

DAY, OTHER = date(2026, 11, 2), date(2026, 11, 3)
HALF = Decimal("0.5")


def d(text):
    return Decimal(text)


def machine(
    ledger=None, billed=None, *, resource="i-1", kind="p5.48xlarge", how="on-demand", day=DAY
):
    return MachineDay(day, resource, kind, how, ledger, billed)


def ledger(hours, usd, unpriced="0"):
    return LedgerTime(d(hours), d(unpriced), d(usd))


def billed(hours, usd, **more):
    return BilledTime(d(hours), d(usd), **more)


def covered(hours, usd, listed):
    return billed(
        hours, usd, covered_hours=d(hours), covered_usd=d(usd),
        covered_on_demand_usd=None if listed is None else d(listed),
    )  # fmt: skip


def compared(*machines, others=None, unknown=None, tolerance=HALF, whole=(DAY, OTHER)):
    return rows(machines, others or {}, unknown or {}, tolerance=tolerance, covered=whole)


class TestNames:
    def test_have_none_where_both_sides_agree(self):
        assert names_of(machine(ledger("10", "100"), billed("10", "100")), is_covered=True) == {}

    def test_name_the_spot_price(self):
        spot = machine(ledger("10", "100"), billed("10", "93"), how="spot")
        assert names_of(spot, is_covered=True) == {Name.SPOT_PRICE: -7}

    def test_leave_another_price_on_demand_unexplained(self):
        wrong = machine(ledger("10", "100"), billed("10", "120"))
        assert names_of(wrong, is_covered=True) == {}
        (row,) = compared(wrong)
        assert (row.state, row.unexplained_usd) == (State.UNEXPLAINED, 20)
        assert "another price" in row.rest_words

    def test_name_what_a_commitment_really_took_off(self):
        plan = machine(ledger("10", "100"), covered("10", "60", "100"))
        assert names_of(plan, is_covered=True) == {Name.COMMITMENT: -40}

    def test_leave_beyond_a_commitment_what_it_did_not_take_off(self):
        wrong = machine(ledger("10", "130"), covered("10", "60", "100"))
        (row,) = compared(wrong)
        assert row.names == {Name.COMMITMENT: -40}
        assert row.unexplained_usd == -30

    def test_name_nothing_of_a_commitment_that_the_ledger_knows(self):
        contract = machine(ledger("10", "60"), covered("10", "60", "100"))
        assert names_of(contract, is_covered=True) == {}
        dearer = machine(ledger("10", "50"), covered("10", "60", "100"))
        assert compared(dearer)[0].unexplained_usd == 10

    def test_take_a_commitments_word_where_the_bill_tells_no_public_price(self):
        plan = machine(ledger("10", "130"), covered("10", "60", None))
        assert names_of(plan, is_covered=True) == {Name.COMMITMENT: -70}

    def test_name_what_the_accounts_discount_really_took_off(self):
        less = {"discount_usd": d("-9")}
        listed = machine(ledger("10", "100"), billed("10", "91", **less))
        assert names_of(listed, is_covered=True) == {Name.DISCOUNT: -9}
        contract = machine(ledger("10", "91"), billed("10", "91", **less))
        assert names_of(contract, is_covered=True) == {}
        wrong = machine(ledger("10", "120"), billed("10", "91", **less))
        assert names_of(wrong, is_covered=True) == {Name.DISCOUNT: -9}
        assert compared(wrong)[0].unexplained_usd == -20
        dearer = machine(ledger("10", "80"), billed("10", "91", **less))
        assert compared(dearer)[0].unexplained_usd == 11

    def test_name_a_discount_beside_hours_and_a_commitment_once_each(self):
        more = machine(ledger("5", "50"), billed("10", "91", discount_usd=d("-9")))
        assert names_of(more, is_covered=True) == {
            Name.ONLY_BILL: d("45.5"), Name.DISCOUNT: d("-4.5"),
        }  # fmt: skip
        half = billed("10", "74", covered_hours=d("5"), covered_usd=d("29"),
                      covered_on_demand_usd=d("50"), discount_usd=d("-6"))  # fmt: skip
        found = names_of(machine(ledger("10", "100"), half), is_covered=True)
        assert found == {Name.COMMITMENT: -21, Name.DISCOUNT: -5}
        own = billed("10", "91", charges={Name.DISCOUNT: d("-1")}, discount_usd=d("-9"))
        assert names_of(machine(ledger("10", "100"), own), is_covered=True) == {Name.DISCOUNT: -10}

    def test_name_hours_of_one_side(self):
        more = machine(ledger("10", "100"), billed("12", "120"))
        assert names_of(more, is_covered=True) == {Name.ONLY_BILL: 20}
        less = machine(ledger("12", "120"), billed("10", "100"))
        assert names_of(less, is_covered=True) == {Name.ONLY_LEDGER: -20}

    def test_name_a_machine_that_one_side_alone_knows(self):
        assert names_of(machine(None, billed("5", "50")), is_covered=True) == {Name.ONLY_BILL: 50}
        assert names_of(machine(ledger("5", "50")), is_covered=True) == {Name.ONLY_LEDGER: -50}

    def test_call_everything_late_that_the_bill_does_not_tell_yet(self):
        late = machine(ledger("24", "240"), billed("10", "100", charges={Name.TAX: d("8")}))
        assert names_of(late, is_covered=False) == {Name.TAX: 8, Name.LATE: -140}
        assert names_of(machine(ledger("5", "50")), is_covered=False) == {Name.LATE: -50}

    def test_name_hours_without_a_price(self):
        part = machine(ledger("10", "60", unpriced="4"), billed("10", "100"))
        assert names_of(part, is_covered=True) == {Name.UNPRICED: 40}
        none = machine(ledger("10", "0", unpriced="10"), billed("10", "100"))
        assert names_of(none, is_covered=True) == {Name.UNPRICED: 100}

    def test_name_what_else_is_charged_for_a_machine(self):
        charges = {Name.DISCOUNT: d("-10"), Name.CREDIT: d("-5"), Name.TAX: d("3")}
        taxed = machine(ledger("10", "100"), billed("10", "100", charges=charges))
        assert names_of(taxed, is_covered=True) == charges

    amounts = st.decimals(0, 1000, places=4)
    times = st.builds(LedgerTime, amounts, st.just(Decimal(0)), amounts) | st.none()

    @given(
        times,
        st.builds(BilledTime, amounts, amounts, amounts, amounts, amounts | st.none()),
        st.booleans(),
        st.sampled_from(["spot", "on-demand"]),
    )
    @settings(max_examples=300)
    def test_and_the_rest_sum_to_the_difference(self, known, bill, is_covered, how):
        one = machine(known, bill, how=how)
        (row,) = compared(one, whole=[DAY] if is_covered else [])
        assert sum(row.names.values()) + row.rest_usd == row.billed_usd - row.ledger_usd


class TestRows:
    def test_are_of_a_day_and_a_kind_of_machine(self):
        found = compared(
            machine(ledger("1", "10"), billed("1", "10")),
            machine(ledger("2", "20"), billed("2", "20"), resource="i-2"),
            machine(ledger("3", "9"), billed("3", "8"), resource="i-3", how="spot"),
            machine(ledger("4", "4"), billed("4", "4"), resource="i-4", kind="g6.xlarge"),
            machine(ledger("5", "50"), billed("5", "50"), day=OTHER),
            others={DAY: {Name.TAX: d("2")}},
        )
        assert [(row.day, row.instance_type, row.capacity_type, row.machines) for row in found] == [
            (OTHER, "p5.48xlarge", "on-demand", 1), (DAY, "g6.xlarge", "on-demand", 1),
            (DAY, "p5.48xlarge", "on-demand", 2), (DAY, "p5.48xlarge", "spot", 1),
            (DAY, "", "", 0),
        ]  # fmt: skip
        assert (found[2].ledger_hours, found[2].ledger_usd) == (3, 30)
        assert found[3].names == {Name.SPOT_PRICE: -1}
        assert (found[4].billed_usd, found[4].names) == (2, {Name.TAX: 2})

    def test_leave_lines_of_no_known_type_unexplained(self):
        (row,) = compared(unknown={DAY: d("7")}, others={DAY: {Name.CREDIT: d("-3")}})
        assert (row.billed_usd, row.unexplained_usd, row.state) == (4, 7, State.UNEXPLAINED)
        assert row.rest_words == "lines of a type that is not known"

    def test_call_unknown_what_a_side_does_not_know(self):
        found = compared(
            machine(ledger("10", "0", unpriced="10"), billed("10", "100")),
            machine(ledger("5", "50"), kind="g6.xlarge"),
            machine(None, billed("5", "50"), kind="g5.xlarge"),
            others={DAY: {Name.TAX: d("2")}},
        )
        assert [(row.ledger_known_usd, row.billed_known_usd) for row in found] == [
            (None, 50), (50, None), (None, 100), (None, 2),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("usd", "state"), [("100.50", State.MATCHES), ("100.51", State.UNEXPLAINED),
                           ("99.50", State.MATCHES), ("99.49", State.UNEXPLAINED)],
    )  # fmt: skip
    def test_may_leave_half_a_percent(self, usd, state):
        (row,) = compared(machine(ledger("10", "100"), billed("10", usd)))
        assert row.state == state

    def test_may_leave_a_cent_of_little(self):
        (row,) = compared(machine(ledger("1", "0.10"), billed("1", "0.11")))
        assert row.state == State.MATCHES

    def test_need_a_reason_where_one_side_knows_more(self):
        (row,) = compared(machine(None, billed("5", "50")))
        assert (row.state, row.asks_usd, row.unexplained_usd) == (State.ASKS, 50, 0)

    def test_do_not_let_hours_of_two_machines_cancel_out_in_price(self):
        found = compared(
            machine(ledger("10", "100"), billed("10", "120")),
            machine(None, billed("5", "50"), resource="i-2"),
        )
        assert found[0].unexplained_usd == 20 and found[0].asks_usd == 50

    def test_are_explained_where_every_part_has_a_name(self):
        (row,) = compared(machine(ledger("10", "100"), billed("10", "50"), how="spot"))
        assert row.state == State.EXPLAINED

    def test_wait_for_a_day_that_the_bill_does_not_tell_of(self):
        (row,) = compared(machine(ledger("24", "240"), billed("10", "100")), whole=())
        assert (row.state, row.names) == (State.WAITING, {Name.LATE: -140})

    def test_sort_by_state_as_well(self):
        assert all(isinstance(row.state, str) for row in compared(machine(ledger("1", "1"))))


def test_a_month_is_what_its_rows_come_to():
    found = summary(
        compared(
            machine(ledger("10", "100"), billed("10", "120")),
            machine(ledger("10", "100"), billed("10", "80"), day=OTHER),
            machine(None, billed("5", "50"), resource="i-2", kind="g6.xlarge"),
            machine(ledger("1", "10"), resource="i-3", kind="g5.xlarge"),
            machine(ledger("10", "100"), billed("10", "90"), resource="i-4", how="spot"),
            others={DAY: {Name.TAX: d("8"), Name.SUPPORT: d("100")}},
        )
    )
    assert (found.ledger_usd, found.billed_usd, found.machines_usd) == (310, 448, 340)
    assert (found.unexplained_usd, found.unexplained_days) == (40, 2)
    assert found.asks == {Name.ONLY_BILL: 50, Name.ONLY_LEDGER: -10}
    assert (found.asks_usd, found.is_explained) == (60, False)
    assert found.names == {
        Name.SPOT_PRICE: -10, Name.TAX: 8, Name.SUPPORT: 100, Name.ONLY_BILL: 50,
        Name.ONLY_LEDGER: -10,
    }  # fmt: skip


def test_sums_of_names_leave_out_what_comes_to_nothing():
    assert added([{Name.TAX: d("1")}, {Name.TAX: d("-1"), Name.CREDIT: d("2")}]) == {Name.CREDIT: 2}
