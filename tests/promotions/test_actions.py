"""Proposing and deciding: who may, when, and exactly once."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import DomainError, NotPermitted
from apps.promotions import actions
from apps.promotions.begin import WrongRolloutState
from apps.promotions.models import Approval, Promotion, Rollout
from apps.promotions.rollouts import actions as steering
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.seeing import seen
from tests.trail import trail


def propose(version, requester):
    return actions.request_promotion(
        version=version, requester=requester, justification="Better codes", now=NOW
    )


def approve(promotion, approver, **changes):
    return actions.approve_promotion(
        promotion=promotion,
        approver=approver,
        seen=seen(promotion, **changes),
        reason="Good",
        now=NOW,
    )


def audited(*names):
    return AuditEvent.objects.filter(action__in=names).count()


@pytest.fixture
def version(registered_model):
    made = factories.version(registered_model, 7)
    factories.run(made)
    return made


@pytest.fixture
def promotion(version, alice):
    return propose(version, alice)


@pytest.mark.django_db
class TestRequestPromotion:
    def test_binds_digest_run_and_baseline(self, version, alice, registered_model):
        live = factories.live(registered_model, 6)
        with pytest.raises(actions.NotEligible, match="from when no other version served"):
            propose(version, alice)
        run = factories.run(version, at=NOW + timedelta(minutes=1))
        made = propose(version, alice)
        assert made.eval_run == run
        assert made.manifest_digest == version.manifest_digest
        assert made.baseline == live.model_version
        assert made.eval_run.model_version == version
        assert audited("promotion.requested") == 1

    def test_only_an_owner_proposes(self, version, carol, charlie):
        for stranger in (carol, charlie):
            with pytest.raises(NotPermitted, match="owner"):
                propose(version, stranger)

    def test_refuses_a_version_below_its_thresholds(self, registered_model, alice):
        bad = factories.version(registered_model, 8)
        factories.run(bad, passed=False)
        with pytest.raises(actions.NotEligible, match="did not pass"):
            propose(bad, alice)
        assert not Promotion.objects.exists()

    def test_refuses_a_run_on_an_older_suite(self, version, alice):
        factories.suite(revision=2)
        with pytest.raises(actions.NotEligible, match="current suite"):
            propose(version, alice)

    def test_refuses_a_second_one_while_one_waits(self, promotion, version, alice):
        with pytest.raises(actions.NotEligible, match="is already waiting for a reviewer"):
            propose(version, alice)


@pytest.mark.django_db
class TestApprovePromotion:
    def test_starts_the_rollout_and_keeps_what_was_seen(
        self, promotion, carol, django_capture_on_commit_callbacks
    ):
        rollout = approve(promotion, carol)
        promotion.refresh_from_db()
        approval = Approval.objects.get()
        assert promotion.status == "APPROVED"
        assert (approval.manifest_digest, approval.eval_run) == (
            promotion.manifest_digest,
            promotion.eval_run,
        )
        assert rollout.status == "PENDING"
        assert rollout.next_check_at == NOW
        assert audited("promotion.approved", "rollout.started") == 2

    def test_nobody_approves_their_own(self, version, alice):
        both = UserFactory(team=alice.team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        promotion = propose(version, both)
        with pytest.raises(NotOnesOwn, match="Nobody decides on their own proposal"):
            approve(promotion, both)
        assert list(Promotion.objects.to_decide(both)) == []
        assert not Rollout.objects.exists()

    def test_the_database_refuses_it_too(self, promotion, alice, carol):
        values = {
            "promotion": promotion,
            "approver": alice,
            "decision": "APPROVE",
            "reason": "x",
            "decided_at": NOW,
            "manifest_digest": promotion.manifest_digest,
            "eval_run": promotion.eval_run,
            "binding_digest": promotion.binding_digest,
        }
        with pytest.raises(IntegrityError, match="approval_not_by_requester"), transaction.atomic():
            Approval.objects.create(requested_by=alice, **values)
        with (
            pytest.raises(IntegrityError, match="approval_repeats_the_requester"),
            transaction.atomic(),
        ):
            Approval.objects.create(requested_by=carol, **values)
            connection.check_constraints()

    def test_waits_for_reviewers_alone(self, promotion, registered_model, alice, bob, carol):
        other = RegisteredModelFactory(name="denial-letters", owner_team=alice.team)
        candidate = factories.version(other, 3)
        factories.run(candidate)
        second = propose(candidate, alice)
        assert set(Promotion.objects.to_decide(carol)) == {promotion, second}
        assert not Promotion.objects.to_decide(bob).exists()
        approve(promotion, carol)
        assert list(Promotion.objects.to_decide(carol)) == [second]

    def test_only_a_reviewer_approves(self, promotion, bob, charlie):
        for person in (bob, charlie):
            with pytest.raises(NotPermitted, match="reviewer"):
                approve(promotion, person)

    @pytest.mark.parametrize(
        "change", [{"baseline": 999}, {"manifest_digest": "sha256:x"}, {"eval_run": "other"}]
    )
    def test_a_stale_page_decides_nothing(self, promotion, carol, change):
        with pytest.raises(actions.StaleEvidence, match="Nothing was decided"):
            approve(promotion, carol, **change)
        promotion.refresh_from_db()
        assert promotion.status == "PENDING"

    def test_a_newer_run_or_another_baseline_blocks(
        self, promotion, carol, registered_model, version
    ):
        factories.live(registered_model, 6)
        with pytest.raises(actions.NotEligible, match="v6 serves now"):
            approve(promotion, carol)

    def test_a_second_approval_is_refused(self, promotion, carol):
        ravi = UserFactory(with_roles=[Role.REVIEWER])
        approve(promotion, carol)
        with pytest.raises(AlreadyDecided, match="approved already"):
            approve(promotion, ravi)
        assert Rollout.objects.count() == 1
        assert audited("promotion.approved") == 1

    def test_may_be_rejected_and_withdrawn_instead(self, promotion, version, alice, carol):
        actions.reject_promotion(
            promotion=promotion, approver=carol, seen=seen(promotion), reason="No", now=NOW
        )
        rejected = trail(promotion)[-1]
        assert rejected[:2] == (Action.PROMOTION_REJECTED, "carol")
        assert rejected[2]["reason"] == "No"
        assert rejected[2]["manifest_digest"] == promotion.manifest_digest
        with pytest.raises(AlreadyDecided):
            actions.withdraw_promotion(promotion=promotion, actor=alice, now=NOW)
        again = propose(version, alice)
        with pytest.raises(NotPermitted, match="or a model owner of ml-platform"):
            actions.withdraw_promotion(promotion=again, actor=carol, now=NOW)
        actions.withdraw_promotion(promotion=again, actor=alice, now=NOW)
        assert trail(again)[1:] == [(Action.PROMOTION_WITHDRAWN, "alice", {})]
        with pytest.raises(AlreadyDecided, match="withdrawn already"):
            approve(again, carol)
        assert not Rollout.objects.exists()


class TestTwoReviewersAtOnce:
    def test_one_wins(self, committed, promotion, carol):
        ravi = UserFactory(with_roles=[Role.REVIEWER])
        results = []
        start = threading.Barrier(2)

        def decide(person):
            start.wait()
            try:
                results.append(approve(Promotion.objects.get(pk=promotion.pk), person))
            except DomainError as error:
                results.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=decide, args=(person,)) for person in (carol, ravi)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(result).__name__ for result in results) == ["AlreadyDecided", "Rollout"]
        assert Approval.objects.count() == 1
        assert audited("promotion.approved") == 1


@pytest.mark.django_db
class TestSteerRollout:
    def test_a_failed_one_is_retried_with_a_new_generation(self, promotion, carol, alice):
        rollout = approve(promotion, carol)
        with pytest.raises(WrongRolloutState):
            steering.retry_rollout(rollout=rollout, actor=alice, now=NOW)
        Rollout.objects.update(status="FAILED", next_check_at=None)
        again = steering.retry_rollout(rollout=rollout, actor=alice, now=NOW)
        assert (again.status, again.generation, again.next_check_at) == ("PROGRESSING", 2, NOW)

    def test_an_open_one_is_aborted_once(self, promotion, carol, alice):
        rollout = approve(promotion, carol)
        aborted = steering.abort_rollout(rollout=rollout, actor=alice, reason="Wrong day", now=NOW)
        assert aborted.status == "ABORTED"
        with pytest.raises(WrongRolloutState, match="nothing to abort"):
            steering.abort_rollout(rollout=rollout, actor=alice, reason="Again", now=NOW)
        assert audited("rollout.aborted") == 1

    def test_a_stranger_steers_nothing(self, promotion, carol, charlie):
        rollout = approve(promotion, carol)
        with pytest.raises(NotPermitted):
            steering.abort_rollout(rollout=rollout, actor=charlie, reason="x", now=NOW)

    def test_a_failed_rollout_blocks_the_next_proposal(
        self, promotion, carol, alice, registered_model
    ):
        approve(promotion, carol)
        Rollout.objects.update(status="FAILED", next_check_at=None)
        newer = factories.version(registered_model, 8)
        factories.run(newer)
        with pytest.raises(actions.NotEligible, match="take it back first"):
            propose(newer, alice)
