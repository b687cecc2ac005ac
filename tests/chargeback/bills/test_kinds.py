"""What a line of AWS's bill is for, and what it costs once commitments are laid on usage."""

from decimal import Decimal

import pytest

from apps.chargeback.bills.kinds import Kind, effective, kind_of, machine_of

D = Decimal


class TestKindOf:
    @pytest.mark.parametrize(
        ("line_type", "service", "usage_type", "commitment", "kind"),
        [
            ("Usage", "AmazonEC2", "BoxUsage:p5.48xlarge", "", Kind.MACHINE),
            ("DiscountedUsage", "AmazonEC2", "USE2-BoxUsage:g6.xlarge", "ri", Kind.MACHINE),
            ("SavingsPlanCoveredUsage", "AmazonEC2", "BoxUsage:g6.xlarge", "sp", Kind.MACHINE),
            ("SavingsPlanNegation", "AmazonEC2", "BoxUsage:g6.xlarge", "sp", Kind.MACHINE),
            ("Usage", "AmazonEC2", "SpotUsage:g6.xlarge", "", Kind.MACHINE),
            ("Usage", "AmazonEC2", "BoxUsage", "", Kind.MACHINE),
            ("Usage", "AmazonRDS", "BoxUsage:g6.xlarge", "", Kind.SERVICE),
            ("Usage", "AmazonEC2", "EBSOptimized:g6.xlarge", "", Kind.SERVICE),
            ("Usage", "AmazonEC2", "EBS:VolumeUsage.gp3", "", Kind.STORAGE),
            ("Usage", "AmazonEC2", "DataTransfer-Regional-Bytes", "", Kind.TRANSFER),
            ("Usage", "AmazonEC2", "USE1-NatGateway-Bytes", "", Kind.TRANSFER),
            ("Usage", "AmazonEC2", "NatGateway-Hours", "", Kind.SERVICE),
            ("Fee", "AWSSupportEnterprise", "", "", Kind.SUPPORT),
            ("Fee", "AmazonRegistrar", "", "", Kind.SERVICE),
            ("Fee", "AmazonEC2", "HeavyUsage:p5.48xlarge", "ri", Kind.COMMITMENT),
            ("RIFee", "AmazonEC2", "HeavyUsage:p5.48xlarge", "ri", Kind.COMMITMENT),
            ("SavingsPlanRecurringFee", "ComputeSavingsPlans", "", "sp", Kind.COMMITMENT),
            ("SavingsPlanUpfrontFee", "ComputeSavingsPlans", "", "sp", Kind.COMMITMENT),
            ("Tax", "AmazonEC2", "BoxUsage:p5.48xlarge", "", Kind.TAX),
            ("Credit", "AmazonEC2", "BoxUsage:p5.48xlarge", "", Kind.CREDIT),
            ("Refund", "AmazonEC2", "BoxUsage:p5.48xlarge", "", Kind.REFUND),
            ("EdpDiscount", "AmazonEC2", "BoxUsage:p5.48xlarge", "", Kind.DISCOUNT),
            ("PrivateRateDiscount", "AmazonEC2", "BoxUsage:p5.48xlarge", "", Kind.DISCOUNT),
            ("Wonder", "AmazonEC2", "BoxUsage:p5.48xlarge", "", Kind.UNKNOWN),
        ],
    )
    def test_goes_by_awss_own_words(self, line_type, service, usage_type, commitment, kind):
        assert kind == kind_of(
            line_type=line_type, service=service, usage_type=usage_type, commitment=commitment
        )

    @pytest.mark.parametrize(
        "line_type",
        ["EdpDiscount", "PrivateRateDiscount", "BundledDiscount", "RiVolumeDiscount",
         "SppDiscount", "Discount"],
    )  # fmt: skip
    def test_knows_every_discount(self, line_type):
        found = kind_of(line_type=line_type, service="AmazonEC2", usage_type="")
        assert found == Kind.DISCOUNT


@pytest.mark.parametrize(
    ("usage_type", "found"),
    [
        ("BoxUsage:p5.48xlarge", ("p5.48xlarge", "on-demand")),
        ("USW2-SpotUsage:g6.xlarge", ("g6.xlarge", "spot")),
        ("UnusedBox:p5.48xlarge", ("p5.48xlarge", "on-demand")),
        ("BoxUsage", ("", "on-demand")),
        ("EBS:VolumeUsage.gp3", ("", "")),
        ("NotBoxUsage:p5.48xlarge", ("", "")),
        ("BoxUsage:p5.48xlarge-more stuff", ("", "")),
    ],
)
def test_machine_of_reads_the_type_and_how_it_was_bought(usage_type, found):
    assert machine_of(usage_type) == found


class TestEffective:
    def cost(self, line_type, billed="10", commitment="", covered=None, unused="0"):
        return effective(
            line_type=line_type, billed=D(billed), commitment=commitment,
            covered=None if covered is None else D(covered), unused=D(unused),
        )  # fmt: skip

    def test_is_what_is_billed_without_a_commitment(self):
        for line_type in ("Usage", "Tax", "Credit", "EdpDiscount", "Wonder", "Fee"):
            assert self.cost(line_type) == 10

    def test_is_the_bills_own_of_what_a_commitment_covers(self):
        for line_type in ("SavingsPlanCoveredUsage", "DiscountedUsage"):
            assert self.cost(line_type, covered="6") == 6
            with pytest.raises(ValueError, match=line_type):
                self.cost(line_type)

    def test_is_nothing_of_what_is_laid_on_usage(self):
        assert self.cost("SavingsPlanNegation", "-10") == 0
        assert self.cost("SavingsPlanUpfrontFee", "1000") == 0
        assert self.cost("Fee", "1000", commitment="ri") == 0

    def test_is_what_nobody_used_of_a_recurring_fee(self):
        for line_type in ("SavingsPlanRecurringFee", "RIFee"):
            assert self.cost(line_type, unused="4") == 4
