"""Closing a month: four eyes, over exactly what both saw, and never changed afterwards."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Sum

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.catalog.models import RegisteredModel
from apps.chargeback import actions as days
from apps.chargeback import ledger
from apps.chargeback.closing import actions, checklist, queries
from apps.chargeback.closing.models import MonthClose, Statement, StatementLine
from apps.chargeback.inputs import due_days
from apps.chargeback.periods import first_open
from apps.common import decisions
from apps.common.errors import NotPermitted
from apps.common.periods import month_bounds
from apps.metering.models import EngineHour, HourlyUsage
from apps.metering.quarantine.models import QuarantinedRecord
from tests.chargeback.pricing import CHEAP, DEAR, finance, price, propose
from tests.chargeback.test_queries import use
from tests.database import as_owner
from tests.factories import RegisteredModelFactory, UserFactory
from tests.fleet.machines import machine

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
START, END = month_bounds(OCTOBER)
AFTER = END + timedelta(days=2)
DECEMBER_2 = datetime(2026, 12, 2, 9, tzinfo=START.tzinfo)


def engine_agrees(hour, tokens_in=2000, tokens_out=200):
    EngineHour.objects.create(
        hour=hour, version="prior-auth-extract-v1", prompt_tokens=tokens_in,
        generation_tokens=tokens_out, is_whole=True, recorded_at=hour,
    )  # fmt: skip


@pytest.fixture(scope="session")
def kept_october(keeper):
    """A month of two cost centers, priced, that the engine agrees with."""
    keeper.keep("kept_october", used_and_settled)


@pytest.fixture
def october(kept_october, db):
    """The month as it was made."""


def used_and_settled():
    """Make October: one model that two teams used in its first hour."""
    price(RegisteredModelFactory(name="prior-auth-extract"), CHEAP, START)
    use(START)
    use(START, team="prior-auth", cost_center="CC-4200")
    engine_agrees(START)
    settled()


def settled(now=AFTER):
    """Let the workers price and share out what is due."""
    days.price_due_days()
    for day in due_days(now):
        days.allocate_day(day=day, now=now)


def ask(month=OCTOBER, *, by="asks", reasons=None, now=AFTER):
    return actions.ask_to_close(
        month=month, requester=finance(by), justification="All of it was checked.",
        reasons=reasons or {}, now=now,
    )  # fmt: skip


def close(item, *, by="closes", now=AFTER):
    return actions.close_month(item=item, approver=finance(by), reason="Agreed.", now=now)


def state(key, now=AFTER, month=OCTOBER):
    return next(check for check in checklist.checks(month, now) if check.key == key)


@pytest.mark.usefixtures("october")
class TestClosing:
    def test_issues_a_statement_for_each_cost_center(self):
        item = close(ask())
        found = Statement.objects.order_by("number")
        assert [(s.number, s.cost_center) for s in found] == [
            ("2026-10-001", "CC-4100"), ("2026-10-002", "CC-4200"),
        ]  # fmt: skip
        lines = StatementLine.objects.filter(statement=found[0]).order_by("position")
        assert [(line.item, line.quantity) for line in lines] == [
            ("CACHED_INPUT", 200), ("INPUT", 800), ("OUTPUT", 100),
        ]  # fmt: skip
        exact = lines.aggregate(sum=Sum("exact_usd"))["sum"]
        assert exact == Decimal("0.000122")
        total = StatementLine.objects.aggregate(sum=Sum("amount_usd"))["sum"]
        assert total == item.list_usd == sum(s.list_usd for s in found)
        assert found[0].content["lines"][0]["exact_usd"] == "0.000002"

    def test_is_recorded_with_what_was_closed(self):
        item = close(ask())
        asked, closed = AuditEvent.objects.filter(target_type="MonthClose").order_by("id")
        assert (asked.action, asked.actor) == ("close.requested", "asks")
        assert (closed.action, closed.actor, closed.data["statements"]) == (
            "close.closed", "closes", 2,
        )  # fmt: skip
        assert closed.data["digest"] == item.digest
        assert closed.data["month"] == "2026-10"

    def test_is_never_decided_by_who_asked(self):
        item = ask()
        with pytest.raises(decisions.NotOnesOwn):
            close(item, by="asks")
        with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
            MonthClose.objects.update(
                status="CLOSED", decided_by=item.requested_by, decided_at=AFTER
            )

    @pytest.mark.parametrize("role", [Role.PLATFORM_ENGINEER, Role.AUDITOR, Role.TEAM_LEAD])
    def test_is_finances(self, role):
        person = UserFactory(with_roles=[role])
        with pytest.raises(NotPermitted):
            actions.ask_to_close(
                month=OCTOBER, requester=person, justification="Mine, I think.", reasons={},
                now=AFTER,
            )  # fmt: skip
        item = ask()
        for decide in (actions.close_month, actions.reject_close):
            with pytest.raises(NotPermitted):
                decide(item=item, approver=person, reason="Mine.", now=AFTER)

    def test_happens_once(self):
        item = close(ask())
        with pytest.raises(decisions.AlreadyDecided):
            close(item)
        with pytest.raises(actions.NotReady):
            ask()
        assert Statement.objects.count() == 2

    def test_is_asked_for_once_at_a_time(self):
        ask()
        with pytest.raises(actions.NotReady, match="waits for a decision already"):
            ask(by="another")

    def test_over_other_usage_than_was_seen_closes_nothing(self):
        item = ask()
        use(START + timedelta(hours=5))
        engine_agrees(START + timedelta(hours=5), 1000, 100)
        settled()
        with pytest.raises(actions.StaleClose):
            close(item)
        item.refresh_from_db()
        assert (item.status, Statement.objects.count()) == ("PENDING", 0)

    def test_is_rejected_and_withdrawn_and_asked_for_again(self):
        actions.reject_close(item=ask(), approver=finance("closes"), reason="Not yet.", now=AFTER)
        actions.withdraw_close(item=ask(), actor=finance("asks"), now=AFTER)
        assert set(MonthClose.objects.values_list("status", flat=True)) == {
            "REJECTED", "WITHDRAWN",
        }  # fmt: skip
        close(ask())

    def test_leaves_what_it_issued_for_good(self):
        close(ask())
        changes = (
            lambda: Statement.objects.update(list_usd=0),
            lambda: StatementLine.objects.update(amount_usd=0),
            lambda: StatementLine.objects.all().delete(),
            lambda: MonthClose.objects.update(decision_reason="Other."),
            lambda: MonthClose.objects.all().delete(),
        )
        for change in changes:
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                change()

    def test_opens_prices_from_the_month_after_on(self):
        assert first_open(AFTER) == month_bounds(NOVEMBER)[0]
        close(ask())
        assert first_open(DECEMBER_2) == month_bounds(NOVEMBER)[0]


@pytest.mark.usefixtures("october")
class TestChecklist:
    def test_is_done_where_nothing_is_missing(self):
        states = {check.key: check.state for check in checklist.checks(OCTOBER, AFTER)}
        assert (
            states.pop("BILL") == "unchecked"
        )  # no bill is configured, which is never called done
        assert set(states.values()) == {"ok"}

    def test_waits_for_an_hour_after_the_months_end(self):
        early = END + checklist.GRACE - timedelta(seconds=1)
        assert state("OVER", early).stops and not state("OVER", END + checklist.GRACE).stops
        with pytest.raises(actions.NotReady, match="The month is over"):
            ask(now=early)

    def test_keeps_the_order_of_months(self):
        assert not state("ORDER").stops
        close(ask())
        assert "closed already" in state("ORDER").words
        later = date(2026, 12, 1)
        assert state("ORDER", month=later).words == (
            "November 2026 comes first: months are closed in their order."
        )
        assert not state("ORDER", month=NOVEMBER).stops

    def test_waits_for_days_that_are_not_priced(self):
        use(START + timedelta(hours=1))
        assert "1 day is not priced yet" in state("USAGE").words

    def test_waits_for_days_that_are_not_shared_out(self):
        use(START + timedelta(hours=1))
        days.price_due_days()
        assert state("MACHINES").words == "1 day is not shared out yet."
        settled()
        assert not state("MACHINES").stops

    def test_waits_for_a_price_of_every_machine_hour(self):
        machine("dark", -768, -766, price=None)  # two hours of the first of October
        settled()
        assert state("MACHINES").words == "2.00 machine hours have no price."

    def test_waits_for_published_prices(self):
        propose(RegisteredModel.objects.get(), DEAR, END - timedelta(days=1), now=START)
        assert state("PRICES").words == "1 change of prices waits."

    def test_names_what_has_no_price(self):
        use(START, model="other", version="other-v1")
        settled()
        assert state("PRICES").words == "1,100 tokens have no price."
        with pytest.raises(actions.NotReady):
            ask(reasons={"PRICES": "Nobody minds."})

    def test_lets_quarantine_and_differences_be_accepted_with_a_reason(self):
        QuarantinedRecord.objects.create(
            fingerprint="f", doubt="TEAM", detail="x", received_at=START, received_via="OTLP",
            occurred_at=START,
        )  # fmt: skip
        engine_agrees(START + timedelta(hours=1), 900_000, 0)
        assert state("QUARANTINE").words == "1 record waits to be counted."
        assert "899,000" not in state("RECONCILIATION").words
        with pytest.raises(actions.NotReady, match="Quarantine is empty; Engines and gateway"):
            ask(reasons={"QUARANTINE": "  "})
        reasons = {"QUARANTINE": "A load test.", "RECONCILIATION": "Called straight at a pod."}
        item = ask(reasons=reasons)
        accepted = {c["key"]: c["accepted"] for c in item.checklist if c["state"] == "accepted"}
        assert accepted == reasons
        assert AuditEvent.objects.get(action="close.requested").data["accepted"] == reasons
        close(item)

    def test_accepts_no_more_than_was_seen(self):
        for name in "fg":
            QuarantinedRecord.objects.create(
                fingerprint=name, doubt="TEAM", detail="x", received_at=START,
                received_via="OTLP", occurred_at=START,
            )  # fmt: skip
            if name == "f":
                item = ask(reasons={"QUARANTINE": "A load test."})
        with pytest.raises(actions.StaleClose):
            close(item)


@pytest.mark.usefixtures("october")
class TestCorrections:
    def test_bring_late_usage_into_the_month_that_is_open(self):
        close(ask())
        use(START + timedelta(hours=3), team="late")
        engine_agrees(START + timedelta(hours=3), 1000, 100)
        settled(DECEMBER_2)
        close(ask(NOVEMBER, now=DECEMBER_2), now=DECEMBER_2)
        (statement,) = Statement.objects.filter(close__month=NOVEMBER)
        lines = statement.lines.order_by("position")
        assert {(line.usage_month, line.team) for line in lines} == {(OCTOBER, "late")}
        assert ledger.billed(OCTOBER) == ledger.known(OCTOBER)
        assert queries.preview(date(2026, 12, 1)) == []

    def test_are_corrected_in_their_turn(self):
        """Each close bills what the month comes to beyond all that was billed of it before."""
        close(ask())
        billed = [sum(amount.usd for amount in ledger.billed(OCTOBER).values())]
        for month, hours, change in (
            (NOVEMBER, 3, lambda at: use(at, team="late")),
            (date(2026, 12, 1), 4, lambda at: use(at, team="late", input_tokens=5000)),
            (date(2027, 1, 1), 3, lambda at: HourlyUsage.objects.filter(hour=at).delete()),
        ):
            change(START + timedelta(hours=hours))
            now = month_bounds(month)[1] + timedelta(days=2)
            settled(now)
            found = checklist.checks(month, now)
            reasons = {check.key: "Looked at." for check in found if check.stops}
            close(ask(month, reasons=reasons, now=now), now=now)
            lines = StatementLine.objects.filter(statement__close__month=month)
            assert set(lines.values_list("usage_month", flat=True)) == {OCTOBER}
            assert ledger.billed(OCTOBER) == ledger.known(OCTOBER)
            billed.append(sum(amount.usd for amount in ledger.billed(OCTOBER).values()))
        assert billed[0] < billed[1] < billed[2] > billed[3]
        assert lines.aggregate(usd=Sum("exact_usd"))["usd"] == billed[3] - billed[2] < 0
        assert queries.preview(date(2027, 2, 1)) == []

    def test_leave_the_closed_statements_as_they_are(self):
        close(ask())
        before = list(Statement.objects.values_list("number", "digest"))
        use(START + timedelta(hours=3), team="late")
        settled()
        assert list(Statement.objects.values_list("number", "digest")) == before
        assert ledger.known(OCTOBER) != ledger.billed(OCTOBER)
