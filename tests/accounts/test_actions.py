"""The rows that claims become."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.accounts import actions
from apps.accounts.claims import Identity, Problem
from apps.accounts.models import CostCenter, Membership, Role, RoleBinding, Team, User
from apps.audit.models import Action, AuditEvent
from tests.factories import NOW, TeamFactory, UserFactory
from tests.trail import AuditAway, trail

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


class TestLinkingAccounts:
    """Two accounts are one person's where the provider says so by subject or e-mail."""

    def sign_in(self, now=NOW, **changes):
        return actions.sync_user_from_claims(identity=replace(MAYA, **changes), now=now)

    def test_by_e_mail_however_it_is_written(self):
        first = self.sign_in()
        other = self.sign_in(LATER, subject="2", username="maya2", email="Maya@Example.com")
        stranger = self.sign_in(LATER, subject="3", username="liam", email="liam@example.com")
        first.refresh_from_db()
        assert other.person == first.person != stranger.person
        assert trail(other)[0] == (Action.USER_LINKED, "maya2", {"accounts": ["maya", "maya2"]})

    def test_by_subject_at_another_provider(self):
        first = self.sign_in()
        other = self.sign_in(issuer="http://entra.example", username="m.okafor", email="")
        assert other.person == User.objects.get(pk=first.pk).person

    def test_joins_all_whom_a_new_e_mail_brings_together(self):
        one = self.sign_in(subject="1", username="a", email="a@example.com")
        two = self.sign_in(subject="2", username="b", email="b@example.com")
        also_two = self.sign_in(subject="3", username="c", email="b@example.com")
        assert len({user.person for user in User.objects.all()}) == 2
        self.sign_in(LATER, subject="2", username="b", email="a@example.com")
        people = {user.pk: user.person for user in User.objects.all()}
        assert set(people) == {one.pk, two.pk, also_two.pk}
        assert set(people.values()) == {one.person}

    def test_stays_when_the_e_mail_changes_later(self):
        first = self.sign_in()
        self.sign_in(subject="2", username="maya2")
        self.sign_in(LATER, subject="2", username="maya2", email="else@example.com")
        assert User.objects.get(username="maya2").person == first.person

    def test_does_not_happen_for_lack_of_an_e_mail(self):
        people = [
            self.sign_in(subject=str(number), username=f"m{number}", email="").person
            for number in range(3)
        ]
        assert len(set(people)) == 3
        assert not AuditEvent.objects.filter(action=Action.USER_LINKED).exists()


