"""Setting, changing, boosting and ending budgets: works, not permitted, wrong state, twice."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.access import actions as access
from apps.access.budgets import actions
from apps.access.budgets.models import Boost, Budget, BudgetChange
from apps.access.budgets.terms import Terms, limit_at, terms_of
from apps.accounts.models import Role
from apps.audit.models import Action
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from apps.common.sign_ins import FreshSignInNeeded, SignIn
from tests.access.test_actions import WISH
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory
from tests.trail import AuditAway, trail

TERMS = Terms(Decimal(100), zone="America/New_York", thresholds=(50, 100))
LATER = NOW + timedelta(hours=1)
LATEST = NOW + timedelta(hours=2)
WHY = {"reason": "Usual."}


@pytest.fixture
def finance(db):
    return UserFactory(username="fiona", with_roles=[Role.FINANCE])


@pytest.fixture
def felix(finance):
    return UserFactory(username="felix", team=finance.team, with_roles=[Role.FINANCE])


@pytest.fixture
def engineer(db):
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


def put(actor, terms=TERMS, now=NOW, **scope):
    given = {"unit": "USD"} | scope
    return actions.set_budget(terms=terms, actor=actor, now=now, **WHY, **given)


@pytest.fixture
def budget(finance, charlie, registered_model):
    """Charlie's team's for Alice's model; beside it others that must stay as they are."""
    other = TeamFactory(slug="prior-auth")
    put(finance, team=charlie.team)
    put(finance, team=charlie.team, unit="TOKENS")
    put(finance, team=other, model=registered_model)
    put(finance, team=charlie.team, model=RegisteredModelFactory())
    return put(finance, team=charlie.team, model=registered_model)


def change(budget, actor, now=LATER, **changes):
    terms = replace(terms_of(budget), **changes)
    return actions.change_budget(budget=budget, terms=terms, actor=actor, now=now, **WHY)


def boost(budget, requester, amount=50, last_day=date(2026, 11, 30), now=LATER):
    return actions.request_boost(
        budget=budget,
        amount=Decimal(amount),
        last_day=last_day,
        requester=requester,
        now=now,
        **WHY,
    )


def in_force(at, **scope):
    return list(Budget.objects.active(at).filter(**scope))


class TestAStaleSignIn:
    def test_sets_nothing_and_changes_nothing_at_once_but_may_ask(self, budget, finance, charlie):
        finance.sign_in = SignIn(901, 900)
        with pytest.raises(FreshSignInNeeded):
            put(finance, team=TeamFactory(slug="denials"))
        with pytest.raises(FreshSignInNeeded):
            change(budget, finance, amount=Decimal(50))
        assert in_force(LATER, series=budget.series) == [budget]
        assert isinstance(change(budget, finance, amount=Decimal(900)), BudgetChange)


