"""The rows that claims become."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.accounts import actions
from apps.accounts.claims import Identity, Problem
from apps.accounts.models import CostCenter, Membership, Role, RoleBinding, Team, User
from apps.audit.models import Action, AuditEvent
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
MAYA = Identity(
    issuer="http://idp.example", subject="1f0c", username="maya", name="Maya Okafor",
    email="maya@example.com",
    groups=("qm-team-leads",), roles=frozenset({Role.TEAM_LEAD}), team="claims-review",
    cost_center="CC-4100",
)  # fmt: skip
LATER = NOW + timedelta(hours=1)


def actions_written():
    return list(
        AuditEvent.objects.order_by("occurred_at", "action").values_list("action", flat=True)
    )


class TestSyncUserFromClaims:
    def test_makes_person_team_cost_center_roles_and_membership(self):
        user = actions.sync_user_from_claims(identity=MAYA, now=NOW)
        assert (user.username, user.team.slug, user.team.cost_center.code) == (
            "maya",
            "claims-review",
            "CC-4100",
        )
        assert user.roles == {"TEAM_LEAD"}
        assert Membership.objects.get(user=user, active_to=None).active_from == NOW

    def test_the_second_time_changes_and_records_nothing(self):
        actions.sync_user_from_claims(identity=MAYA, now=NOW)
        before = actions_written()
        actions.sync_user_from_claims(identity=MAYA, now=LATER)
        assert actions_written() == before == [Action.USER_SYNCED]
        assert (
            Membership.objects.count() == RoleBinding.objects.count() == User.objects.count() == 1
        )

    def test_replaces_roles_and_records_before_and_after(self):
        actions.sync_user_from_claims(identity=MAYA, now=NOW)
        actions.sync_user_from_claims(
            identity=replace(MAYA, roles=frozenset({Role.DEVELOPER})), now=LATER
        )
        assert list(RoleBinding.objects.values_list("role", flat=True)) == ["DEVELOPER"]
        event = AuditEvent.objects.get(occurred_at=LATER)
        assert (event.data["before"]["roles"], event.data["after"]["roles"]) == (
            ["TEAM_LEAD"],
            ["DEVELOPER"],
        )

    def test_moves_to_another_team_and_keeps_the_history(self):
        actions.sync_user_from_claims(identity=MAYA, now=NOW)
        user = actions.sync_user_from_claims(
            identity=replace(MAYA, team="prior-auth", cost_center="CC-4200"), now=LATER
        )
        assert user.team.slug == "prior-auth"
        old, new = Membership.objects.order_by("active_from")
        assert (old.team.slug, old.active_to, new.team.slug, new.active_to) == (
            "claims-review",
            LATER,
            "prior-auth",
            None,
        )

    def test_takes_everything_from_a_person_whose_claims_have_a_problem(self):
        actions.sync_user_from_claims(identity=MAYA, now=NOW)
        problem = Problem("no_known_group", "None.", "Ask.")
        nobody = replace(MAYA, roles=frozenset(), team="", cost_center="", problems=(problem,))
        user = actions.sync_user_from_claims(identity=nobody, now=LATER)
        assert (user.team, user.roles) == (None, frozenset())
        assert Membership.objects.get().active_to == LATER

    def test_lets_another_cost_center_pay_when_the_provider_says_so(self):
        actions.sync_user_from_claims(identity=MAYA, now=NOW)
        actions.sync_user_from_claims(identity=replace(MAYA, cost_center="CC-7000"), now=LATER)
        assert Team.objects.get().cost_center.code == "CC-7000"
        assert CostCenter.objects.filter(code="CC-4100").exists()
        assert Action.COST_CENTER_ASSIGNED in actions_written()

    def test_knows_a_person_by_issuer_and_subject_never_by_name_or_mail(self):
        first = actions.sync_user_from_claims(identity=MAYA, now=NOW)
        other = actions.sync_user_from_claims(
            identity=replace(MAYA, subject="2e9a77b1-0000"), now=NOW
        )
        renamed = actions.sync_user_from_claims(
            identity=replace(MAYA, name="Maya O.", email="m@example.com"), now=LATER
        )
        assert renamed == first != other
        assert (renamed.name, other.username) == ("Maya O.", "maya-2e9a77b1")


class TestSignIn:
    def test_records_every_sign_in_with_its_team_and_roles(self):
        actions.sign_in(identity=MAYA, now=NOW)
        actions.sign_in(identity=MAYA, now=LATER)
        assert actions_written() == [Action.SIGNED_IN, Action.USER_SYNCED, Action.SIGNED_IN]
        assert AuditEvent.objects.get(occurred_at=LATER).data["team"] == "claims-review"


class TestRecordSignOut:
    def test_says_why_the_session_ended(self):
        actions.record_sign_out(user=UserFactory(), reason="idle", now=NOW)
        assert AuditEvent.objects.get(action=Action.SIGNED_OUT).data == {"reason": "idle"}