class TestSyncUserFromClaims:
    def test_makes_person_team_cost_center_roles_and_membership(self):
        user = actions.sync_user_from_claims(identity=MAYA, now=NOW)
        assert (user.username, user.team.slug, user.team.cost_center.code) == (
            "maya",
            "claims-review",
            "CC-4100",
        )
        assert user.roles == {"TEAM_LEAD"}
        assert (user.name, user.email, user.created_at) == ("Maya Okafor", "maya@example.com", NOW)
        assert (user.issuer, user.subject) == (MAYA.issuer, MAYA.subject)
        assert (user.team.name, user.has_usable_password()) == ("Claims review", False)
        facts = {"name": "Maya Okafor", "email": "maya@example.com"}
        before, after = {"team": "", "roles": []}, {"team": "claims-review", "roles": ["TEAM_LEAD"]}
        assert trail(user) == [
            (Action.USER_SYNCED, "maya", {"before": facts | before, "after": facts | after})
        ]
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
        stored = User.objects.get(pk=first.pk)
        assert (stored.name, stored.email, stored.username) == ("Maya O.", "m@example.com", "maya")
        other.refresh_from_db()
        assert (other.username, other.email) == ("maya-2e9a77b1", "maya@example.com")
        facts = trail(renamed)[-1][2]
        emails = (facts["before"]["email"], facts["after"]["email"])
        assert emails == ("maya@example.com", "m@example.com")

    def test_changes_nothing_of_anybody_else(self):
        other = replace(
            MAYA,
            subject="77",
            username="liam",
            email="liam@example.com",
            roles=frozenset({Role.DEVELOPER, Role.FINANCE}),
        )
        liam = actions.sync_user_from_claims(identity=other, now=NOW)
        maya = actions.sync_user_from_claims(identity=MAYA, now=NOW)
        assert trail(maya)[0][2]["before"]["roles"] == []
        assert trail(maya)[0][2]["after"]["roles"] == ["TEAM_LEAD"]
        actions.sync_user_from_claims(
            identity=replace(MAYA, roles=frozenset(), team="", name="M"), now=LATER
        )
        liam = User.objects.get(pk=liam.pk)
        assert (liam.roles, liam.team.slug, liam.name) == (
            {"DEVELOPER", "FINANCE"},
            "claims-review",
            "Maya Okafor",
        )
        assert Membership.objects.get(user=liam).active_to is None

    def test_knows_a_subject_of_another_issuer_as_somebody_else(self):
        first = actions.sync_user_from_claims(identity=MAYA, now=NOW)
        other = replace(MAYA, issuer="http://other.example", username="m" * 150)
        second = actions.sync_user_from_claims(identity=other, now=NOW)
        third = actions.sync_user_from_claims(identity=replace(other, subject="s" * 20), now=NOW)
        assert len({first.pk, second.pk, third.pk}) == 3
        assert third.username == f"{'m' * 140}-{'s' * 8}"

    def test_keeps_a_role_that_stays_and_shows_it_at_once(self):
        both = frozenset({Role.TEAM_LEAD, Role.DEVELOPER})
        actions.sync_user_from_claims(identity=MAYA, now=NOW)
        kept = RoleBinding.objects.get()
        user = actions.sync_user_from_claims(identity=replace(MAYA, roles=both), now=LATER)
        assert user.roles == {"TEAM_LEAD", "DEVELOPER"}
        assert RoleBinding.objects.filter(pk=kept.pk).exists()

    def test_changes_nothing_that_it_cannot_record(self, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.sync_user_from_claims(identity=MAYA, now=NOW)
        assert not User.objects.exists()
        actions.sync_user_from_claims(identity=MAYA, now=NOW)
        with audit_away(), pytest.raises(AuditAway):
            actions.sync_user_from_claims(identity=replace(MAYA, name="M"), now=LATER)
        assert User.objects.get().name == "Maya Okafor"


class TestAssignCostCenter:
    def test_records_who_let_which_pay_and_nothing_where_it_paid_already(self):
        team, other, user = TeamFactory(), TeamFactory(), UserFactory(username="fiona")
        before, others = team.cost_center.code, other.cost_center
        for _ in range(2):
            actions.assign_cost_center(team=team, code="CC-9", actor=user, now=NOW)
        team.refresh_from_db()
        other.refresh_from_db()
        assert (team.cost_center.code, other.cost_center) == ("CC-9", others)
        facts = {"before": before, "after": "CC-9"}
        assert trail(team) == [(Action.COST_CENTER_ASSIGNED, "fiona", facts)]


class TestTeamName:
    @pytest.mark.parametrize(
        ("slug", "name"),
        [
            ("claims-review", "Claims review"),
            ("ml-platform", "ML platform"),
            ("clinical-ai", "Clinical AI"),
            ("mlops", "Mlops"),
        ],
    )
    def test_is_what_people_read(self, slug, name):
        assert actions.team_name(slug) == name


class TestTeamOf:
    def test_is_the_team_of_that_name_and_its_new_payer(self):
        UserFactory(team=TeamFactory(slug="prior-auth"))
        team = TeamFactory(slug="claims-review")
        found = actions.team_of(identity=MAYA, user=UserFactory(), now=NOW)
        assert (found, found.cost_center.code) == (team, "CC-4100")

    def test_makes_no_team_whose_payer_it_cannot_record(self, audit_away):
        team = TeamFactory(slug="claims-review")
        with audit_away(), pytest.raises(AuditAway):
            actions.team_of(identity=MAYA, user=UserFactory(), now=NOW)
        team.refresh_from_db()
        assert team.cost_center.code != "CC-4100"


class TestSignIn:
    def test_records_every_sign_in_with_its_team_and_roles(self):
        actions.sign_in(identity=MAYA, now=NOW)
        actions.sign_in(identity=MAYA, now=LATER)
        assert actions_written() == [Action.SIGNED_IN, Action.USER_SYNCED, Action.SIGNED_IN]
        assert AuditEvent.objects.get(occurred_at=LATER).data == {
            "team": "claims-review",
            "roles": ["TEAM_LEAD"],
            "problems": [],
        }

    def test_records_what_was_wrong_with_the_claims(self):
        problem = Problem("team_missing", "None.", "Ask.")
        roles = frozenset({Role.TEAM_LEAD, Role.AUDITOR})
        user = actions.sign_in(identity=replace(MAYA, roles=roles, problems=(problem,)), now=NOW)
        assert trail(user)[-1] == (
            Action.SIGNED_IN,
            "maya",
            {
                "team": "claims-review",
                "roles": ["AUDITOR", "TEAM_LEAD"],
                "problems": ["team_missing"],
            },
        )

    def test_makes_nobody_where_it_cannot_record(self, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.sign_in(identity=MAYA, now=NOW)
        assert not User.objects.exists()


class TestRecordSignOut:
    def test_says_why_the_session_ended(self):
        actions.record_sign_out(user=UserFactory(), reason="idle", now=NOW)
        assert AuditEvent.objects.get(action=Action.SIGNED_OUT).data == {"reason": "idle"}
