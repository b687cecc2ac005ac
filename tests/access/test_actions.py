"""Asking, deciding and ending: works, not permitted, wrong state, twice, at once."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.access import actions
from apps.access.models import AccessRequest, Grant
from apps.audit.models import AuditEvent
from apps.common.errors import NotPermitted
from tests.factories import NOW

WISH = actions.Wish(
    purpose="Read codes from prior-authorization packets.",
    data_class="PHI",
    tokens_per_minute=5000,
    monthly_budget_usd=Decimal("100.00"),
    expires_date=date(2026, 12, 31),
)


@pytest.fixture
def request_(registered_model, charlie):
    return actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)


def actions_recorded():
    return sorted(AuditEvent.objects.values_list("action", flat=True))


class TestSubmitRequest:
    def test_waits_for_the_owner(self, request_, charlie):
        assert (request_.status, request_.team) == (AccessRequest.Status.PENDING, charlie.team)
        assert actions_recorded() == ["access.requested"]

    def test_refuses_a_person_who_leads_no_team(self, registered_model, carol):
        with pytest.raises(NotPermitted):
            actions.submit_request(model=registered_model, wish=WISH, requester=carol, now=NOW)

    def test_refuses_a_second_one_while_the_first_waits(self, request_, registered_model, charlie):
        with pytest.raises(actions.CannotRequest, match="waits"):
            actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)

    @pytest.mark.parametrize(
        "change",
        [
            {"tokens_per_minute": 0},
            {"monthly_budget_usd": Decimal(0)},
            {"expires_date": NOW.date()},
            {"expires_date": (NOW + timedelta(days=400)).date()},
        ],
    )
    def test_refuses_what_is_out_of_bounds(self, registered_model, charlie, change):
        with pytest.raises(actions.CannotRequest):
            actions.submit_request(
                model=registered_model, wish=replace(WISH, **change), requester=charlie, now=NOW
            )

    def test_refuses_more_sensitive_data_than_the_model_may_see(self, registered_model, charlie):
        registered_model.data_class = "INTERNAL"
        with pytest.raises(actions.CannotRequest, match="internal"):
            actions.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)


class TestApproveRequest:
    def test_creates_a_grant(self, request_, alice, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks() as asked:
            grant = actions.approve_request(
                request=request_, approver=alice, reason="Fits.", now=NOW
            )
        assert list(Grant.objects.active(NOW)) == [grant]
        assert actions_recorded() == ["access.approved", "access.requested", "grant.created"]
        assert len(asked) == 1

    def test_refuses_a_stranger(self, request_, carol):
        with pytest.raises(NotPermitted):
            actions.approve_request(request=request_, approver=carol, reason="Fits.", now=NOW)

    def test_refuses_the_requester_even_when_they_own_the_model(self, registered_model, alice):
        own = actions.submit_request(model=registered_model, wish=WISH, requester=alice, now=NOW)
        with pytest.raises(NotPermitted, match="own request"):
            actions.approve_request(request=own, approver=alice, reason="Fits.", now=NOW)
        assert not Grant.objects.exists()

    def test_a_second_decision_is_refused(self, request_, alice, bob):
        actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        with pytest.raises(actions.AlreadyDecided, match="approved"):
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

    def test_refuses_the_team_itself(self, request_, alice, charlie):
        grant = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        with pytest.raises(NotPermitted):
            actions.revoke_grant(grant=grant, actor=charlie, reason="Oops.", now=NOW)


class TestWithdrawRequest:
    def test_is_for_the_person_who_asked(self, request_, charlie, alice):
        with pytest.raises(NotPermitted):
            actions.withdraw_request(request=request_, actor=alice, now=NOW)
        actions.withdraw_request(request=request_, actor=charlie, now=NOW)
        assert request_.status == AccessRequest.Status.WITHDRAWN
