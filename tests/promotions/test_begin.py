"""When an approved promotion's rollout starts, what it waits for, and when it is too late."""

from datetime import timedelta

import pytest

from apps.audit.models import Action
from apps.catalog.models import ModelVersion
from apps.common.decisions import AlreadyDecided
from apps.promotions import actions, begin
from apps.promotions.begin import WORKER, WaitCode, WrongRolloutState
from apps.promotions.models import Promotion, Rollout
from apps.promotions.policy.freezes import Freeze
from apps.promotions.rollouts import actions as steering
from apps.promotions.standing import standing
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories
from tests.promotions.changes.records import ready
from tests.promotions.policies import put_in_force
from tests.promotions.test_actions import approve, propose
from tests.trail import trail
from worker.tasks.promotions import start_approved_promotions, start_promotion

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
# NOW is a Monday, 09:00 UTC
MORNING = Freeze("Clinics open.", "mon 07:00", "mon 10:00", "UTC", ("triage",))
NOON = NOW + timedelta(hours=3)


def candidate(model, number):
    made = factories.version(model, number)
    factories.run(made)
    return made


def approved(promotion):
    """Return a promotion, loaded anew."""
    return Promotion.objects.select_related("registered_model").get(pk=promotion.pk)


@pytest.fixture
def promotion(registered_model, alice):
    return propose(candidate(registered_model, 7), alice)


class TestFreezeWindows:
    def test_hold_the_start_but_no_approval_and_no_exception(
        self, registered_model, alice, carol, enqueued
    ):
        put_in_force("PHI", freezes=(MORNING,))
        triage = RegisteredModelFactory(name="triage", owner_team=alice.team, created_by=alice)
        promotion = propose(candidate(registered_model, 7), alice)
        let_alone = propose(candidate(triage, 1), alice)
        with enqueued() as asked:
            assert approve(promotion, carol) is None
        assert asked == []
        assert isinstance(approve(let_alone, carol), Rollout)
        promotion = approved(promotion)
        assert (promotion.status, promotion.decided_at) == ("APPROVED", NOW)
        (wait,) = standing(promotion, NOW).waits
        assert (wait.code, wait.until) == (WaitCode.FROZEN, NOW + timedelta(hours=1))
        assert wait.words.startswith("Clinics open. Nothing starts every week from Monday 07:00")
        assert begin.start_if_free(promotion=promotion, actor=WORKER, now=NOW) is None
        with enqueued() as asked:
            rollout = begin.start_if_free(
                promotion=promotion, actor=WORKER, now=NOW + timedelta(hours=1)
            )
        assert asked == [("promotions.reconcile_rollout", {"rollout_id": str(rollout.pk)})]
        ((action, actor, _),) = trail(rollout)
        assert (action, actor) == (Action.ROLLOUT_STARTED, "system:promotions.start_promotion")
        assert begin.start_if_free(promotion=promotion, actor=WORKER, now=NOON) is None
        assert Rollout.objects.filter(promotion=promotion).count() == 1

    def test_say_why_in_a_sentence_however_that_was_written(self, promotion, carol):
        put_in_force("PHI", freezes=(Freeze("Year end ", "mon 07:00", "mon 10:00"),))
        (wait,) = begin.waits_for(approved(promotion), NOW)[:1]
        assert wait.words.startswith("Year end. Nothing starts every week from Monday 07:00")

    def test_announced_later_hold_what_was_approved_before(self, registered_model, alice, carol):
        put_in_force("PHI", freezes=(MORNING,))
        promotion = propose(candidate(registered_model, 7), alice)
        approve(promotion, carol)
        week = Freeze("Open enrollment.", "2026-11-02T00:00", "2026-11-09T00:00")
        put_in_force("PHI", freezes=(week,))
        assert begin.start_if_free(promotion=promotion, actor=WORKER, now=NOON) is None
        (wait,) = begin.waits_for(promotion, NOON)
        assert wait.words.startswith("Open enrollment.")
        assert begin.start_if_free(promotion=promotion, actor=WORKER, now=NOW + 7 * DAY)

    def test_hold_a_retry_and_never_the_way_back(self, registered_model, promotion, alice, carol):
        live = factories.live(registered_model, 5)
        with unguarded():
            Rollout.objects.filter(pk=live.pk).update(baseline=None)
        factories.run(promotion.model_version, at=NOW + timedelta(minutes=1))
        promotion = self.proposed_anew(promotion, alice)
        rollout = approve(promotion, carol)
        Rollout.objects.filter(pk=rollout.pk).update(status="FAILED")
        put_in_force("PHI", freezes=(MORNING,))
        with pytest.raises(WrongRolloutState, match="Clinics open"):
            steering.retry_rollout(rollout=rollout, actor=alice, now=NOW)
        again = steering.retry_rollout(rollout=rollout, actor=alice, now=NOON)
        Rollout.objects.filter(pk=live.pk).update(status="REPLACED")
        Rollout.objects.filter(pk=again.pk).update(status="LIVE")
        back = steering.roll_back_rollout(rollout=again, actor=alice, reason="Bad", now=NOW)
        assert back.model_version == live.model_version

    def proposed_anew(self, promotion, alice):
        actions.withdraw_promotion(promotion=promotion, actor=alice, now=NOW)
        return propose(promotion.model_version, alice)


