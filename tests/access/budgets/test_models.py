"""Which budgets there are at a moment, who sees them, which count for a call, and the guards."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from apps.access.budgets import actions
from apps.access.budgets.models import Boost, Budget, BudgetChange
from apps.accounts.models import Role
from tests.access.budgets.test_actions import (  # noqa: F401
    LATER,
    LATEST,
    TERMS,
    WHY,
    boost,
    budget,
    change,
    finance,
    put,
)
from tests.database import owner_runs
from tests.factories import NOW, TeamFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def budgets(finance, budget, charlie):  # noqa: F811
    put(finance, cost_center=charlie.team.cost_center)
    put(finance, cost_center=TeamFactory().cost_center)
    return Budget.objects.named()


def scopes(rows):
    return sorted((row.scope, row.unit) for row in rows)


class TestVisibleTo:
    def test_is_the_teams_own_and_those_for_the_models_it_owns(self, budgets, charlie, alice):
        own = scopes(row for row in budgets if row.team == charlie.team)
        for role in (Role.TEAM_LEAD, Role.DEVELOPER):
            person = UserFactory(team=charlie.team, with_roles=[role])
            assert scopes(budgets.visible_to(person)) == own
        assert scopes(budgets.visible_to(alice)) == [
            ("claims-review for prior-auth-extract", "USD"),
            ("prior-auth for prior-auth-extract", "USD"),
        ]

    @pytest.mark.parametrize("role", [Role.FINANCE, Role.PLATFORM_ENGINEER, Role.AUDITOR])
    def test_is_everything_for_those_who_see_all_money(self, budgets, role):
        person = UserFactory(team=None, with_roles=[role])
        assert len(budgets.visible_to(person)) == 7

    def test_is_nothing_for_others(self, budgets, charlie, carol):
        nobody = UserFactory(team=charlie.team)
        lonely = UserFactory(team=None, with_roles=[Role.TEAM_LEAD])
        reviewer = UserFactory(team=charlie.team, with_roles=[Role.REVIEWER])
        for person in (nobody, lonely, reviewer, carol):
            assert not budgets.visible_to(person)

    def test_is_the_same_for_what_was_asked_about_them(self, budget, charlie, carol, alice):  # noqa: F811
        asked = [change(budget, charlie, amount=Decimal(200)), boost(budget, charlie)]
        for kind, row in zip((BudgetChange, Boost), asked, strict=True):
            for person, seen in ((charlie, [row]), (alice, [row]), (carol, [])):
                assert list(kind.objects.visible_to(person)) == seen


class TestToDecide:
    def test_is_what_others_asked_for_where_the_person_decides(
        self,
        budget,  # noqa: F811
        finance,  # noqa: F811
        charlie,
        alice,
        bob,
        carol,
    ):
        payer = put(finance, cost_center=charlie.team.cost_center)
        of_model = change(budget, alice, amount=Decimal(200))
        of_payer = change(payer, finance, amount=Decimal(200))
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        other_owner = UserFactory(with_roles=[Role.MODEL_OWNER])
        for person, waits in (
            (alice, []),
            (bob, [of_model]),
            (finance, [of_model]),
            (engineer, [of_payer]),
            (charlie, []),
            (carol, []),
            (other_owner, []),
        ):
            assert list(BudgetChange.objects.to_decide(person)) == waits
        actions.reject(request=of_model, approver=bob, now=LATEST, **WHY)
        assert not BudgetChange.objects.to_decide(bob)


class TestWords:
    def test_say_who_decides(self, budget, finance, charlie):  # noqa: F811
        payer = put(finance, cost_center=charlie.team.cost_center)
        team = Budget.objects.get(team=charlie.team, registered_model=None, unit="USD")
        assert [one.decider() for one in (budget, payer, team)] == [
            "model owner of ml-platform or finance person",
            "finance person or platform engineer",
            "finance person",
        ]

    def test_say_what_is_asked_for(self, budget, finance, charlie):  # noqa: F811
        more = change(budget, charlie, amount=Decimal(200))
        asked = boost(budget, charlie)
        other = Budget.objects.get(team__slug="prior-auth")
        milder = change(other, finance, mode="WARN")
        actions.withdraw(request=milder, actor=finance, now=LATER)
        end = actions.request_end(budget=other, requester=finance, now=LATER, **WHY)
        assert [one.asks for one in (more, milder, end, asked)] == [
            "$200.00 a month instead of $100.00",
            "Other terms",
            "No limit any more",
            "$50.00 until 30 Nov 2026",
        ]
        assert asked.get_absolute_url() == f"/chargeback/boosts/{asked.pk}/"
        assert more.get_absolute_url() == f"/chargeback/budget-changes/{more.pk}/"
        assert budget.get_absolute_url() == f"/chargeback/budgets/{budget.series}/"


class TestOfCall:
    def test_is_every_budget_that_the_call_counts_against(self, budgets, charlie):
        call = {
            "cost_center": charlie.team.cost_center.code,
            "team": "claims-review",
            "model": "prior-auth-extract",
        }
        assert scopes(budgets.of_call(**call)) == [
            ("claims-review", "TOKENS"),
            ("claims-review", "USD"),
            ("claims-review for prior-auth-extract", "USD"),
            (f"cost center {charlie.team.cost_center}", "USD"),
        ]
        assert scopes(budgets.of_call(**call | {"model": "other", "cost_center": ""})) == [
            ("claims-review", "TOKENS"),
            ("claims-review", "USD"),
        ]
        assert scopes(budgets.of_call(cost_center="", team="", model="prior-auth-extract")) == []


class TestActive:
    def test_is_from_its_start_until_before_its_end(self, budget, finance):  # noqa: F811
        made = change(budget, finance, amount=Decimal(1))
        tick = timedelta(microseconds=1)
        for at, row in ((NOW, budget), (LATER - tick, budget), (LATER, made)):
            assert list(Budget.objects.active(at).filter(series=budget.series)) == [row]
            row.refresh_from_db()
            assert row.is_active(at)
        assert not budget.is_active(NOW - tick)
        budget.refresh_from_db()
        assert not budget.is_active(LATER)


# Raw statements on purpose; nothing in them comes from outside.
# ruff: noqa: S608
SAME = """INSERT INTO access_budget (id, series, team_id, registered_model_id, unit, amount, zone,
    mode, thresholds, active_from, set_by_id, reason, end_reason, change_id)
    SELECT gen_random_uuid(), series, team_id, registered_model_id, {unit}, {amount}, {zone},
    {mode}, thresholds, '{at}', set_by_id, '', '', {change} FROM access_budget WHERE id = '{id}'"""
USUAL = {"unit": "unit", "amount": "amount", "zone": "zone", "mode": "mode", "change": "NULL"}
DECISION = "a budget that lets more be spent needs a decision"


class TestTheDatabase:
    """What the owner of the tables, who is stopped by no privilege, is refused by the guards."""

    def insert(self, budget, **changes):  # noqa: F811
        end = f"UPDATE access_budget SET active_to = '{LATER}' WHERE id = '{budget.pk}';"
        return owner_runs(end + SAME.format(id=budget.pk, at=LATER, **USUAL | changes))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"amount": "amount + 1"}, DECISION),
            ({"mode": "'WARN'"}, DECISION),
            ({"zone": "'UTC'"}, DECISION),
            ({"unit": "'TOKENS'"}, "a budget keeps its scope and unit"),
        ],
    )
    def test_refuses_a_raise_without_a_decision(self, budget, changes, words):  # noqa: F811
        with pytest.raises(IntegrityError, match=words), transaction.atomic():
            self.insert(budget, **changes)
        assert self.insert(budget, amount="amount - 1") == 1

    def test_refuses_a_raise_by_a_change_that_waits_or_says_something_else(
        self,
        budget,  # noqa: F811
        charlie,
        alice,
    ):
        asked = change(budget, charlie, amount=Decimal(200))
        more = {"change": f"'{asked.pk}'", "amount": "200"}
        with pytest.raises(IntegrityError, match=DECISION), transaction.atomic():
            self.insert(budget, **more)
        owner_runs(
            "UPDATE access_budgetchange SET status = 'APPROVED', decided_at = now(),"
            f" decided_by_id = {alice.pk}"
        )
        with pytest.raises(IntegrityError, match=DECISION), transaction.atomic():
            self.insert(budget, **more | {"amount": "201"})
        assert self.insert(budget, **more) == 1

    @pytest.mark.parametrize("end", ["NULL", "active_to + interval '1 day'"])
    def test_refuses_to_go_on_after_an_end(self, budget, end):  # noqa: F811
        owner_runs(f"UPDATE access_budget SET active_to = '{LATER}' WHERE id = '{budget.pk}'")
        with pytest.raises(IntegrityError, match="never goes on after its end"):
            owner_runs(f"UPDATE access_budget SET active_to = {end} WHERE id = '{budget.pk}'")

    def test_refuses_to_change_what_was_ended(self, budget, finance):  # noqa: F811
        change(budget, finance, amount=Decimal(1))
        with pytest.raises(IntegrityError, match="was ended never changes"):
            owner_runs(f"UPDATE access_budget SET end_reason = '' WHERE id = '{budget.pk}'")

    @pytest.mark.parametrize("table", ["access_budgetchange", "access_boost"])
    def test_refuses_who_asked_as_who_decides(self, budget, charlie, table):  # noqa: F811
        change(budget, charlie, amount=Decimal(200))
        boost(budget, charlie)
        by_self = (
            f"UPDATE {table} SET status = 'APPROVED', decided_at = now(),"
            " decided_by_id = requested_by_id"
        )
        with pytest.raises(IntegrityError, match="not_decided_by_requester"):
            owner_runs(by_self)

    @pytest.mark.parametrize("table", ["access_budgetchange", "access_boost"])
    def test_refuses_to_change_a_decision(self, budget, charlie, alice, table):  # noqa: F811
        for asked in (change(budget, charlie, amount=Decimal(200)), boost(budget, charlie)):
            actions.reject(request=asked, approver=alice, now=LATEST, **WHY)
        with pytest.raises(IntegrityError, match="never changes"):
            owner_runs(f"UPDATE {table} SET decision_reason = 'Other'")

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE access_budget SET amount = 1",
            "DELETE FROM access_budget",
            "UPDATE access_boost SET amount = 1",
            "DELETE FROM access_boost",
            "UPDATE access_budgetchange SET amount = 1",
            "UPDATE access_settledcall SET tokens = 0",
            "UPDATE access_settledcall SET team = 'other'",
            "UPDATE access_budgetreservation SET usd = 0",
            "UPDATE access_counter SET starts_at = now()",
            "UPDATE access_counter SET team = 'other'",
            "TRUNCATE access_counter",
            "UPDATE access_budgetalert SET threshold = 1",
        ],
    )
    def test_lets_the_portals_role_do_what_its_code_does_and_no_more(self, sql):
        with (
            pytest.raises(Exception, match="permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)

    def test_keeps_budgets_of_something_and_of_whole_tokens(self, finance, charlie):  # noqa: F811
        row = {"unit": "USD", "set_by": finance, "active_from": NOW, "reason": "", **vars(TERMS)}
        payer = charlie.team.cost_center
        for scope, name in (
            ({}, "budget_of_a_cost_center_or_a_team"),
            ({"cost_center": payer, "team": charlie.team}, "budget_of_a_cost_center_or_a_team"),
            ({"team": charlie.team, "amount": 0}, "budget_is_more_than_nothing"),
            (
                {"team": charlie.team, "unit": "TOKENS", "amount": Decimal("1.5")},
                "budget_of_whole_tokens",
            ),
        ):
            with pytest.raises(IntegrityError, match=name), transaction.atomic():
                Budget.objects.create(**row | scope)
