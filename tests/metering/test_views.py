"""The pages of usage: what they say of calls whose usage nobody knows."""

import csv
import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.common.persons import opaque_id
from apps.metering.models import HourlyUsage, Outcome, Unmetered
from apps.metering.queries import SUMS
from apps.metering.tables import CALLS
from tests.factories import NOW, TeamFactory, UserFactory, create_event
from tests.pages import joined

pytestmark = pytest.mark.django_db


def call(outcome, because="", **more):
    values = {
        "occurred_at": NOW,
        "team": "claims-review",
        "model": "extract",
        "response_code": 200,
        **more,
    }
    return create_event(
        event_id=uuid4(), received_at=NOW, received_via="OTLP", outcome=outcome,
        unmetered_because=because, **values,
    )  # fmt: skip


def shown(client, **asked):
    """Return the lines that the list of calls shows."""
    return client.get("/usage/", asked).context["table"].lines


@pytest.fixture
def fiona(db):
    return UserFactory(username="fiona", with_roles=[Role.FINANCE])


class TestPersons:
    """Who called is told apart, and never told: on the page, in its file, to whoever reads it."""

    @pytest.fixture(autouse=True)
    def calls(self, db):
        for name in ("maria.lopez@payer.example", "maria.lopez@payer.example", "jo@payer.example"):
            call(Outcome.METERED, user_id=name, input_tokens=1, output_tokens=1)
        call(Outcome.REFUSED, user_id="")

    @pytest.mark.parametrize("role", [Role.FINANCE, Role.AUDITOR, Role.PLATFORM_ENGINEER,
                                      Role.TEAM_LEAD])  # fmt: skip
    def test_are_opaque_ids(self, client, role):
        team = TeamFactory(slug="claims-review")
        client.force_login(UserFactory(team=team, with_roles=[role]))
        asked = {"columns": [column.key for column in CALLS.columns]}
        page = client.get("/usage/", asked).content.decode()
        file = b"".join(client.get("/usage/", asked | {"format": "csv"})).decode()
        maria, jo = opaque_id("maria.lopez@payer.example"), opaque_id("jo@payer.example")
        for text in (page, file):
            assert (text.count(maria), text.count(jo)) == (2, 1)
            assert "lopez" not in text and "payer.example" not in text

    def test_cannot_be_searched_by_who_they_are(self, client, fiona):
        client.force_login(fiona)
        assert shown(client, q="lopez") == []


class TestUsageList:
    @pytest.mark.parametrize("because", [*Unmetered, ""])
    def test_says_why_a_call_is_unmetered_and_nothing_it_cannot_know(
        self, client, charlie, because
    ):
        call(Outcome.UNMETERED, because)
        call(Outcome.METERED, input_tokens=1, output_tokens=1)
        call(Outcome.FAILED)
        client.force_login(charlie)
        page = client.get("/usage/").content.decode()
        said = {reason: page.count(reason.label) for reason in Unmetered}
        wanted = Unmetered(because or Unmetered.UNKNOWN)
        assert said == {reason: int(reason == wanted) for reason in Unmetered}

    def test_names_the_reason_in_the_export(self, client, charlie):
        gone = call(Outcome.UNMETERED, Unmetered.CLIENT_LEFT)
        broken = call(Outcome.UNMETERED, Unmetered.ENGINE_BROKE_OFF)
        client.force_login(charlie)
        answer = client.get("/usage/?format=csv")
        rows = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert {row["event_id"]: row["why"] for row in rows} == {
            str(gone.pk): "Its client left before the answer ended",
            str(broken.pk): "The engine broke off its answer",
        }

    def test_says_why_a_call_was_refused_and_narrows_by_it(self, client, charlie):
        refused = {
            code: call(Outcome.REFUSED, response_code=code)
            for code in (401, 402, 403, 404, 413, 429, 409)
        }
        client.force_login(charlie)
        why = {line.row.pk: line.row.why for line in shown(client)}
        assert why == {
            refused[401].pk: "no valid token",
            refused[403].pk: "no access to the model",
            refused[404].pk: "no such model",
            refused[429].pk: "over the limit",
            refused[402].pk: "budget spent",
            refused[413].pk: "too large",
            refused[409].pk: "",
        }
        assert [line.row for line in shown(client, code="429")] == [refused[429]]

    def test_keeps_team_model_version_and_days_of_the_link_that_led_there(self, client, fiona):
        days = [datetime(2026, 11, day, 23, 59, tzinfo=UTC) for day in (1, 2, 3)]
        mine = {"team": "claims-review", "model": "extract", "version": "extract-v1"}
        calls = [call(Outcome.FAILED, occurred_at=day, **mine) for day in days]
        for changed in ({"team": "prior-auth"}, {"model": "summary"}, {"version": ""}):
            call(Outcome.FAILED, occurred_at=days[1], **mine | changed)
        client.force_login(fiona)
        exactly = {"since": "2026-11-02", "until": "2026-11-02", **mine}
        assert [line.row for line in shown(client, **exactly)] == [calls[1]]
        later = {"since": "2026-11-02", "until": "2026-11-03", **mine}
        assert [line.row for line in shown(client, **later)] == [calls[2], calls[1]]
        nameless = shown(client, **exactly | {"version": "(none)"})
        assert [line.row.version for line in nameless] == [""]
        page = client.get("/usage/", exactly).content.decode()
        assert "Team: claims-review" in page and "Version: extract-v1" in page

    def test_says_that_the_calendars_last_day_cannot_be(self, client, fiona):
        call(Outcome.FAILED)
        client.force_login(fiona)
        for name, label in (("since", "From (UTC)"), ("until", "To (UTC)")):
            page = client.get("/usage/", {name: "9999-12-31"}).context["table"]
            assert page.notes == [f"“9999-12-31” is not a value of the filter {label}."]
            assert page.count == 1


