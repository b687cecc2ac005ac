"""Asking, deciding and ending: works, not permitted, wrong state, twice, at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.access import actions, wishes
from apps.access.models import AccessRequest, Grant
from apps.access.work import Use
from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory
from tests.trail import AuditAway, trail

WISH = wishes.Wish(
    purpose="Read codes from prior-authorization packets.",
    data_class="PHI",
    tokens_per_minute=5000,
    monthly_budget_usd=Decimal("100.00"),
    expires_date=date(2026, 12, 31),
)

UNUSED = Use(NOW, NOW, 0, 0, 0, 0, 0, 0, Decimal(0), "")


@pytest.fixture
def request_(registered_model, charlie):
    return actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)


@pytest.fixture
def waiting(request_, registered_model, alice):
    """Another team's request for the same model, and the same team's for another model."""
    lead = UserFactory(team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD])
    other = RegisteredModelFactory(owner_team=alice.team)
    return [
        actions.submit_request(model=registered_model, wish=WISH, requester=lead, now=NOW),
        actions.submit_request(model=other, wish=WISH, requester=request_.requested_by, now=NOW),
    ]


def granted(request, alice, now=NOW):
    return actions.approve_request(request=request, approver=alice, reason="Fits.", now=now)


def statuses(requests):
    return {AccessRequest.objects.get(pk=request.pk).status for request in requests}


def actions_recorded():
    return sorted(AuditEvent.objects.values_list("action", flat=True))


class TestSubmitRequest:
    def test_waits_for_the_owner(self, request_, charlie):
        assert (request_.status, request_.team) == (AccessRequest.Status.PENDING, charlie.team)
        wished = {name: getattr(request_, name) for name in vars(WISH)}
        assert (wished, request_.requested_by, request_.requested_at) == (vars(WISH), charlie, NOW)
        facts = {
            "tokens_per_minute": 5000,
            "service_class": "INTERACTIVE",
            "calls_at_once": None,
            "monthly_budget_usd": "100.00",
            "data_class": "PHI",
            "expires_date": "2026-12-31",
        }
        assert trail(request_) == [(Action.ACCESS_REQUESTED, "charlie", facts)]

    def test_is_hindered_by_no_other_teams_and_no_other_models_grant(
        self, waiting, registered_model, charlie, alice
    ):
        actions.withdraw_request(
            request=AccessRequest.objects.get(registered_model=registered_model, team=charlie.team),
            actor=charlie,
            now=NOW,
        )
        for request in waiting:
            granted(request, alice)
        assert actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)

    def test_says_until_when_the_team_has_the_model_already(
        self, request_, registered_model, charlie, alice
    ):
        granted(request_, alice)
        with pytest.raises(
            actions.CannotRequest,
            match="already has prior-auth-extract, until the end of 31 Dec 2026, UTC",
        ):
            actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)

    def test_is_for_a_person_with_a_team_who_leads_it_or_owns_models(self, registered_model, bob):
        lonely = UserFactory(team=None, with_roles=[Role.TEAM_LEAD])
        with pytest.raises(actions.CannotRequest, match="names no team"):
            actions.submit_request(model=registered_model, wish=WISH, requester=lonely, now=NOW)
        assert actions.submit_request(model=registered_model, wish=WISH, requester=bob, now=NOW)

    @pytest.mark.parametrize(
        "change",
        [
            {"tokens_per_minute": 1},
            {"tokens_per_minute": 10_000_000},
            {"monthly_budget_usd": Decimal("0.01")},
            {"expires_date": (NOW + timedelta(days=1)).date()},
            {"expires_date": (NOW + timedelta(days=366)).date()},
            {"data_class": "INTERNAL"},
            {"data_class": "PUBLIC"},
        ],
    )
    def test_takes_what_is_just_within_bounds(self, registered_model, charlie, change):
        assert actions.submit_request(
            model=registered_model, wish=replace(WISH, **change), requester=charlie, now=NOW
        )

    def test_asks_for_nothing_that_it_cannot_record(self, registered_model, charlie, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)
        assert not AccessRequest.objects.exists()

    def test_refuses_a_person_who_leads_no_team(self, registered_model, carol):
        with pytest.raises(NotPermitted):
            actions.submit_request(model=registered_model, wish=WISH, requester=carol, now=NOW)

    def test_refuses_a_second_one_while_the_first_waits(self, request_, registered_model, charlie):
        with pytest.raises(actions.CannotRequest, match="is already waiting"):
            actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)

    @pytest.mark.parametrize(
        "change",
        [
            {"tokens_per_minute": 0},
            {"monthly_budget_usd": Decimal(0)},
            {"expires_date": NOW.date()},
            {"expires_date": (NOW - timedelta(days=1)).date()},
            {"purpose": " too short "},
            {"monthly_budget_usd": Decimal("10.001")},
            {"tokens_per_minute": 10_000_001},
            {"monthly_budget_usd": Decimal("-1")},
            {"expires_date": (NOW + timedelta(days=367)).date()},
        ],
    )
    def test_refuses_what_is_out_of_bounds(self, registered_model, charlie, change):
        with pytest.raises(actions.CannotRequest):
            actions.submit_request(
                model=registered_model, wish=replace(WISH, **change), requester=charlie, now=NOW
            )

    def test_says_everything_that_is_wrong_at_once(self, registered_model, charlie):
        wish = replace(WISH, tokens_per_minute=0, expires_date=date(2026, 10, 31))
        with pytest.raises(actions.CannotRequest) as refused:
            actions.submit_request(model=registered_model, wish=wish, requester=charlie, now=NOW)
        assert refused.value.problems == {
            "tokens_per_minute": "Ask for 1 to 10,000,000 tokens per minute.",
            "expires_date": "31 Oct 2026 has passed. Access must end after today.",
        }
        assert all(words in str(refused.value) for words in refused.value.problems.values())

    def test_refuses_more_sensitive_data_than_the_model_may_see(self, registered_model, charlie):
        for highest, asked in (("INTERNAL", "PHI"), ("PUBLIC", "INTERNAL")):
            registered_model.data_class = highest
            wish = replace(WISH, data_class=asked)
            with pytest.raises(actions.CannotRequest, match=highest.lower()):
                actions.submit_request(
                    model=registered_model, wish=wish, requester=charlie, now=NOW
                )


class TestApproveRequest:
    def test_creates_a_grant_of_what_was_asked_and_decides_no_other(
        self, request_, waiting, alice, enqueued
    ):
        with enqueued() as asked:
            grant = granted(request_, alice)
        assert list(Grant.objects.active(NOW)) == [grant]
        assert (grant.registered_model, grant.team) == (request_.registered_model, request_.team)
        assert grant.tokens_per_minute == 5000
        assert (grant.active_from, grant.active_to) == (NOW, datetime(2027, 1, 1, tzinfo=UTC))
        assert (request_.status, request_.decided_by, request_.decided_at) == (
            AccessRequest.Status.APPROVED,
            alice,
            NOW,
        )
        assert request_.decision_reason == "Fits."
        assert statuses(waiting) == {"PENDING"}
        assert trail(request_)[1:] == [(Action.ACCESS_APPROVED, "alice", {"reason": "Fits."})]
        assert trail(grant) == [(Action.GRANT_CREATED, "alice", {"request": str(request_.pk)})]
        assert asked == [("gateway.publish_policy", {"model_id": request_.registered_model_id})]

    def test_refuses_what_would_end_before_it_begins(self, request_, alice):
        end = datetime(2027, 1, 1, tzinfo=UTC)
        with pytest.raises(actions.CannotRequest, match="has passed"):
            granted(request_, alice, now=end)
        request_.refresh_from_db()
        assert request_.status == "PENDING"
        assert granted(request_, alice, now=end - timedelta(seconds=1))

    def test_grants_nothing_that_it_cannot_record(self, request_, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            granted(request_, alice)
        assert (statuses([request_]), Grant.objects.count()) == ({"PENDING"}, 0)

    def test_refuses_a_stranger(self, request_, carol):
        with pytest.raises(NotPermitted):
            actions.approve_request(request=request_, approver=carol, reason="Fits.", now=NOW)

    def test_refuses_the_requester_even_when_they_own_the_model(self, registered_model, alice):
        own = actions.submit_request(model=registered_model, wish=WISH, requester=alice, now=NOW)
        with pytest.raises(NotOnesOwn, match="own request"):
            actions.approve_request(request=own, approver=alice, reason="Fits.", now=NOW)
        assert not Grant.objects.exists()

    def test_a_second_decision_is_refused(self, request_, alice, bob):
        actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        with pytest.raises(AlreadyDecided, match="approved"):
            actions.reject_request(request=request_, approver=bob, reason="No.", now=NOW)
        assert Grant.objects.count() == 1

    def test_the_database_refuses_self_decision_by_any_other_door(self, request_, charlie):
        with pytest.raises(IntegrityError, match="not_decided_by_requester"), transaction.atomic():
            AccessRequest.objects.update(status="APPROVED", decided_by=charlie, decided_at=NOW)

    def test_says_when_the_team_has_a_grant_already(self, request_, alice):
        grant = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        other = AccessRequest.objects.create(
            registered_model=grant.registered_model,
            team=grant.team,
            requested_by=request_.requested_by,
            requested_at=NOW,
            purpose="Again.",
            data_class="PHI",
            tokens_per_minute=1,
            monthly_budget_usd=1,
            expires_date=WISH.expires_date,
        )
        with pytest.raises(actions.CannotRequest, match="already"):
            actions.approve_request(request=other, approver=alice, reason="Again.", now=NOW)
        assert statuses([other]) == {"PENDING"}


class TestRenewal:
    """A request that renews a grant: the new one takes the old one's place in one step."""

    LATER = NOW + timedelta(days=20)

    def renewal(self, grant, by, **changes):
        wish = replace(WISH, expires_date=date(2027, 6, 30), tokens_per_minute=7000, **changes)
        return actions.submit_request(
            model=grant.registered_model, wish=wish, requester=by, now=self.LATER, renews=grant
        )

    def test_replaces_its_grant_and_no_other(self, request_, waiting, charlie, alice, enqueued):
        old = granted(request_, alice)
        others = [granted(request, alice) for request in waiting]
        request = self.renewal(old, charlie)
        assert request.renews == old
        assert trail(request)[0][2]["renews"] == str(old.pk)
        assert Grant.objects.get(pk=old.pk).is_active(self.LATER), "asking ends nothing"
        with enqueued() as asked:
            new = granted(request, alice, now=self.LATER)
        old.refresh_from_db()
        assert (old.revoked_at, old.revoked_by, old.revoke_reason) == (
            self.LATER,
            alice,
            "Replaced by its renewal.",
        )
        assert (new.active_from, new.last_day, new.tokens_per_minute) == (
            self.LATER,
            date(2027, 6, 30),
            7000,
        )
        assert set(Grant.objects.active(self.LATER)) == {new, *others}
        replaced = {"reason": "Replaced by its renewal.", "request": str(request.pk)}
        assert trail(old)[1:] == [(Action.GRANT_REVOKED, "alice", replaced)]
        made = {"request": str(request.pk), "replaces": str(old.pk)}
        assert trail(new) == [(Action.GRANT_CREATED, "alice", made)]
        assert asked == [("gateway.publish_policy", {"model_id": new.registered_model_id})]

    def test_as_it_is_keeps_the_class_and_the_cap(self, request_, waiting, charlie, alice):
        plain, other = granted(request_, alice), granted(waiting[0], alice)
        terms = [(each.service_class, each.calls_at_once) for each in (plain, other)]
        assert terms == [("INTERACTIVE", None)] * 2
        asked = self.renewal(plain, charlie, service_class="BATCH", calls_at_once=8)
        facts = trail(asked)[0][2]
        assert (facts["service_class"], facts["calls_at_once"]) == ("BATCH", 8)
        batch = granted(asked, alice, now=self.LATER)
        assert (batch.service_class, batch.calls_at_once) == ("BATCH", 8)
        again = actions.renew_grant(
            grant=batch,
            monthly_budget_usd=Decimal(100),
            requester=charlie,
            now=self.LATER + timedelta(days=1),
            expected=None,
            use=UNUSED,
        )
        assert (again.service_class, again.calls_at_once) == ("BATCH", 8)
        assert (again.tokens_per_minute, again.renews) == (7000, batch)
        other.refresh_from_db()
        assert (other.service_class, other.calls_at_once) == ("INTERACTIVE", None)

    def test_of_a_grant_that_ended_meanwhile_makes_a_new_one(self, request_, charlie, alice):
        old = granted(request_, alice)
        request = self.renewal(old, charlie)
        after = old.active_to + timedelta(days=1)
        new = granted(request, alice, now=after)
        old.refresh_from_db()
        assert (old.revoked_at, list(Grant.objects.active(after))) == (None, [new])
        assert trail(new)[0][2] == {"request": str(request.pk)}

    def test_that_is_rejected_leaves_the_grant(self, request_, charlie, alice):
        old = granted(request_, alice)
        actions.reject_request(
            request=self.renewal(old, charlie), approver=alice, reason="No.", now=self.LATER
        )
        assert list(Grant.objects.active(self.LATER)) == [old]

    def test_is_of_the_teams_own_grant_of_this_model(self, request_, waiting, charlie, alice):
        for request in waiting:
            grant = granted(request, alice)
            with pytest.raises(actions.CannotRequest, match="cannot be renewed"):
                actions.submit_request(
                    model=request_.registered_model,
                    wish=WISH,
                    requester=charlie,
                    now=NOW,
                    renews=grant,
                )

    def test_is_refused_while_another_grant_is_in_force(self, request_, charlie, alice):
        old = granted(request_, alice)
        actions.revoke_grant(grant=old, actor=alice, reason="No more.", now=NOW + timedelta(days=1))
        again = actions.submit_request(
            model=old.registered_model, wish=WISH, requester=charlie, now=NOW + timedelta(days=1)
        )
        granted(again, alice, now=NOW + timedelta(days=2))
        with pytest.raises(actions.CannotRequest, match="already"):
            self.renewal(old, charlie)

    def test_is_for_those_who_ask_for_the_team(self, request_, charlie, alice, carol):
        old = granted(request_, alice)
        assert list(Grant.objects.renewable_by(charlie)) == [old]
        assert [*Grant.objects.renewable_by(alice), *Grant.objects.renewable_by(carol)] == []
        actions.revoke_grant(grant=old, actor=alice, reason="No more.", now=NOW)
        assert not Grant.objects.renewable_by(charlie)


