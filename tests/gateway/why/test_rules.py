"""Why a call goes on or not: two teams, two models, and what each rule says of them."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.access import actions as access
from apps.access.budgets import actions as budgets
from apps.access.budgets.terms import Terms
from apps.access.holds.models import (
    ALWAYS_FROM,
    ALWAYS_TO,
    BudgetReservation,
    Counter,
    Kind,
    SettledCall,
)
from apps.accounts.models import Role
from apps.catalog.retirement.models import Retirement
from apps.gateway.effective.models import GatewayDrift
from apps.gateway.guard.models import GuardHit
from apps.gateway.models import PolicyRevision
from apps.gateway.why import gather
from apps.gateway.why.checks import Rule, Verdict
from apps.gateway.why.facts import Caller
from apps.gateway.why.past import why_it_was
from apps.gateway.why.rules import why
from tests.access.budgets.test_actions import WHY
from tests.access.test_actions import WISH
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import use
from tests.database import as_owner, owner_runs
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory, create_event
from tests.promotions import factories

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
LATER = NOW + timedelta(days=3)
PASSED, REFUSED, UNKNOWN = Verdict.PASSED, Verdict.REFUSED, Verdict.UNKNOWN
NOT_REACHED = Verdict.NOT_REACHED


@pytest.fixture
def grant(registered_model, charlie, alice):
    asked = access.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)
    return access.approve_request(request=asked, approver=alice, reason="Fits.", now=NOW)


@pytest.fixture
def other(alice):
    """A model that nobody may call."""
    return RegisteredModelFactory(name="summary", owner_team=alice.team)


@pytest.fixture
def finance(db):
    return UserFactory(with_roles=[Role.FINANCE])


@pytest.fixture
def served(registered_model):
    return factories.live(registered_model, 1)


def carried(model):
    PolicyRevision.objects.create(registered_model=model, status=PolicyRevision.Status.ACTIVE)


def asked(team, model, at=NOW, now=None):
    caller = gather.caller_team(team)
    facts = gather.facts_of(caller, getattr(model, "name", model), at, now=now or at)
    return why(facts)


def verdicts(answer):
    return {check.rule: check.verdict for check in answer.checks}


def check(answer, rule, about=""):
    return next(one for one in answer.checks if one.rule == rule and about in one.about)


def call(code=200, outcome="REFUSED", at=LATER, team="claims-review", model="prior-auth-extract",
         **more):  # fmt: skip
    return create_event(
        event_id=uuid4(), occurred_at=at, received_at=at, received_via="OTLP", outcome=outcome,
        team=team, model=model, response_code=code, **more,
    )  # fmt: skip


def became(event):
    made = gather.call_made(event.event_id)
    facts = gather.facts_of(
        gather.caller_of(made), event.model, gather.moment_of(made), now=LATER + HOUR, call=made
    )
    return why_it_was(facts)


class TestWhy:
    def test_lets_a_granted_team_pass_and_asks_in_the_order_of_a_call(
        self, grant, served, registered_model, charlie
    ):
        carried(registered_model)
        answer = asked(charlie.team, registered_model)
        assert [one.rule for one in answer.checks] == [
            Rule.TOKEN, Rule.MODEL, Rule.GRANT, Rule.REQUEST, Rule.BUDGET, Rule.AT_ONCE,
            Rule.MINUTE, Rule.GUARD, Rule.REPLICA,
        ]  # fmt: skip
        assert check(answer, Rule.GRANT).verdict == PASSED
        assert check(answer, Rule.BUDGET, "claims-review for").counter.limit == Decimal("100.00")
        assert (answer.refused, check(answer, Rule.MODEL).verdict) == (None, PASSED)

    def test_refuses_a_team_without_a_grant_and_says_how_to_get_one(
        self, grant, other, registered_model
    ):
        stranger = TeamFactory(slug="prior-auth")
        found = asked(stranger, registered_model).refused
        assert (found.rule, found.code) == (Rule.MODEL, 404)  # nothing serves it
        grants = check(asked(stranger, registered_model), Rule.GRANT)
        assert (grants.verdict, grants.code) == (REFUSED, 403)
        assert grants.url == f"/access/request/{registered_model.name}/"
        assert "had none" in grants.says
        assert check(asked(grant.team, other), Rule.GRANT).verdict == REFUSED

    def test_refuses_a_model_that_is_not_there(self, charlie):
        answer = asked(charlie.team, "nothing")
        assert verdicts(answer) == {Rule.TOKEN: UNKNOWN, Rule.MODEL: REFUSED}
        assert answer.is_allowed is False

    def test_refuses_a_retired_model_from_its_end_on(self, grant, served, registered_model, alice):
        Retirement.objects.create(
            registered_model=registered_model, announced_by=alice, announced_at=NOW,
            last_day=(NOW + timedelta(days=1)).date(), status="RETIRED", ended_at=LATER,
            ended_by=alice, end_reason="Done.", note="Gone.",
        )  # fmt: skip
        assert check(asked(grant.team, registered_model), Rule.MODEL).verdict == PASSED
        gone = check(asked(grant.team, registered_model, LATER + HOUR), Rule.MODEL)
        assert gone.verdict == REFUSED
        assert "was retired" in gone.says

    def test_knows_the_grants_of_a_moment_that_has_passed(
        self, grant, registered_model, alice, charlie
    ):
        access.revoke_grant(grant=grant, actor=alice, reason="Not used.", now=LATER)
        before = asked(charlie.team, registered_model, LATER - HOUR, now=LATER + HOUR)
        after = asked(charlie.team, registered_model, LATER + HOUR, now=LATER + 2 * HOUR)
        assert check(before, Rule.GRANT).verdict == PASSED
        assert check(after, Rule.GRANT).verdict == REFUSED
        assert "was revoked" in check(after, Rule.GRANT).says
        assert "Not used." in check(after, Rule.GRANT).says

    def test_waits_for_a_policy_that_is_not_carried_yet(self, grant, served, registered_model):
        PolicyRevision.objects.create(registered_model=registered_model, message="Git is away.")
        found = check(asked(grant.team, registered_model), Rule.GRANT)
        assert found.verdict == UNKNOWN
        assert "Git is away." in found.says
        assert asked(grant.team, registered_model).is_allowed is None

    def test_does_not_believe_a_grant_that_the_gateway_does_not_carry(
        self, grant, served, registered_model
    ):
        carried(registered_model)
        seen = {"registered_model": registered_model, "place": "ENVOY", "what": "ACCESS",
                "declared": "may call", "found": "may not call", "seen_at": LATER}  # fmt: skip
        GatewayDrift.objects.create(subject="prior-auth", since=NOW, **seen)
        young = GatewayDrift.objects.create(subject="claims-review", since=LATER, **seen)
        assert check(asked(grant.team, registered_model, LATER), Rule.GRANT).verdict == PASSED
        at = LATER + HOUR
        found = check(asked(grant.team, registered_model, at), Rule.GRANT)
        assert (young.since, found.verdict) == (LATER, UNKNOWN)
        assert "seen to do otherwise: may not call (Envoy)." in found.says
        assert asked(grant.team, registered_model, at).is_allowed is None

    def test_refuses_by_the_budget_that_is_spent_and_by_no_other(
        self, grant, served, registered_model, charlie, finance
    ):
        carried(registered_model)
        for unit, mode, amount in (("TOKENS", "HARD", 1000), ("USD", "WARN", 1)):
            budgets.set_budget(terms=Terms(Decimal(amount), mode=mode), unit=unit, actor=finance,
                               now=NOW, team=charlie.team, **WHY)  # fmt: skip
        hour = NOW.replace(minute=0, second=0, microsecond=0)
        price(registered_model, CHEAP, hour)
        use(hour, team="claims-review", input_tokens=900, output_tokens=200)
        now = NOW + 2 * HOUR
        answer = asked(charlie.team, registered_model, now)
        team, warned = (
            next(one for one in answer.checks if one.about == "claims-review"
                 and (one.counter.limit == limit))
            for limit in (1000, 1)
        )  # fmt: skip
        assert (team.verdict, team.code) == (REFUSED, 402)
        assert (team.counter.used, team.counter.resets_at.day) == (1100, 1)
        assert "finance person decides" in team.todo
        assert warned.verdict == PASSED
        assert check(answer, Rule.BUDGET, "for prior-auth-extract").verdict == PASSED
        assert answer.refused == team
        # what the ledger says of later hours does not count for an earlier moment
        earlier = asked(charlie.team, registered_model, hour, now=now)
        assert earlier.refused is None

    def test_counts_the_tokens_of_the_minute_and_no_other(self, grant, served, registered_model):
        carried(registered_model)
        at = LATER.replace(second=30)
        answered = {"outcome": "METERED", "cached_input_tokens": 0}
        call(at=at, input_tokens=WISH.tokens_per_minute - 1, output_tokens=0, **answered)
        call(at=at + timedelta(minutes=1), input_tokens=9, output_tokens=9, **answered)
        call(at=at, team="prior-auth", input_tokens=9, output_tokens=9, **answered)
        passes = check(asked(grant.team, registered_model, at), Rule.MINUTE)
        assert (passes.verdict, passes.counter.used) == (PASSED, WISH.tokens_per_minute - 1)
        call(at=at, input_tokens=1, output_tokens=0, **answered)
        full = check(asked(grant.team, registered_model, at), Rule.MINUTE)
        assert (full.verdict, full.code) == (REFUSED, 429)
        assert full.counter.resets_at == at.replace(second=0, microsecond=0) + timedelta(minutes=1)

    def test_asks_each_team_of_a_cost_center(self, grant, served, registered_model):
        carried(registered_model)
        code = grant.team.cost_center.code
        for teams, verdict in (
            (("claims-review",), PASSED),
            (("claims-review", "prior-auth"), UNKNOWN),
            (("prior-auth",), REFUSED),
        ):
            caller = Caller("", code, f"cost center {code}", teams)
            answer = why(gather.facts_of(caller, registered_model.name, NOW, now=NOW))
            assert check(answer, Rule.GRANT).verdict == verdict

    def test_asks_a_bounded_number_of_queries(
        self, grant, served, registered_model, django_assert_max_num_queries
    ):
        for number in range(3):
            factories.live(RegisteredModelFactory(name=f"m-{number}"), 1)
        with django_assert_max_num_queries(19):
            asked(grant.team, registered_model)

    def test_counts_by_the_gates_own_counters_where_it_has_them(
        self, grant, served, registered_model
    ):
        carried(registered_model)
        owner_runs(f"UPDATE access_grant SET calls_at_once = 2 WHERE id = '{grant.pk}'")  # noqa: S608
        minute = LATER.replace(second=0, microsecond=0)
        scope = {"team": "claims-review", "model": registered_model.name, "is_ready": True}
        windows = {
            Kind.MINUTE: (minute, minute + timedelta(minutes=1)),
            Kind.CALLS: (ALWAYS_FROM, ALWAYS_TO),
        }
        for kind, used, reserved in ((Kind.MINUTE, 10, WISH.tokens_per_minute), (Kind.CALLS, 0, 1)):
            start, end = windows[kind]
            make = {"kind": kind, "starts_at": start, "ends_at": end}
            with as_owner():
                Counter.objects.create(used=used, reserved=reserved, **make, **scope)
                Counter.objects.create(used=0, reserved=0, **make, **scope | {"team": "prior-auth"})
        answer = asked(grant.team, registered_model, LATER)
        full, calls = check(answer, Rule.MINUTE), check(answer, Rule.AT_ONCE)
        limit = WISH.tokens_per_minute
        assert (full.verdict, full.counter.used, full.counter.held) == (REFUSED, 10, limit)
        assert full.says == (
            f"10 of {limit:,} tokens are used in this minute, and calls under way hold {limit:,}."
        )
        assert full.counter.note == ""
        # later on nobody knows what was left at that moment: the counter is that of its end
        then = check(asked(grant.team, registered_model, LATER, now=LATER + HOUR), Rule.MINUTE)
        assert (then.verdict, then.todo) == (UNKNOWN, "")
        assert "were used in that minute" in then.says
        assert (calls.verdict, calls.counter.text) == (PASSED, "1 of 2 under way")
        with as_owner():
            Counter.objects.filter(kind=Kind.CALLS).update(reserved=2)
        assert check(asked(grant.team, registered_model, LATER), Rule.AT_ONCE).verdict == REFUSED


class TestWhyItWas:
    def test_names_the_guard_rule_that_refused_or_cut_a_call(self, grant):
        refused, other = call(400), call(400)
        cut = call(outcome="METERED", input_tokens=1, output_tokens=1, cached_input_tokens=0)
        for event, does in ((refused, "block"), (cut, "block"), (other, "monitor")):
            with as_owner():
                GuardHit.objects.create(
                    call=event.event_id, at=LATER, phase="request", rule="no-secrets",
                    provider="Patterns", detector="AWS_KEY", does=does, where="messages[0]",
                    team="claims-review", model="m", rules="sha256:0",
                )  # fmt: skip
        found = became(refused).refused
        assert (found.rule, found.says) == (Rule.GUARD, "Refused by the rule no-secrets.")
        assert found.url == f"/gateway/guardrails/hits/?q={refused.event_id}"
        assert "the error names the rule" in found.todo
        assert became(other).refused.rule == Rule.REQUEST
        answer = became(cut)
        assert answer.refused is None
        assert "held back by no-secrets" in answer.checks[-1].says

    def test_follows_an_answered_call_to_its_end(self, grant, registered_model):
        event = call(outcome="METERED", input_tokens=12, output_tokens=3, cached_input_tokens=0,
                     version="prior-auth-extract-v1", duration_ms=1200)  # fmt: skip
        answer = became(event)
        assert set(verdicts(answer).values()) == {PASSED}
        assert answer.is_allowed
        last = answer.checks[-1]
        assert (last.rule, last.says) == (Rule.ANSWER, "Answered in 1,200 ms: 12 tokens in, 3 out.")
        assert "prior-auth-extract-v1" in check(answer, Rule.REPLICA).says

    @pytest.mark.parametrize(("code", "outcome", "rule"), [
        (401, "REFUSED", Rule.TOKEN), (404, "REFUSED", Rule.MODEL), (400, "REFUSED", Rule.REQUEST),
        (413, "REFUSED", Rule.REQUEST), (402, "REFUSED", Rule.BUDGET),
        (429, "REFUSED", Rule.MINUTE), (502, "FAILED", Rule.GATE), (503, "FAILED", Rule.REPLICA),
        (500, "FAILED", Rule.ANSWER), (403, "REFUSED", Rule.TOKEN),
    ])  # fmt: skip
    def test_stops_where_the_code_says(self, grant, registered_model, code, outcome, rule):
        answer = became(call(code, outcome))
        assert answer.refused.rule == rule
        before, after = [], []
        for one in answer.checks:
            if one.rule != rule:
                order = list(Rule)
                (before if order.index(one.rule) < order.index(rule) else after).append(one)
        assert {one.verdict for one in before} <= {PASSED}
        assert {one.verdict for one in after} <= {NOT_REACHED}

    def test_says_what_is_known_of_a_call_that_told_no_usage(self, grant):
        left = {"outcome": "UNMETERED", "unmetered_because": "CLIENT_LEFT", "basis": "ESTIMATED"}
        unseen = became(call(0, **left, estimated_input_tokens=70))
        assert unseen.refused is None
        assert unseen.checks[-1].says == (
            "No answer of it is known, and nobody told what it used: its client left before the "
            "answer ended. That is estimated with its hour, where the engine's counters tell."
        )
        assert check(unseen, Rule.REPLICA).verdict == UNKNOWN
        seen = became(call(200, **left, estimated_input_tokens=70, estimated_output_tokens=1200))
        assert "what the gate saw pass, about 70 tokens in and 1,200 out." in seen.checks[-1].says
        assert "its hour" not in seen.checks[-1].says
        assert check(seen, Rule.REPLICA).verdict == PASSED

    def test_says_of_a_403_without_a_grant_that_there_was_none(self, grant):
        answer = became(call(403, team="prior-auth"))
        assert answer.refused.rule == Rule.GRANT
        assert "Refused with 403: no access to the model." in answer.refused.says
        assert "prior-auth has no grant" in answer.refused.says

    def test_tells_what_was_held_and_settled(self, grant):
        event, foreign = call(outcome="METERED", input_tokens=1, output_tokens=1), uuid4()
        names = {"cost_center": "CC", "team": "claims-review", "model": "m"}
        with as_owner():
            BudgetReservation.objects.create(
                call_id=foreign, usd=Decimal("1.5"), tokens=4000, minute_tokens=4000,
                reserved_at=LATER, expires_at=LATER + HOUR, **names,
            )  # fmt: skip
            SettledCall.objects.create(
                call_id=event.event_id, usd=None, tokens=2, occurred_at=LATER, settled_at=LATER,
                **names,
            )  # fmt: skip
        held = gather.held_by(event.event_id)
        assert (held.reserved, held.settled, held.is_open) == (None, "2 tokens, no price", False)
        open_one = gather.held_by(foreign)
        assert (open_one.reserved, open_one.is_open) == ("4,000 tokens, $1.50", True)
        assert gather.held_by(uuid4()).reserved is None

    def test_knows_a_429_of_too_many_calls_by_the_tokens_that_were_left(self, grant):
        owner_runs(f"UPDATE access_grant SET calls_at_once = 2 WHERE id = '{grant.pk}'")  # noqa: S608
        found = became(call(429))
        assert found.refused.rule == Rule.AT_ONCE
        # the most that it might have used may not have fit, though little was used in the end
        assert found.refused.title == "Calls at once or tokens per minute"
        assert "Which limit it was is not kept." in found.refused.says
        assert check(found, Rule.MINUTE).verdict == UNKNOWN
        assert check(found, Rule.GUARD).verdict == NOT_REACHED
        call(outcome="METERED", input_tokens=WISH.tokens_per_minute, output_tokens=1)
        assert became(call(429)).refused.rule == Rule.MINUTE
