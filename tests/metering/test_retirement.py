"""Models that go: who still calls them, when they go by themselves, and who is told what."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.access import actions as access
from apps.access.models import Grant
from apps.access.retirement import end_grants_of_retired
from apps.accounts.models import Role
from apps.audit.models import Action
from apps.catalog.retirement import actions
from apps.common.periods import DAY, HOUR
from apps.metering.models import HourlyUsage, SealedHour
from apps.metering.quarantine.models import QuarantinedRecord
from apps.metering.retirement import QUIET, Caller, callers, retire_due, tell
from apps.notices.models import Notice
from tests.access.test_actions import WISH
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory
from tests.trail import trail

LAST_DAY = (NOW + 40 * DAY).date()
NONE = dict.fromkeys(
    ("metered_calls", "unmetered_calls", "refused_calls", "failed_calls", "input_tokens",
     "cached_input_tokens", "output_tokens"), 0,
)  # fmt: skip


def used(model, team, hour, **counts):
    HourlyUsage.objects.create(
        hour=hour, team=team, model=model.name, version=f"{model.name}-v1", rolled_up_at=hour,
        **NONE | counts,
    )  # fmt: skip


def doubted(model, at):
    return QuarantinedRecord.objects.create(
        fingerprint=uuid4().hex, doubt="TEAM", detail="team names no team", received_at=at,
        received_via="OTLP", occurred_at=at, team="x", model=model.name,
    )  # fmt: skip


def seal(until):
    SealedHour.objects.create(hour=until - HOUR, sealed_at=until + 3 * HOUR)


@pytest.fixture
def other(alice):
    return RegisteredModelFactory(name="summary", owner_team=alice.team)


@pytest.fixture
def going(registered_model, alice):
    return actions.announce_retirement(
        model=registered_model, last_day=LAST_DAY, successor=None, note="Call another one.",
        callers=[], actor=alice, now=NOW,
    )  # fmt: skip


class TestCallers:
    def test_are_teams_with_what_they_called(self, registered_model, other):
        used(registered_model, "a", NOW - 2 * HOUR, metered_calls=2, refused_calls=1)
        used(registered_model, "a", NOW - HOUR, unmetered_calls=3, failed_calls=4)
        used(registered_model, "b", NOW - HOUR, metered_calls=9)
        used(registered_model, "late", NOW, metered_calls=1)
        used(registered_model, "early", NOW - 3 * HOUR, metered_calls=1)
        used(other, "c", NOW - HOUR, metered_calls=9)
        found = callers(registered_model, since=NOW - 2 * HOUR, until=NOW)
        assert found == [Caller("b", 9, 0, NOW - HOUR), Caller("a", 5, 5, NOW - HOUR)]


class TestRetireDue:
    def test_retires_what_nobody_called_for_a_week(self, going, registered_model, other, alice):
        still = actions.announce_retirement(
            model=other, last_day=LAST_DAY + DAY, successor=None, note="Call another one.",
            callers=[], actor=alice, now=NOW,
        )  # fmt: skip
        until = going.ends_at + HOUR
        used(registered_model, "a", until - QUIET - HOUR, metered_calls=1)
        used(other, "a", until - HOUR, metered_calls=1)
        seal(until)
        assert retire_due(now=until + 4 * HOUR) == 1
        going.refresh_from_db()
        still.refresh_from_db()
        assert (going.status, going.ended_by, still.status) == ("RETIRED", None, "ANNOUNCED")
        action, actor, data = trail(registered_model)[-1]
        assert (action, actor) == (Action.MODEL_RETIRED, "system:metering.retire_due")
        since = until - QUIET
        assert (
            data["reason"] == f"No call from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC."
        )
        assert retire_due(now=until + 4 * HOUR) == 0

    @pytest.mark.parametrize("count", ["metered_calls", "refused_calls", "failed_calls"])
    def test_waits_while_somebody_calls(self, going, registered_model, count):
        until = going.ends_at + HOUR
        used(registered_model, "a", until - QUIET, **{count: 1})
        seal(until)
        assert retire_due(now=until + 4 * HOUR) == 0

    def test_sees_calls_that_no_seal_covers_yet(self, going, registered_model):
        seal(going.ends_at)
        used(registered_model, "a", going.ends_at + HOUR, metered_calls=1)
        assert retire_due(now=going.ends_at + 4 * HOUR) == 0

    def test_sees_calls_that_are_in_doubt(self, going, registered_model, other, alice):
        until = going.ends_at + HOUR
        seal(until)
        doubted(other, until - HOUR)
        doubted(registered_model, until - QUIET - HOUR)
        mine = doubted(registered_model, until - HOUR)
        assert retire_due(now=until + 4 * HOUR) == 0
        QuarantinedRecord.objects.filter(pk=mine.pk).update(
            status="LEFT_OUT", resolved_at=until, resolved_by=alice, resolution="It was a test."
        )
        assert retire_due(now=until + 4 * HOUR) == 1

    def test_takes_silence_for_nothing_before_its_hours_are_sealed(self, going):
        assert retire_due(now=going.ends_at + 4 * HOUR) == 0
        seal(going.ends_at - HOUR)
        assert retire_due(now=going.ends_at + 4 * HOUR) == 0
        seal(going.ends_at)
        assert retire_due(now=going.ends_at + 4 * HOUR) == 1

    def test_waits_for_the_last_day(self, going):
        seal(going.ends_at)
        assert retire_due(now=going.ends_at - timedelta(seconds=1)) == 0


class TestGrants:
    @pytest.fixture
    def grants(self, registered_model, other, alice, charlie):
        return [
            access.approve_request(
                request=access.submit_request(model=model, wish=WISH, requester=charlie, now=NOW),
                approver=alice, reason="Fits.", now=NOW,
            )
            for model in (registered_model, other)
        ]  # fmt: skip

    def test_end_with_their_model(self, grants, going, registered_model, alice, enqueued):
        seal(going.ends_at)
        with enqueued() as sent:
            retire_due(now=going.ends_at + HOUR)
            at = NOW + timedelta(hours=1)  # while both are still in force
            assert end_grants_of_retired(now=at) == 1
        gone, stays = (Grant.objects.get(pk=grant.pk) for grant in grants)
        assert (gone.revoked_at, gone.revoked_by, stays.revoked_at) == (at, alice, None)
        assert trail(gone)[-1] == (
            Action.GRANT_REVOKED,
            "system:access.end_grants_of_retired",
            {"reason": "prior-auth-extract is retired."},
        )
        assert ("gateway.publish_policy", {"model_id": registered_model.pk}) in sent
        assert end_grants_of_retired(now=at) == 0

    def test_are_not_asked_for_past_the_last_day(self, going, registered_model, charlie):
        with pytest.raises(access.CannotRequest, match="goes on 12 Dec 2026") as refused:
            access.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)
        assert set(refused.value.problems) == {"expires_date"}

    def test_are_not_given_once_it_is_gone(self, registered_model, alice, charlie):
        asked = access.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)
        made = actions.announce_retirement(
            model=registered_model, last_day=LAST_DAY, successor=None, note="Call another one.",
            callers=[], actor=alice, now=NOW,
        )  # fmt: skip
        actions.override_retirement(
            retirement=made, reason="Gone.", callers=[], actor=alice, now=made.ends_at
        )
        with pytest.raises(access.CannotRequest, match="is retired"):
            access.approve_request(request=asked, approver=alice, reason="Fits.", now=NOW)
        assert not Grant.objects.exists()


class TestTell:
    @pytest.fixture
    def developer(self, db):
        team = TeamFactory(slug="calls-it")
        return UserFactory(team=team, with_roles=[Role.DEVELOPER])

    @pytest.fixture
    def quiet(self, db):
        return UserFactory(team=TeamFactory(slug="never-calls"), with_roles=[Role.DEVELOPER])

    def titles(self, person):
        return list(Notice.objects.of(person).order_by("told_at").values_list("title", flat=True))

    def test_tells_who_calls_it_and_again_as_the_day_comes(
        self, going, registered_model, developer, quiet
    ):
        used(registered_model, "calls-it", NOW - HOUR, metered_calls=1)
        assert [tell(now=NOW), tell(now=NOW + HOUR)] == [1, 0]
        assert self.titles(developer) == ["prior-auth-extract retires on 12 Dec 2026"]
        used(registered_model, "calls-it", going.ends_at - 8 * DAY, metered_calls=1)
        told = [tell(now=going.ends_at - days * DAY) for days in (30, 7, 1)]
        assert told == [1, 1, 1]
        assert self.titles(quiet) == []

    def test_tells_owners_of_what_should_be_gone_and_is_called(
        self, going, registered_model, developer, alice
    ):
        used(registered_model, "calls-it", going.ends_at - HOUR, metered_calls=1)
        tell(now=going.ends_at)
        assert self.titles(alice) == [
            "prior-auth-extract was to go on 12 Dec 2026, and is still called"
        ]
        notice = Notice.objects.of(alice).get()
        assert (notice.is_urgent, notice.path) == (
            True,
            "/catalog/prior-auth-extract/retirement/",
        )
        tell(now=going.ends_at + QUIET)
        assert not Notice.objects.of(alice).unread().exists(), "its newest call is a week old"
        actions.withdraw_retirement(
            retirement=going, reason="Needed.", actor=alice, now=going.ends_at
        )
        tell(now=going.ends_at + HOUR)
        assert not Notice.objects.unread().exists()
