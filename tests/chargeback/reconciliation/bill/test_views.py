"""The page that holds the cloud's bill against the ledger, over bills that were really read."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.accounts.models import Role
from apps.chargeback import costs
from apps.chargeback.actions import allocate_day
from apps.chargeback.bills.models import Bill, BillFeed
from apps.chargeback.bills.queries import reading
from apps.chargeback.queries import EVERYTHING
from apps.chargeback.reconciliation.bill.compare import Name, State, summary
from apps.chargeback.reconciliation.bill.queries import rows
from apps.common.periods import month_bounds
from tests.chargeback.bills.made import NOVEMBER, PLAN, bill, bought, charge, keeps
from tests.factories import UserFactory
from tests.fleet.machines import at, interval, machine

pytestmark = pytest.mark.django_db
URL = "/chargeback/reconciliation/bill/"
NOW = datetime(2026, 12, 2, 6, tzinfo=UTC)
CLOSED_DAY = date(2026, 11, 2)


@pytest.fixture
def keep(tmp_path):
    """Return what keeps a bill as if it had been read from S3."""
    return keeps(tmp_path, NOW)


@pytest.fixture
def configured(settings):
    settings.CUR_BUCKET, settings.CUR_PREFIX, settings.CUR_EXPORT = "bills", "", "cur2"


@pytest.fixture
def finance(client, monkeypatch):
    monkeypatch.setattr("apps.chargeback.reconciliation.asked.now", lambda: NOW)
    client.force_login(UserFactory(with_roles=[Role.FINANCE]))
    return client


def found(now=NOW):
    return rows(reading(NOVEMBER, None), now)


def said(answer):
    return " ".join(answer.content.decode().split())


class TestRows:
    def test_hold_each_machine_against_its_lines(self, keep, django_assert_max_num_queries):
        machine("gpu-1", 0, 10, price="8", provider_id="aws:///us-east-1a/i-1")
        machine("gpu-2", 20, 30, price="9", provider_id="aws:///us-east-1a/i-2",
                capacity_type="on-demand")  # fmt: skip
        keep(
            bill(
                bought("i-1", 0, 10, usd="7"),
                bought("i-2", 20, 30, usd="9", how="on-demand"),
                is_final=True,
            )
        )
        with django_assert_max_num_queries(10):
            rest = found()
        third, spot, plain = sorted(
            rest, key=lambda row: (-row.day.day, row.capacity_type == "on-demand")
        )
        assert (third.day, third.ledger_hours, third.billed_hours) == (date(2026, 11, 3), 6, 6)
        assert (third.ledger_usd, third.billed_usd, third.state) == (54, 54, State.MATCHES)
        assert (spot.names, spot.state) == ({Name.SPOT_PRICE: -10}, State.EXPLAINED)
        assert (plain.ledger_hours, plain.state) == (4, State.MATCHES)

    def test_take_a_machine_with_gpus_that_nobody_observed_as_the_platforms(self, keep):
        keep(
            bill(
                bought("i-7", 0, 2, usd="5"),
                bought("i-8", 0, 2, usd="1", kind="m7i.xlarge"),
                is_final=True,
            )
        )
        ours, others = found()
        assert (ours.instance_type, ours.names) == ("p5.48xlarge", {Name.ONLY_BILL: 10})
        assert ours.state == State.ASKS
        assert (others.instance_type, others.names) == ("", {Name.OTHER_MACHINES: 2})

    def test_know_a_machine_without_gpus_that_was_observed(self, keep):
        machine("cpu", 0, 2, price="1", gpus=0, instance_type="m7i.xlarge",
                provider_id="aws:///us-east-1a/i-8")  # fmt: skip
        keep(bill(bought("i-8", 0, 2, usd="1", kind="m7i.xlarge"), is_final=True))
        (row,) = found()
        assert (row.instance_type, row.state) == ("m7i.xlarge", State.MATCHES)

    def test_name_the_rest_of_the_bill_apart(self, keep):
        charges = (
            charge("Tax", "8"),
            charge("Credit", "-5"),
            charge("Usage", "3", usage_type="EBS:VolumeUsage.gp3"),
            charge("Fee", "100", "AWSSupportBusiness"),
            charge("EdpDiscount", "-2", usage_type="SpotUsage:p5.48xlarge", resource="i-1",
                   at=at(1)),
        )  # fmt: skip
        machine("gpu-1", 0, 2, price="4", provider_id="aws:///us-east-1a/i-1")
        keep(bill(bought("i-1", 0, 2, usd="4"), charges=charges, is_final=True))
        own, rest = found()
        assert own.names == {Name.DISCOUNT: -2}
        assert rest.names == {
            Name.CREDIT: -5, Name.TAX: 8, Name.SUPPORT: 100, Name.STORAGE: 3,
        }  # fmt: skip
        assert rest.unexplained_usd == own.unexplained_usd == 0

    def test_lay_a_savings_plan_on_what_it_covers(self, keep):
        machine("gpu-1", 0, 2, price="10", capacity_type="on-demand",
                provider_id="aws:///us-east-1a/i-1")  # fmt: skip
        made = bill(
            bought("i-1", 0, 2, usd="10", how="on-demand"), plan=PLAN, until=at(2), is_final=True
        )
        keep(made)
        own = [row for row in found() if row.is_machines]
        assert [(row.names, row.billed_usd) for row in own] == [({Name.COMMITMENT: -8}, 12)]
        unused = [row.names[Name.UNUSED] for row in found() if not row.is_machines]
        assert sum(unused) == 26 * 30 - 12

    def test_count_hours_without_a_price(self, keep):
        claim = machine("gpu-1", 0, 1, price="4", provider_id="aws:///us-east-1a/i-1")
        interval(claim, 1, 3, price=None)
        keep(bill(bought("i-1", 0, 3, usd="4"), is_final=True))
        (row,) = found()
        assert row.names == {Name.UNPRICED: 8}

    def test_wait_for_what_an_unfinished_bill_does_not_tell(self, keep):
        machine("gpu-1", 0, None, price="4", provider_id="aws:///us-east-1a/i-1")
        keep(bill(bought("i-1", 0, None, usd="4"), until=at(30)))
        second, first = found(now=at(40))
        assert (first.day, first.state) == (CLOSED_DAY, State.MATCHES)
        assert (second.state, second.ledger_hours, second.billed_hours) == (State.WAITING, 16, 6)
        assert second.names == {Name.LATE: -40}

    def test_take_a_day_that_was_not_over_when_the_bill_was_read_for_unfinished(self, keep):
        machine("gpu-1", 0, None, price="4", provider_id="aws:///us-east-1a/i-1")
        daily = bill(bought("i-1", 0, 12, usd="4"), until=at(12), step=timedelta(days=1))
        keep(daily, now=at(13))
        (row,) = found(now=at(14))
        assert (row.state, row.names) == (State.WAITING, {Name.LATE: -8})

    def test_know_of_the_ledger_what_was_shared_out(self, keep):
        machine("gpu-1", 0, 30.5, price="7.77", provider_id="aws:///us-east-1a/i-1")
        machine("gpu-2", 20, 61, price="0.3333", capacity_type="on-demand")
        keep(bill(is_final=True))
        for row_day in {row.day for row in found()}:
            allocate_day(day=row_day, now=NOW)
        shared = costs.totals(
            start=month_bounds(NOVEMBER)[0], end=month_bounds(NOVEMBER)[1], scope=EVERYTHING
        )
        assert summary(found()).ledger_usd == shared.total_usd > 0

    def test_are_none_without_a_bill(self):
        machine("gpu-1", 0, 2, price="4")
        assert found() == []


class TestPage:
    def test_says_that_no_bill_is_read(self, finance):
        text = said(finance.get(URL, {"month": "2026-11"}))
        assert "Nothing is compared." in text and "CUR_BUCKET names no bucket" in text
        assert "Matches" not in text and "$0.00" not in text

    @pytest.mark.usefixtures("configured")
    def test_says_why_none_can_be_read(self, finance):
        BillFeed.objects.create(
            source="s3://bills/cur2", month=NOVEMBER, reason="CURRENCY", message="It is in EUR."
        )
        text = said(finance.get(URL, {"month": "2026-11"}))
        assert "The bill cannot be read." in text and "It is in EUR." in text
        assert "No bill of November 2026 has been read." in text

    @pytest.mark.usefixtures("configured")
    def test_shows_the_bill_beside_the_ledger_with_names(self, finance, keep):
        machine("gpu-1", 0, 10, price="8", provider_id="aws:///us-east-1a/i-1")
        keep(bill(bought("i-1", 0, 10, usd="7"), charges=(charge("Tax", "6"),)))
        BillFeed.objects.filter(month=NOVEMBER).update(message="A file is damaged.")
        text = said(finance.get(URL, {"month": "2026-11"}))
        assert (
            "The bill of November 2026 was read 2 Dec 2026 06:00 UTC and tells of usage until"
            in text
        )
        assert "It is an estimate until AWS issues the invoice." in text
        assert "A newer bill cannot be read." in text and "A file is damaged." in text
        assert "Spot price" in text and "−$10.00" in text
        assert "The bill is simulated" in text

    def test_shows_what_a_restated_bill_changed(self, finance, keep):
        keep(bill(bought("i-1", 0, 10, usd="7"), bought("i-2", 24, 26, usd="5")))
        keep(bill(bought("i-1", 0, 4, usd="7"), bought("i-2", 24, 26, usd="4")),
             now=NOW + timedelta(hours=8), execution_id="execution-2")  # fmt: skip
        text = said(finance.get(URL, {"month": "2026-11"}))
        assert "Replaced" in text and "2 days, most on 02 Nov: −$42.00" in text
        answer = finance.get(URL, {"month": "2026-11", "delivery-format": "csv"})
        newer, older = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert (Decimal(newer["change_usd"]), older["change_usd"]) == (-44, "")

    def test_is_also_a_file(self, finance, keep):
        machine("gpu-1", 0, 10, price="8", provider_id="aws:///us-east-1a/i-1")
        keep(bill(bought("i-1", 0, 10, usd="7"), is_final=True))
        columns = "day,of,state,ledger,billed,difference,names,rest,spot_price"
        answer = finance.get(URL, {"month": "2026-11", "format": "csv", "columns": columns})
        (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert row["day"] == "2026-11-02" and row["state"] == "EXPLAINED"
        assert Decimal(row["difference_usd"]) == Decimal(row["spot_price_usd"]) == -10

    def test_is_not_there_for_those_who_see_one_team(self, client):
        client.force_login(UserFactory(with_roles=[Role.TEAM_LEAD]))
        assert client.get(URL).status_code == 404

    def test_stays_as_it_is_where_a_bill_was_read_and_none_is_configured_now(self, finance, keep):
        keep(bill(bought("i-1", 0, 10, usd="7"), is_final=True))
        assert Bill.objects.count() == 1
        text = said(finance.get(URL, {"month": "2026-11"}))
        assert "The invoice is issued." in text and "CUR_BUCKET" not in text