def used(team, version, hours_ago=1, model="prior-auth-extract", **figures):
    """Return an hour's sums of one team and version."""
    values = dict.fromkeys((*SUMS, "cached_input_tokens"), 0) | figures
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    return HourlyUsage.objects.create(
        hour=hour, cost_center="cc-1", team=team, model=model, version=version,
        rolled_up_at=timezone.now(), **values,
    )  # fmt: skip


class TestModelUsage:
    @pytest.fixture
    def calls(self, registered_model):
        v1, v2 = "prior-auth-extract-v1", "prior-auth-extract-v2"
        used("claims-review", v1, 1, metered_calls=1, input_tokens=10, output_tokens=2000)
        used("claims-review", v1, 2, metered_calls=2, input_tokens=20, output_tokens=3000)
        used("claims-review", v2, unmetered_calls=3, failed_calls=4)
        used("other-team", v1, metered_calls=5, input_tokens=50, output_tokens=9000)
        used("", "", refused_calls=6)
        used("claims-review", v1, 31 * 24, metered_calls=100)
        used("claims-review", "summary-v1", model="summary", metered_calls=100)
        return "/catalog/prior-auth-extract/usage/"

    def figures(self, client, where, **asked):
        rows = client.get(where, asked).context["table"].lines
        return [
            (line.row.team, line.row.version, *(getattr(line.row, name) for name in SUMS))
            for line in rows
        ]

    def test_adds_up_thirty_days_by_team_and_version_most_tokens_first(self, client, alice, calls):
        client.force_login(alice)
        assert self.figures(client, calls) == [
            ("other-team", "prior-auth-extract-v1", 5, 0, 0, 0, 50, 9000),
            ("claims-review", "prior-auth-extract-v1", 3, 0, 0, 0, 30, 5000),
            ("", "", 0, 0, 6, 0, 0, 0),
            ("claims-review", "prior-auth-extract-v2", 0, 3, 0, 4, 0, 0),
        ]
        page = client.get(calls)
        assert "Total of 4 lines" in joined(page.content)
        assert [sum_.value for sum_ in page.context["table"].sums[2:]] == [8, 3, 6, 4, 80, 14000]
        assert "9,000" in page.content.decode()

    def test_searches_a_team_or_a_version(self, client, alice, calls):
        client.force_login(alice)
        assert [row[:2] for row in self.figures(client, calls, q="-v2")] == [
            ("claims-review", "prior-auth-extract-v2")
        ]

    def test_shows_ones_own_team_only_to_others(self, client, charlie, calls):
        client.force_login(charlie)
        assert [row[0] for row in self.figures(client, calls)] == ["claims-review"] * 2
        assert "Only your own team is shown to you" in joined(client.get(calls).content)
        assert "other-team" not in b"".join(client.get(calls, {"format": "csv"})).decode()

    def test_exports_what_it_shows_with_names_for_programs(self, client, alice, calls):
        client.force_login(alice)
        answer = client.get(calls, {"format": "csv", "q": "other"})
        assert list(csv.reader(io.StringIO(b"".join(answer).decode()))) == [
            ["team", "version", *SUMS],
            ["other-team", "prior-auth-extract-v1", "5", "0", "0", "0", "50", "9000"],
        ]

    def test_leads_to_the_playground_before_the_first_call(self, client, alice, registered_model):
        client.force_login(alice)
        page = client.get("/catalog/prior-auth-extract/usage/").content.decode()
        assert "No calls in the last 30 days" in page
        assert f'href="{reverse("gateway:playground", args=["prior-auth-extract"])}"' in page


class TestUsageEvent:
    @pytest.mark.parametrize("outcome", [Outcome.METERED, Outcome.REFUSED, Outcome.FAILED])
    def test_has_a_reason_only_where_it_is_not_whole(self, outcome):
        with (
            pytest.raises(IntegrityError, match="reason_only_if_not_whole"),
            transaction.atomic(),
        ):
            call(outcome, Unmetered.CLIENT_LEFT, input_tokens=1, output_tokens=1)
