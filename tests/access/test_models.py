"""Which requests and grants a person may see, and which grants are in force."""

from datetime import timedelta

import pytest

from apps.access import actions
from apps.access.models import AccessRequest, Grant
from apps.accounts.models import Role
from tests.access.test_actions import WISH
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def grants(alice, charlie, registered_model):
    """Charlie's team has Alice's model; a third team has Charlie's; a fourth has a fourth's."""
    third = UserFactory(team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD])
    fourth = UserFactory(team=TeamFactory(slug="other"), with_roles=[Role.MODEL_OWNER])
    fifth = UserFactory(team=TeamFactory(slug="fifth"), with_roles=[Role.TEAM_LEAD])
    lender = UserFactory(team=charlie.team, with_roles=[Role.MODEL_OWNER])
    made = []
    for owner, requester, model in (
        (alice, charlie, registered_model),
        (lender, third, RegisteredModelFactory(owner_team=charlie.team)),
        (fourth, fifth, RegisteredModelFactory(owner_team=fourth.team)),
    ):
        request = actions.submit_request(model=model, wish=WISH, requester=requester, now=NOW)
        made.append(
            actions.approve_request(request=request, approver=owner, reason="Fits.", now=NOW)
        )
    return made


def both(person):
    """The grants and requests a person sees, which are of the same people here."""
    seen = set(Grant.objects.visible_to(person))
    requests = set(AccessRequest.objects.visible_to(person))
    assert requests == {grant.request for grant in seen}
    return seen


class TestVisibleTo:
    def test_is_what_ones_team_asked_for_and_what_it_owns(self, grants, charlie, alice):
        assert both(charlie) == {grants[0], grants[1]}
        assert both(alice) == {grants[0]}

    @pytest.mark.parametrize("role", [Role.PLATFORM_ENGINEER, Role.AUDITOR, Role.FINANCE])
    def test_is_everything_for_those_who_oversee(self, grants, role):
        assert both(UserFactory(team=None, with_roles=[role])) == set(grants)

    def test_is_nothing_for_a_person_without_a_role_or_without_a_team(self, grants, charlie):
        assert both(UserFactory(team=charlie.team)) == set()
        assert both(UserFactory(team=None, with_roles=[Role.TEAM_LEAD])) == set()


class TestActive:
    def test_is_from_the_first_moment_until_before_the_last(self, grants, alice):
        grant = grants[0]
        revoked = grants[1]
        owner = revoked.request.decided_by
        actions.revoke_grant(grant=revoked, actor=owner, reason="Left.", now=NOW)
        for at, active in (
            (NOW - timedelta(microseconds=1), set()),
            (NOW, {grant, grants[2]}),
            (grant.active_to - timedelta(microseconds=1), {grant, grants[2]}),
            (grant.active_to, set()),
        ):
            assert set(Grant.objects.active(at)) == active
            assert {one for one in Grant.objects.all() if one.is_active(at)} == active

    def test_ends_when_it_was_to_or_when_somebody_ended_it(self, grants, alice):
        kept, _, ended = grants
        owner, at = ended.request.decided_by, NOW + timedelta(hours=3)
        actions.revoke_grant(grant=ended, actor=owner, reason="Left.", now=at)
        kept.refresh_from_db()
        assert (kept.ended_at, ended.ended_at) == (kept.active_to, at)
        assert ended.active_to == kept.active_to > at


class TestPending:
    def test_is_what_waits_for_its_owner(self, grants, registered_model):
        lead = UserFactory(with_roles=[Role.TEAM_LEAD])
        waiting = actions.submit_request(model=registered_model, wish=WISH, requester=lead, now=NOW)
        assert list(AccessRequest.objects.pending()) == [waiting]


class TestToDecide:
    def test_is_what_waits_for_an_owner_of_the_model(self, grants, registered_model, alice, bob):
        other = RegisteredModelFactory(owner_team=TeamFactory(slug="elsewhere"))
        lead = UserFactory(with_roles=[Role.TEAM_LEAD])
        waiting = [
            actions.submit_request(model=model, wish=WISH, requester=lead, now=NOW)
            for model in (registered_model, other)
        ]
        own = actions.submit_request(
            model=RegisteredModelFactory(owner_team=alice.team), wish=WISH, requester=bob, now=NOW
        )
        assert set(AccessRequest.objects.to_decide(alice)) == {waiting[0], own}
        assert list(AccessRequest.objects.to_decide(bob)) == [waiting[0]]
        colleague = UserFactory(team=alice.team, with_roles=[Role.TEAM_LEAD, Role.DEVELOPER])
        assert list(AccessRequest.objects.to_decide(colleague)) == []


class TestAddresses:
    def test_lead_to_the_request(self, grants):
        first, second, _ = (grant.request for grant in grants)
        assert first.get_absolute_url() == f"/access/requests/{first.pk}/"
        assert second.get_absolute_url() == f"/access/requests/{second.pk}/"
