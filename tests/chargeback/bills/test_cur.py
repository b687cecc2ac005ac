"""What is read of a file of a bill, and which files are refused."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.chargeback.bills import cur, reconcile
from apps.chargeback.bills.kinds import Kind
from apps.chargeback.bills.manifest import BadBill
from apps.chargeback.bills.models import BillFeed, BillLine
from deploy.local.doubles.cur.delivery import SCHEMA, parquet
from tests.chargeback.bills.made import NOVEMBER, PLAN, START, bill, bought, charge, lines_of


@pytest.fixture
def read(tmp_path):
    """Return what reads rows from a Parquet file of them."""

    def reads(rows, schema=SCHEMA, month=NOVEMBER):
        path = tmp_path / "file.parquet"
        path.write_bytes(parquet(rows, schema))
        return list(cur.lines(path, month))

    return reads


def a_row(**more):
    (row,) = lines_of(bill(bought(end=1)))
    return row | more


class TestLines:
    def test_tell_of_each_hour_of_each_machine(self, read):
        found = read(
            lines_of(bill(bought(end=2), bought("i-2", 5, 5.5, how="on-demand", usd="10")))
        )
        assert [(line.resource, line.quantity, line.billed_usd) for line in found] == [
            ("i-1", 1, 4), ("i-1", 1, 4), ("i-2", Decimal("0.5"), 5),
        ]  # fmt: skip
        first, _, other = found
        assert (first.usage_type, first.kind) == ("SpotUsage:p5.48xlarge", Kind.MACHINE)
        assert (first.day, first.told_until) == (date(2026, 11, 2), START + timedelta(hours=1))
        assert (first.instance_type, first.on_demand_usd) == ("p5.48xlarge", 10)
        assert other.usage_type == "BoxUsage:p5.48xlarge"
        assert not first.is_invoiced
        assert read(lines_of(bill(bought(), is_final=True)))[0].is_invoiced

    def test_take_amounts_as_they_are_written(self, read):
        (line,) = read([a_row(line_item_unblended_cost=0.1, line_item_usage_amount=1e-11)])
        assert (line.billed_usd, line.quantity) == (Decimal("0.1"), Decimal("1e-11"))

    @pytest.mark.parametrize("kind", [pa.string(), pa.decimal128(30, 10)])
    def test_take_amounts_of_other_types(self, read, kind):
        place = SCHEMA.get_field_index("line_item_unblended_cost")
        schema = SCHEMA.set(place, pa.field("line_item_unblended_cost", kind))
        amount = "12.3400000001" if kind == pa.string() else Decimal("12.3400000001")
        (line,) = read([a_row(line_item_unblended_cost=amount)], schema)
        assert line.billed_usd == Decimal("12.3400000001")

    def test_lay_the_fee_of_a_plan_on_what_it_covers(self, read):
        made = bill(bought(end=1, how="on-demand", usd="10"), plan=PLAN, until=START)
        made = bill(
            bought(end=1, how="on-demand", usd="10"), plan=PLAN, until=START + timedelta(hours=2)
        )
        found = read(lines_of(made))
        by_type = {}
        for line in found:
            by_type.setdefault(line.line_type, []).append(line)
        (covered,) = by_type["SavingsPlanCoveredUsage"]
        (negated,) = by_type["SavingsPlanNegation"]
        assert (covered.billed_usd, covered.effective_usd) == (10, 6)
        assert (negated.billed_usd, negated.effective_usd) == (-10, 0)
        assert covered.commitment == PLAN.arn
        fees = by_type["SavingsPlanRecurringFee"]
        assert len(fees) == 26 and {fee.kind for fee in fees} == {Kind.COMMITMENT}
        assert sum(fee.billed_usd for fee in fees) == 26 * 30
        # what is paid is what is used and what is not
        assert sum(line.effective_usd for line in found) == 26 * 30
        assert sum(line.billed_usd for line in found) == 26 * 30

    def test_lay_the_fee_of_a_reservation_on_what_it_covers(self, read):
        arn = "arn:aws:ec2:us-east-1:1:reserved-instances/r-1"
        covered = a_row(
            line_item_line_item_type="DiscountedUsage", line_item_unblended_cost=0.0,
            reservation_reservation_a_r_n=arn, reservation_effective_cost=6.5,
        )  # fmt: skip
        fee = a_row(
            line_item_line_item_type="RIFee", line_item_unblended_cost=100.0,
            reservation_reservation_a_r_n=arn, reservation_unused_recurring_fee=3.25,
            reservation_unused_amortized_upfront_fee_for_billing_period=1.0,
        )  # fmt: skip
        upfront = a_row(
            line_item_line_item_type="Fee", line_item_unblended_cost=900.0,
            reservation_reservation_a_r_n=arn,
        )  # fmt: skip
        used, unused, paid = read([covered, fee, upfront])
        assert (used.effective_usd, unused.effective_usd, paid.effective_usd) == (
            Decimal("6.5"), Decimal("4.25"), 0,
        )  # fmt: skip
        assert {line.commitment for line in (used, unused, paid)} == {arn}
        assert (unused.kind, paid.kind) == (Kind.COMMITMENT, Kind.COMMITMENT)

    def test_name_what_is_no_machine(self, read):
        charges = {
            Kind.TAX: charge("Tax", "8"),
            Kind.CREDIT: charge("Credit", "-20"),
            Kind.REFUND: charge("Refund", "-1"),
            Kind.DISCOUNT: charge("EdpDiscount", "-3", usage_type="BoxUsage:p5.48xlarge"),
            Kind.SUPPORT: charge("Fee", "100", "AWSSupportBusiness"),
            Kind.STORAGE: charge("Usage", "5", usage_type="EBS:VolumeUsage.gp3"),
            Kind.TRANSFER: charge("Usage", "2", usage_type="DataTransfer-Out-Bytes"),
            Kind.SERVICE: charge("Usage", "1", "AmazonS3", "TimedStorage-ByteHrs"),
            Kind.UNKNOWN: charge("SomethingNew", "7"),
        }
        found = read(lines_of(bill(charges=tuple(charges.values()))))
        assert [line.kind for line in found] == list(charges)
        assert {line.told_until for line in found} == {None}  # they are of the whole month
        assert {line.day for line in found} == {NOVEMBER}

    @pytest.mark.parametrize(
        ("begins", "day"),
        [
            (datetime(2026, 10, 31, 23, tzinfo=UTC), NOVEMBER),
            (datetime(2026, 11, 1, tzinfo=UTC), NOVEMBER),
            (datetime(2026, 11, 30, 23, tzinfo=UTC), date(2026, 11, 30)),
            (datetime(2026, 12, 1, tzinfo=UTC), date(2026, 11, 30)),
        ],
    )
    def test_are_of_a_day_of_the_month_that_bills_them(self, read, begins, day):
        ends = begins + timedelta(hours=1)
        row = a_row(line_item_usage_start_date=begins, line_item_usage_end_date=ends)
        (line,) = read([row])
        assert line.day == day

    def test_are_cut_to_what_their_columns_hold(self, read):
        told = {
            "account": "line_item_usage_account_id", "resource": "line_item_resource_id",
            "service": "line_item_product_code", "usage_type": "line_item_usage_type",
            "line_type": "line_item_line_item_type", "instance_type": "product_instance_type",
            "commitment": "savings_plan_savings_plan_a_r_n",
        }  # fmt: skip
        (line,) = read([a_row(**dict.fromkeys(told.values(), "x" * 600))])
        assert {name: len(getattr(line, name)) for name in told} == {
            name: BillLine._meta.get_field(name).max_length for name in told
        }

    def test_may_have_maps_beside_their_columns(self, read):
        schema = SCHEMA
        for name in ("product", "discount", "cost_category", "tags"):
            schema = schema.append(pa.field(name, pa.string()))
        assert len(read([a_row()], schema)) == 1

    def test_read_times_with_and_without_a_zone_and_as_text(self, read):
        for kind, told in (
            (pa.timestamp("us", tz="UTC"), datetime(2026, 11, 30, 23, tzinfo=UTC)),
            (pa.string(), "2026-11-30T23:00:00Z"),
        ):
            schema = SCHEMA
            for name in ("line_item_usage_start_date", "line_item_usage_end_date"):
                schema = schema.set(schema.get_field_index(name), pa.field(name, kind))
            row = lines_of(bill(bought(end=1)))[0]
            times = {"line_item_usage_start_date": told, "line_item_usage_end_date": told}
            (line,) = read([row | times], schema)
            assert line.day == date(2026, 11, 30)


NET = (
    "line_item_net_unblended_cost", "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_amortized_upfront_commitment_for_billing_period",
    "savings_plan_net_amortized_upfront_commitment_for_billing_period",
    "reservation_net_effective_cost",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_recurring_fee",
)  # fmt: skip
PLAN_COLUMNS = {"savings_plan_savings_plan_a_r_n": PLAN.arn}
RESERVED = {"reservation_reservation_a_r_n": "arn:aws:ec2:us-east-1:1:reserved-instances/r-1"}


def with_net():
    """Return the schema of a bill whose account has discounts."""
    schema = SCHEMA
    for name in NET:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.float64()))
    return schema


class TestDiscounts:
    """A bill of an account with a discount of a tenth (EDP), which tells net costs."""

    @pytest.fixture
    def read(self, tmp_path):
        def reads(rows, schema=None):
            path = tmp_path / "net.parquet"
            path.write_bytes(parquet(rows, schema or with_net()))
            return list(cur.lines(path, NOVEMBER, is_net=cur.tells_net(path)))

        return reads

    def test_lie_in_the_lines_that_they_are_of(self, read):
        used = a_row(line_item_unblended_cost=10.0, line_item_net_unblended_cost=9.0)
        taken = a_row(line_item_line_item_type="EdpDiscount", line_item_unblended_cost=-1.0)
        tax = a_row(line_item_line_item_type="Tax", line_item_unblended_cost=2.0)
        found = read([used, taken, tax])
        assert [(x.billed_usd, x.effective_usd, x.discount_usd) for x in found] == [
            (10, 9, -1), (-1, 0, 0), (2, 2, 0),
        ]  # fmt: skip
        assert sum(x.billed_usd for x in found) == sum(x.effective_usd for x in found) == 11

    def test_of_a_plan_are_on_what_it_covers_and_on_what_nobody_used(self, read):
        covered = a_row(
            line_item_line_item_type="SavingsPlanCoveredUsage", line_item_unblended_cost=10.0,
            line_item_net_unblended_cost=9.0, savings_plan_savings_plan_effective_cost=6.0,
            savings_plan_net_savings_plan_effective_cost=5.4, **PLAN_COLUMNS,
        )  # fmt: skip
        negated = a_row(
            line_item_line_item_type="SavingsPlanNegation", line_item_unblended_cost=-10.0,
            line_item_net_unblended_cost=-9.0, **PLAN_COLUMNS,
        )  # fmt: skip
        of_fee = {
            "line_item_line_item_type": "SavingsPlanRecurringFee",
            "savings_plan_total_commitment_to_date": 30.0, "savings_plan_used_commitment": 6.0,
        }  # fmt: skip
        fee = a_row(
            line_item_unblended_cost=30.0, line_item_net_unblended_cost=27.0, **of_fee,
            **PLAN_COLUMNS,
        )  # fmt: skip
        in_advance = a_row(
            line_item_unblended_cost=0.0, line_item_net_unblended_cost=0.0, **of_fee,
            savings_plan_amortized_upfront_commitment_for_billing_period=20.0,
            savings_plan_net_amortized_upfront_commitment_for_billing_period=15.0, **PLAN_COLUMNS,
        )  # fmt: skip
        found = read([covered, negated, fee, in_advance])
        assert [x.effective_usd for x in found] == [Decimal("5.4"), 0, Decimal("21.6"), 18]
        assert [x.discount_usd for x in found] == [Decimal("-0.6"), 0, Decimal("-2.4"), -6]
        assert sum(x.effective_usd for x in found[:3]) == 27  # what was paid for the plan

    def test_of_a_reservation_are_on_what_it_covers_and_on_what_nobody_used(self, read):
        covered = a_row(
            line_item_line_item_type="DiscountedUsage", line_item_unblended_cost=0.0,
            line_item_net_unblended_cost=0.0, reservation_effective_cost=6.5,
            reservation_net_effective_cost=5.85, **RESERVED,
        )  # fmt: skip
        fee = a_row(
            line_item_line_item_type="RIFee", line_item_unblended_cost=100.0,
            line_item_net_unblended_cost=90.0, reservation_unused_recurring_fee=3.0,
            reservation_unused_amortized_upfront_fee_for_billing_period=1.0,
            reservation_net_unused_recurring_fee=2.7,
            reservation_net_unused_amortized_upfront_fee_for_billing_period=0.9, **RESERVED,
        )  # fmt: skip
        upfront = a_row(
            line_item_line_item_type="Fee", line_item_unblended_cost=900.0,
            line_item_net_unblended_cost=810.0, **RESERVED,
        )  # fmt: skip
        found = read([covered, fee, upfront])
        assert [x.effective_usd for x in found] == [Decimal("5.85"), Decimal("3.6"), 0]

    def test_are_not_known_where_the_bill_tells_no_net_costs(self, read):
        used, taken = (
            a_row(line_item_unblended_cost=10.0),
            a_row(line_item_line_item_type="EdpDiscount", line_item_unblended_cost=-1.0),
        )
        for schema in (SCHEMA, with_net()):
            found = read([used, taken], schema)
            assert [(x.effective_usd, x.discount_usd) for x in found] == [(10, None), (-1, None)]

    def test_are_told_by_any_file_of_a_bill(self, tmp_path):
        files = {
            "one": [a_row(line_item_line_item_type="EdpDiscount", line_item_unblended_cost=-1.0)],
            "two": [a_row(line_item_unblended_cost=10.0, line_item_net_unblended_cost=9.0)],
        }
        paths = {name: tmp_path / name for name in files}
        for name, rows in files.items():
            paths[name].write_bytes(parquet(rows, with_net()))
        found = list(reconcile._lines(paths, BillFeed(month=NOVEMBER)))
        assert [(key, line.effective_usd) for key, line in found] == [("one", 0), ("two", 9)]


class TestRefusals:
    def refusal(self, read, *args, **more):
        with pytest.raises(BadBill) as refused:
            read(*args, **more)
        return refused.value

    @pytest.mark.parametrize(
        "name", ["line_item_resource_id", "line_item_currency_code", "bill_invoice_id"]
    )
    def test_of_a_file_without_a_column(self, read, name):
        schema = SCHEMA.remove(SCHEMA.get_field_index(name))
        refused = self.refusal(read, [a_row()], schema)
        assert refused.reason == "COLUMNS" and f"lacks {name}." in str(refused)

    def test_of_a_file_with_a_column_that_nobody_knows(self, read):
        schema = SCHEMA.append(pa.field("markup_cost", pa.float64()))
        refused = self.refusal(read, [a_row()], schema)
        assert refused.reason == "COLUMNS" and "has markup_cost, which" in str(refused)

    def test_of_lines_whose_cost_the_columns_do_not_tell(self, read):
        name = "savings_plan_savings_plan_effective_cost"
        schema = SCHEMA.remove(SCHEMA.get_field_index(name))
        row = a_row(line_item_line_item_type="SavingsPlanCoveredUsage")
        refused = self.refusal(read, [row], schema)
        assert f"SavingsPlanCoveredUsage, but the export lacks {name}" in str(refused)
        assert self.refusal(read, [row]).reason == "AMOUNTS"

    def test_of_another_currency(self, read):
        refused = self.refusal(read, lines_of(bill(bought(), currency="EUR")))
        assert refused.reason == "CURRENCY" and "The bill is in EUR." in str(refused)

    def test_of_lines_of_another_month(self, read):
        refused = self.refusal(read, lines_of(bill(bought())), month=date(2026, 10, 1))
        assert refused.reason == "OTHER_MONTH"
        assert "the bill of October 2026 holds lines of November 2026" in str(refused)

    def test_of_usage_by_the_month(self, read):
        row = a_row(line_item_usage_end_date=START + timedelta(days=29))
        assert self.refusal(read, [row]).reason == "GRANULARITY"

    @pytest.mark.parametrize("amount", [float("nan"), float("inf"), 1e15, -1e15])
    def test_of_what_is_no_amount(self, read, amount):
        refused = self.refusal(read, [a_row(line_item_unblended_cost=amount)])
        assert refused.reason == "AMOUNTS"

    def test_of_what_is_no_parquet_or_ends_early(self, tmp_path):
        whole = parquet(lines_of(bill(bought(end=30))))
        path = tmp_path / "bad.parquet"
        for body in (b"", b"not a table", whole[:-40], whole[: len(whole) // 2]):
            path.write_bytes(body)
            with pytest.raises(BadBill) as refused:
                list(cur.lines(path, NOVEMBER))
            assert refused.value.reason == "UNREADABLE"

    def test_of_a_page_that_is_not_what_its_checksum_tells(self, tmp_path):
        path = tmp_path / "bad.parquet"
        path.write_bytes(parquet(lines_of(bill(bought(end=30)))))
        column = (
            pq.ParquetFile(path)
            .metadata.row_group(0)
            .column(SCHEMA.get_field_index("line_item_resource_id"))
        )
        whole = bytearray(path.read_bytes())
        whole[column.data_page_offset + column.total_compressed_size - 30] ^= 0xFF
        path.write_bytes(whole)
        with pytest.raises(BadBill) as refused:
            list(cur.lines(path, NOVEMBER))
        assert refused.value.reason == "UNREADABLE"
