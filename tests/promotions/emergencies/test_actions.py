"""Rolling forward in an emergency: who may, what it does without and what not, and its review."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.common import decisions
from apps.common.errors import NotPermitted
from apps.common.sign_ins import FreshSignInNeeded, SignIn
from apps.notices.models import Kind, Notice
from apps.promotions import actions as promotions
from apps.promotions import queries, stages
from apps.promotions.begin import WrongRolloutState
from apps.promotions.emergencies import actions
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion, Rollout
from apps.promotions.policy.freezes import Freeze
from apps.promotions.rollouts import actions as steering
from apps.promotions.rollouts.holds import hold_of
from portal.needs.queries import needs_of
from tests.database import owner_runs
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.policies import put_in_force
from tests.promotions.seeing import seen
from tests.promotions.test_actions import approve, propose
from tests.trail import AuditAway, trail
from worker.tasks.promotions import tell_overdue_emergencies

pytestmark = pytest.mark.django_db
WHY = "Claims are answered wrongly since 08:40, and the reviewers are away."
LATER = NOW + timedelta(hours=1)
REVIEW = {"reason": "It could not wait.", "now": LATER}


@pytest.fixture
def pete(db):
    """A platform engineer."""
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


def proposed(model, requester, number=2):
    """Return a promotion that waits, of a version beside one that serves."""
    factories.suite()
    factories.live(model, number - 1)
    version = factories.version(model, number)
    factories.run(version)
    return promotions.request_promotion(
        version=version, requester=requester, justification="Mends the codes.", now=NOW
    )


@pytest.fixture
def promotion(registered_model, alice):
    return proposed(registered_model, alice)


@pytest.fixture
def other(alice):
    """Another model's promotion, which waits as well."""
    return proposed(RegisteredModelFactory(name="summary", owner_team=alice.team), alice)


def declare(promotion, engineer, **more):
    return actions.declare_emergency(
        promotion=promotion, engineer=engineer, statement=WHY, now=NOW, **more
    )


