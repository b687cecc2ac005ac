"""Rollouts of a model that are held: none begins, none goes forward, and going back always may."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role, RoleBinding
from apps.audit.actions import System
from apps.audit.models import AuditEvent
from apps.common.errors import NotPermitted
from apps.promotions import begin
from apps.promotions.begin import WaitCode, WrongRolloutState
from apps.promotions.holding.actions import (
    NotHeld,
    hold_rollouts,
    lift_hold,
    may_lift,
    release_rollouts,
)
from apps.promotions.holding.models import RolloutHold
from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts import actions as steering
from apps.promotions.rollouts.holds import hold_of
from tests.database import as_owner, unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.test_begin import approve, approved, candidate, propose

pytestmark = pytest.mark.django_db
WATCHER = System("tests.watch")
WORDS = "The error budget burns fast."


@pytest.fixture
def engineer(db):
    return UserFactory(with_roles=[Role.PLATFORM_ENGINEER])


@pytest.fixture
def other(alice):
    return RegisteredModelFactory(name="triage", owner_team=alice.team, created_by=alice)


def hold(model, cause="episode:1", now=NOW):
    return hold_rollouts(model=model, cause=cause, words=WORDS, actor=WATCHER, now=now)


def moving(model, **more):
    made = factories.rolled(model, 2, status="PROGRESSING", finished_at=None, **more)
    return Rollout.objects.select_related("promotion__policy_revision").get(pk=made.pk)


class TestStart:
    def test_waits_while_the_model_is_held_and_starts_by_itself(
        self, registered_model, other, alice, carol, enqueued
    ):
        hold(registered_model)
        waits = propose(candidate(registered_model, 7), alice)
        goes = propose(candidate(other, 1), alice)
        assert approve(waits, carol) is None
        assert isinstance(approve(goes, carol), Rollout)
        waits = approved(waits)
        (wait,) = begin.waits_for(waits, NOW)
        assert (wait.code, wait.words) == (WaitCode.HELD, WORDS)
        assert begin.start_if_free(promotion=waits, actor=WATCHER, now=NOW) is None
        with enqueued() as asked:
            release_rollouts(cause="episode:1", actor=WATCHER, now=NOW)
        assert ("promotions.start_approved_promotions", {}) in asked
        assert begin.start_if_free(promotion=waits, actor=WATCHER, now=NOW) is not None


class TestGoingForward:
    def test_is_held_for_the_model_alone(self, registered_model, other):
        mine, theirs = moving(registered_model), moving(other)
        hold(registered_model)
        found = hold_of(mine, NOW)
        assert (found.code, found.words) == ("HELD", WORDS)
        assert hold_of(theirs, NOW) is None

    def test_is_held_where_somebody_would_let_it_go_on(self, registered_model, alice, carol):
        rollout = moving(registered_model, paused_at=NOW)
        hold(registered_model)
        with pytest.raises(WrongRolloutState, match="burns fast"):
            steering.resume_rollout(rollout=rollout, actor=carol, now=NOW)
        rollout.refresh_from_db()
        assert rollout.paused_at == NOW

    def test_is_never_held_for_one_that_goes_back(self, registered_model):
        first = factories.live(registered_model, 1)
        back = factories.rolled(
            registered_model, 3, status="PROGRESSING", finished_at=None, rolls_back=first
        )
        hold(registered_model)
        assert hold_of(back, NOW) is None

    def test_is_never_held_for_an_emergency(self, registered_model):
        rollout = moving(registered_model)
        with unguarded():
            Promotion.objects.filter(pk=rollout.promotion_id).update(status="EMERGENCY")
        hold(registered_model)
        again = Rollout.objects.select_related("promotion__policy_revision").get(pk=rollout.pk)
        assert hold_of(again, NOW) is None


class TestHoldRollouts:
    def test_holds_once_for_a_cause_and_records_it(self, registered_model, other):
        assert hold(registered_model) is not None
        assert hold(registered_model) is None
        assert hold(other, "episode:2") is not None
        events = AuditEvent.objects.filter(action="rollouts.held")
        assert {event.target_id for event in events} == {str(registered_model.pk), str(other.pk)}
        assert events.get(target_id=str(other.pk)).data["cause"] == "episode:2"

    def test_lets_go_what_one_cause_held_and_no_other(self, registered_model):
        rollout = moving(registered_model)
        hold(registered_model)
        hold(registered_model, "episode:2")
        generation = rollout.generation
        assert release_rollouts(cause="episode:1", actor=WATCHER, now=NOW)
        assert not release_rollouts(cause="episode:1", actor=WATCHER, now=NOW)
        assert [one.cause for one in RolloutHold.objects.of(registered_model)] == ["episode:2"]
        rollout.refresh_from_db()
        assert rollout.generation == generation + 1  # it is looked at anew
        assert AuditEvent.objects.filter(action="rollouts.released").count() == 1


class TestLiftHold:
    def test_lets_rollouts_go_on_with_a_reason_once(self, registered_model, engineer):
        found = hold(registered_model)
        lift_hold(hold=found, actor=engineer, reason="The fix is in it.", now=NOW)
        assert (found.lifted_by, found.ended_at) == (engineer, NOW)
        event = AuditEvent.objects.get(action="rollouts.released")
        assert (event.actor, event.data["reason"]) == (engineer.username, "The fix is in it.")
        with pytest.raises(NotHeld):
            lift_hold(hold=found, actor=engineer, reason="Again.", now=NOW)
        assert hold(registered_model) is None

    def test_is_not_for_owners_strangers_or_whoever_proposed_what_is_held(
        self, registered_model, alice, charlie, engineer
    ):
        found = hold(registered_model)
        proposer = moving(registered_model).promotion.requested_by
        RoleBinding.objects.create(user=proposer, role=Role.PLATFORM_ENGINEER)
        assert may_lift(found, engineer)
        for one in (alice, charlie, proposer):
            assert not may_lift(found, one)
            with pytest.raises(NotPermitted):
                lift_hold(hold=found, actor=one, reason="Why not.", now=NOW)
        assert may_lift(found, UserFactory(with_roles=[Role.REVIEWER]))
        assert RolloutHold.objects.open().count() == 1


class TestDatabase:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"words": "Other."}, "never changes"),
            ({"ended_at": NOW - timedelta(days=1)}, "ends_after_it_begins"),
            ({"reason": "No name."}, "lifted_with_reason"),
        ],
    )
    def test_keeps_why_and_since_when(self, registered_model, change, said):
        found = hold(registered_model)
        with as_owner(), pytest.raises(IntegrityError, match=said), transaction.atomic():
            RolloutHold.objects.filter(pk=found.pk).update(**change)

    def test_never_takes_one_up_again(self, registered_model):
        found = hold(registered_model)
        release_rollouts(cause=found.cause, actor=WATCHER, now=NOW)
        with as_owner(), pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            RolloutHold.objects.filter(pk=found.pk).update(ended_at=None)
