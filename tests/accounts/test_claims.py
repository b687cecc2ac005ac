"""What the identity provider's claims come to."""

import pytest

from apps.accounts.claims import ClaimsRefused, identify
from apps.accounts.models import Role

GOOD = {
    "iss": "http://idp.example",
    "sub": "1f0c",
    "preferred_username": "maya",
    "name": "Maya Okafor",
    "email": "maya@example.com",
    "groups": ["qm-team-leads", "everybody"],
    "team": "claims-review",
    "cost_center": "CC-4100",
}


def without(*names):
    return {name: value for name, value in GOOD.items() if name not in names}


class TestIdentify:
    def test_reads_who_it_is_and_what_they_may_be(self):
        identity = identify(GOOD)
        assert (identity.issuer, identity.subject, identity.username) == (
            "http://idp.example",
            "1f0c",
            "maya",
        )
        assert identity.roles == {Role.TEAM_LEAD}
        assert (identity.team, identity.cost_center, identity.problems) == (
            "claims-review",
            "CC-4100",
            (),
        )

    @pytest.mark.parametrize(
        ("group", "role"),
        [
            ("qm-team-leads", Role.TEAM_LEAD),
            ("qm-developers", Role.DEVELOPER),
            ("qm-model-owners", Role.MODEL_OWNER),
            ("qm-reviewers", Role.REVIEWER),
            ("qm-finance", Role.FINANCE),
            ("qm-platform", Role.PLATFORM_ENGINEER),
            ("qm-auditors", Role.AUDITOR),
        ],
    )
    def test_each_group_gives_its_role(self, group, role):
        assert identify(GOOD | {"groups": [group]}).roles == {role}

    def test_several_groups_give_several_roles(self):
        identity = identify(GOOD | {"groups": ["qm-developers", "qm-model-owners"]})
        assert identity.roles == {Role.DEVELOPER, Role.MODEL_OWNER}

    @pytest.mark.parametrize(
        ("claims", "code"),
        [
            (without("groups"), "groups_missing"),
            (GOOD | {"groups": None}, "groups_missing"),
            (GOOD | {"groups": "qm-team-leads"}, "groups_missing"),
            (GOOD | {"groups": ["qm-team-leads", 7]}, "groups_missing"),
            (GOOD | {"groups": []}, "no_known_group"),
            (GOOD | {"groups": ["QM-TEAM-LEADS", "qm-team-leads "]}, "no_known_group"),
            (
                GOOD | {"groups": ["qm-team-leads", *(f"g{n}" for n in range(99))]},
                "groups_incomplete",
            ),
            (without("groups") | {"_claim_names": {"groups": "src1"}}, "groups_overage"),
            (GOOD | {"_claim_names": {"groups": "src1"}}, "groups_overage"),
            (without("groups") | {"hasgroups": True}, "groups_overage"),
            (without("team"), "team_missing"),
            (GOOD | {"team": ["claims-review", "prior-auth"]}, "team_missing"),
            (GOOD | {"team": "claims review\r\nx-team: other"}, "team_missing"),
            (GOOD | {"team": "Claims-Review"}, "team_missing"),
            (without("cost_center"), "cost_center_missing"),
            (GOOD | {"cost_center": 4100}, "cost_center_missing"),
            (GOOD | {"cost_center": "CC 4100"}, "cost_center_missing"),
            (GOOD | {"cost_center": "C" * 33}, "cost_center_missing"),
        ],
    )
    def test_a_problem_takes_every_right_and_says_what_to_do(self, claims, code):
        identity = identify(claims)
        assert [problem.code for problem in identity.problems] == [code]
        assert identity.problems[0].what.endswith(".")
        assert identity.problems[0].todo.startswith("Ask")
        assert (identity.roles, identity.team, identity.cost_center) == (frozenset(), "", "")

    @pytest.mark.parametrize(
        "change",
        [
            {"cost_center": "K"},
            {"cost_center": "C" * 32, "team": " prior-auth "},
            {"_claim_names": {"address": "src1"}, "hasgroups": False},
            {"_claim_names": ["groups"]},
        ],
    )
    def test_finds_no_problem_where_there_is_none(self, change):
        identity, claims = identify(GOOD | change), GOOD | change
        assert (identity.problems, identity.roles) == ((), {Role.TEAM_LEAD})
        assert (identity.team, identity.cost_center) == (
            claims["team"].strip(),
            claims["cost_center"],
        )

    def test_says_whether_the_groups_are_others_or_none(self):
        for groups, words in (
            (["everybody"], "None of your groups gives a role here."),
            ([], "You are in no group yet."),
        ):
            assert identify(GOOD | {"groups": groups}).problems[0].what == words
        many = identify(GOOD | {"groups": ["g"] * 120})
        assert "lists 120 groups" in many.problems[0].what
        assert many.groups == ("g",) * 120

    def test_names_all_problems_at_once(self):
        identity = identify(without("groups", "team", "cost_center"))
        assert [p.code for p in identity.problems] == [
            "groups_missing",
            "team_missing",
            "cost_center_missing",
        ]

    def test_ninety_nine_groups_are_a_whole_list(self):
        groups = ["qm-auditors", *(f"g{n}" for n in range(98))]
        assert identify(GOOD | {"groups": groups}).roles == {Role.AUDITOR}

    @pytest.mark.parametrize(
        "claims", [without("sub"), without("iss"), GOOD | {"sub": 7}, GOOD | {"sub": " "}, {}]
    )
    def test_refuses_claims_that_name_nobody(self, claims):
        with pytest.raises(ClaimsRefused):
            identify(claims)

    def test_cuts_what_the_database_does_not_hold(self):
        long = {"preferred_username": "u" * 300, "name": "n" * 300, "email": "e" * 300}
        identity = identify(GOOD | long)
        assert [len(identity.username), len(identity.name), len(identity.email)] == [150, 200, 254]

    def test_names_the_person_by_subject_where_nothing_better_was_sent(self):
        identity = identify(without("name", "preferred_username", "email"))
        assert (identity.username, identity.name, identity.email) == ("1f0c", "1f0c", "")