class TestDeclareEmergency:
    def test_starts_the_rollout_at_once_and_says_what_it_did_without(
        self, promotion, other, pete, alice, carol, enqueued
    ):
        promotions.withdraw_promotion(promotion=promotion, actor=alice, now=NOW)
        put_in_force("PHI", emergency_review_hours=12)
        promotion = propose(promotion.model_version, alice)
        with enqueued() as asked:
            emergency = declare(promotion, pete)
        rollout = Rollout.objects.get(promotion=promotion)
        assert (rollout.status, rollout.steps) == ("PENDING", [10, 50, 100])
        assert ("promotions.reconcile_rollout", {"rollout_id": str(rollout.pk)}) in asked
        assert emergency.skipped == ["Its policy asks for 1 approval, and it has none."]
        assert emergency.review_due_at == NOW + timedelta(hours=12)
        assert (emergency.proposed_by, emergency.requested_by) == (alice, pete)
        assert all(line["passed"] for line in emergency.evidence["conditions"])
        promotion.refresh_from_db()
        assert (promotion.status, promotion.decided_at) == ("EMERGENCY", NOW)
        assert stages.stage_of(promotion) == stages.Stage.ROLLING_OUT
        ((action, actor, data),) = trail(emergency)
        assert (action, actor) == (Action.EMERGENCY_DECLARED, "pete")
        assert (data["statement"], data["skipped"]) == (WHY, emergency.skipped)
        assert trail(rollout)[0][:2] == (Action.ROLLOUT_STARTED, "pete")
        other.refresh_from_db()
        assert other.status == "PENDING" and not other.rollouts.exists()

    def test_tells_everybody_whom_it_concerns_but_the_engineer(
        self, promotion, pete, alice, bob, carol, charlie
    ):
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        colleague = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        elsewhere = UserFactory(with_roles=[Role.MODEL_OWNER])
        emergency = declare(promotion, pete)
        told = Notice.objects.filter(kind=Kind.EMERGENCY, path=emergency.get_absolute_url())
        assert {notice.user for notice in told} == {alice, bob, carol, auditor, colleague}
        assert elsewhere.pk and all(notice.is_urgent for notice in told)
        assert told[0].title == "Pete rolled prior-auth-extract-v2 forward in an emergency"

    def test_is_for_platform_engineers_who_had_no_part_in_it(
        self, promotion, pete, alice, carol, registered_model
    ):
        for person in (carol, alice):
            with pytest.raises(NotPermitted, match="Only a platform engineer"):
                declare(promotion, person)
        second = UserFactory(person=alice.person, with_roles=[Role.PLATFORM_ENGINEER])
        with pytest.raises(decisions.NotOnesOwn):
            declare(promotion, second)
        publisher = UserFactory(
            person=promotion.model_version.created_by.person, with_roles=[Role.PLATFORM_ENGINEER]
        )
        with pytest.raises(NotPermitted, match="You published"):
            declare(promotion, publisher)
        pete.sign_in = SignIn(901, 900)
        with pytest.raises(FreshSignInNeeded):
            declare(promotion, pete)
        assert not Emergency.objects.exists() and not promotion.rollouts.exists()

    def test_never_does_without_the_evidence(self, promotion, pete):
        promotion.model_version.registered_model.versions.filter(number=2).update(
            status="QUARANTINED"
        )
        with pytest.raises(actions.NoEmergency, match="No emergency does without the evidence"):
            declare(promotion, pete)
        assert not Emergency.objects.exists()

    def test_is_of_a_promotion_that_waits_once(self, promotion, pete):
        declare(promotion, pete)
        with pytest.raises(decisions.AlreadyDecided, match="rolled forward in an emergency"):
            declare(promotion, pete)
        assert Emergency.objects.count() == Rollout.objects.filter(promotion=promotion).count() == 1

    def test_changes_nothing_that_it_cannot_record(self, promotion, pete, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            declare(promotion, pete)
        promotion.refresh_from_db()
        assert promotion.status == "PENDING" and not Emergency.objects.exists()

    def test_leaves_nothing_to_approve(self, promotion, pete, carol):
        declare(promotion, pete)
        with pytest.raises(decisions.AlreadyDecided):
            promotions.approve_promotion(
                promotion=promotion, approver=carol, seen=seen(promotion), reason="Good.", now=LATER
            )


class TestReview:
    @pytest.fixture
    def emergency(self, promotion, pete):
        return declare(promotion, pete)

    def test_is_made_once_by_somebody_who_had_no_part_in_it(
        self, emergency, other, alice, carol, pete
    ):
        others = declare(other, pete)
        mine = UserFactory(person=pete.person, with_roles=[Role.REVIEWER])
        proposer = UserFactory(person=alice.person, with_roles=[Role.REVIEWER])
        for person, words in (
            (pete, "Only a reviewer"), (mine, "Nobody decides"), (proposer, "You proposed this"),
        ):  # fmt: skip
            with pytest.raises(NotPermitted, match=words):
                actions.uphold_emergency(emergency=emergency, approver=person, **REVIEW)
        actions.uphold_emergency(emergency=emergency, approver=carol, **REVIEW)
        assert (emergency.status, emergency.decided_by, emergency.decided_at) == (
            "UPHELD", carol, LATER,
        )  # fmt: skip
        facts = {
            "promotion": str(emergency.promotion_id), "found": "UPHELD",
            "reason": "It could not wait.",
        }  # fmt: skip
        assert trail(emergency)[-1] == (Action.EMERGENCY_REVIEWED, "carol", facts)
        with pytest.raises(decisions.AlreadyDecided):
            actions.object_to_emergency(emergency=emergency, approver=carol, **REVIEW)
        others.refresh_from_db()
        assert others.status == "PENDING"
        unread = Notice.objects.unread().filter(path=emergency.get_absolute_url())
        assert not unread.exists()

    @pytest.mark.parametrize("bound", ["published", "owns"])
    def test_is_not_made_by_whom_the_policy_excludes_from_approving(
        self, emergency, other, pete, carol, bound
    ):
        version = emergency.promotion.model_version
        team = version.registered_model.owner_team
        person = {
            "published": UserFactory(person=version.created_by.person, with_roles=[Role.REVIEWER]),
            "owns": UserFactory(team=team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER]),
        }[bound]
        for account in (person, UserFactory(person=person.person, with_roles=[Role.REVIEWER])):
            with pytest.raises(NotPermitted, match="leaves the decision to others"):
                actions.uphold_emergency(emergency=emergency, approver=account, **REVIEW)
            assert emergency.get_absolute_url() not in [n.url for n in needs_of(account, NOW)]
        emergency.refresh_from_db()
        assert emergency.status == "PENDING"
        actions.uphold_emergency(emergency=emergency, approver=carol, **REVIEW)

    @pytest.mark.parametrize("finding", [actions.uphold_emergency, actions.object_to_emergency])
    def test_that_objects_lets_nobody_take_it_up_again(
        self, emergency, other, carol, pete, finding
    ):
        rollout, second = (
            Rollout.objects.get(promotion=one.promotion)
            for one in (emergency, declare(other, pete))
        )
        Rollout.objects.filter(pk__in=[rollout.pk, second.pk]).update(status="FAILED")
        finding(emergency=emergency, approver=carol, **REVIEW)
        if finding == actions.object_to_emergency:
            with pytest.raises(WrongRolloutState, match="found not justified"):
                steering.retry_rollout(rollout=rollout, actor=pete, now=LATER)
            assert Rollout.objects.get(pk=rollout.pk).status == "FAILED"
        else:
            steering.retry_rollout(rollout=rollout, actor=pete, now=LATER)
        steering.retry_rollout(rollout=second, actor=pete, now=LATER)

    def test_that_objects_lets_nothing_under_way_go_on(self, emergency, other, carol, pete):
        rollout, second = (
            Rollout.objects.get(promotion=one.promotion)
            for one in (emergency, declare(other, pete))
        )
        rows = Rollout.objects.filter(pk__in=[rollout.pk, second.pk])
        rows.update(status="PROGRESSING", paused_at=NOW, reason="NO_TRAFFIC", weight=10)
        actions.object_to_emergency(emergency=emergency, approver=carol, **REVIEW)
        hold = hold_of(Rollout.objects.get(pk=rollout.pk), LATER)
        assert (hold.code, "found not justified" in hold.words) == ("OBJECTED", True)
        with pytest.raises(WrongRolloutState, match="found not justified"):
            steering.resume_rollout(rollout=rollout, actor=pete, now=LATER)
        Rollout.objects.filter(pk=rollout.pk).update(paused_at=None)
        with pytest.raises(WrongRolloutState, match="found not justified"):
            steering.go_on_rollout(rollout=rollout, actor=pete, reason="Now.", now=LATER)
        steering.abort_rollout(rollout=rollout, actor=pete, reason="As found.", now=LATER)
        assert hold_of(Rollout.objects.get(pk=second.pk), LATER) is None
        assert steering.resume_rollout(rollout=second, actor=pete, now=LATER).paused_at is None

    def test_that_objects_tells_owners_and_engineers_to_go_back(
        self, emergency, carol, pete, alice, bob
    ):
        actions.object_to_emergency(emergency=emergency, approver=carol, **REVIEW)
        told = Notice.objects.filter(key=f"emergency:{emergency.pk}:objected")
        assert {notice.user for notice in told} == {pete, alice, bob}
        assert emergency.status == "OBJECTED"

    def test_decides_whether_the_version_is_one_to_go_back_to(self, emergency, carol):
        Rollout.objects.filter(model_version__number=1).update(status="REPLACED")
        Rollout.objects.filter(promotion=emergency.promotion).update(status="PROGRESSING")
        Rollout.objects.filter(promotion=emergency.promotion).update(status="LIVE")
        newer = Rollout(
            registered_model=emergency.promotion.registered_model,
            baseline=emergency.promotion.model_version,
        )
        assert queries.approval_before(newer) is None
        actions.uphold_emergency(emergency=emergency, approver=carol, **REVIEW)
        assert queries.approval_before(newer) == emergency.promotion

    def test_is_told_of_once_when_it_is_overdue_and_stands_on_home_pages(
        self, emergency, other, pete, carol, charlie, settings
    ):
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        due = emergency.review_due_at

        def lines(person, at):
            return [n.title for n in needs_of(person, at) if n.url == emergency.get_absolute_url()]

        words = "Review the emergency of prior-auth-extract-v2"
        before = due - timedelta(seconds=1)
        assert (lines(carol, before), lines(auditor, before)) == ([words], [])
        assert actions.tell_overdue(now=before) == 0
        assert lines(carol, due) == lines(auditor, due) == [f"{words}: overdue"]
        assert lines(charlie, due) == []
        assert [actions.tell_overdue(now=due) for _ in range(2)] == [1, 0]
        assert trail(emergency)[-1][:2] == (
            Action.EMERGENCY_OVERDUE, "system:promotions.tell_overdue_emergencies",
        )  # fmt: skip
        told = Notice.objects.filter(key=f"emergency:{emergency.pk}:overdue")
        assert {notice.user for notice in told} == {carol, pete, auditor}
        tell_overdue_emergencies()
        assert told.count() == 3

    def test_stands_on_home_pages_with_the_one_that_is_due_first(
        self, emergency, other, pete, carol, monkeypatch
    ):
        newer = actions.declare_emergency(promotion=other, engineer=pete, statement=WHY, now=LATER)
        monkeypatch.setattr("portal.needs.promotions.SHOWN", 1)
        shown = [need.url for need in needs_of(carol, LATER)]
        assert emergency.get_absolute_url() in shown
        assert newer.get_absolute_url() not in shown

    def test_concerns_those_who_see_all_and_the_models_owners(
        self, emergency, other, alice, carol, charlie, pete
    ):
        stranger = UserFactory(with_roles=[Role.MODEL_OWNER])
        seen = {
            person.username: list(Emergency.objects.concerning(person))
            for person in (alice, carol, pete, charlie, stranger)
        }
        assert seen.pop(charlie.username) == seen.pop(stranger.username) == []
        assert all(found == [emergency] for found in seen.values())


