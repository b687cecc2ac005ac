"""The pages of reconciliation in a real browser: wide and narrow, in both themes."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from apps.accounts.models import Role
from apps.chargeback import actions
from apps.chargeback.bills.models import Bill, BillFeed
from tests.chargeback.bills.made import PLAN, bill, bought, charge, keeps
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import use
from tests.chromium import running_browser
from tests.factories import UserFactory
from tests.fleet.machines import DAY, machine
from tests.pages import answer
from tests.portal.test_style import SHOTS

pytestmark = pytest.mark.django_db
URL = "/chargeback/reconciliation/"
NOW = datetime(2026, 11, 6, 6, tzinfo=UTC)
UNTIL = datetime(2026, 11, 5, tzinfo=UTC)


@pytest.fixture
def pages(client, settings, registered_model, tmp_path, monkeypatch):
    """Four days of a bill beside the ledger, the same restated, a month without one."""
    monkeypatch.setattr("apps.chargeback.reconciliation.asked.now", lambda: NOW)
    settings.CUR_BUCKET, settings.CUR_EXPORT = "bills", "cur2"
    for place, (kind, how, usd) in enumerate(
        [("p5.48xlarge", "spot", "40"), ("g6.xlarge", "on-demand", "0.8048")]
    ):
        machine(f"gpu-{place}", 0, 90, price=usd, instance_type=kind, capacity_type=how,
                provider_id=f"aws:///us-east-1a/i-{place}")  # fmt: skip
    machine("gpu-9", 30, 40, price=None, instance_type="g5.xlarge", capacity_type="on-demand",
            provider_id="aws:///us-east-1a/i-9")  # fmt: skip
    machines = (
        bought("i-0", 0, 90, usd="38.5", listed="98.32"),
        bought("i-1", 0, 90, usd="0.8048", listed="0.8048", how="on-demand", kind="g6.xlarge"),
        bought("i-9", 30, 40, usd="1.006", listed="1.006", how="on-demand", kind="g5.xlarge"),
        bought("i-5", 50, 53, usd="2", listed="2", how="on-demand", kind="g6e.xlarge"),
    )
    charges = (
        charge("Tax", "312.40"),
        charge("Credit", "-250"),
        charge("Fee", "100", "AWSSupportBusiness"),
        charge("Usage", "14.20", usage_type="EBS:VolumeUsage.gp3", at=DAY),
        charge("Mystery", "9", at=DAY + timedelta(days=1)),
    )
    keep = keeps(tmp_path, NOW - timedelta(hours=16))
    plan = type(PLAN)(PLAN.arn, PLAN.usd_per_hour / 30, PLAN.discount)
    keep(bill(*machines[:2], until=UNTIL - timedelta(days=1), charges=charges, plan=plan))
    keep(bill(*machines, until=UNTIL, charges=charges, plan=plan), now=NOW,
         execution_id="execution-2")  # fmt: skip
    assert Bill.objects.count() == 2
    BillFeed.objects.filter(month=DAY.replace(day=1)).update(
        message="The bill is in EUR. The ledger counts in USD alone, and converts nothing."
    )
    price(registered_model, CHEAP, DAY)
    use(DAY)
    use(DAY + timedelta(days=1))
    actions.price_due_days()
    use(DAY + timedelta(days=2))
    client.force_login(UserFactory(with_roles=[Role.FINANCE]))
    addresses = {
        "engines": f"{URL}?month=2026-11",
        "bill": f"{URL}bill/?month=2026-11",
        "bill-none": f"{URL}bill/?month=2026-10",
        "spend": f"{URL}spend/?month=2026-11",
    }
    return {name: (address, client.get(address)) for name, address in addresses.items()}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_browser_shows_them_without_complaint(pages, theme, width):
    said: list[str] = []
    # From here on nothing may ask the database: Playwright runs a loop in this thread.
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for name, (address, found) in pages.items():
            page.unroute_all()
            page.route("**/*", partial(answer, found))
            page.goto(f"http://127.0.0.1:9{address}", wait_until="networkidle")
            if SHOTS:
                page.screenshot(
                    path=f"{SHOTS}/reconciliation-{name}-{theme}-{width}.png", full_page=True
                )
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
            assert page.locator(".tab[aria-current=page]").count() == 1, name
    assert said == []
