"""Looking at a grant again: when it is due, who keeps it, and what is kept of that."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from apps.access import actions as access
from apps.access.models import Grant
from apps.access.recertification import actions as recertification
from apps.access.recertification.actions import NotDue, keep_grant
from apps.access.recertification.models import AHEAD, Recertification, to_look_at, with_due
from apps.access.recertification.words import due_words, state_of
from apps.access.work import Use, use_as_data
from apps.accounts.models import Role
from apps.audit.models import Action
from apps.common.decisions import NotOnesOwn
from apps.common.errors import NotPermitted
from apps.common.periods import DAY
from tests.access.test_actions import WISH, granted, request_  # noqa: F401
from tests.factories import NOW, TeamFactory, UserFactory
from tests.trail import AuditAway, trail

PERIOD = 30 * DAY
DUE = NOW + PERIOD
USE = Use(
    since=NOW, until=DUE, metered_calls=7, unmetered_calls=0, refused_calls=0, failed_calls=0,
    input_tokens=700, output_tokens=70, list_cost_usd=Decimal("0.01"), unpriced="",
)  # fmt: skip


@pytest.fixture
def grant(request_, alice):  # noqa: F811
    return granted(request_, alice)


@pytest.fixture
def other(registered_model, alice):
    """Another team's grant of the model, which began ten days later."""
    lead = UserFactory(team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD])
    began = NOW + 10 * DAY
    asked = access.submit_request(model=registered_model, wish=WISH, requester=lead, now=began)
    return granted(asked, alice, now=began)


def keep(grant, owner, now=DUE, reason="Still read every day."):
    return keep_grant(grant=grant, owner=owner, reason=reason, period=PERIOD, use=USE, now=now)


def due(at):
    return list(to_look_at(Grant.objects.all(), PERIOD, at))


class TestToLookAt:
    def test_is_what_began_a_period_ago_or_will_have_soon(self, grant, other):
        soon = DUE - AHEAD
        assert due(soon - timedelta(seconds=1)) == []
        assert due(soon) == [grant]
        assert due(DUE + 10 * DAY) == [grant, other]
        (first, second) = with_due(Grant.objects.all(), PERIOD)
        assert [(line.due_at, line.kept_at) for line in (first, second)] == [
            (DUE, None),
            (DUE + 10 * DAY, None),
        ]

    def test_is_nothing_that_ended_or_ends_before(self, grant, other, alice):
        access.revoke_grant(grant=grant, actor=alice, reason="No more.", now=NOW + DAY)
        assert due(DUE + 20 * DAY) == [other]
        assert list(with_due(Grant.objects.all(), 60 * DAY)) == [], "both end on 31 Dec"


class TestKeepGrant:
    def test_is_due_again_a_period_later_and_keeps_what_was_seen(self, grant, other, bob):
        made = keep(grant, bob)
        assert (made.grant, made.decided_by, made.decided_at) == (grant, bob, DUE)
        assert (made.due_at, made.reason) == (DUE, "Still read every day.")
        assert made.requested_by == grant.request.requested_by
        assert made.use == use_as_data(USE)
        assert trail(grant)[-1] == (
            Action.GRANT_KEPT,
            "bob",
            {"reason": made.reason, "due_at": DUE.isoformat(), "use": made.use},
        )
        assert (due(DUE), trail(other)[1:]) == ([other], [])
        found = {line.pk: line for line in with_due(Grant.objects.all(), 20 * DAY)}
        assert (found[grant.pk].due_at, found[grant.pk].kept_at) == (DUE + 20 * DAY, DUE)

    def test_is_refused_before_it_is_due_and_twice(self, grant, alice, bob):
        with pytest.raises(NotDue, match="by 2 Dec 2026, not yet"):
            keep(grant, alice, now=DUE - AHEAD - timedelta(seconds=1))
        keep(grant, alice, now=DUE - AHEAD)
        with pytest.raises(NotDue):
            keep(grant, bob, now=DUE - AHEAD)
        assert Recertification.objects.count() == 1

    def test_is_one_of_two_at_the_same_moment(self, grant, alice, bob, monkeypatch):
        keep(grant, alice)
        stale = SimpleNamespace(first=lambda: SimpleNamespace(due_at=DUE))
        monkeypatch.setattr(recertification, "with_due", lambda *_: stale)
        with pytest.raises(NotDue, match="meanwhile"):
            keep(grant, bob)
        assert Recertification.objects.get().decided_by == alice

    def test_of_what_ends_before_is_no_question(self, grant, alice):
        with pytest.raises(NotDue, match="ends on 31 Dec 2026: its renewal"):
            keep_grant(grant=grant, owner=alice, reason="Yes.", period=60 * DAY, use=USE, now=DUE)

    def test_of_what_has_ended_is_refused(self, grant, alice, bob):
        ended = access.revoke_grant(grant=grant, actor=alice, reason="No more.", now=DUE)
        with pytest.raises(access.AlreadyEnded):
            keep(ended, bob, now=DUE)

    def test_is_for_owners_of_the_model(self, grant, carol, charlie):
        platform = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        stranger = UserFactory(with_roles=[Role.MODEL_OWNER])
        for person in (carol, charlie, platform, stranger):
            with pytest.raises(NotPermitted, match="Only a model owner of ml-platform"):
                keep(grant, person)

    def test_is_for_nobody_who_asked_for_it_with_either_account(self, registered_model, alice, bob):
        own = access.submit_request(model=registered_model, wish=WISH, requester=bob, now=NOW)
        grant = granted(own, alice)
        second = UserFactory(team=bob.team, with_roles=[Role.MODEL_OWNER], person=bob.person)
        for person in (bob, second):
            with pytest.raises(NotOnesOwn, match="another model owner of ml-platform"):
                keep(grant, person)
        assert keep(grant, alice)

    def test_keeps_nothing_that_it_cannot_record(self, grant, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            keep(grant, alice)
        assert not Recertification.objects.exists()


class TestWords:
    def test_say_when_and_whether_it_is_late(self):
        late, soon = DUE + timedelta(seconds=1), DUE - AHEAD
        found = [state_of(DUE, at) for at in (DUE, late, soon, soon - timedelta(seconds=1))]
        assert found == ["OVERDUE", "OVERDUE", "DUE", "LATER"]
        assert due_words(DUE, soon) == "due by 2 Dec 2026"
        assert due_words(DUE, DUE) == "overdue since 2 Dec 2026"
