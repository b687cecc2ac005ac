"""Retiring models: who may, what the day and the successor must be, and what the record keeps."""

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.catalog.retirement import actions, words
from apps.catalog.retirement.models import Retirement, is_retired, standing
from apps.common.errors import NotPermitted
from apps.common.sign_ins import FreshSignInNeeded
from tests.database import as_owner
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.trail import AuditAway, trail

LAST_DAY = date(2026, 12, 31)
AFTER = NOW + timedelta(days=70)
CALLERS = [{"team": "claims-review", "answered": 7, "others": 1, "last_at": "2026-11-02T08:00"}]
NOTE = "Move to the new model; the answers have the same fields."


def announce(model, actor, **more):
    said = {
        "last_day": LAST_DAY, "successor": None, "note": NOTE, "callers": CALLERS, "now": NOW,
    } | more  # fmt: skip
    return actions.announce_retirement(model=model, actor=actor, **said)


@pytest.fixture
def successor(alice):
    return RegisteredModelFactory(name="prior-auth-two", owner_team=alice.team)


@pytest.fixture
def other(alice):
    """Another model of the same owners, which nothing here may touch."""
    return RegisteredModelFactory(name="summary", owner_team=alice.team)


class TestAnnounceRetirement:
    def test_keeps_what_was_said_and_seen(self, registered_model, other, successor, alice):
        announce(other, alice, last_day=date(2027, 3, 1))
        made = announce(registered_model, alice, successor=successor)
        assert (made.status, made.last_day, made.successor) == ("ANNOUNCED", LAST_DAY, successor)
        assert made.callers == CALLERS
        assert trail(registered_model) == [
            (
                Action.MODEL_DEPRECATED,
                "alice",
                {
                    "last_day": "2026-12-31",
                    "successor": "prior-auth-two",
                    "note": NOTE,
                    "callers": CALLERS,
                },
            )
        ]
        assert standing([registered_model.pk, successor.pk]) == {registered_model.pk: made}

    @pytest.mark.parametrize("role", [r for r in Role if r != Role.MODEL_OWNER])
    def test_is_for_the_models_owners(self, registered_model, alice, role):
        stranger = UserFactory(team=alice.team, with_roles=[role])
        with pytest.raises(NotPermitted):
            announce(registered_model, stranger)
        assert not Retirement.objects.exists()

    @pytest.mark.parametrize("day", [NOW.date(), NOW.date() - timedelta(1), date(2028, 12, 1)])
    def test_takes_a_day_that_leaves_time(self, registered_model, alice, day):
        with pytest.raises(actions.CannotRetire, match=r"from 3 Nov 2026 to 2 Nov 2028"):
            announce(registered_model, alice, last_day=day)

    def test_names_no_successor_that_goes_itself(self, registered_model, successor, alice):
        announce(successor, alice)
        with pytest.raises(actions.CannotRetire, match="prior-auth-two goes itself"):
            announce(registered_model, alice, successor=successor)
        with pytest.raises(actions.CannotRetire, match="not its own successor"):
            announce(registered_model, alice, successor=registered_model)

    def test_happens_once(self, registered_model, alice, bob):
        announce(registered_model, alice)
        with pytest.raises(actions.CannotRetire, match="announced already"):
            announce(registered_model, bob)

    def test_can_be_said_again_after_it_was_taken_back(self, registered_model, alice):
        first = announce(registered_model, alice)
        actions.withdraw_retirement(retirement=first, reason="Needed.", actor=alice, now=NOW)
        second = announce(registered_model, alice)
        assert standing([registered_model.pk]) == {registered_model.pk: second}

    def test_says_nothing_without_the_record(self, registered_model, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway), transaction.atomic():
            announce(registered_model, alice)
        assert not Retirement.objects.exists()


class TestChangeRetirement:
    def test_moves_the_day_and_keeps_both(self, registered_model, other, alice, successor):
        still = announce(other, alice)
        made = announce(registered_model, alice)
        later = date(2027, 1, 31)
        actions.change_retirement(
            retirement=made, last_day=later, successor=successor, note=NOTE, actor=alice, now=NOW
        )
        still.refresh_from_db()
        assert (made.last_day, still.last_day) == (later, LAST_DAY)
        action, actor, data = trail(registered_model)[-1]
        assert (action, actor) == (Action.MODEL_DEPRECATION_CHANGED, "alice")
        assert data["before"] == {"last_day": "2026-12-31", "successor": None, "note": NOTE}
        assert data["after"]["successor"] == "prior-auth-two"

    def test_is_no_longer_possible_once_it_ended(self, registered_model, alice):
        made = announce(registered_model, alice)
        actions.withdraw_retirement(retirement=made, reason="Needed.", actor=alice, now=NOW)
        with pytest.raises(actions.CannotRetire, match="not about to be retired"):
            actions.change_retirement(
                retirement=made, last_day=LAST_DAY, successor=None, note=NOTE, actor=alice, now=NOW
            )


