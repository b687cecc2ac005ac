"""The cloud's bill and the close of a month: what stands in its way, and what a restated bill
corrects.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.chargeback.bills.models import Bill, BillFeed, BillLine
from apps.chargeback.closing import actions, checklist, queries
from apps.chargeback.closing.models import ClosedMachine, Statement
from apps.chargeback.closing.tables import item_words
from apps.chargeback.focus import export
from apps.chargeback.focus.rules import checked
from tests.chargeback.bills.made import bill, bought, charge, keeps
from tests.chargeback.closing.test_actions import (  # noqa: F401 (a fixture)
    AFTER,
    DECEMBER_2,
    END,
    NOVEMBER,
    OCTOBER,
    START,
    ask,
    close,
    kept_october,
    october,
    settled,
    state,
)
from tests.chargeback.pricing import finance
from tests.database import as_owner
from tests.fleet.machines import DAY, machine
from tests.pages import joined

pytestmark = pytest.mark.django_db
# the second of October, in hours from the second of November
BEGIN = int((START + timedelta(days=1) - DAY) / timedelta(hours=1))


@pytest.fixture
def keep(tmp_path):
    return keeps(tmp_path, END + timedelta(hours=12))


@pytest.fixture
def configured(settings):
    settings.CUR_BUCKET, settings.CUR_PREFIX, settings.CUR_EXPORT = "bills", "", "cur2"


@pytest.fixture
def machines():
    """Two machines on one day of October, at 8 and 4 dollars an hour."""
    billed_machines()
    settled()


def billed_machines():
    """Make the machines that bills speak of."""
    for name, price, resource in (("gpu-1", "8", "i-1"), ("gpu-2", "4", "i-2")):
        machine(name, BEGIN, BEGIN + 10, price=price, capacity_type="on-demand",
                provider_id=f"aws:///us-east-1a/{resource}")  # fmt: skip


def octobers(*more, first="8", hours=10, is_final=True, **also):
    made = (
        bought("i-1", BEGIN, BEGIN + hours, usd=first, how="on-demand"),
        bought("i-2", BEGIN, BEGIN + 10, usd="4", how="on-demand"),
    )
    return bill(*made, *more, month=OCTOBER, until=END, is_final=is_final, **also)


@pytest.mark.usefixtures("october", "machines")
class TestChecklist:
    def test_says_in_words_that_no_bill_is_read_and_calls_it_never_done(self):
        check = state("BILL")
        assert (check.state, check.stops) == (checklist.UNCHECKED, False)
        assert "No bill is read: CUR_BUCKET names no bucket." in check.words
        item = close(ask())
        kept = next(line for line in item.checklist if line["key"] == "BILL")
        assert kept["state"] == "unchecked" and "No bill is read" in kept["words"]

    def test_waits_for_the_bill_where_one_is_configured(self, settings, configured):
        BillFeed.objects.create(source="s3://bills/cur2", message="Nothing lies there.")
        check = state("BILL")
        assert check.stops and check.may_accept
        assert check.words == "No bill of October 2026 has been read. Nothing lies there."
        with pytest.raises(actions.NotReady, match="The cloud's bill is explained"):
            ask()
        settings.CLOSE_NEEDS_BILL = "never"
        assert state("BILL").state == checklist.UNCHECKED

    def test_waits_for_a_bill_always_where_the_setting_says_so(self, settings):
        settings.CLOSE_NEEDS_BILL = "always"
        assert state("BILL").stops
        item = ask(reasons={"BILL": "The account has no export yet."})
        assert close(item).status == "CLOSED"

    def test_is_done_where_every_dollar_is_explained(self, keep):
        keep(octobers(charges=(charge("Tax", "9"),)))
        check = state("BILL")
        assert check.state == "ok" and "Nothing of it is unexplained." in check.words

    def test_waits_where_something_is_unexplained(self, keep):
        keep(octobers(first="9"))
        check = state("BILL")
        assert check.stops and check.words == "$10.00 on 1 day is unexplained."

    def test_waits_for_a_reason_where_one_side_knows_more(self, keep):
        keep(octobers(bought("i-3", BEGIN, BEGIN + 2, usd="5"), hours=7))
        assert state("BILL").words == (
            "$10.00: hours on the bill alone. $24.00: hours in the ledger alone."
        )

    def test_waits_while_the_bill_is_an_estimate(self, keep):
        keep(octobers(is_final=False))
        assert "AWS has not issued the invoice" in state("BILL").words

    def test_waits_while_a_newer_bill_cannot_be_read(self, keep, configured):
        keep(octobers())
        assert state("BILL").state == "ok"
        BillFeed.objects.filter(month=OCTOBER).update(message="A file is damaged.")
        assert state("BILL").words == "A file is damaged."

    def test_is_accepted_with_a_reason_over_what_was_seen_alone(self, keep):
        keep(octobers(first="9"))
        item = ask(reasons={"BILL": "A price that AWS changed; the contract follows."})
        keep(octobers(first="9.5"), execution_id="execution-2", now=END + timedelta(hours=20))
        with pytest.raises(actions.StaleClose):
            close(item)

    def test_waits_where_the_ledger_is_not_that_of_its_hours(self):
        from apps.chargeback.models import DirtyDay
        from tests.chargeback.test_queries import use

        use(START + timedelta(hours=2))
        DirtyDay.objects.all().delete()
        check = state("SPEND")
        assert check.stops and check.may_accept
        assert "on 1 day of a model is unexplained." in check.words


@pytest.mark.usefixtures("october", "machines")
class TestARestatedBill:
    @pytest.fixture
    def closed(self, keep):
        keep(octobers(charges=(charge("Tax", "9"),)))
        return close(ask())

    def restate(self, keep, made, execution_id="execution-2", now=DECEMBER_2):
        keep(made, execution_id=execution_id, now=now)
        settled(now)

    def correction(self):
        close(ask(NOVEMBER, now=DECEMBER_2), now=DECEMBER_2)
        return [
            line
            for statement in Statement.objects.filter(close__month=NOVEMBER)
            for line in statement.lines.select_related("statement__close")
        ]

    def test_becomes_a_correction_in_the_open_month(self, closed, keep):
        self.restate(keep, octobers(hours=8))
        (line,) = self.correction()
        assert (line.usage_month, line.basis, line.item) == (OCTOBER, "COST", "BILL")
        assert (line.quantity, line.exact_usd, line.amount_usd) == (-2, -16, Decimal("-16.00"))
        assert (line.team, line.version, line.statement.cost_center) == ("", "", "")
        assert item_words(line) == "Restated bill"

    def test_is_told_on_the_page_of_its_month(self, closed, keep, client):
        client.force_login(finance("reads"))
        url = "/chargeback/reconciliation/bill/?month=2026-10"
        assert "was restated after" not in joined(client.get(url).content)
        self.restate(keep, octobers(hours=8))
        text = joined(client.get(url).content)
        assert "The bill was restated after October 2026 was closed." in text
        assert "it comes to −$16.00 beyond what it came to then" in text

    def test_is_corrected_once_and_a_correction_is_corrected(self, closed, keep):
        self.restate(keep, octobers(hours=8))
        self.correction()
        assert queries.preview(DECEMBER_2.date().replace(day=1)) == []
        self.restate(keep, octobers(hours=9), "execution-3", DECEMBER_2 + timedelta(days=1))
        (draft,) = queries.preview(DECEMBER_2.date().replace(day=1))
        (line,) = [x for x in draft.lines]
        assert (line.key.usage_month, line.amount.quantity, line.amount.usd) == (OCTOBER, 1, 8)

    def test_back_to_what_it_was_is_no_correction(self, closed, keep):
        self.restate(keep, octobers(hours=8))
        self.restate(
            keep, octobers(charges=(charge("Tax", "9"),)), "execution-3",
            DECEMBER_2 + timedelta(hours=1),
        )  # fmt: skip
        assert queries.preview(NOVEMBER) == []

    def test_corrects_machines_alone(self, closed, keep):
        more = (charge("Tax", "20"), charge("Usage", "3", usage_type="EBS:VolumeUsage.gp3"))
        self.restate(keep, octobers(charges=more))
        assert Bill.objects.filter(month=OCTOBER).count() == 2
        assert queries.preview(NOVEMBER) == []

    def test_takes_a_credit_of_a_machine_with_it(self, closed, keep):
        credit = charge("Credit", "-7", resource="i-1", at=START + timedelta(days=1))
        self.restate(keep, octobers(charges=(credit,)))
        (line,) = self.correction()
        assert (line.quantity, line.exact_usd) == (0, -7)

    def test_keeps_the_lines_that_the_month_was_closed_with(self, closed, keep):
        self.restate(keep, octobers(hours=8))
        self.restate(keep, octobers(hours=7), "execution-3", DECEMBER_2 + timedelta(hours=1))
        first, second, third = Bill.objects.order_by("read_at")
        having = set(BillLine.objects.values_list("bill", flat=True))
        assert having == {first.pk, third.pk} and second.replaced_at is not None

    def test_is_no_correction_where_the_month_was_closed_without_one(self, keep):
        close(ask())
        self.restate(keep, octobers(first="9"), now=AFTER + timedelta(days=1))
        assert queries.preview(NOVEMBER) == []

    def test_is_a_correction_in_focus_too(self, closed, keep):
        self.restate(keep, octobers(hours=8))
        for version in ("1.2", "1.4"):
            assert len(list(checked(export.rows(NOVEMBER, "COST"), version))) == 1
        (row,) = export.rows(NOVEMBER, "COST")
        assert (row["ChargeClass"], row["EffectiveCost"]) == ("Correction", -16)
        assert row["ChargeDescription"] == "Restated bill on machines"


@pytest.mark.usefixtures("october", "machines")
class TestWhatIsKeptOfMachines:
    def test_is_each_one_with_its_hours_and_their_cost(self):
        machine("later", BEGIN + 24, BEGIN + 27, price="2", gpus=0)
        machine("september", -800, -790, price="3")
        settled()
        item = close(ask())
        kept = ClosedMachine.objects.order_by("resource").values_list("resource", "hours", "usd")
        assert list(kept) == [("i-1", 10, 80), ("i-2", 10, 40), ("later", 3, 6)]
        assert {machine.close for machine in ClosedMachine.objects.all()} == {item}

    def test_never_changes_and_is_of_a_closed_month(self):
        item = ask()
        new = {"resource": "i-9", "hours": 1, "usd": 1}
        with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
            ClosedMachine.objects.create(close=item, **new)
        close(item)
        for change in (
            lambda: ClosedMachine.objects.update(usd=0),
            lambda: ClosedMachine.objects.all().delete(),
            lambda: ClosedMachine.objects.create(close=item, **new | {"resource": "i-1"}),
        ):
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                change()
        assert ClosedMachine.objects.count() == 2
