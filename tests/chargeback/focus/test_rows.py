"""A month as FOCUS rows, and the rules that every export is held against."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.chargeback.focus import rows as focus
from apps.chargeback.focus.charges import Account, ListCharge, MachineShare
from apps.chargeback.focus.columns import VERSIONS, columns
from apps.chargeback.focus.metadata import Metadata, Unpriced
from apps.chargeback.focus.rules import NotFocus, checked
from apps.chargeback.focus.text import csv_rows
from apps.metering.skus import UNITS, Sku

MONTH = date(2026, 11, 1)
ACCOUNT = Account("meridian", "Meridian Health", "Quartermaster Platform", "production")
CHARGE = ListCharge(
    day=date(2026, 11, 2), cost_center="CC-4100", team="claims-review", model="extract",
    version="extract-v1", sku=Sku.INPUT, quantity=Decimal(1), rate_id="12",
    unit_price_usd=Decimal("0.2000000000"), cost_usd=Decimal("0.0000002"),
)  # fmt: skip
SHARE = MachineShare(
    day=date(2026, 11, 2), kind="WORK", cost_center="CC-4100", team="claims-review",
    model="extract", version="extract-v1", instance_type="g6.xlarge", capacity_type="spot",
    gpu_name="L4", gpu_hours=Decimal("3.25"), ratio=Decimal("0.125"), method_id="gpu-work-1",
    cost_usd=Decimal("1.234567890123"), on_demand_usd=Decimal("2.5"),
)  # fmt: skip
NOBODYS = replace(
    SHARE, kind="UNALLOCATED", cost_center="", team="", model="", version="", on_demand_usd=None
)
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost",
    "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit",
    "ServiceCategory", "ServiceName",
}  # fmt: skip
OF_A_VERSION = {
    "1.2": {"ProviderName", "PublisherName"},
    "1.4": {"HostProviderName", "ServiceProviderName"},
}


def rows_of(*charges):
    makers = {ListCharge: focus.list_row, MachineShare: focus.cost_row}
    return [makers[type(charge)](charge, MONTH, ACCOUNT) for charge in charges]


def read(rows, version):
    text = io.StringIO()
    csv.writer(text).writerows(csv_rows(rows, version))
    text.seek(0)
    return list(csv.DictReader(text))


@pytest.mark.parametrize("version", VERSIONS)
class TestColumns:
    def test_are_all_that_the_version_asks_for(self, version):
        names = [column.name for column in columns(version)]
        assert set(names) >= MANDATORY | OF_A_VERSION[version]
        other = "1.4" if version == "1.2" else "1.2"
        assert not set(names) & OF_A_VERSION[other]

    def test_stand_in_order_and_ours_come_last(self, version):
        names = [column.name for column in columns(version)]
        own = [name for name in names if name.startswith("x_")]
        assert names == sorted(names[: -len(own)]) + sorted(own)

    def test_of_every_kind_of_row_hold_the_rules(self, version):
        rows = rows_of(
            CHARGE, SHARE, NOBODYS, replace(CHARGE, sku=Sku.IMAGE, cost_usd=Decimal("0.2"))
        )
        assert list(checked(rows, version)) == rows


class TestListRow:
    def test_prices_one_token_without_losing_it(self):
        row = read(rows_of(CHARGE), "1.2")[0]
        assert (row["BilledCost"], row["PricingQuantity"]) == ("0.0000002", "0.000001")
        assert (row["ListUnitPrice"], row["PricingUnit"]) == ("0.2", "1000000 Tokens")
        assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == ("1", "Tokens")

    def test_says_when_and_whose(self):
        row = read(rows_of(CHARGE), "1.4")[0]
        assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
            "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z",
        )  # fmt: skip
        assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
            "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z",
        )  # fmt: skip
        assert (row["SubAccountId"], row["ResourceId"]) == ("claims-review", "extract-v1")
        assert json.loads(row["Tags"]) == {
            "cost_center": "CC-4100", "environment": "production",
        }  # fmt: skip
        assert (row["SkuId"], row["SkuPriceId"]) == ("extract/INPUT", "12")
        assert row["x_CostBasis"] == "PriceList"

    def test_of_a_correction_names_the_month_it_corrects(self):
        late = replace(
            CHARGE, day=date(2026, 10, 30), corrects=date(2026, 10, 1),
            cost_usd=Decimal("-0.0000002"), quantity=Decimal(-1),
        )  # fmt: skip
        row = read(checked(rows_of(late), "1.2"), "1.2")[0]
        assert row["ChargeClass"] == "Correction"
        assert row["x_CorrectsBillingPeriodStart"] == "2026-10-01T00:00:00Z"
        assert row["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
        assert row["BilledCost"] == "-0.0000002"

    @given(
        st.sampled_from(list(Sku)),
        st.integers(0, 10**15),
        st.decimals(0, 10**6, places=10, allow_nan=False, allow_infinity=False),
    )
    @settings(max_examples=100)
    def test_holds_the_rules_for_any_usage_and_price(self, sku, quantity, price):
        cost = quantity * price / UNITS[sku].per
        charge = replace(
            CHARGE, sku=sku, quantity=Decimal(quantity), unit_price_usd=price, cost_usd=cost
        )
        if Decimal(quantity) / UNITS[sku].per * price == cost:
            assert list(checked(rows_of(charge), "1.4"))


class TestCostRow:
    def test_is_exactly_its_share(self):
        row = read(rows_of(SHARE), "1.4")[0]
        assert (row["BilledCost"], row["EffectiveCost"]) == ("1.234567890123", "1.234567890123")
        assert row["ListCost"] == "2.5"
        element = json.loads(row["AllocatedMethodDetails"])["Elements"][0]
        assert element == {
            "AllocatedRatio": 0.125, "UsageUnit": "GPU-Hours", "UsageQuantity": 3.25,
        }  # fmt: skip
        assert (row["AllocatedMethodId"], row["PricingCategory"]) == ("gpu-work-1", "Dynamic")
        assert json.loads(row["SkuPriceDetails"])["InstanceType"] == "g6.xlarge"

    def test_of_what_is_nobodys_is_the_platforms(self):
        row = read(rows_of(NOBODYS), "1.2")[0]
        assert (row["SubAccountId"], row["ResourceId"], row["x_AllocationKind"]) == (
            "platform", "", "UNALLOCATED",
        )  # fmt: skip
        assert row["ListCost"] == row["BilledCost"]


class TestRules:
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"BilledCost": None}, "BilledCost is empty"),
            ({"BilledCost": "1.0"}, "BilledCost is no decimal"),
            ({"BilledCost": Decimal("NaN")}, "BilledCost holds nothing"),
            ({"ChargeCategory": "Foo"}, "ChargeCategory may not be Foo"),
            ({"BillingCurrency": "usd"}, "BillingCurrency may not be usd"),
            ({"InvoiceIssuerName": ""}, "InvoiceIssuerName holds nothing"),
            ({"Tags": "[1]"}, "Tags is no object in JSON"),
            ({"Tags": "{"}, "Tags is no object in JSON"),
            ({"ChargePeriodStart": datetime(2026, 11, 2)}, "ChargePeriodStart has no zone"),  # noqa: DTZ001
            ({"PricingQuantity": None}, "PricingQuantity and PricingUnit do not come together"),
            ({"ConsumedUnit": None}, "ConsumedQuantity and ConsumedUnit do not come together"),
            ({"PricingQuantity": None, "PricingUnit": None}, "empty in a row of usage"),
            ({"ListCost": Decimal(1)}, "PricingQuantity times ListUnitPrice is not ListCost"),
            (
                {"ContractedCost": Decimal(1)},
                "PricingQuantity times ContractedUnitPrice is not ContractedCost",
            ),
            (
                {"ChargePeriodEnd": datetime(2026, 11, 2, tzinfo=UTC)},
                "ChargePeriodEnd is not after ChargePeriodStart",
            ),
            (
                {"ChargePeriodEnd": datetime(2026, 12, 2, tzinfo=UTC)},
                "outside its billing period and is no correction",
            ),
        ],
    )
    def test_name_the_row_and_what_is_wrong(self, change, problem):
        good, bad = rows_of(CHARGE, CHARGE)
        with pytest.raises(NotFocus, match=r" In row 2: ") as refused:
            list(checked([good, bad | change], "1.2"))
        assert problem in str(refused.value)

    def test_find_one_bad_row_among_many_good_ones(self):
        rows = rows_of(*[CHARGE] * 500)
        rows[400] = rows[400] | {"ChargeCategory": "Foo"}
        with pytest.raises(NotFocus, match="row 401"):
            list(checked(rows, "1.4"))


class TestText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("1E+3", "1000"), ("1E-12", "0.000000000001"), ("-0", "0"), ("0.0", "0"),
            ("12.50", "12.5"), ("-3.10", "-3.1"), ("100", "100"),
        ],
    )  # fmt: skip
    def test_of_a_number_has_no_exponent(self, value, text):
        row = rows_of(CHARGE)[0] | {"BilledCost": Decimal(value)}
        assert read([row], "1.2")[0]["BilledCost"] == text


def test_metadata_say_the_schema_and_what_is_left_out():
    left_out = Unpriced(tokens=7, machine_seconds=Decimal("3600.5"), calls_without_usage=2)
    at = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
    told = Metadata("1.4", at, "LIST", MONTH, left_out).plain()
    assert (told["FocusVersion"], told["CreationDate"]) == ("1.4", "2026-12-01T03:00:00Z")
    assert (told["x_UnpricedTokens"], told["x_UnpricedMachineSeconds"]) == (7, "3600.5")
    names = [each["ColumnName"] for each in told["ColumnDefinition"]]
    assert names == [column.name for column in columns("1.4")]
    precise = next(e for e in told["ColumnDefinition"] if e["ColumnName"] == "BilledCost")
    assert (precise["DataType"], precise["NumberScale"]) == ("DECIMAL", 18)