class TestSetBudget:
    def test_is_in_force_from_then_on_with_its_terms(self, finance, charlie):
        made = put(finance, team=charlie.team, now=LATER)
        assert in_force(LATER) == [made]
        assert in_force(NOW) == []
        assert terms_of(Budget.objects.get()) == TERMS
        assert (made.set_by, made.reason, made.active_to) == (finance, "Usual.", None)
        facts = {
            "unit": "USD",
            "series": str(made.series),
            "amount": "100",
            "zone": "America/New_York",
            "mode": "HARD",
            "thresholds": [50, 100],
            "reason": "Usual.",
        }
        assert trail(made) == [(Action.BUDGET_SET, "fiona", facts)]

    def test_is_one_at_a_time_for_each_scope_and_unit(self, budget, finance, charlie):
        with pytest.raises(actions.CannotBudget, match="claims-review for prior-auth-extract"):
            put(finance, team=charlie.team, model=budget.registered_model)
        with pytest.raises(actions.CannotBudget, match="claims-review"):
            put(finance, team=charlie.team, unit="TOKENS", now=LATER)
        assert Budget.objects.count() == 5

    @pytest.mark.parametrize(
        ("role", "scopes"),
        [
            (Role.FINANCE, {"cost center", "team", "model"}),
            (Role.PLATFORM_ENGINEER, {"cost center"}),
            (Role.MODEL_OWNER, {"model"}),
            (Role.TEAM_LEAD, set()),
            (Role.AUDITOR, set()),
            (Role.REVIEWER, set()),
        ],
    )
    def test_is_for_those_who_set_budgets_of_that_scope(self, alice, charlie, role, scopes):
        person = UserFactory(team=alice.team, with_roles=[role])
        owned = RegisteredModelFactory(owner_team=alice.team)
        found = set()
        for name, scope in {
            "cost center": {"cost_center": charlie.team.cost_center},
            "team": {"team": charlie.team},
            "model": {"team": charlie.team, "model": owned},
            "other model": {"team": charlie.team, "model": RegisteredModelFactory()},
        }.items():
            try:
                put(person, **scope)
                found.add(name)
            except NotPermitted:
                pass
        assert found == scopes | ({"other model"} if role == Role.FINANCE else set())

    @pytest.mark.parametrize(
        ("changes", "unit", "field"),
        [
            ({"amount": Decimal(0)}, "USD", "amount"),
            ({"amount": Decimal("0.001")}, "USD", "amount"),
            ({"amount": Decimal("10000000000")}, "USD", "amount"),
            ({"amount": Decimal("1.5")}, "TOKENS", "amount"),
            ({"zone": "Asia/Kolkata"}, "USD", "zone"),
            ({"mode": "SOMETIMES"}, "USD", "mode"),
            ({"thresholds": ()}, "USD", "thresholds"),
            ({"thresholds": (100, 80)}, "USD", "thresholds"),
            ({"thresholds": (80, 80)}, "USD", "thresholds"),
            ({"thresholds": (0, 80)}, "USD", "thresholds"),
            ({"thresholds": (80, 101)}, "USD", "thresholds"),
            ({"thresholds": (1, 2, 3, 4, 5, 6)}, "USD", "thresholds"),
        ],
    )
    def test_refuses_what_is_out_of_bounds(self, finance, charlie, changes, unit, field):
        with pytest.raises(actions.CannotBudget) as refused:
            put(finance, replace(TERMS, **changes), team=charlie.team, unit=unit)
        assert list(refused.value.problems) == [field]
        assert not Budget.objects.exists()

    def test_takes_what_is_just_within_bounds(self, finance, charlie):
        put(finance, Terms(Decimal("0.01"), thresholds=(1, 2, 3, 4, 100)), team=charlie.team)
        put(finance, Terms(Decimal(1)), team=charlie.team, unit="TOKENS")

    def test_sets_nothing_that_it_cannot_record(self, finance, charlie, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            put(finance, team=charlie.team)
        assert not Budget.objects.exists()


class TestChangeBudget:
    @pytest.mark.parametrize(
        "changes",
        [{"amount": Decimal(99)}, {"thresholds": (90,)}, {"amount": Decimal(1), "mode": "HARD"}],
    )
    def test_is_in_force_at_once_where_no_more_can_be_spent(self, budget, finance, changes):
        others = [one for one in in_force(LATER) if one != budget]
        made = change(budget, finance, **changes)
        assert set(in_force(LATER)) == {made, *others}
        assert in_force(NOW, pk=budget.pk) == [budget]
        assert (made.series, made.scope) == (budget.series, budget.scope)
        assert terms_of(made) == replace(TERMS, **changes)
        ((action, who, data),) = trail(made)
        assert (action, who) == (Action.BUDGET_CHANGED, "fiona")
        assert (data["before"]["amount"], data["amount"]) == ("100", str(made.amount))
        assert not BudgetChange.objects.exists()

    @pytest.mark.parametrize(
        "changes", [{"amount": Decimal("100.01")}, {"mode": "SOFT"}, {"zone": "UTC"}]
    )
    def test_waits_for_another_person_where_more_can_be_spent(
        self, budget, finance, felix, changes
    ):
        asked = change(budget, finance, **changes)
        assert isinstance(asked, BudgetChange)
        assert terms_of(asked) == replace(TERMS, **changes)
        assert budget in in_force(LATEST)
        ((action, who, data),) = trail(asked)
        assert (action, who) == (Action.BUDGET_CHANGE_REQUESTED, "fiona")
        assert (data["justification"], data["before"]["amount"]) == ("Usual.", "100")
        with pytest.raises(NotOnesOwn):
            actions.approve_change(request=asked, approver=finance, now=LATEST, **WHY)
        made = actions.approve_change(request=asked, approver=felix, reason="Fits.", now=LATEST)
        assert terms_of(made) == replace(TERMS, **changes)
        assert in_force(LATEST, series=budget.series) == [made]
        assert (made.change, made.set_by, made.reason) == (asked, felix, "Usual.")
        assert trail(asked)[1:] == [(Action.BUDGET_CHANGE_APPROVED, "felix", {"reason": "Fits."})]
        ((action, who, data),) = trail(made)
        assert (action, who, data["reason"]) == (Action.BUDGET_CHANGED, "felix", "Usual.")
        assert (data["before"]["amount"], data["request"]) == ("100", str(asked.pk))
        with pytest.raises(AlreadyDecided):
            actions.reject(request=asked, approver=felix, now=LATEST, **WHY)

    def test_is_asked_for_by_the_teams_lead_whatever_it_is(self, budget, charlie, alice, bob):
        asked = change(budget, charlie, amount=Decimal(50))
        assert isinstance(asked, BudgetChange)
        for person in (charlie, UserFactory(with_roles=[Role.PLATFORM_ENGINEER])):
            with pytest.raises(NotPermitted):
                actions.approve_change(request=asked, approver=person, now=LATEST, **WHY)
        made = actions.approve_change(request=asked, approver=alice, now=LATEST, **WHY)
        assert made.amount == 50

    def test_is_not_for_others(self, budget, carol, engineer):
        stranger = UserFactory(with_roles=[Role.TEAM_LEAD])
        developer = UserFactory(team=budget.team, with_roles=[Role.DEVELOPER])
        for person in (carol, engineer, stranger, developer):
            with pytest.raises(NotPermitted):
                change(budget, person, amount=Decimal(50))

    def test_waits_once(self, budget, finance, charlie):
        change(budget, finance, amount=Decimal(200))
        with pytest.raises(actions.CannotBudget, match="waits"):
            change(budget, charlie, amount=Decimal(300))

    def test_must_change_something(self, budget, finance):
        with pytest.raises(actions.CannotBudget, match="Nothing changes"):
            change(budget, finance)

    def test_is_bound_to_the_budget_it_was_made_on(self, budget, finance, felix):
        asked = change(budget, finance, amount=Decimal(200))
        change(budget, felix, amount=Decimal(10))
        with pytest.raises(actions.BudgetChanged):
            actions.approve_change(request=asked, approver=felix, now=LATEST, **WHY)
        for amount in (5, 300):
            with pytest.raises(actions.BudgetChanged):
                change(budget, felix, now=LATEST, amount=Decimal(amount))
        with pytest.raises(actions.BudgetChanged):
            boost(budget, felix, now=LATEST)
        asked.refresh_from_db()
        assert asked.status == "PENDING"
        assert [one.amount for one in in_force(LATEST, series=budget.series)] == [10]

    def test_of_a_cost_center_is_decided_by_finance_or_the_platform(
        self, finance, engineer, charlie
    ):
        payer = put(finance, cost_center=charlie.team.cost_center)
        with pytest.raises(NotPermitted):
            change(payer, charlie, amount=Decimal(200))
        asked = change(payer, finance, amount=Decimal(200))
        actions.approve_change(request=asked, approver=engineer, now=LATEST, **WHY)
        assert [one.amount for one in in_force(LATEST)] == [200]


class TestRequestEnd:
    def test_takes_another_person_for_it_limits_nothing_then(self, budget, finance, felix):
        asked = actions.request_end(budget=budget, requester=finance, now=LATER, **WHY)
        assert trail(asked)[0][2]["ends"] is True
        assert actions.approve_change(request=asked, approver=felix, now=LATEST, **WHY) is None
        assert in_force(LATEST, series=budget.series) == []
        assert len(in_force(LATEST)) == 4
        budget.refresh_from_db()
        assert (budget.active_to, budget.ended_by, budget.end_reason) == (LATEST, felix, "Usual.")
        assert trail(budget)[-1][:2] == (Action.BUDGET_ENDED, "felix")

    def test_is_not_asked_for_by_a_lead(self, budget, charlie):
        with pytest.raises(NotPermitted):
            actions.request_end(budget=budget, requester=charlie, now=LATER, **WHY)


class TestBoost:
    def test_adds_its_amount_from_its_approval_to_its_end(self, budget, charlie, alice):
        asked = boost(budget, charlie)
        end = datetime(2026, 12, 1, 5, tzinfo=UTC)  # midnight in New York
        assert (asked.ends_at, asked.last_day) == (end, date(2026, 11, 30))
        facts = {"amount": "50", "unit": "USD", "last_day": "2026-11-30", "justification": "Usual."}
        assert trail(asked) == [(Action.BOOST_REQUESTED, "charlie", facts)]
        actions.approve_boost(request=asked, approver=alice, reason="Fits.", now=LATEST)
        assert trail(asked)[1:] == [(Action.BOOST_APPROVED, "alice", {"reason": "Fits."})]
        second = boost(budget, charlie, amount=7, last_day=date(2026, 11, 2), now=LATEST)
        actions.approve_boost(request=second, approver=alice, now=LATEST, **WHY)
        boosts = list(Boost.objects.named())
        tick = timedelta(microseconds=1)
        for at, limit in (
            (LATEST - tick, 100),
            (LATEST, 157),
            (datetime(2026, 11, 3, 5, tzinfo=UTC) - tick, 157),
            (datetime(2026, 11, 3, 5, tzinfo=UTC), 150),
            (end - tick, 150),
            (end, 100),
        ):
            assert limit_at(budget, boosts, at) == limit
            assert sum(one.amount for one in Boost.objects.active(at)) == limit - 100
        other = Budget.objects.exclude(series=budget.series).first()
        assert limit_at(other, boosts, LATEST) == 100

    def test_is_ended_before_its_last_day_by_who_sets_the_budget(self, budget, charlie, alice):
        asked = boost(budget, charlie)
        actions.approve_boost(request=asked, approver=alice, now=LATER, **WHY)
        with pytest.raises(NotPermitted):
            actions.end_boost(boost=asked, actor=charlie, reason="Enough.", now=LATEST)
        made = actions.end_boost(boost=asked, actor=alice, reason="Enough.", now=LATEST)
        assert (made.ended_by, made.ended_at, made.reason) == (alice, LATEST, "Enough.")
        facts = {
            "amount": "50", "unit": "USD", "reason": "Enough.",
            "was_to_end_at": "2026-12-01T05:00:00+00:00",
        }  # fmt: skip
        assert trail(asked)[2:] == [(Action.BOOST_ENDED, "alice", facts)]
        for at, limit in ((LATEST - timedelta(microseconds=1), 150), (LATEST, 100)):
            assert limit_at(budget, list(Boost.objects.active(at)), at) == limit
        assert Boost.objects.named().get(pk=asked.pk).over_at == LATEST
        with pytest.raises(actions.CannotBudget):
            actions.end_boost(boost=asked, actor=alice, reason="Again.", now=LATEST)
        # another one can be asked for at once
        assert boost(budget, charlie, now=LATEST).status == "PENDING"

    def test_is_ended_by_who_has_just_signed_in(self, budget, charlie, alice, monkeypatch):
        asked = boost(budget, charlie)
        actions.approve_boost(request=asked, approver=alice, now=LATER, **WHY)
        alice.sign_in = SignIn(901, 900)
        with pytest.raises(FreshSignInNeeded):
            actions.end_boost(boost=asked, actor=alice, reason="Enough.", now=LATEST)
        assert not trail(asked)[2:]

    @pytest.mark.parametrize("what", ["waits", "is over"])
    def test_cannot_be_ended_unless_it_is_in_force(self, budget, charlie, alice, what):
        asked, at = boost(budget, charlie), LATER
        if what == "is over":
            actions.approve_boost(request=asked, approver=alice, now=LATER, **WHY)
            at = asked.ends_at
        with pytest.raises(actions.CannotBudget, match="not in force"):
            actions.end_boost(boost=asked, actor=alice, reason="Enough.", now=at)
        assert not trail(asked)[2:]

    def test_outlives_a_change_of_its_budget(self, budget, charlie, alice, finance):
        asked = boost(budget, charlie)
        actions.approve_boost(request=asked, approver=alice, now=LATER, **WHY)
        made = change(budget, finance, now=LATEST, amount=Decimal(10))
        assert limit_at(made, list(Boost.objects.named()), LATEST) == 60

    def test_is_never_approved_by_who_asked_or_by_who_does_not_decide(
        self, budget, alice, charlie, engineer
    ):
        own = boost(budget, alice)
        with pytest.raises(NotOnesOwn):
            actions.approve_boost(request=own, approver=alice, now=LATEST, **WHY)
        for person in (charlie, engineer):
            with pytest.raises(NotPermitted):
                actions.approve_boost(request=own, approver=person, now=LATEST, **WHY)
        assert not Boost.objects.active(LATEST).exists()

    def test_waits_once_and_can_be_withdrawn_or_rejected(self, budget, charlie, alice):
        first = boost(budget, charlie)
        with pytest.raises(actions.CannotBudget, match="waits"):
            boost(budget, charlie)
        with pytest.raises(NotPermitted):
            actions.withdraw(request=first, actor=alice, now=LATER)
        assert actions.withdraw(request=first, actor=charlie, now=LATER) == first
        assert (first.decided_by, first.decided_at) == (charlie, LATER)
        assert trail(first)[-1][:2] == (Action.BOOST_WITHDRAWN, "charlie")
        second = boost(budget, charlie)
        asked = {"approver": alice, "reason": "Too much.", "now": LATER}
        assert actions.reject(request=second, **asked) == second
        assert (second.decided_by, second.decision_reason) == (alice, "Too much.")
        assert trail(second)[-1] == (Action.BOOST_REJECTED, "alice", {"reason": "Too much."})
        assert {one.status for one in Boost.objects.all()} == {"WITHDRAWN", "REJECTED"}
        with pytest.raises(AlreadyDecided):
            actions.approve_boost(request=second, approver=alice, now=LATEST, **WHY)

    @pytest.mark.parametrize(
        ("amount", "last_day", "field"),
        [
            (0, date(2026, 11, 30), "amount"),
            ("0.001", date(2026, 11, 30), "amount"),
            (50, date(2026, 11, 1), "last_day"),
            (50, date(2027, 2, 3), "last_day"),
        ],
    )
    def test_refuses_what_is_out_of_bounds(self, budget, charlie, amount, last_day, field):
        with pytest.raises(actions.CannotBudget) as refused:
            boost(budget, charlie, amount=amount, last_day=last_day)
        assert list(refused.value.problems) == [field]

    def test_takes_today_and_the_last_day_that_it_may_have(self, budget, charlie, alice):
        for last_day in (date(2026, 11, 2), date(2027, 2, 2)):
            asked = boost(budget, charlie, last_day=last_day)
            actions.approve_boost(request=asked, approver=alice, now=LATER, **WHY)

    def test_is_not_approved_after_its_end(self, budget, charlie, alice):
        asked = boost(budget, charlie, last_day=date(2026, 11, 2))
        with pytest.raises(actions.CannotBudget, match="has passed"):
            actions.approve_boost(request=asked, approver=alice, now=asked.ends_at, **WHY)

    def test_is_not_for_others(self, budget, carol):
        with pytest.raises(NotPermitted):
            boost(budget, carol)


class TestEveryAction:
    """Nothing happens that cannot be recorded."""

    def test_does_nothing_that_it_cannot_record(
        self, budget, finance, felix, charlie, alice, audit_away
    ):
        asked, more = boost(budget, charlie), change(budget, charlie, amount=Decimal(200))
        other = Budget.objects.get(team__slug="prior-auth")
        by = {"approver": alice, "now": LATEST, **WHY}
        for order in (
            lambda: change(budget, finance, amount=Decimal(1)),
            lambda: change(other, finance, amount=Decimal(200)),
            lambda: actions.request_end(budget=other, requester=finance, now=LATER, **WHY),
            lambda: boost(other, finance),
            lambda: actions.approve_change(request=more, **by),
            lambda: actions.approve_boost(request=asked, **by),
            lambda: actions.reject(request=more, **by),
            lambda: actions.withdraw(request=asked, actor=charlie, now=LATEST),
        ):
            with audit_away(), pytest.raises(AuditAway):
                order()
        assert {one.status for one in (*Boost.objects.all(), *BudgetChange.objects.all())} == {
            "PENDING"
        }
        assert (Boost.objects.count(), BudgetChange.objects.count()) == (1, 1)
        assert len(in_force(LATEST, amount=100)) == Budget.objects.count() == 5


class TestBudgetsOfGrants:
    """Asking for access says a monthly budget; the approval gives it."""

    @pytest.fixture
    def ask(self, registered_model, charlie, alice):
        def ask(amount, renews=None, now=NOW, **more):
            wish = replace(WISH, monthly_budget_usd=Decimal(amount), **more)
            request = access.submit_request(
                model=registered_model, wish=wish, requester=charlie, now=now, renews=renews
            )
            return access.approve_request(request=request, approver=alice, reason="Fits.", now=now)

        return ask

    def test_come_with_the_grant_and_end_with_it(self, ask, charlie, registered_model, alice):
        grant = ask(70)
        (given,) = in_force(NOW)
        assert (given.team, given.registered_model, given.unit) == (
            charlie.team,
            registered_model,
            "USD",
        )
        assert terms_of(given) == Terms(Decimal(70))
        assert (given.grant, given.set_by, given.active_to) == (grant, alice, grant.active_to)
        ((action, who, data),) = trail(given)
        assert (action, who, data["grant"]) == (Action.BUDGET_SET, "alice", str(grant.pk))
        assert in_force(grant.active_to) == []

    def test_end_where_somebody_ends_the_grant(self, ask, alice):
        grant = ask(70)
        access.revoke_grant(grant=grant, actor=alice, reason="No more.", now=LATER)
        assert in_force(LATER) == []
        given = Budget.objects.get()
        assert (given.ended_by, given.end_reason) == (alice, "No more.")
        assert trail(given)[-1][:2] == (Action.BUDGET_ENDED, "alice")

    def test_go_on_with_a_renewal_at_the_amount_that_was_asked_for(self, ask, alice):
        old = ask(70)
        first = Budget.objects.get()
        new = ask(90, renews=old, now=LATER, expires_date=date(2027, 6, 30))
        (given,) = in_force(LATER)
        assert (given.series, given.amount, given.grant) == (first.series, 90, new)
        assert given.active_to == new.active_to
        assert trail(given)[0][2]["before"]["amount"] == "70"

    def test_leave_what_finance_set_open_but_for_its_amount(self, ask, budget, alice):
        grant = ask(500, now=LATER)
        (given,) = in_force(LATER, series=budget.series)
        assert terms_of(given) == replace(TERMS, amount=Decimal(500))
        assert given.active_to is None
        assert len(in_force(LATER)) == 5
        access.revoke_grant(grant=grant, actor=alice, reason="No more.", now=LATEST)
        assert in_force(LATEST, series=budget.series) == [given]
