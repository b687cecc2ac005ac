"""Budgets of many grants at once, and what people are told of."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.access import actions as access
from apps.access.budgets import actions
from apps.access.budgets.models import Budget, BudgetAlert
from apps.access.budgets.queries import of_grants, open_alerts
from apps.accounts.models import Role
from tests.access.budgets.test_actions import (  # noqa: F401
    LATER,
    LATEST,
    WHY,
    boost,
    budget,
    change,
    felix,
    finance,
    put,
)
from tests.access.test_actions import WISH
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory

pytestmark = pytest.mark.django_db


class TestOfGrants:
    @pytest.fixture
    def ask(self, registered_model, charlie, alice):
        def ask(amount, *, model=registered_model, lead=charlie, renews=None, now=NOW):
            wish = replace(WISH, monthly_budget_usd=Decimal(amount))
            request = access.submit_request(
                model=model, wish=wish, requester=lead, now=now, renews=renews
            )
            return access.approve_request(request=request, approver=alice, reason="Fits.", now=now)

        return ask

    def test_finds_each_grants_own_in_dollars(
        self,
        ask,
        alice,
        charlie,
        finance,  # noqa: F811
        django_assert_num_queries,
    ):
        other = RegisteredModelFactory(owner_team=alice.team)
        lead = UserFactory(team=TeamFactory(), with_roles=[Role.TEAM_LEAD])
        grants = [ask(1), ask(2, model=other), ask(4, lead=lead)]
        put(finance, team=charlie.team, unit="TOKENS", model=grants[0].registered_model)
        put(finance, team=charlie.team)
        with django_assert_num_queries(1):
            found = of_grants(grants, LATER)
        assert [found[grant.pk].amount for grant in grants] == [1, 2, 4]
        assert of_grants([], LATER) == {}

    def test_tells_of_one_that_ended_what_was_in_force_at_last(self, ask, finance, alice):  # noqa: F811
        first = ask(10)
        change(Budget.objects.get(), finance, now=LATER, amount=Decimal(8))
        second = ask(30, renews=first, now=LATEST)
        first.refresh_from_db()
        found = of_grants([first, second], LATEST + timedelta(days=1))
        assert (found[first.pk].amount, found[second.pk].amount) == (8, 30)
        ended = LATEST + timedelta(days=2)
        access.revoke_grant(grant=second, actor=alice, reason="Left.", now=ended)
        assert of_grants([second], ended + timedelta(days=1))[second.pk].amount == 30

    def test_leaves_out_what_has_none(self, ask, finance, felix):  # noqa: F811
        grant = ask(10)
        asked = actions.request_end(
            budget=Budget.objects.get(), requester=finance, now=LATER, **WHY
        )
        actions.approve_change(request=asked, approver=felix, now=LATEST, **WHY)
        assert of_grants([grant], LATEST) == {}
        assert of_grants([grant], LATER)[grant.pk].amount == 10


def tell(budget, threshold, told_at=LATER, limit=100, month=date(2026, 11, 1)):  # noqa: F811
    return BudgetAlert.objects.create(
        budget=budget,
        series=budget.series,
        month=month,
        threshold=threshold,
        spent=Decimal(threshold),
        limit=limit,
        boost=10,
        told_at=told_at,
    )


def found(person, at=LATEST):
    return [(each.alert.threshold, each.budget, each.limit) for each in open_alerts(person, at)]


class TestOpenAlerts:
    def test_are_the_highest_of_each_budget_the_newest_first(self, budget, finance):  # noqa: F811
        other = Budget.objects.exclude(pk=budget.pk).get(team__slug="prior-auth")
        for threshold, told_at in ((50, LATER), (100, NOW + timedelta(minutes=3)), (80, LATER)):
            tell(budget, threshold, told_at)
        tell(other, 50, NOW + timedelta(minutes=5))
        assert found(finance) == [(50, other, 100), (100, budget, 100)]

    def test_cost_one_query_where_there_is_none_and_three_where_there_are(
        self,
        budget,  # noqa: F811
        finance,  # noqa: F811
        django_assert_num_queries,
    ):
        assert finance.roles
        with django_assert_num_queries(1):
            assert open_alerts(finance, LATEST) == []
        tell(budget, 50)
        with django_assert_num_queries(3):
            assert len(open_alerts(finance, LATEST)) == 1

    def test_are_of_the_month_that_it_is_in_the_budgets_zone(self, budget, finance):  # noqa: F811
        tell(budget, 50)  # in New York
        end = datetime(2026, 12, 1, 5, tzinfo=UTC)
        assert len(found(finance, end - timedelta(seconds=1))) == 1
        assert found(finance, end) == []
        tell(budget, 50, month=date(2026, 12, 1), told_at=end)
        assert len(found(finance, end)) == 1

    def test_go_once_the_limit_is_raised_and_not_when_it_falls(
        self,
        budget,  # noqa: F811
        finance,  # noqa: F811
        felix,  # noqa: F811
    ):
        tell(budget, 50)
        made = change(budget, finance, now=LATER, amount=Decimal(90))
        assert found(finance) == [(50, made, 90)]
        asked = boost(made, finance, amount=10, now=LATER)
        actions.approve_boost(request=asked, approver=felix, now=LATER, **WHY)
        assert found(finance) == [(50, made, 100)]
        asked = boost(made, finance, amount=1, now=LATER)
        actions.approve_boost(request=asked, approver=felix, now=LATER, **WHY)
        assert found(finance) == []

    def test_go_with_their_budget(self, budget, finance, felix):  # noqa: F811
        tell(budget, 50)
        asked = actions.request_end(budget=budget, requester=finance, now=LATER, **WHY)
        actions.approve_change(request=asked, approver=felix, now=LATER, **WHY)
        assert found(finance) == []

    def test_are_told_to_those_who_can_act(self, budget, finance, charlie, alice, carol):  # noqa: F811
        payer = put(finance, cost_center=charlie.team.cost_center)
        team = Budget.objects.get(team=charlie.team, registered_model=None, unit="USD")
        for one in (budget, payer, team):
            tell(one, 50)
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        lender = UserFactory(team=charlie.team, with_roles=[Role.MODEL_OWNER])
        developer = UserFactory(team=charlie.team, with_roles=[Role.DEVELOPER])
        lonely = UserFactory(team=None, with_roles=[Role.TEAM_LEAD, Role.MODEL_OWNER])
        for person, told in (
            (finance, {budget, payer, team}),
            (charlie, {budget, team}),
            (lender, {budget, team}),
            (alice, {budget}),
            (engineer, {payer}),
            (developer, set()),
            (lonely, set()),
            (carol, set()),
        ):
            assert {one for _, one, _ in found(person)} == told
