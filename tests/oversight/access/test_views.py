"""The access report: who may do what, and who could take either part of a decision."""

import csv
import io

import pytest

from apps.accounts.models import Role
from apps.accounts.roles import ABILITIES, DUTIES, Duty, abilities_of, both_parts_of
from apps.oversight.access import report
from tests.factories import TeamFactory, UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db
PATH = "/audit/access/"


@pytest.fixture
def auditor(client):
    user = UserFactory(username="aisha", name="Aisha Rahman", with_roles=[Role.AUDITOR])
    client.force_login(user)
    return user


@pytest.fixture
def people(auditor):
    claims, risk = TeamFactory(slug="claims-review"), TeamFactory(slug="model-risk")
    both = [Role.MODEL_OWNER, Role.REVIEWER]
    UserFactory(username="release/aisha", acts_for=auditor, person=auditor.person)
    return [
        UserFactory(username="mia", name="Mia Both", team=risk, with_roles=both),
        UserFactory(username="owen", name="Owen Hale", team=claims, with_roles=[Role.MODEL_OWNER]),
        UserFactory(username="fiona", name="Fiona", team=claims, with_roles=[Role.FINANCE]),
        UserFactory(username="nora", name="Nora Blank", team=None),
        UserFactory(username="gone", name="Gone", is_active=False, with_roles=[Role.FINANCE]),
    ]


def rows(client, **query):
    answer = client.get(PATH, {"format": "csv", **query})
    text = b"".join(answer.streaming_content).decode()
    return {row["username"]: row for row in csv.DictReader(io.StringIO(text))}


COLUMNS = {"columns": "account,center"}


class TestPeople:
    def test_are_listed_with_what_they_may_do(self, client, people):
        found = rows(client, **COLUMNS)
        assert set(found) == {"aisha", "mia", "owen", "fiona", "nora"}, "and no pipeline's account"
        assert found["mia"]["roles"] == "Model owner, Reviewer"
        assert found["mia"]["could_ask_and_decide"] == (
            "who may call a model; whether access is kept; what a suite asks and demands; "
            "which version serves; which pipelines are let in; how large a budget is"
        )
        assert found["nora"]["roles"] == found["nora"]["may"] == ""
        assert found["fiona"]["team"] == "claims-review"
        assert "see what every team spends" in found["fiona"]["may"]
        assert "see what every team spends" not in found["owen"]["may"]
        assert "read the audit record" in found["aisha"]["may"]

    def test_can_be_narrowed_by_role_team_and_name(self, client, people):
        assert set(rows(client, **COLUMNS, role="MODEL_OWNER")) == {"mia", "owen"}
        assert set(rows(client, **COLUMNS, team="claims-review")) == {"owen", "fiona"}
        assert set(rows(client, **COLUMNS, q="nora")) == {"nora"}

    def test_are_asked_for_in_a_fixed_number_of_queries(
        self, client, people, django_assert_num_queries
    ):
        for number in range(30):
            UserFactory(username=f"more-{number}", with_roles=[Role.DEVELOPER])
        # session, user, roles; count, people, their roles; all roles, grants
        with django_assert_num_queries(9):
            client.get(PATH)


class TestPage:
    def test_says_how_many_could_do_which_part(self, client, people):
        page = joined(client.get(PATH).content)
        assert "Which version serves" in page
        assert "Nobody else can decide" in page  # one finance person alone closes no month
        assert "Mia Both" in page
        assert "Gone" not in page

    def test_is_not_there_for_others(self, client, people):
        client.force_login(people[0])
        assert client.get(PATH).status_code == 404


class TestDutyLines:
    def line(self, words, *people):
        (found,) = [
            line
            for line in report.duty_lines([frozenset(roles) for roles in people])
            if line.duty.words == words
        ]
        return found

    def test_count_each_part(self):
        owner, reviewer = [Role.MODEL_OWNER], [Role.REVIEWER]
        found = self.line("which version serves", owner, owner, reviewer, [*owner, *reviewer])
        assert (found.asks, found.decides, found.both) == (3, 2, 1)
        assert (found.asking, found.deciding) == (
            "Model owner", "Reviewer, Platform engineer",
        )  # fmt: skip
        assert not found.is_stuck

    @pytest.mark.parametrize(
        ("people", "stuck"),
        [
            ([], True),
            ([[Role.FINANCE]], True),
            ([[Role.FINANCE], [Role.FINANCE]], False),
        ],
    )
    def test_say_where_nobody_else_can_decide(self, people, stuck):
        assert self.line("whether a month is closed", *people).is_stuck is stuck


class TestRoles:
    def test_an_ability_and_a_duty_name_roles_that_there_are(self):
        for one in ABILITIES:
            assert set(one.roles) <= set(Role.values)
        for duty in DUTIES:
            assert set(duty.asks) | set(duty.decides) <= set(Role.values)

    def test_nobody_without_a_role_may_anything(self):
        assert (abilities_of([]), both_parts_of([])) == ([], [])

    def test_both_parts_want_both_roles(self):
        duty = Duty("x", asks=["A"], decides=["B"])
        assert [duty.is_both(roles) for roles in (["A"], ["B"], ["A", "B"], ["C"])] == [
            False, False, True, False,
        ]  # fmt: skip