class TestChanges:
    @pytest.fixture(autouse=True)
    def servicenow(self, settings):
        settings.SERVICENOW_URL = "http://127.0.0.1:1"

    def test_hold_the_start_until_they_are_open_for_it(self, promotion, carol):
        assert approve(promotion, carol) is None
        (wait,) = begin.waits_for(promotion, NOW)
        assert wait.code == WaitCode.CHANGE
        names = ("status", "number", "sys_id", "opened_at", "state", "approval", "starts_at",
                 "ends_at", "conflicts_read_at", "read_at")  # fmt: skip
        open_now = {name: getattr(ready(), name) for name in names}
        promotion.changes.update(**open_now)
        assert isinstance(begin.start_if_free(promotion=promotion, actor=WORKER, now=NOW), Rollout)

    def test_are_not_asked_for_where_the_policy_wants_none(self, registered_model, alice, carol):
        put_in_force("PHI", change="none")
        promotion = propose(candidate(registered_model, 7), alice)
        assert not promotion.changes.exists()
        assert isinstance(approve(promotion, carol), Rollout)

    def test_that_are_required_hold_it_where_there_is_no_servicenow(
        self, registered_model, alice, carol, settings
    ):
        settings.SERVICENOW_URL = ""
        put_in_force("PHI", change="required")
        promotion = propose(candidate(registered_model, 7), alice)
        assert approve(promotion, carol) is None
        (wait,) = begin.waits_for(promotion, NOW)
        assert "no ServiceNow is configured" in wait.words


class TestExpiry:
    @pytest.fixture
    def waiting(self, registered_model, alice, carol):
        """Approved, and held by a window of two weeks."""
        long = Freeze("Migration.", "2026-11-01T00:00", "2026-11-15T00:00")
        put_in_force("PHI", freezes=(long,), approval_max_age_days=3)
        promotion = propose(candidate(registered_model, 7), alice)
        approve(promotion, carol)
        return promotion

    def test_ends_what_did_not_start_in_time(self, waiting):
        almost = NOW + 3 * DAY - timedelta(seconds=1)
        assert begin.start_if_free(promotion=waiting, actor=WORKER, now=almost) is None
        assert approved(waiting).status == "APPROVED"
        assert begin.start_if_free(promotion=waiting, actor=WORKER, now=NOW + 3 * DAY) is None
        ended = approved(waiting)
        assert (ended.status, ended.decided_at) == ("EXPIRED", NOW)
        words = {"message": "Its rollout did not start within 3 days of an approval."}
        told = (Action.PROMOTION_EXPIRED, "system:promotions.start_promotion", words)
        assert trail(waiting)[-1] == told
        late = NOW + 20 * DAY
        assert begin.start_if_free(promotion=waiting, actor=WORKER, now=late) is None
        assert trail(waiting)[-1] == told
        assert not Rollout.objects.exists()

    def test_ends_what_waits_for_a_second_approval_too_long(self, registered_model, alice, carol):
        put_in_force("PHI", approvals=2, approval_max_age_days=3)
        promotion = propose(candidate(registered_model, 7), alice)
        fresh = RegisteredModelFactory(owner_team=alice.team, created_by=alice)
        untouched = propose(candidate(fresh, 1), alice)
        approve(promotion, carol)
        assert list(begin.waiting()) == [promotion]
        begin.start_if_free(promotion=promotion, actor=WORKER, now=NOW + 3 * DAY)
        begin.start_if_free(promotion=untouched, actor=WORKER, now=NOW + 30 * DAY)
        assert approved(promotion).status == "EXPIRED"
        assert approved(untouched).status == "PENDING"  # nobody approved it

    def test_is_no_age_of_a_rollout_under_way_but_of_its_retry(self, promotion, alice, carol):
        rollout = approve(promotion, carol)
        late = NOW + 15 * DAY
        assert begin.start_if_free(promotion=promotion, actor=WORKER, now=late) is None
        assert approved(promotion).status == "APPROVED"
        Rollout.objects.filter(pk=rollout.pk).update(status="FAILED")
        with pytest.raises(WrongRolloutState, match="more than 14 days ago"):
            steering.retry_rollout(rollout=rollout, actor=alice, now=late)