class TestTakingItUpAgain:
    """An emergency's rollout that failed, while what it did without is still so."""

    def failed(self, promotion, pete, now):
        actions.declare_emergency(promotion=promotion, engineer=pete, statement=WHY, now=now)
        rollout = Rollout.objects.get(promotion=promotion)
        Rollout.objects.filter(pk=rollout.pk).update(status="FAILED")
        return rollout

    def test_waits_for_no_freeze_that_it_was_declared_in(self, promotion, alice, pete):
        promotions.withdraw_promotion(promotion=promotion, actor=alice, now=NOW)
        day = timedelta(days=1)
        now_frozen = Freeze("Year end.", "2026-11-02T08:00", "2026-11-04T08:00")
        later = Freeze("Clinics move.", "2026-11-05T00:00", "2026-11-06T00:00")
        put_in_force("PHI", freezes=(now_frozen, later))
        rollout = self.failed(propose(promotion.model_version, alice), pete, NOW)
        with pytest.raises(WrongRolloutState, match="Clinics move"):
            steering.retry_rollout(rollout=rollout, actor=pete, now=NOW + 3 * day)
        again = steering.retry_rollout(rollout=rollout, actor=pete, now=NOW + day)
        assert again.status == "PROGRESSING"

    def test_waits_for_no_approval_that_is_too_old(self, promotion, alice, carol, pete):
        promotions.withdraw_promotion(promotion=promotion, actor=alice, now=NOW)
        put_in_force("PHI", approvals=2, approval_max_age_days=14)
        promotion, day = propose(promotion.model_version, alice), timedelta(days=1)
        assert approve(promotion, carol) is None
        rollout = self.failed(promotion, pete, NOW + 13 * day)
        for late in (13 + 14, 40):
            with pytest.raises(WrongRolloutState, match="declared more than 14"):
                steering.retry_rollout(rollout=rollout, actor=pete, now=NOW + late * day)
        again = steering.retry_rollout(rollout=rollout, actor=pete, now=NOW + 26 * day)
        assert again.status == "PROGRESSING"


