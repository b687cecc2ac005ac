"""Estimated usage: priced where finance said so beforehand, and always told apart."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.chargeback import ledger, queries
from apps.chargeback.actions import price_due_days
from apps.chargeback.closing.statements import LIST, drafts
from apps.chargeback.focus import export
from apps.chargeback.focus.rules import checked
from apps.chargeback.models import DailyLine, EstimateRule, MonthlyLine, Spend
from apps.chargeback.month import breakdown
from apps.chargeback.month.breakdown import Path
from apps.chargeback.prices.estimates import prices_estimates, set_estimate_rule, standing
from apps.common.errors import NotPermitted
from tests.chargeback.pricing import CHEAP, finance, price
from tests.chargeback.test_queries import END, NO_TOKENS, START, use
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
IN_OCTOBER = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)
ESTIMATED = {
    "unmetered_calls": 2, "estimated_calls": 2, "estimated_input_tokens": 1_500_000,
    "estimated_cached_input_tokens": 500_000, "estimated_output_tokens": 250_000,
}  # fmt: skip
# 1,000,000 at $0.10, 500,000 at $0.01 and 250,000 at $0.40 a million
ITS_COST = Decimal("0.10") + Decimal("0.005") + Decimal("0.10")
METERED = Decimal("0.00008") + Decimal("0.000002") + Decimal("0.00004")


def rule(prices, now=IN_OCTOBER, by="rules"):
    return set_estimate_rule(
        prices=prices, actor=finance(by), reason="As the board asked.", now=now
    )


class TestSetEstimateRule:
    def test_holds_from_the_next_month_on_and_is_in_the_record(self):
        made = rule(prices=True)
        assert (made.month, made.prices_estimates) == (NOVEMBER, True)
        assert [prices_estimates(month) for month in (OCTOBER, NOVEMBER, DECEMBER)] == [
            False,
            True,
            True,
        ]
        event = AuditEvent.objects.get(action=Action.ESTIMATES_RULED)
        assert (event.actor, event.target_id) == ("rules", str(made.pk))
        assert event.data == {
            "month": "2026-11", "before": False, "prices": True, "reason": "As the board asked.",
        }  # fmt: skip

    def test_can_be_taken_back_before_its_month_begins(self):
        rule(prices=True)
        rule(prices=False)
        assert not prices_estimates(NOVEMBER)
        found = standing(IN_OCTOBER)
        assert (found.prices_now, found.prices_next, found.next_month) == (False, False, NOVEMBER)
        assert found.newest.prices_estimates is False

    @pytest.mark.parametrize("role", [*(role for role in Role if role != Role.FINANCE), None])
    def test_is_finances_alone(self, role):
        person = UserFactory(with_roles=[role] if role else [])
        with pytest.raises(NotPermitted):
            set_estimate_rule(prices=True, actor=person, reason="Mine.", now=IN_OCTOBER)
        assert not EstimateRule.objects.exists()
        assert not AuditEvent.objects.exists()

    @pytest.mark.parametrize(
        "values",
        [
            {"month": date(2026, 10, 2)},
            {"month": OCTOBER},
            {"month": date(2026, 9, 1)},
            {"reason": ""},
        ],
    )
    def test_never_reaches_back_whoever_writes_it(self, values):
        usual = {
            "month": NOVEMBER, "prices_estimates": True, "reason": "Why.",
            "set_by": finance("writes"), "set_at": IN_OCTOBER,
        }  # fmt: skip
        with pytest.raises(IntegrityError), transaction.atomic():
            EstimateRule.objects.create(**usual | values)


class TestPricing:
    def test_of_estimates_is_not_done_unasked(self, registered_model):
        price(registered_model, CHEAP, START)
        use(START, **ESTIMATED)
        price_due_days()
        assert not Spend.objects.filter(is_estimated=True).exists()
        (line,) = queries.lines(start=START, end=END, scope=queries.EVERYTHING)
        assert (line.list_cost_usd, line.estimated_cost_usd) == (METERED, 0)

    def test_of_estimates_stands_beside_what_was_metered(self, registered_model):
        rule(prices=True)
        price(registered_model, CHEAP, START)
        use(START, **ESTIMATED)
        use(START + timedelta(days=1), **ESTIMATED | NO_TOKENS)
        price_due_days()
        found = Spend.objects.filter(day=NOVEMBER).values_list("is_estimated", "sku", "quantity")
        assert sorted(found) == [
            (False, "CACHED_INPUT", 200), (False, "INPUT", 800), (False, "OUTPUT", 100),
            (True, "CACHED_INPUT", 500_000), (True, "INPUT", 1_000_000), (True, "OUTPUT", 250_000),
        ]  # fmt: skip
        first, second = DailyLine.objects.order_by("day")
        assert (first.list_cost_usd, first.estimated_cost_usd) == (METERED + ITS_COST, ITS_COST)
        assert (second.list_cost_usd, second.estimated_cost_usd) == (ITS_COST, ITS_COST)
        month = MonthlyLine.objects.get()
        assert (month.list_cost_usd, month.estimated_cost_usd) == (
            METERED + 2 * ITS_COST,
            2 * ITS_COST,
        )
        assert (month.input_tokens, month.unpriced_tokens) == (1000, 0)

    def test_changes_with_the_month_and_never_before_it(self, registered_model):
        price(registered_model, CHEAP, START - timedelta(days=31))
        use(START - timedelta(hours=1), **ESTIMATED)
        use(START, **ESTIMATED)
        use(END, **ESTIMATED)
        rule(prices=True)
        rule(prices=False, now=END - timedelta(seconds=1))
        price_due_days()
        found = Spend.objects.filter(is_estimated=True).values_list("day", flat=True).distinct()
        assert list(found) == [NOVEMBER]

    def test_counts_what_has_no_price(self):
        rule(prices=True)
        use(START, **ESTIMATED | NO_TOKENS)
        price_due_days()
        line = MonthlyLine.objects.get()
        assert (line.list_cost_usd, line.unpriced_tokens) == (None, 1_750_000)


class TestToldApart:
    @pytest.fixture
    def priced(self, registered_model):
        rule(prices=True)
        price(registered_model, CHEAP, START)
        use(START, **ESTIMATED)
        price_due_days()

    def test_on_statements(self, priced):
        (draft,) = drafts(NOVEMBER, ledger.known(NOVEMBER))
        lines = [(line.key.item, line.key.is_estimated, line.amount.usd) for line in draft.lines]
        assert ("INPUT", True, Decimal("0.1")) in lines
        assert ("INPUT", False, Decimal("0.00008")) in lines
        assert draft.total(LIST) == Decimal("0.21")
        told = [line.get("is_estimated") for line in draft.content["lines"]]
        assert sorted(told, key=bool) == [None, None, None, True, True, True]

    def test_in_focus(self, priced):
        found = [(row["SkuMeter"], row["x_UsageBasis"]) for row in export.rows(NOVEMBER, LIST)]
        assert sorted(found) == [
            (meter, basis)
            for meter in ("Cached input", "Input", "Output")
            for basis in ("Estimated", "Metered")
        ]
        assert len(list(checked(export.rows(NOVEMBER, LIST), "1.4"))) == 6

    def test_in_the_months_lines_where_unpriced_is_not_nothing(self, priced):
        use(START, team="b", model="dear", version="dear-v1", **ESTIMATED)
        use(START, team="c")
        price_due_days()
        found = breakdown.lines(Path(NOVEMBER), ("team",))
        rows = {row["team"]: breakdown.row_of(row) for row in found}
        told = {
            team: (
                row.estimated_calls, row.estimated_input_tokens, row.estimated_output_tokens,
                row.estimated_usd,
            )
            for team, row in rows.items()
        }  # fmt: skip
        assert told == {
            "claims-review": (2, 1_500_000, 250_000, ITS_COST),
            "b": (2, 1_500_000, 250_000, None),
            "c": (0, 0, 0, 0),
        }
        whole = breakdown.whole(Path(NOVEMBER))
        assert (whole.unmetered_calls, whole.estimated_calls, whole.unknown_calls) == (4, 4, 0)

    def test_in_columns_of_the_month_for_those_who_choose_them(self, priced, client):
        client.force_login(finance("looks"))
        columns = "estimated_calls,estimated_input_tokens,estimated_output_tokens,estimated_usd"
        asked = {"month": "2026-11", "by": "line", "columns": columns, "format": "csv"}
        answer = client.get(reverse("chargeback:month"), asked)
        (line,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert [line[name] for name in columns.split(",")] == ["2", "1500000", "250000", "0.205"]

    def test_on_the_months_page(self, priced, client):
        client.force_login(finance("looks"))
        page = " ".join(
            client.get(reverse("chargeback:month") + "?month=2026-11").content.decode().split()
        )
        assert "What is estimated is priced: $0.20 of the price list." in page
        other = client.get(reverse("chargeback:month") + "?month=2026-10").content.decode()
        assert "What is estimated is priced" not in other


class TestPage:
    URL = "chargeback:estimate_rule_create"

    def test_sets_the_rule_of_the_next_month(self, client):
        client.force_login(finance("sets"))
        said = {"prices": "yes", "reason": "As the board asked."}
        answer = client.post(reverse(self.URL), said, follow=True)
        page = " ".join(answer.content.decode().split())
        assert "From the next month on, estimated usage is priced." in page
        assert "Stop pricing it from" in page
        assert EstimateRule.objects.get().prices_estimates is True
        client.post(reverse(self.URL), said | {"prices": "no"})
        assert EstimateRule.objects.first().prices_estimates is False

    def test_asks_for_a_reason(self, client):
        client.force_login(finance("sets"))
        answer = client.post(reverse(self.URL), {"prices": "yes"})
        assert answer.status_code == 422
        assert not EstimateRule.objects.exists()

    def test_is_read_by_those_who_may_not_set_it(self, client):
        client.force_login(UserFactory(with_roles=[Role.AUDITOR]))
        page = client.get(reverse("chargeback:rate_list")).content.decode()
        assert "Estimated usage" in page
        assert "estimates/" not in page