class TestWhatElseEndsIt:
    @pytest.fixture
    def waiting(self, registered_model, alice, carol):
        put_in_force("PHI", freezes=(MORNING,))
        promotion = propose(candidate(registered_model, 7), alice)
        approve(promotion, carol)
        return promotion

    def test_a_newer_one_supersedes_it(self, waiting, registered_model, alice, carol):
        other = RegisteredModelFactory(owner_team=alice.team, created_by=alice)
        elsewhere = propose(candidate(other, 1), alice)
        approve(elsewhere, carol)
        newer = propose(candidate(registered_model, 8), alice)
        assert approved(waiting).status == "APPROVED"
        approve(newer, carol)
        assert approved(waiting).status == "SUPERSEDED"
        assert approved(elsewhere).status == approved(newer).status == "APPROVED"
        by = {"by": str(newer.pk), "version": newer.model_version.name}
        assert trail(waiting)[-1] == (Action.PROMOTION_SUPERSEDED, "carol", by)

    def test_its_owner_takes_it_back(self, waiting, alice, charlie):
        actions.withdraw_promotion(promotion=waiting, actor=alice, now=NOON)
        ended = approved(waiting)
        assert (ended.status, ended.decided_at) == ("WITHDRAWN", NOW)
        assert begin.start_if_free(promotion=waiting, actor=WORKER, now=NOON) is None

    def test_nobody_takes_back_what_began(self, waiting, alice):
        begin.start_if_free(promotion=waiting, actor=WORKER, now=NOON)
        with pytest.raises(AlreadyDecided):
            actions.withdraw_promotion(promotion=waiting, actor=alice, now=NOON)

    def test_what_no_longer_holds_keeps_it_waiting(self, waiting):
        ModelVersion.objects.filter(pk=waiting.model_version_id).update(status="QUARANTINED")
        promotion = approved(waiting)
        (wait,) = begin.waits_for(promotion, NOON)
        assert (wait.code, "quarantined" in wait.words) == (WaitCode.CONDITION, True)
        assert begin.start_if_free(promotion=promotion, actor=WORKER, now=NOON) is None


class TestSweep:
    def test_asks_for_each_that_waits_and_for_nothing_else(
        self, registered_model, alice, carol, monkeypatch
    ):
        put_in_force("PHI", freezes=(MORNING,))
        other = RegisteredModelFactory(owner_team=alice.team, created_by=alice)
        factories.live(other, 1)
        propose(candidate(other, 2), alice)
        waiting = propose(candidate(registered_model, 7), alice)
        approve(waiting, carol)
        asked = []
        monkeypatch.setattr(start_promotion, "delay", lambda **kwargs: asked.append(kwargs))
        start_approved_promotions()
        assert asked == [{"promotion_id": str(waiting.pk)}]
        monkeypatch.setattr("worker.tasks.promotions.now", lambda: NOON)
        start_promotion(promotion_id=str(waiting.pk))
        start_promotion(promotion_id=str(waiting.pk))
        assert Rollout.objects.filter(promotion=waiting).count() == 1
        asked.clear()
        start_approved_promotions()
        assert asked == []
