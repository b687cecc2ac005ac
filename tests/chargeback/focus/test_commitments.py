"""Savings plans and reservations of the cloud's bill as FOCUS rows, and the rules about them."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.accounts.models import Role
from apps.chargeback.focus import export
from apps.chargeback.focus.columns import VERSIONS
from apps.chargeback.focus.rules import NotFocus, checked
from tests.chargeback.bills.made import END, NOVEMBER, PLAN, START, bill, bought, keeps, lines_of
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
URL = "/chargeback/focus/2026-11/"
RESERVATION = "arn:aws:ec2:us-east-1:1:reserved-instances/ri-1"
HOURS = 26  # from the first of November on, in which the plan is paid


@pytest.fixture
def committed_bill(tmp_path, monkeypatch):
    """Two hours under a savings plan, one under a reservation with its fees, and one on Spot."""
    made = bill(
        bought("i-1", 0, 2, usd="10", how="on-demand"), bought("i-2", 0, 1),
        plan=PLAN, until=START + timedelta(hours=2), is_final=True,
    )  # fmt: skip
    found = lines_of(made)
    row = next(row for row in found if row["line_item_resource_id"] == "i-2")
    reserved = {"reservation_reservation_a_r_n": RESERVATION}
    found += [
        row | reserved | {
            "line_item_resource_id": "i-3", "line_item_line_item_type": "DiscountedUsage",
            "line_item_unblended_cost": 0.0, "reservation_effective_cost": 6.5,
        },
        row | reserved | {
            "line_item_resource_id": RESERVATION, "line_item_line_item_type": "RIFee",
            "line_item_unblended_cost": 10.0, "reservation_unused_recurring_fee": 3.5,
            "reservation_unused_amortized_upfront_fee_for_billing_period": 0.0,
        },
        row | reserved | {
            "line_item_resource_id": RESERVATION, "line_item_line_item_type": "Fee",
            "line_item_unblended_cost": 900.0,
        },
    ]  # fmt: skip
    monkeypatch.setattr("tests.chargeback.bills.made.lines_of", lambda *_: found)
    return keeps(tmp_path, END)(made)


def rows():
    return list(export.rows(NOVEMBER, "COMMITMENT"))


def of(found, status, kind="Savings Plan"):
    return [
        row
        for row in found
        if row["CommitmentDiscountStatus"] == status and row["CommitmentDiscountType"] == kind
    ]


def total(found, column):
    return sum((row[column] for row in found), Decimal(0))


@pytest.mark.usefixtures("committed_bill")
class TestRows:
    def test_of_a_plan_come_to_what_was_paid_and_to_what_became_of_it(self):
        found = rows()
        paid, used, unused = of(found, None), of(found, "Used"), of(found, "Unused")
        assert total(paid, "BilledCost") == HOURS * 30
        assert (total(used, "EffectiveCost"), total(used, "ListCost")) == (12, 20)
        assert total(unused, "EffectiveCost") == HOURS * 30 - 12
        assert {row["ChargeCategory"] for row in paid} == {"Purchase"}
        assert {row["ChargeFrequency"] for row in paid} == {"Recurring"}
        assert {row["ResourceId"] for row in used} == {"i-1"}
        assert {row["CommitmentDiscountId"] for row in paid + used + unused} == {PLAN.arn}
        assert {row["CommitmentDiscountCategory"] for row in paid + used + unused} == {"Spend"}
        assert {row["CommitmentDiscountUnit"] for row in used} == {"USD"}

    def test_of_a_reservation_do_too(self):
        found = rows()
        kind = "Reserved Instance"
        paid, used, unused = (of(found, status, kind) for status in (None, "Used", "Unused"))
        assert sorted((row["ChargeFrequency"], row["BilledCost"]) for row in paid) == [
            ("One-Time", 900), ("Recurring", 10),
        ]  # fmt: skip
        assert [(row["EffectiveCost"], row["ResourceId"]) for row in used] == [
            (Decimal("6.5"), "i-3")
        ]
        assert [row["EffectiveCost"] for row in unused] == [Decimal("3.5")]
        assert (used[0]["CommitmentDiscountUnit"], used[0]["CommitmentDiscountQuantity"]) == (
            "Hours", 1,
        )  # fmt: skip

    def test_leave_out_what_no_commitment_covers(self):
        assert not [row for row in rows() if row["ResourceId"] == "i-2"]

    @pytest.mark.parametrize("version", VERSIONS)
    def test_hold_what_focus_asks(self, version):
        assert len(list(checked(rows(), version))) == len(rows()) > 0

    @pytest.mark.parametrize("version", VERSIONS)
    def test_are_a_file_of_their_own(self, client, version):
        client.force_login(UserFactory(with_roles=[Role.FINANCE]))
        answer = client.get(URL, {"version": version, "basis": "COMMITMENT"})
        found = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
        assert {row["x_CostBasis"] for row in found} == {"Commitment"}
        assert {row["ServiceCategory"] for row in found} == {"Compute"}
        assert sum(Decimal(row["BilledCost"]) for row in found) == HOURS * 30 + 910
        for basis in ("LIST", "COST"):
            other = client.get(URL, {"version": version, "basis": basis})
            assert b"Savings Plan" not in b"".join(other)

    @pytest.mark.parametrize(
        ("status", "change", "said"),
        [
            ("Used", {"CommitmentDiscountStatus": None}, "CommitmentDiscountStatus is empty"),
            ("Used", {"PricingCategory": "Standard"}, "is not Committed"),
            ("Used", {"CommitmentDiscountId": None}, "CommitmentDiscountStatus is of no"),
            ("Used", {"CommitmentDiscountUnit": None}, "CommitmentDiscountQuantity and Comm"),
            ("Used", {"CommitmentDiscountCategory": None}, "CommitmentDiscountId and Comm"),
            ("Used", {"BilledCost": Decimal(1)}, "BilledCost of usage under a commitment"),
            ("Unused", {"CommitmentDiscountStatus": "Idle"}, "may not be Idle"),
            (None, {"EffectiveCost": Decimal(1)}, "EffectiveCost of a purchase is not 0"),
            (None, {"CommitmentDiscountStatus": "Used"}, "is told of a purchase"),
        ],
    )
    def test_that_break_a_rule_are_refused(self, status, change, said):
        row = of(rows(), status)[0]
        with pytest.raises(NotFocus, match=said):
            list(checked([row | change], "1.4"))


def test_without_a_bill_there_is_no_row():
    assert rows() == []
