"""What a restated bill still corrects where the ledger learns another price of its machines: each
dollar once, added up by hand.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from apps.chargeback.closing import queries
from apps.chargeback.closing.models import StatementLine
from apps.chargeback.reconciliation.bill.restated import Time
from apps.fleet.models import NodeInterval
from tests.chargeback.closing.test_actions import (  # noqa: F401 (a fixture)
    DECEMBER_2,
    NOVEMBER,
    OCTOBER,
    ask,
    close,
    kept_october,
    october,
    settled,
)
from tests.chargeback.closing.test_bill import keep, machines, octobers  # noqa: F401 (fixtures)
from tests.chargeback.pricing import finance
from tests.pages import joined

pytestmark = pytest.mark.django_db
DECEMBER = DECEMBER_2.date().replace(day=1)
JANUARY_2 = DECEMBER_2 + timedelta(days=31)


class TestALaterPrice:
    """October's machines cost $80 and $40, and its bill says so. Then the bill says $90 of the
    first one, and the ledger may follow by another price.
    """

    @pytest.fixture(autouse=True)
    def closed(self, october, machines, keep):  # noqa: F811
        keep(octobers())
        return close(ask())

    @pytest.fixture
    def restate(self, keep):  # noqa: F811
        def again(*made, execution_id="execution-2", at=DECEMBER_2, **also):
            keep(octobers(*made, **also), execution_id=execution_id, now=at)
            settled(at)

        return again

    def now_costs(self, usd, machine="gpu-1", hours=None):
        """Let the ledger learn another price, or another end, of a machine."""
        spans = NodeInterval.objects.filter(node_claim__name=machine)
        for span in spans:
            span.price_usd_per_hour = Decimal(usd)
            span.ended_at = span.started_at + timedelta(hours=hours or 10)
            span.save(update_fields=["price_usd_per_hour", "ended_at"])
        settled(DECEMBER_2)

    def charged(self, month=NOVEMBER, now=DECEMBER_2):
        """Close a month; return what all statements say of October's machines, and of its bill."""
        settled(now)
        if queries.preview(month):
            close(ask(month, now=now), now=now)
        lines = StatementLine.objects.filter(usage_month=OCTOBER, basis="COST")
        bills = lines.filter(item="BILL")
        return sum(line.exact_usd for line in lines), sum(line.exact_usd for line in bills)

    def test_that_follows_the_bill_is_charged_once(self, restate):
        restate(first="9")
        assert self.charged() == (130, 10)
        self.now_costs("9")
        assert self.charged(DECEMBER, JANUARY_2) == (130, 0)

    def test_that_came_before_the_bill_is_charged_once(self, restate):
        self.now_costs("9")
        assert self.charged() == (130, 0)
        restate(first="9", at=JANUARY_2)
        assert self.charged(DECEMBER, JANUARY_2) == (130, 0)

    def test_that_follows_a_part_of_it_leaves_the_rest_to_the_bill(self, restate):
        restate(first="9")
        self.now_costs("8.25")
        assert self.charged() == (130, Decimal("7.5"))

    def test_of_another_machine_takes_nothing_from_the_bill(self, restate):
        restate(first="9")
        self.now_costs("5", "gpu-2")
        assert self.charged() == (80 + 50 + 10, 10)

    def test_beyond_the_bill_is_the_ledgers_own(self, restate):
        restate(first="9")
        self.now_costs("9.5")
        assert self.charged() == (95 + 40, 0)

    def test_that_falls_while_the_bill_rises_takes_nothing_from_it(self, restate):
        restate(first="9")
        self.now_costs("7.5")
        assert self.charged() == (75 + 10 + 40, 10)

    def test_of_hours_that_both_lose_is_charged_once(self, restate):
        restate(hours=8)
        assert self.charged() == (104, -16)
        self.now_costs("8", hours=8)
        assert self.charged(DECEMBER, JANUARY_2) == (104, 0)
        lines = StatementLine.objects.filter(usage_month=OCTOBER, item="BILL")
        assert sum(line.quantity for line in lines) == 0

    def test_is_seen_of_all_machines_together_where_a_close_kept_none(self, restate):
        table = "chargeback_closedmachine"
        with connection.cursor() as cursor:  # as a close from before any were kept
            cursor.execute(
                "SELECT tests_act_as_owner('DELETE FROM chargeback_closedmachine', %s)", [table]
            )
        restate(first="9")
        assert self.charged() == (130, 10)
        self.now_costs("9")
        assert self.charged(DECEMBER, JANUARY_2) == (130, 0)

    def test_is_told_on_the_page_of_the_bill(self, restate, client):
        client.force_login(finance("reads"))
        restate(first="9")
        self.now_costs("8.25")
        text = joined(client.get("/chargeback/reconciliation/bill/?month=2026-10").content)
        assert "it comes to $10.00 beyond what it came to then" in text
        assert "The ledger says $2.50 of that by itself since" in text
        assert "$7.50 is left, which the month that is open now corrects" in text


class TestWhatIsLeft:
    @pytest.mark.parametrize(
        ("change", "followed", "left"),
        [(3, 2, 1), (3, 3, 0), (3, 5, 0), (3, -2, 3), (3, 0, 3), (-3, -2, -1), (-3, -5, 0),
         (-3, 2, -3), (0, 4, 0), (0, -4, 0)],
    )  # fmt: skip
    def test_is_what_the_ledger_did_not_follow(self, change, followed, left):
        found = Time(Decimal(change), Decimal(-change)).without(
            Time(Decimal(followed), Decimal(-followed))
        )
        assert found == Time(Decimal(left), Decimal(-left))