class TestRejectRequest:
    def test_says_why_and_decides_no_other(self, request_, waiting, bob, enqueued):
        with enqueued() as asked:
            actions.reject_request(request=request_, approver=bob, reason="Too much.", now=NOW)
        assert (request_.status, request_.decided_by, request_.decided_at) == (
            AccessRequest.Status.REJECTED,
            bob,
            NOW,
        )
        assert request_.decision_reason == "Too much."
        assert trail(request_)[1:] == [(Action.ACCESS_REJECTED, "bob", {"reason": "Too much."})]
        assert (statuses(waiting), Grant.objects.count(), asked) == ({"PENDING"}, 0, [])

    def test_refuses_a_stranger_and_the_person_who_asked(self, registered_model, request_, alice):
        own = actions.submit_request(model=registered_model, wish=WISH, requester=alice, now=NOW)
        for request, person in ((own, alice), (request_, request_.requested_by)):
            with pytest.raises(NotPermitted):
                actions.reject_request(request=request, approver=person, reason="No.", now=NOW)

    def test_shows_how_it_was_decided_meanwhile(self, request_, alice, bob):
        seen = AccessRequest.objects.get(pk=request_.pk)
        granted(request_, alice)
        with pytest.raises(AlreadyDecided, match="is approved already"):
            actions.reject_request(request=seen, approver=bob, reason="No.", now=NOW)
        assert seen.status == "APPROVED"

    def test_rejects_nothing_that_it_cannot_record(self, request_, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.reject_request(request=request_, approver=alice, reason="No.", now=NOW)
        assert statuses([request_]) == {"PENDING"}


class TestToDecide:
    def test_is_for_owners_of_the_model_but_never_their_own(
        self, request_, waiting, alice, bob, carol, charlie
    ):
        own = actions.submit_request(
            model=request_.registered_model, wish=WISH, requester=alice, now=NOW
        )
        elsewhere = actions.submit_request(
            model=RegisteredModelFactory(), wish=WISH, requester=charlie, now=NOW
        )
        assert set(AccessRequest.objects.to_decide(bob)) == {request_, *waiting, own}
        assert set(AccessRequest.objects.to_decide(alice)) == {request_, *waiting}
        for person in (carol, charlie, UserFactory(with_roles=[Role.PLATFORM_ENGINEER])):
            assert not AccessRequest.objects.to_decide(person).exists()
        granted(request_, bob)
        assert set(AccessRequest.objects.to_decide(bob)) == {*waiting, own}
        assert elsewhere.status == "PENDING"


class TestRevokeGrant:
    def test_ends_it_and_frees_the_way_for_a_new_one(
        self, request_, registered_model, alice, charlie
    ):
        grant = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        later = NOW + timedelta(hours=1)
        actions.revoke_grant(grant=grant, actor=alice, reason="Left the program.", now=later)
        assert not Grant.objects.active(later).exists()
        again = actions.submit_request(
            model=registered_model, wish=WISH, requester=charlie, now=later
        )
        actions.approve_request(request=again, approver=alice, reason="Back.", now=later)
        assert Grant.objects.active(later).count() == 1

    def test_refuses_a_second_time(self, request_, alice):
        grant = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        actions.revoke_grant(grant=grant, actor=alice, reason="Once.", now=NOW + timedelta(hours=1))
        with pytest.raises(actions.AlreadyEnded):
            actions.revoke_grant(
                grant=grant, actor=alice, reason="Twice.", now=NOW + timedelta(hours=2)
            )

    def test_says_why_wakes_the_gateway_and_ends_no_other(self, request_, waiting, alice, enqueued):
        grant, *others = (granted(request, alice) for request in (request_, *waiting))
        with enqueued() as asked:
            actions.revoke_grant(grant=grant, actor=alice, reason="Left.", now=NOW)
        assert (grant.revoked_at, grant.revoked_by, grant.revoke_reason) == (NOW, alice, "Left.")
        assert trail(grant)[1:] == [(Action.GRANT_REVOKED, "alice", {"reason": "Left."})]
        assert asked == [("gateway.publish_policy", {"model_id": request_.registered_model_id})]
        assert set(Grant.objects.active(NOW)) == set(others)

    def test_is_for_owners_and_platform_engineers(self, request_, alice, charlie, carol):
        grant = granted(request_, alice)
        for person in (charlie, carol):
            with pytest.raises(NotPermitted):
                actions.revoke_grant(grant=grant, actor=person, reason="Oops.", now=NOW)
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        assert actions.revoke_grant(grant=grant, actor=engineer, reason="Incident.", now=NOW)

    def test_revokes_nothing_that_it_cannot_record(self, request_, alice, audit_away):
        grant = granted(request_, alice)
        with audit_away(), pytest.raises(AuditAway):
            actions.revoke_grant(grant=grant, actor=alice, reason="Left.", now=NOW)
        assert Grant.objects.active(NOW).get() == grant


class TestWithdrawRequest:
    def test_is_for_the_person_who_asked_and_takes_back_no_other(
        self, request_, waiting, charlie, alice
    ):
        with pytest.raises(NotPermitted):
            actions.withdraw_request(request=request_, actor=alice, now=NOW)
        actions.withdraw_request(request=request_, actor=charlie, now=NOW)
        assert (request_.status, request_.decided_by, request_.decided_at) == (
            AccessRequest.Status.WITHDRAWN,
            charlie,
            NOW,
        )
        assert statuses(waiting) == {"PENDING"}
        assert trail(request_)[1:] == [(Action.ACCESS_WITHDRAWN, "charlie", {})]
        with pytest.raises(AlreadyDecided):
            actions.withdraw_request(request=request_, actor=charlie, now=NOW)

    def test_withdraws_nothing_that_it_cannot_record(self, request_, charlie, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.withdraw_request(request=request_, actor=charlie, now=NOW)
        assert statuses([request_]) == {"PENDING"}
