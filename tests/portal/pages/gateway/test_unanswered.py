"""The page of calls that got no answer, and its API: whose they are, over which time, why."""

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.common.periods import HOUR, hour_of
from apps.metering.models import DirtyHour, HourlyUsage
from tests.factories import TeamFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()
THIS = hour_of(NOW)
PAGE = "/gateway/unanswered/"


def hour(at, team, model="extract", **calls):
    counted = {"metered_calls": 1, "unmetered_calls": 0, "refused_calls": 0, "failed_calls": 0}
    HourlyUsage.objects.create(
        hour=at, cost_center="CC", team=team, model=model, version="", input_tokens=0,
        cached_input_tokens=0, output_tokens=0, rolled_up_at=NOW, **(counted | calls),
    )  # fmt: skip


@pytest.fixture
def hours():
    """Two teams, two models, and calls of the time before."""
    hour(THIS, "claims-review", refused_calls=5, refused_402_calls=3, refused_429_calls=2)
    hour(THIS - 3 * HOUR, "claims-review", model="summary", failed_calls=4, failed_503_calls=4)
    hour(THIS - 2 * HOUR, "prior-auth", refused_calls=1, refused_403_calls=1)
    hour(THIS - 26 * HOUR, "claims-review", refused_calls=7, refused_429_calls=7)
    hour(THIS - 200 * HOUR, "claims-review", refused_calls=90, refused_400_calls=90)


@pytest.fixture
def auditor(db):
    TeamFactory(slug="prior-auth")
    return UserFactory(username="ada", with_roles=[Role.AUDITOR])


def lines(answer):
    found = [line.row.line for line in answer.context["table"].lines]
    return [(line.team, line.model, line.reason.key, line.calls) for line in found]


class TestUnanswered:
    def test_shows_ones_own_team_alone(self, client, charlie, hours):
        client.force_login(charlie)
        answer = client.get(PAGE)
        assert lines(answer) == [
            ("claims-review", "summary", "503", 4), ("claims-review", "extract", "402", 3),
            ("claims-review", "extract", "429", 2),
        ]  # fmt: skip
        assert client.get(PAGE, {"team": "prior-auth"}).status_code == 404
        assert 'name="team"' not in answer.content.decode()

    def test_shows_all_to_those_who_oversee_and_narrows(self, client, auditor, hours):
        client.force_login(auditor)
        assert len(lines(client.get(PAGE))) == 4
        assert lines(client.get(PAGE, {"team": "prior-auth"})) == [
            ("prior-auth", "extract", "403", 1)
        ]
        narrowed = client.get(PAGE, {"team": "prior-auth"}).context
        assert narrowed["teams"] == ["claims-review", "prior-auth"]
        assert narrowed["models"] == ["extract", "summary"]
        assert lines(client.get(PAGE, {"model": "summary"})) == [
            ("claims-review", "summary", "503", 4)
        ]
        assert {line[2] for line in lines(client.get(PAGE, {"reason": "402"}))} == {"402"}
        assert len(lines(client.get(PAGE, {"span": "7d", "team": "claims-review"}))) == 3
        assert ("claims-review", "extract", "400", 90) in lines(client.get(PAGE, {"span": "30d"}))

    def test_says_how_many_and_against_how_many_before(self, client, charlie, hours):
        client.force_login(charlie)
        refused, failed, often = client.get(PAGE).context["stats"]
        assert (refused.figure, refused.change) == ("5", "−2 against the 24 hours before")
        assert (failed.figure, failed.change) == ("4", "+4 against the 24 hours before")
        assert (often.figure, often.note) == ("503", "no replica was ready, 4")

    def test_draws_each_reason_over_the_hours_without_a_gap(self, client, charlie, hours):
        client.force_login(charlie)
        chart = client.get(PAGE).context["chart"]
        assert [len(series.values) for series in chart.series] == [24, 24, 24]
        sums = {series.name.partition(":")[0]: sum(series.values) for series in chart.series}
        assert sums == {"402": 3, "429": 2, "503": 4}
        month = client.get(PAGE, {"span": "30d"}).context["chart"]
        assert len(month.at) == 30

    def test_says_that_hours_wait_to_be_added_up(self, client, charlie):
        DirtyHour.objects.create(hour=THIS, marked_at=NOW)
        client.force_login(charlie)
        text = " ".join(client.get(PAGE).content.decode().split())
        assert "1 hour of this time has calls that are not added up yet." in text
        assert "Every call got an answer" in text

    def test_leads_to_the_calls_and_to_a_file(self, client, charlie, hours):
        client.force_login(charlie)
        table = client.get(PAGE).context["table"]
        cells = [{cell.column.key: cell for cell in line.cells} for line in table.lines]
        assert "code=402" in cells[1]["calls"].url
        assert "outcome=FAILED" in cells[0]["calls"].url
        assert cells[1]["why"].url == "/gateway/why/?caller=claims-review&model=extract"
        for cell in (*cells[0].values(), *cells[1].values()):
            assert not cell.url or client.get(cell.url).status_code == 200
        body = b"".join(client.get(PAGE, {"format": "csv"})).decode()
        rows = list(csv.DictReader(io.StringIO(body)))
        assert [(row["model"], row["why"], row["calls"]) for row in rows][1] == (
            "extract", "402: budget spent", "3",
        )  # fmt: skip

    def test_asks_the_same_queries_for_any_number_of_lines(
        self, client, auditor, hours, django_assert_num_queries
    ):
        client.force_login(auditor)
        client.get(PAGE)
        with django_assert_num_queries(9):
            client.get(PAGE)
        for number in range(60):
            hour(THIS, f"team-{number}", refused_calls=1, refused_429_calls=1)
        with django_assert_num_queries(9):
            assert client.get(PAGE).context["table"].count == 64


class TestApi:
    def get(self, who, **asked):
        headers = {"Authorization": f"Bearer {who}"}
        return Client().get(reverse("api:gateway_unanswered"), asked, headers=headers)

    def test_answers_whole_hours_of_ones_own_team(self, world, hours):
        told = self.get("lead").json()
        assert [(row["model"], row["code"], row["calls"]) for row in told] == [
            ("summary", 503, 4), ("extract", 402, 3), ("extract", 429, 2),
        ]  # fmt: skip
        assert {row["team"] for row in self.get("auditor").json()} == {
            "claims-review", "prior-auth",
        }  # fmt: skip
        since = (THIS - 2 * HOUR).isoformat()
        assert len(self.get("auditor", since=since, model="extract").json()) == 3
        assert self.get("auditor", since=since, team="prior-auth").json()[0]["code"] == 403

    def test_refuses_a_time_that_is_none(self, world):
        for asked in ({"since": "x"}, {"since": (NOW + timedelta(days=2)).isoformat()},
                      {"since": (NOW - timedelta(days=90)).isoformat()}):  # fmt: skip
            assert list(self.get("lead", **asked).json()["errors"]) == ["since"]
        assert self.get("lead", team="prior-auth").status_code == 404