class TestOverrideRetirement:
    def override(self, made, actor, now=AFTER):
        return actions.override_retirement(
            retirement=made, reason="Its license ends.", callers=CALLERS, actor=actor, now=now
        )

    def test_retires_what_is_still_called(self, registered_model, other, alice, enqueued):
        still, made = announce(other, alice), announce(registered_model, alice)
        with enqueued() as sent:
            self.override(made, alice)
        still.refresh_from_db()
        assert (made.status, still.status) == ("RETIRED", "ANNOUNCED")
        assert (made.ended_by, made.ended_at, made.callers_at_end) == (alice, AFTER, CALLERS)
        assert is_retired(registered_model.pk) and not is_retired(other.pk)
        assert sent == [
            ("access.end_grants_of_retired", {}),
            ("promotions.stop_retired", {}),
        ]
        assert trail(registered_model)[-1] == (
            Action.MODEL_RETIRED,
            "alice",
            {"reason": "Its license ends.", "callers": CALLERS},
        )

    def test_waits_for_the_last_day_to_be_over(self, registered_model, alice):
        made = announce(registered_model, alice)
        with pytest.raises(actions.CannotRetire, match="until the end of 31 Dec 2026"):
            self.override(made, alice, now=made.ends_at - timedelta(seconds=1))
        self.override(made, alice, now=made.ends_at)

    def test_goes_by_the_day_as_it_was_moved_meanwhile(self, registered_model, alice, bob):
        made = announce(registered_model, alice)
        actions.change_retirement(
            retirement=Retirement.objects.get(pk=made.pk), last_day=AFTER.date(), successor=None,
            note=NOTE, actor=bob, now=NOW,
        )  # fmt: skip
        with pytest.raises(actions.CannotRetire, match="until the end of 11 Jan 2027"):
            self.override(made, alice)
        with pytest.raises(actions.CannotRetire, match="Move the day"):
            actions.carry_out(retirement=made, since=NOW, until=AFTER, now=AFTER)
        assert not is_retired(registered_model.pk)

    def test_is_for_the_models_owners(self, registered_model, alice, charlie):
        made = announce(registered_model, alice)
        with pytest.raises(NotPermitted):
            self.override(made, charlie)

    @pytest.mark.usefixtures("stale_by_default")
    def test_wants_a_fresh_sign_in(self, registered_model, alice):
        made = announce(registered_model, alice)
        with pytest.raises(FreshSignInNeeded):
            self.override(made, alice)

    def test_happens_once(self, registered_model, alice, bob):
        made = announce(registered_model, alice)
        self.override(made, alice)
        with pytest.raises(actions.CannotRetire, match="not about to be retired: retired"):
            self.override(Retirement.objects.get(pk=made.pk), bob)


class TestDatabase:
    def test_lets_no_ended_retirement_change(self, registered_model, alice):
        made = announce(registered_model, alice)
        actions.withdraw_retirement(retirement=made, reason="Needed.", actor=alice, now=NOW)
        mine = Retirement.objects.filter(pk=made.pk)
        with as_owner():
            for change in (
                lambda: mine.update(status="ANNOUNCED", ended_at=None, ended_by=None),
                lambda: mine.update(end_reason="Another one."),
                lambda: mine._raw_delete(mine.db),
            ):
                with pytest.raises(IntegrityError), transaction.atomic():
                    change()


class TestWords:
    def test_say_what_a_caller_has_to_know(self, registered_model, successor, alice):
        made = announce(registered_model, alice, successor=successor)
        instead = " Call prior-auth-two instead."
        assert words.sentence(made, NOW) == (
            f"prior-auth-extract may be called until the end of 31 Dec 2026, UTC.{instead}"
        )
        assert words.sentence(made, AFTER) == (
            "prior-auth-extract was to be called until 31 Dec 2026, and is retired once nobody "
            f"calls it.{instead}"
        )
        assert words.badge(made).words == "Retires 31 Dec 2026"
        actions.override_retirement(
            retirement=made, reason="Gone.", callers=[], actor=alice, now=AFTER
        )
        assert words.sentence(made, AFTER) == (
            f"prior-auth-extract was retired on 11 Jan 2027.{instead}"
        )
        assert words.badge(made).words == "Retired"

    def test_name_what_stays_where_the_successor_is_gone_too(
        self, registered_model, successor, other, alice
    ):
        made = announce(registered_model, alice, successor=successor)
        second = announce(successor, alice, successor=other)
        assert words.instead(made) == " Call prior-auth-two instead."  # it may be called still
        actions.override_retirement(
            retirement=second, reason="Gone.", callers=[], actor=alice, now=AFTER
        )
        assert words.instead(made) == " Call summary instead."
        last = announce(other, alice)
        actions.override_retirement(
            retirement=last, reason="Gone.", callers=[], actor=alice, now=AFTER
        )
        assert words.instead(made) == ""
