"""Bills of the sample's machines: delivered by the program that plays AWS, read by the product."""

import sys
import uuid
from datetime import date, timedelta
from decimal import Decimal

import pytest

from apps.chargeback.bills import reconcile
from apps.chargeback.bills.manifest import export_from_settings
from apps.chargeback.bills.models import Bill
from apps.fleet import intervals
from portal.sample import bills
from tests.fleet.machines import at, machine

pytestmark = pytest.mark.django_db
NOVEMBER = date(2026, 11, 1)
COMMAND = [sys.executable, "-m", "deploy.local.doubles.cur"]


@pytest.fixture
def place(store, settings):
    settings.CUR_BUCKET, settings.CUR_PREFIX = store.bucket, "sample"
    settings.CUR_EXPORT = f"cur-{uuid.uuid4().hex[:8]}"
    return store


def test_bill_the_machines_at_what_they_cost(place):
    machine("gpu-1", 0, 30, price="8", provider_id="kwok://gpu-1")
    machine("gpu-2", 1.5, 3, price="20", capacity_type="on-demand", provider_id="aws:///z/i-2")
    machine("dark", 0, 5, price=None, instance_type="none")
    told = bills.bill_of(
        NOVEMBER, is_final=True, spot_share=Decimal("0.5"), tax_percent=Decimal(10),
        charges=[{"line_type": "Credit", "service": "AmazonEC2", "usd": "-7"}],
    )  # fmt: skip
    said = bills.deliver([told], COMMAND, env={})
    assert said == "delivered 2026-11 in 1 files\n"
    reconcile.read_bills(store=place, export=export_from_settings(), now=at(1000))
    found = Bill.objects.get()
    assert found.is_final and found.is_simulated
    assert found.by_kind == {"CREDIT": "-7", "MACHINE": "150", "TAX": "14.3"}
    assert set(found.lines.values_list("resource", flat=True)) == {"gpu-1", "i-2", ""}
    assert intervals.usd_of(intervals.parts_within(at(0), at(24))) is None


def test_tell_of_the_whole_days_before_a_moment(place):
    machine("gpu-1", 0, 60, price="8", provider_id="kwok://gpu-1")
    told = bills.bill_of(NOVEMBER, until=at(30))
    bills.deliver([told], COMMAND, env={})
    reconcile.read_bills(store=place, export=export_from_settings(), now=at(40))
    found = Bill.objects.get()
    assert (found.covers_until, found.effective_usd) == (at(24), 24 * 8)
    assert not found.is_final and found.covers_until == at(0) + timedelta(days=1)
