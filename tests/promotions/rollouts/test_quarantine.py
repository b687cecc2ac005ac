"""A version that was verified and turns out to hold something else, on its way to callers and with
them. Another model goes its way beside it. Every run is done twice.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from apps.accounts.models import Role
from apps.catalog import actions as catalog
from apps.catalog.signers.actions import approve_revocation, record_signer, request_revocation
from apps.common.signing import FileSigner
from apps.promotions import actions
from apps.promotions.begin import WrongRolloutState
from apps.promotions.models import Approval, Promotion, Rollout
from apps.promotions.rollouts import actions as steering
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.doubles import approved, audited, drive, subjects
from tests.promotions.rollouts.test_weights import MODEL, calls, route, until
from tests.promotions.seeing import seen
from tests.trail import trail

FOUND = {"reason": "REPLACED", "message": "model.safetensors: expected sha256 aa, found bb."}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(settings):
    """Hold each weight for 10 s."""
    settings.ROLLOUT_HOLD_SECONDS, settings.ROLLOUT_MINIMUM_CALLS = 10, 20


@pytest.fixture
def live(rollout, git, cluster):
    """The first version, serving all callers; and when."""
    now = drive(rollout, git, cluster)
    assert rollout.status == "LIVE"
    return now


@pytest.fixture
def second(live, registered_model, alice, carol):
    """The rollout of the second version, just approved."""
    return approved(registered_model, 2, alice, carol, now=live)


@pytest.fixture
def other(alice, carol):
    """The rollout of another model of Alice's team, just approved."""
    model = RegisteredModelFactory(name="summary", owner_team=alice.team, created_by=alice)
    return approved(model, 2, alice, carol)


def quarantine(version, now=NOW):
    catalog.quarantine_version(version=version, **FOUND, now=now)
    assert trail(version)[-1] == (
        "version.quarantined",
        "system:catalog.reconcile_version",
        FOUND,
    )


class TestAnOpenRollout:
    @pytest.mark.parametrize("paused", [False, True])
    def test_goes_back_to_the_baseline(
        self, second, other, rollout, live, git, cluster, carol, paused
    ):
        now = until(second, git, cluster, live, lambda row: row.weight == 10)
        if paused:
            steering.pause_rollout(rollout=second, actor=carol, reason="Lunch", now=now)
        assert route(git) == {"v1": 90, "v2": 10}
        quarantine(second.model_version, now)
        now = drive(second, git, cluster, now=now, calls=calls())
        assert (second.status, second.weight, second.return_reason) == ("FAILED", 0, "QUARANTINED")
        assert f"{MODEL}-v2 was quarantined" in second.message
        assert second.message.endswith(f"All callers are back with {MODEL}-v1.")
        assert route(git) == {"v1": 100}
        failed = trail(second)[-1]
        assert (failed[0], failed[2]["message"]) == ("rollout.failed", second.message)
        assert audited(second).count("rollout.returning") == 1
        assert audited(second).count("rollout.failed") == 1
        drive(other, git, cluster, now=now)
        rollout.refresh_from_db()
        assert (rollout.status, other.status) == ("LIVE", "LIVE")
        assert "rollout.failed" not in audited(rollout) + audited(other)

    def test_fails_before_any_caller_is_sent_to_it(self, second, other, live, git, cluster, remote):
        cluster.broken.add(f"{MODEL}-v2")
        now = drive(second, git, cluster, now=live, turns=2)
        assert (second.status, second.weight) == ("PROGRESSING", 0)
        quarantine(second.model_version, now)
        before = subjects(remote)
        now = drive(second, git, cluster, now=now, turns=3, calls=calls())
        assert (second.status, second.reason) == ("FAILED", "QUARANTINED")
        assert (subjects(remote), route(git)) == (before, {"v1": 100})
        why = {"reason": "QUARANTINED", "message": second.message}
        assert trail(second)[-1] == ("rollout.failed", "system:promotions.reconcile_rollout", why)
        assert "rollout.returning" not in audited(second)
        drive(other, git, cluster, now=now)
        assert other.status == "LIVE"

    def test_fails_before_anything_is_committed(self, rollout, other, git, cluster, remote):
        quarantine(rollout.model_version)
        drive(rollout, git, cluster, turns=2)
        assert (rollout.status, rollout.reason) == ("FAILED", "QUARANTINED")
        assert subjects(remote) == []
        drive(other, git, cluster)
        assert (other.status, len(subjects(remote))) == ("LIVE", 2)


