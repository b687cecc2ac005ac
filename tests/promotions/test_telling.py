"""What is told of promotions and their rollouts, to whom, and how long."""

from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.notices.models import Kind, Notice
from apps.promotions.models import Approval, Promotion, Rollout
from apps.promotions.telling import tell
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories as promoted
from tests.promotions.policies import put_in_force
from tests.promotions.test_actions import approve, propose

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def pete():
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


def told(**about):
    """Return who was told which title, of what nobody has read."""
    rows = Notice.objects.unread().filter(**about).order_by("title", "user__username")
    return [(one.user.username, one.title) for one in rows]


def change(rollout, **facts):
    with unguarded():
        Rollout.objects.filter(pk=rollout.pk).update(**facts)


class TestProposals:
    @pytest.fixture
    def proposal(self, registered_model, alice):
        made = promoted.version(registered_model, 2, created_by=alice)
        return Promotion.objects.create(
            registered_model=registered_model, model_version=made, eval_run=promoted.run(made),
            manifest_digest=made.manifest_digest, policy_revision=promoted.policy(registered_model),
            requested_by=alice, requested_at=NOW, justification="Better codes.",
        )  # fmt: skip

    def test_wait_for_those_who_decide_until_one_did(self, proposal, alice, bob, carol, charlie):
        reviewer = UserFactory(
            username="alice-adm", person=alice.person, with_roles=[Role.REVIEWER]
        )
        tell(now=NOW)
        assert told(kind=Kind.WAITS) == [
            ("carol", "Review prior-auth-extract-v2 for production")
        ], f"not {reviewer}, who proposed it"
        Promotion.objects.update(status="REJECTED", decided_at=NOW)
        tell(now=LATER)
        assert told(kind=Kind.WAITS) == []
        outcome = "Your proposal of prior-auth-extract-v2 for production: rejected"
        assert told(kind=Kind.DECIDED) == [("alice", outcome)]

    def test_wait_anew_once_their_approvals_were_voided(self, proposal, alice, carol):
        tell(now=NOW)
        Notice.objects.update(read_at=NOW)
        approval = Approval.objects.create(
            promotion=proposal, approver=carol, requested_by=alice, decision="APPROVE",
            reason="Good.", decided_at=NOW, manifest_digest=proposal.manifest_digest,
            eval_run=proposal.eval_run,
        )  # fmt: skip
        with unguarded():
            Approval.objects.filter(pk=approval.pk).update(voided_at=NOW, void_reason="Changed.")
        tell(now=LATER)
        assert tell(now=LATER) == 0
        assert told(kind=Kind.DECIDED) == []  # whoever voided them said so at once
        assert told(kind=Kind.WAITS) == [("carol", "Review prior-auth-extract-v2 for production")]

    def test_wait_no_longer_for_who_gave_the_first_of_two_approvals(
        self, registered_model, alice, carol
    ):
        put_in_force("PHI", approvals=2)
        ravi = UserFactory(username="ravi", with_roles=[Role.REVIEWER])
        proposals = []
        triage = RegisteredModelFactory(name="triage", owner_team=alice.team)
        for model in (registered_model, triage):
            made = promoted.version(model, 2, created_by=alice)
            promoted.run(made)
            proposals.append(propose(made, alice))
        tell(now=NOW)
        approve(proposals[0], carol)
        tell(now=LATER)
        title = "Review prior-auth-extract-v2 for production"
        other = "Review triage-v2 for production"
        for _ in range(2):
            waits = told(kind=Kind.WAITS)
            assert (carol.username, title) not in waits and (ravi.username, title) in waits
            assert (carol.username, other) in waits and (ravi.username, other) in waits
            Notice.objects.all().delete()
            tell(now=LATER)

    def test_are_no_news_after_some_days(self, proposal):
        Promotion.objects.update(status="REJECTED", decided_at=NOW)
        tell(now=NOW + timedelta(days=4))
        assert told() == []


class TestRollouts:
    def test_that_ended_are_told_to_owners_and_whoever_proposed(
        self, registered_model, alice, bob, carol, pete
    ):
        live = promoted.live(registered_model, 1)
        failed = promoted.rolled(RegisteredModelFactory(), 1)
        change(failed, status="FAILED")
        tell(now=LATER)
        proposer = live.promotion.requested_by.username
        assert told(title="prior-auth-extract-v1 is live") == [
            (name, "prior-auth-extract-v1 is live") for name in sorted(["alice", "bob", proposer])
        ]
        title = f"Rollout of {failed.model_version.name} failed"
        assert told(title=title) == [("pete", title)]
        assert Notice.objects.get(title=title).is_urgent
        change(failed, attempt=2)
        tell(now=LATER)
        assert told(title=title) == 2 * [("pete", title)]

    def test_that_hold_wait_for_those_who_may_let_them_go_on(
        self, registered_model, alice, carol, charlie, pete
    ):
        held = promoted.rolled(registered_model, 1)
        change(held, status="PROGRESSING", reason="NO_TRAFFIC", weight=10, finished_at=None)
        tell(now=LATER)
        title = "Let prior-auth-extract-v1 continue, or take it back"
        waits = [("alice", title), ("carol", title), ("pete", title)]
        assert told(kind=Kind.ROLLOUT) == waits
        change(held, reason="")
        tell(now=LATER)
        assert told(kind=Kind.ROLLOUT) == []

    def test_that_went_back_are_named_with_what_serves(self, registered_model, alice):
        second = promoted.live(registered_model, 2)
        change(second, status="REPLACED")
        promoted.rolled(registered_model, 1, rolls_back=second, baseline=second.model_version)
        tell(now=LATER)
        title = "prior-auth-extract-v2 was rolled back to prior-auth-extract-v1"
        assert ("alice", title) in told()

    def test_that_go_back_are_told_at_once(self, registered_model, alice, pete):
        going = promoted.rolled(registered_model, 1)
        change(going, status="PROGRESSING", return_reason="GATE", finished_at=None)
        tell(now=LATER)
        title = "Rollout of prior-auth-extract-v1 goes back to what served before"
        assert told(is_urgent=True) == [("alice", title), ("pete", title)]

    def test_that_serve_something_else_are_told_each_time(
        self, registered_model, alice, carol, pete, charlie
    ):
        live = promoted.live(registered_model, 1)
        other = promoted.live(RegisteredModelFactory(), 1)
        differs = [{"what": "weights", "approved": "sha256:1", "found": "sha256:2"}]
        change(live, drifted_at=NOW, differences=differs)
        tell(now=LATER)
        tell(now=LATER)
        title = "What serves as prior-auth-extract-v1 is not what was approved"
        assert told(kind=Kind.INCIDENT) == [("alice", title), ("carol", title), ("pete", title)]
        change(live, drifted_at=LATER)
        tell(now=LATER)
        assert len(told(kind=Kind.INCIDENT)) == 6
        assert not Notice.objects.filter(
            kind=Kind.INCIDENT, title__contains=other.model_version.name
        ).exists()
