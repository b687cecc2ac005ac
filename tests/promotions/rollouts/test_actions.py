"""Steering one of two rollouts: what changes, what is recorded, who is woken, what stays."""

from datetime import timedelta

import pytest

from apps.accounts.models import Role, User
from apps.audit.models import Action
from apps.catalog.retirement.models import Retirement
from apps.common.canonical import digest_of
from apps.common.errors import NotPermitted
from apps.promotions import actions, begin
from apps.promotions.begin import WrongRolloutState
from apps.promotions.models import Approval, GateResult, Promotion, Rollout
from apps.promotions.rollouts import actions as steering
from tests.database import as_owner, unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.policies import put_in_force
from tests.promotions.seeing import seen
from tests.promotions.test_actions import approve, propose
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)
RENEWED = {
    "attempts": 0, "next_check_at": LATER, "reason": "", "message": "", "observed_at": LATER
}  # fmt: skip


@pytest.fixture
def version(registered_model):
    made = factories.version(registered_model, 7)
    factories.run(made)
    return made


@pytest.fixture
def other_model(alice):
    return RegisteredModelFactory(name="denial-letters", owner_team=alice.team)


@pytest.fixture
def promotion(version, alice):
    return propose(version, alice)


@pytest.fixture
def other(other_model, alice, carol):
    """Another model's rollout, under way: nothing here is about it."""
    made = factories.version(other_model, 7)
    factories.run(made)
    return approve(propose(made, alice), carol)


@pytest.fixture
def rollout(promotion, other, carol):
    """A rollout in trouble: each change of it starts afresh."""
    made = approve(promotion, carol)
    Rollout.objects.update(attempts=3, reason="R", message="m")
    made.refresh_from_db()
    return made


@pytest.fixture
def engineer():
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


def as_stored(row):
    return type(row).objects.filter(pk=row.pk).values().get()


def some(row, names):
    stored = as_stored(row)
    return {name: stored[name] for name in names}