class TestALiveVersion:
    def test_goes_on_serving(self, rollout, live, git, cluster, remote):
        quarantine(rollout.model_version, live)
        before = subjects(remote)
        drive(rollout, git, cluster, now=live)
        assert (rollout.status, rollout.weight, rollout.reason) == ("LIVE", 100, "")
        assert (subjects(remote), route(git)) == (before, {"v1": 100})

    def test_another_one_takes_its_place(self, rollout, second, live, git, cluster):
        quarantine(rollout.model_version, live)
        drive(second, git, cluster, now=live, calls=calls())
        rollout.refresh_from_db()
        assert (rollout.status, second.status, route(git)) == ("REPLACED", "LIVE", {"v2": 100})


class TestPeople:
    def test_cannot_retry_its_rollout(self, second, other, live, git, cluster, alice):
        cluster.ready, cluster.exit_code, cluster.message = False, 1, "SHA-256 is ff"
        for rollout in (second, other):
            now = drive(rollout, git, cluster, now=live, turns=2)
            assert rollout.status == "FAILED"
        quarantine(second.model_version, now)
        before = audited(second)
        with pytest.raises(WrongRolloutState, match=f"{MODEL}-v2 is now quarantined"):
            steering.retry_rollout(rollout=second, actor=alice, now=now)
        second.refresh_from_db()
        assert (second.status, audited(second)) == ("FAILED", before)
        steering.retry_rollout(rollout=other, actor=alice, now=now)
        assert (other.status, trail(other)[-1][2]) == ("PROGRESSING", {"again": True})

    def test_cannot_propose_it(self, registered_model, alice):
        bad, good = (factories.version(registered_model, number) for number in (1, 2))
        for version in (bad, good):
            factories.run(version)
        quarantine(bad)
        facts = {"requester": alice, "justification": "Better", "now": NOW}
        with pytest.raises(actions.NotEligible, match="The version is quarantined"):
            actions.request_promotion(version=bad, **facts)
        assert not Promotion.objects.exists()
        proposed = actions.request_promotion(version=good, **facts)
        assert [action for action, *_ in trail(proposed)] == ["promotion.requested"]

    def test_cannot_approve_what_was_proposed_before(self, registered_model, alice, carol):
        summary = RegisteredModelFactory(name="summary", owner_team=alice.team)
        proposed = []
        for model in (registered_model, summary):
            version = factories.version(model, 2)
            factories.run(version)
            proposed.append(
                actions.request_promotion(
                    version=version, requester=alice, justification="Better", now=NOW
                )
            )
        bad, good = proposed
        quarantine(bad.model_version)
        with pytest.raises(actions.NotEligible, match="The version is quarantined"):
            self.approve(bad, carol)
        bad.refresh_from_db()
        assert bad.status == "PENDING"
        assert not Approval.objects.exists()
        assert [action for action, *_ in trail(bad)] == ["promotion.requested"]
        assert self.approve(good, carol).model_version == good.model_version
        assert Rollout.objects.count() == 1
        assert [action for action, *_ in trail(good)] == [
            "promotion.requested",
            "promotion.approved",
        ]

    def approve(self, promotion, reviewer):
        return actions.approve_promotion(
            promotion=promotion, approver=reviewer, seen=seen(promotion), reason="Good", now=NOW
        )


class TestASignerThatIsRevoked:
    def test_sends_back_what_it_signed_and_leaves_the_rest(
        self, second, other, live, git, cluster, carol
    ):
        now = until(second, git, cluster, live, lambda row: row.weight == 10)
        keys = [FileSigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(2)]
        signers = [record_signer(signer=key, now=NOW) for key in keys]
        for rollout, signer in zip((second, other), signers, strict=True):
            version = rollout.model_version
            with unguarded():
                type(version).objects.filter(pk=version.pk).update(signer=signer.name)
        platform = UserFactory(username="pat", with_roles=[Role.PLATFORM_ENGINEER])
        row = request_revocation(
            signer=signers[0], justification="It was copied.", requester=platform, now=now
        )
        approve_revocation(row=row, approver=carol, reason="Seen.", now=now)
        now = drive(second, git, cluster, now=now, calls=calls())
        assert (second.status, second.weight, second.return_reason) == ("FAILED", 0, "QUARANTINED")
        assert f"Its signer, {signers[0].name}, was revoked by" in second.message
        assert route(git) == {"v1": 100}
        drive(other, git, cluster, now=now)
        assert other.status == "LIVE"