class TestTheDatabase:
    def test_refuses_one_person_in_two_parts(self, promotion, alice, pete, carol):
        values = {
            "promotion": promotion, "proposed_by": alice, "requested_at": NOW, "statement": WHY,
            "skipped": ["All."], "review_due_at": LATER,
        }  # fmt: skip
        second = UserFactory(person=alice.person)
        for wrong in ({"requested_by": alice}, {"requested_by": second},
                      {"requested_by": pete, "proposed_by": carol}):  # fmt: skip
            with pytest.raises(IntegrityError), transaction.atomic():
                made = Emergency.objects.create(**values | wrong)
                owner_runs("SET CONSTRAINTS ALL IMMEDIATE")
                made.delete()
        emergency = Emergency.objects.create(**values, requested_by=pete)
        rows = Emergency.objects.filter(pk=emergency.pk)
        for person in (alice, pete, second, UserFactory(person=pete.person)):
            with pytest.raises(IntegrityError), transaction.atomic():
                rows.update(status="UPHELD", decided_by=person, decided_at=NOW)
        rows.update(status="UPHELD", decided_by=carol, decided_at=NOW)
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            rows.update(decision_reason="Other words.")

    def test_lets_no_rollout_begin_without_approvals_or_an_emergency(self, promotion):
        Promotion.objects.filter(pk=promotion.pk).update(status="EMERGENCY", decided_at=NOW)
        with pytest.raises(IntegrityError, match="needs the approval"), transaction.atomic():
            Rollout.objects.create(
                promotion=promotion, registered_model=promotion.registered_model,
                model_version=promotion.model_version, started_at=NOW, moved_at=NOW,
            )  # fmt: skip

    def test_keeps_what_was_stated(self, promotion, pete):
        emergency = declare(promotion, pete)
        assert emergency.pk
        for sql in (
            "UPDATE promotions_emergency SET statement = 'x'",
            "DELETE FROM promotions_emergency",
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                owner_runs(sql)