class TestRequestPromotion:
    def test_keeps_what_was_proposed_and_records_what_it_is_bound_to(
        self, version, alice, registered_model, other_model
    ):
        factories.live(other_model, 5)
        live = factories.live(registered_model, 6)
        factories.run(version, at=NOW + timedelta(minutes=1))  # beside what serves by now
        made = actions.request_promotion(
            version=version, requester=alice, justification="Better codes", now=NOW,
            serving_class="SCALE_TO_ZERO", pre_warm="mon-fri 07:30-19:00 America/New_York",
            without_traffic=True,
        )  # fmt: skip
        made.refresh_from_db()
        assert (made.registered_model, made.model_version, made.baseline) == (
            registered_model,
            version,
            live.model_version,
        )
        assert (made.requested_by, made.requested_at, made.justification) == (
            alice,
            NOW,
            "Better codes",
        )
        assert (made.serving_class, made.without_traffic, made.status) == (
            "SCALE_TO_ZERO",
            True,
            "PENDING",
        )
        assert made.pre_warm == "mon-fri 07:30-19:00 America/New_York"
        facts = {
            "manifest_digest": version.manifest_digest,
            "eval_run": str(made.eval_run_id),
            "baseline": live.model_version.name,
            "serving_class": "SCALE_TO_ZERO",
            "pre_warm": made.pre_warm,
            "without_traffic": True,
            "serving_settings": digest_of(made.settings.as_json()),
            "policy": 1,
            "binding": made.binding_digest,
        }
        assert trail(made) == [(Action.PROMOTION_REQUESTED, "alice", facts)]

    def test_is_warm_without_hours_and_with_traffic_where_nothing_else_is_said(self, promotion):
        assert (promotion.serving_class, promotion.pre_warm, promotion.without_traffic) == (
            "WARM",
            "",
            False,
        )
        assert promotion.baseline is None
        assert trail(promotion)[0][2]["baseline"] == ""

    @pytest.mark.parametrize(
        ("serving_class", "hours"),
        [("WARM", "mon-fri 07:30-19:00 America/New_York"), ("SCALE_TO_ZERO", "sometimes")],
    )
    def test_refuses_hours_that_are_none(self, version, alice, serving_class, hours):
        with pytest.raises(actions.BadHours):
            actions.request_promotion(
                version=version, requester=alice, justification="x", now=NOW,
                serving_class=serving_class, pre_warm=hours,
            )  # fmt: skip

    def test_proposes_nothing_that_it_cannot_record(self, version, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            propose(version, alice)
        assert not Promotion.objects.exists()


class TestDeciding:
    def test_starts_this_models_rollout_from_what_serves_it(
        self, version, registered_model, other, alice, carol, enqueued
    ):
        put_in_force(steps=(10, 100))
        live = factories.live(registered_model, 6)
        factories.run(version, at=NOW + timedelta(minutes=1))  # beside what serves by now
        promotion = propose(version, alice)
        untouched = as_stored(other)
        with enqueued() as asked:
            rollout = actions.approve_promotion(
                promotion=promotion, approver=carol, seen=seen(promotion), reason="Good", now=LATER
            )
        assert asked == [("promotions.reconcile_rollout", {"rollout_id": str(rollout.pk)})]
        assert (rollout.promotion, rollout.registered_model, rollout.model_version) == (
            promotion,
            registered_model,
            version,
        )
        assert (rollout.baseline, rollout.steps) == (live.model_version, [10, 100])
        assert (rollout.started_at, rollout.moved_at, rollout.next_check_at) == (LATER,) * 3
        approval = Approval.objects.get(promotion=promotion)
        assert (approval.approver, approval.requested_by, approval.decision) == (
            carol,
            alice,
            "APPROVE",
        )
        assert (approval.reason, approval.decided_at, promotion.decided_at) == (
            "Good",
            LATER,
            LATER,
        )
        assert (approval.baseline, approval.eval_run) == (promotion.baseline, promotion.eval_run)
        kept = {"reason": "Good", "evidence": digest_of(approval.evidence)}
        kept |= {"approvals": 1, "needed": 1, "dossier": approval.dossier_digest}
        facts = trail(promotion)[0][2] | kept
        assert trail(promotion)[1:] == [(Action.PROMOTION_APPROVED, "carol", facts)]
        started = {"promotion": str(promotion.pk), "manifest_digest": version.manifest_digest}
        assert trail(rollout) == [(Action.ROLLOUT_STARTED, "carol", started)]
        assert as_stored(other) == untouched

    def test_gives_a_first_version_all_callers_at_once(self, rollout):
        assert (rollout.baseline, rollout.steps) == (None, [100])

    def test_rejects_and_withdraws_this_proposal_alone(
        self, promotion, other_model, alice, carol, audit_away
    ):
        made = factories.version(other_model, 9)
        factories.run(made)
        second = propose(made, alice)
        reject = {"approver": carol, "seen": seen(promotion), "reason": "No", "now": LATER}
        with audit_away(), pytest.raises(AuditAway):
            actions.reject_promotion(promotion=promotion, **reject)
        with audit_away(), pytest.raises(AuditAway):
            actions.withdraw_promotion(promotion=promotion, actor=alice, now=LATER)
        assert as_stored(promotion)["status"] == "PENDING"
        assert not Approval.objects.exists()
        actions.reject_promotion(promotion=promotion, **reject)
        assert some(promotion, ("status", "decided_at")) == {
            "status": "REJECTED",
            "decided_at": LATER,
        }
        assert Approval.objects.get().decision == "REJECT"
        third = propose(promotion.model_version, alice)
        actions.withdraw_promotion(promotion=third, actor=alice, now=LATER)
        assert some(third, ("status", "decided_at")) == {
            "status": "WITHDRAWN",
            "decided_at": LATER,
        }
        assert as_stored(second)["status"] == "PENDING"

    def test_takes_a_proposal_back_for_whoever_made_it(self, promotion, bob, charlie):
        assert not actions.question(promotion, charlie).may_withdraw
        assert actions.question(promotion, bob).may_withdraw
        bob.role_bindings.all().delete()
        assert actions.question(promotion, promotion.requested_by).may_withdraw

    def test_approves_nothing_that_it_cannot_record(self, promotion, carol, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            approve(promotion, carol)
        assert as_stored(promotion)["status"] == "PENDING"
        assert not Rollout.objects.exists()

    def test_supersedes_this_models_older_rollout(
        self, rollout, other, registered_model, alice, carol, enqueued
    ):
        Rollout.objects.filter(pk=rollout.pk).update(paused_at=NOW)
        newer = factories.version(registered_model, 8)
        factories.run(newer)
        promotion = propose(newer, alice)
        untouched = as_stored(other)
        with enqueued() as asked:
            new = actions.approve_promotion(
                promotion=promotion, approver=carol, seen=seen(promotion), reason="Good", now=LATER
            )
        ended = {"status": "SUPERSEDED", "finished_at": LATER, "paused_at": None, **RENEWED}
        assert some(rollout, ended) == ended
        assert as_stored(rollout)["generation"] == rollout.generation + 1
        superseded = (Action.ROLLOUT_SUPERSEDED, "carol", {"by": newer.name})
        assert trail(rollout)[1:] == [superseded]
        assert [kwargs["rollout_id"] for _, kwargs in asked] == [str(rollout.pk), str(new.pk)]
        assert as_stored(other) == untouched

    def test_starts_a_rollout_once(self, rollout, carol):
        with pytest.raises(WrongRolloutState, match="already under way"):
            begin.start_rollout(promotion=rollout.promotion, actor=carol, now=NOW)
        Rollout.objects.filter(pk=rollout.pk).update(status="ABORTED")
        with pytest.raises(WrongRolloutState, match="already started"):
            begin.start_rollout(promotion=rollout.promotion, actor=carol, now=NOW)


class TestSteering:
    def steer(self, enqueued, change, rollout, other, actor, **more):
        """Steer one rollout; the other stays, one event is written, a worker is woken."""
        untouched, before = as_stored(other), as_stored(rollout)
        with enqueued() as asked:
            found = change(rollout=rollout, actor=actor, now=LATER, **more)
        assert asked == [("promotions.reconcile_rollout", {"rollout_id": str(rollout.pk)})]
        assert as_stored(other) == untouched
        assert as_stored(rollout)["generation"] == before["generation"] + 1
        assert some(rollout, RENEWED) == RENEWED
        assert vars(found)["status"] == as_stored(rollout)["status"]
        return trail(rollout)[-1]

    def test_pauses_what_moves_forward_and_lets_it_go_on(self, rollout, other, alice, enqueued):
        told = self.steer(
            enqueued, steering.pause_rollout, rollout, other, alice, reason="Wait for Monday"
        )
        assert told == (Action.ROLLOUT_PAUSED, "alice", {"reason": "Wait for Monday"})
        assert as_stored(rollout)["paused_at"] == LATER
        with pytest.raises(WrongRolloutState, match="moving forward"):
            steering.pause_rollout(rollout=rollout, actor=alice, reason="Twice", now=LATER)
        told = self.steer(enqueued, steering.resume_rollout, rollout, other, alice)
        assert told == (Action.ROLLOUT_RESUMED, "alice", {})
        assert some(rollout, ("paused_at", "moved_at")) == {"paused_at": None, "moved_at": LATER}
        with pytest.raises(WrongRolloutState, match="Only a paused"):
            steering.resume_rollout(rollout=rollout, actor=alice, now=LATER)

    @pytest.mark.parametrize("state", [{"return_reason": "GATE"}, {"status": "FAILED"}])
    def test_pauses_nothing_that_goes_back_or_has_ended(self, rollout, alice, state):
        Rollout.objects.filter(pk=rollout.pk).update(**state)
        with pytest.raises(WrongRolloutState):
            steering.pause_rollout(rollout=rollout, actor=alice, reason="x", now=LATER)

    @pytest.mark.parametrize("status", ["PENDING", "PROGRESSING", "FAILED"])
    def test_aborts_what_is_not_live(self, rollout, other, alice, enqueued, status):
        Rollout.objects.filter(pk=rollout.pk).update(status=status, paused_at=NOW)
        told = self.steer(
            enqueued, steering.abort_rollout, rollout, other, alice, reason="Wrong day"
        )
        assert told == (Action.ROLLOUT_ABORTED, "alice", {"reason": "Wrong day"})
        ended = {"status": "ABORTED", "finished_at": LATER, "paused_at": None}
        assert some(rollout, ended) == ended

    def test_stops_a_live_one_that_has_nothing_to_go_back_to(self, rollout, other, alice, enqueued):
        Rollout.objects.filter(pk=rollout.pk).update(status="LIVE", finished_at=NOW)
        told = self.steer(enqueued, steering.abort_rollout, rollout, other, alice, reason="Leaks.")
        assert told == (Action.ROLLOUT_ABORTED, "alice", {"reason": "Leaks.", "was": "LIVE"})
        assert some(rollout, {"status": "", "finished_at": ""}) == {
            "status": "ABORTED", "finished_at": LATER,
        }  # fmt: skip
        with pytest.raises(WrongRolloutState, match="nothing to abort"):
            steering.abort_rollout(rollout=rollout, actor=alice, reason="x", now=LATER)

    @pytest.mark.parametrize(
        ("state", "attempt"), [({}, 1), ({"return_reason": "GATE", "return_message": "m"}, 2)]
    )
    def test_takes_a_failed_one_up_again(self, rollout, other, alice, enqueued, state, attempt):
        failed = {"status": "FAILED", "finished_at": NOW, "paused_at": NOW, "unready_since": NOW}
        Rollout.objects.filter(pk=rollout.pk).update(**failed, health={"a": 1}, **state)
        told = self.steer(enqueued, steering.retry_rollout, rollout, other, alice)
        assert told == (Action.ROLLOUT_STARTED, "alice", {"again": True})
        fresh = {
            "status": "PROGRESSING", "finished_at": None, "moved_at": LATER, "paused_at": None,
            "unready_since": None, "health": {}, "attempt": attempt, "return_reason": "",
            "return_message": "",
        }  # fmt: skip
        assert some(rollout, fresh) == fresh

    def test_begins_anew_where_the_branch_lost_this_attempts_commits(self, rollout, other, alice):
        sha = {"sha": "c" * 40, "committed_at": NOW}
        other.commits.create(step="SERVE", lost_at=NOW, **sha)
        rollout.commits.create(step="SERVE", attempt=2, lost_at=NOW, **sha)
        rollout.commits.create(step="SERVE", **sha)
        for attempt in (1, 2):
            Rollout.objects.filter(pk=rollout.pk).update(status="FAILED")
            steering.retry_rollout(rollout=rollout, actor=alice, now=LATER)
            assert as_stored(rollout)["attempt"] == attempt
            rollout.commits.filter(attempt=1).update(lost_at=NOW)

    def test_takes_nothing_up_where_another_version_serves_by_now(
        self, rollout, registered_model, alice
    ):
        factories.live(registered_model, 9)
        Rollout.objects.filter(pk=rollout.pk).update(status="FAILED")
        with pytest.raises(WrongRolloutState, match="Another version has been serving"):
            steering.retry_rollout(rollout=rollout, actor=alice, now=LATER)

    def test_is_for_owners_reviewers_and_platform_engineers(
        self, rollout, alice, carol, charlie, engineer
    ):
        for person in (alice, carol, engineer):
            assert steering.may_steer(rollout, person)
        assert not steering.may_steer(rollout, charlie)
        Rollout.objects.filter(pk=rollout.pk).update(paused_at=NOW)
        before = as_stored(rollout)
        for change, more in (
            (steering.pause_rollout, {"reason": "x"}),
            (steering.resume_rollout, {}),
            (steering.retry_rollout, {}),
            (steering.abort_rollout, {"reason": "x"}),
            (steering.roll_back_rollout, {"reason": "x"}),
        ):
            with pytest.raises(NotPermitted, match="can steer a rollout"):
                change(rollout=rollout, actor=charlie, now=NOW, **more)
        with pytest.raises(NotPermitted):
            steering.go_on_rollout(rollout=rollout, actor=charlie, reason="x", now=NOW)
        assert as_stored(rollout) == before

    def test_changes_nothing_that_it_cannot_record(self, rollout, alice, audit_away):
        def refused(change, state, **more):
            Rollout.objects.filter(pk=rollout.pk).update(**state)
            before = as_stored(rollout)
            with audit_away(), pytest.raises(AuditAway):
                change(rollout=rollout, actor=alice, now=LATER, **more)
            assert as_stored(rollout) == before

        refused(steering.pause_rollout, {}, reason="x")
        refused(steering.resume_rollout, {"paused_at": NOW})
        refused(steering.abort_rollout, {}, reason="x")
        refused(steering.retry_rollout, {"status": "FAILED"})


class TestGoOnRollout:
    HEALTH = {"candidate": {"calls": 3}, "baseline": {"calls": 40}, "words": "Three calls."}

    @pytest.fixture
    def waiting(self, rollout, other):
        """It waits for a person at 50 %; the other one too."""
        for one in (rollout, other):
            for minute, (step, weight_at) in enumerate(
                (("SERVE", None), ("SHIFT_10", NOW), ("SHIFT_50", NOW))
            ):
                one.commits.create(
                    step=step, sha="c" * 40, observed_at=weight_at or NOW,
                    committed_at=NOW + timedelta(minutes=minute),
                )  # fmt: skip
            Rollout.objects.filter(pk=one.pk).update(reason="NO_TRAFFIC", health=self.HEALTH)
            gate = {"verdict": "PASSED", "judged_at": NOW, "candidate": {}, "baseline": {}}
            GateResult.objects.create(commit=one.commits.get(step="SHIFT_10"), words="", **gate)
        rollout.refresh_from_db()
        return rollout

    def go_on(self, rollout, actor):
        return steering.go_on_rollout(rollout=rollout, actor=actor, reason="Night.", now=LATER)

    def test_keeps_the_decision_with_the_numbers_and_wakes_the_worker(
        self, waiting, other, carol, enqueued
    ):
        untouched = as_stored(other)
        assert steering.may_go_on(waiting, carol)
        with enqueued() as asked:
            self.go_on(waiting, carol)
        gate = GateResult.objects.get(commit__step="SHIFT_50")
        assert (gate.commit.rollout, gate.verdict, gate.judged_at) == (
            waiting,
            "NO_TRAFFIC",
            LATER,
        )
        kept = {"candidate": gate.candidate, "baseline": gate.baseline, "words": gate.words}
        assert (kept, gate.decided_by, gate.reason) == (self.HEALTH, carol, "Night.")
        facts = {"weight": 50, "verdict": "NO_TRAFFIC", "reason": "Night.", **self.HEALTH}
        assert trail(waiting)[-1] == (Action.ROLLOUT_JUDGED, "carol", facts)
        assert asked == [("promotions.reconcile_rollout", {"rollout_id": str(waiting.pk)})]
        assert some(waiting, {"moved_at": 0, **RENEWED}) == {"moved_at": LATER, **RENEWED}
        assert as_stored(other) == untouched
        with pytest.raises(WrongRolloutState):
            self.go_on(waiting, carol)

    def test_is_never_for_whoever_proposed_it(self, waiting, alice, bob, charlie):
        assert not steering.may_go_on(waiting, alice)
        assert not steering.may_go_on(waiting, charlie)
        with pytest.raises(NotPermitted, match="their own proposal"):
            self.go_on(waiting, alice)
        assert self.go_on(waiting, bob)

    @pytest.mark.parametrize(
        "state", [{"reason": ""}, {"paused_at": NOW}, {"status": "FAILED"}, {"attempt": 2}]
    )
    def test_needs_one_that_waits_for_it(self, waiting, carol, state):
        Rollout.objects.filter(pk=waiting.pk).update(**state)
        waiting.refresh_from_db()
        assert steering.may_go_on(waiting, carol) is ("attempt" in state)
        with pytest.raises(WrongRolloutState):
            self.go_on(waiting, carol)

    def test_decides_about_no_weight_that_was_lost_or_not_seen(self, waiting, carol):
        for change in ({"lost_at": NOW}, {"lost_at": None, "observed_at": None}):
            with unguarded():
                waiting.commits.filter(step="SHIFT_50").update(**change)
            with pytest.raises(WrongRolloutState):
                self.go_on(waiting, carol)

    def test_decides_nothing_that_it_cannot_record(self, waiting, carol, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            self.go_on(waiting, carol)
        assert not GateResult.objects.filter(commit__step="SHIFT_50").exists()


class TestRollBackRollout:
    @pytest.fixture
    def live(self, registered_model, other):
        """v7 is live after v6, which was approved and has served."""
        before = factories.live(registered_model, 6)
        Rollout.objects.filter(pk=before.pk).update(status="REPLACED")
        made = factories.live(registered_model, 7)
        with as_owner():
            Rollout.objects.filter(pk=made.pk).update(
                baseline=before.model_version, attempts=3, reason="R", message="m"
            )
        made.refresh_from_db()
        return made

    def back(self, rollout, actor):
        return steering.roll_back_rollout(rollout=rollout, actor=actor, reason="Slow.", now=LATER)

    def test_starts_the_approved_version_that_served_before(self, live, other, engineer, enqueued):
        untouched = as_stored(other)
        with enqueued() as asked:
            back = self.back(live, engineer)
        assert (back.model_version, back.baseline, back.rolls_back) == (
            live.baseline,
            live.model_version,
            live,
        )
        assert (back.steps, back.started_at, back.promotion.model_version) == (
            [100],
            LATER,
            live.baseline,
        )
        facts = {
            "promotion": str(back.promotion_id),
            "manifest_digest": live.baseline.manifest_digest,
            "reason": "Slow.",
            "rolls_back": live.model_version.name,
        }
        assert trail(back) == [(Action.ROLLOUT_STARTED, "pete", facts)]
        assert asked == [("promotions.reconcile_rollout", {"rollout_id": str(back.pk)})]
        assert some(live, RENEWED) == RENEWED
        assert as_stored(live)["status"] == "LIVE"
        assert as_stored(other) == untouched
        with pytest.raises(WrongRolloutState, match="already under way"):
            self.back(live, engineer)

    def test_needs_a_live_one_and_a_version_to_go_back_to(self, live, rollout_of_another, engineer):
        with pytest.raises(WrongRolloutState, match="only a live one"):
            self.back(rollout_of_another, engineer)
        with as_owner():
            Rollout.objects.filter(pk=live.pk).update(baseline=None)
        with pytest.raises(actions.NotEligible, match="No earlier version"):
            self.back(live, engineer)

    def test_is_held_up_by_no_account_that_was_linked_since(self, live, other, engineer):
        approval = Approval.objects.get(promotion__model_version=live.baseline)
        User.objects.filter(pk=approval.approver_id).update(person=approval.requested_by.person)
        assert approval.promotion.approvals.counting().persons() == 0
        back = self.back(live, engineer)
        assert (back.promotion, back.status) == (approval.promotion, "PENDING")

    def test_leads_to_nothing_that_was_never_carried_out(self, live, registered_model, alice):
        version = factories.version(registered_model, 8)
        factories.run(version)
        waits = propose(version, alice)
        with pytest.raises(begin.WrongRolloutState, match="never carried out"):
            begin.create_rollout(waits, NOW, rolls_back=live, steps=[100])
        assert not Rollout.objects.filter(promotion=waits).exists()

    @pytest.fixture
    def rollout_of_another(self, other):
        return other

    def test_goes_back_nowhere_that_it_cannot_record(self, live, engineer, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            self.back(live, engineer)
        assert not Rollout.objects.filter(rolls_back=live).exists()


class TestStopRetired:
    def test_takes_what_serves_of_models_that_are_gone_out(self, alice):
        gone = RegisteredModelFactory(name="gone", owner_team=alice.team)
        stays = RegisteredModelFactory(name="stays", owner_team=alice.team)
        live, other = factories.live(gone, 1), factories.live(stays, 1)
        retire(stays, alice, "ANNOUNCED")
        assert steering.stop_retired(now=NOW) == 0
        retire(gone, alice, "RETIRED")
        assert steering.stop_retired(now=NOW) == 1
        live.refresh_from_db()
        other.refresh_from_db()
        assert (live.status, live.finished_at, other.status) == ("ABORTED", NOW, "LIVE")
        assert live.next_check_at == NOW, "the worker takes its files out of Git"
        assert trail(live)[-1] == (
            Action.ROLLOUT_ABORTED,
            "system:promotions.stop_retired",
            {"reason": "gone is retired.", "was": "LIVE"},
        )
        assert steering.stop_retired(now=NOW) == 0

    def test_takes_a_failed_one_out_that_holds_its_gpu(self, alice):
        gone = RegisteredModelFactory(name="gone", owner_team=alice.team)
        failed = factories.rolled(gone, 1, status="FAILED", finished_at=NOW)
        retire(gone, alice, "RETIRED")
        assert steering.stop_retired(now=NOW) == 1
        failed.refresh_from_db()
        assert (failed.status, failed.next_check_at) == ("ABORTED", NOW)
        assert trail(failed)[-1][2] == {"reason": "gone is retired.", "was": "FAILED"}


def retire(model, owner, status):
    ended = {"ended_at": NOW} if status == "RETIRED" else {}
    Retirement.objects.create(
        registered_model=model, last_day=NOW.date(), note="Call another one.", status=status,
        announced_by=owner, announced_at=NOW, **ended,
    )  # fmt: skip
