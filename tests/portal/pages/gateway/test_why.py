"""The page "Why?" and its API: who may ask about whom, and what is said to what cannot be asked."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import TeamFactory, UserFactory, create_event

pytestmark = pytest.mark.django_db
NOW = timezone.now()
WHY = "/gateway/why/"


def call(team, **more):
    values = {"outcome": "REFUSED", "response_code": 403, "model": "prior-auth-extract", **more}
    return create_event(
        event_id=uuid4(), occurred_at=NOW - timedelta(minutes=3), received_at=NOW,
        received_via="OTLP", team=team, **values,
    )  # fmt: skip


@pytest.fixture
def stranger(db):
    return UserFactory(
        username="stranger", email="stranger@payer.example", name="Sam Stranger",
        team=TeamFactory(slug="prior-auth"), with_roles=[Role.DEVELOPER],
    )  # fmt: skip


@pytest.fixture
def auditor(db):
    return UserFactory(username="ada", with_roles=[Role.AUDITOR])


def ask(client, **asked):
    return client.get(WHY, asked)


class TestWho:
    def test_asks_about_their_own_team_and_no_other(
        self, client, charlie, stranger, registered_model
    ):
        client.force_login(charlie)
        name = registered_model.name
        for asked in (
            {}, {"caller": "claims-review"}, {"kind": "person", "caller": "charlie"},
            {"kind": "cost_center", "caller": charlie.team.cost_center.code},
        ):  # fmt: skip
            assert ask(client, model=name, **asked).status_code == 200, asked
        for asked in (
            {"caller": "prior-auth"}, {"kind": "person", "caller": "stranger"},
            {"kind": "person", "caller": "nobody"}, {"caller": "no-such-team"},
            {"kind": "cost_center", "caller": stranger.team.cost_center.code},
        ):  # fmt: skip
            answer = ask(client, model=name, **asked)
            assert answer.status_code == 404, asked
            assert "asked" not in answer.context
            assert "nobody of this name" in answer.content.decode()

    def test_asks_about_everybody_where_they_oversee(
        self, client, auditor, stranger, registered_model
    ):
        client.force_login(auditor)
        found = ask(client, kind="person", caller="Stranger@payer.example", model="nothing")
        caller = found.context["asked"].caller
        assert (caller.team, caller.words) == ("prior-auth", "Sam Stranger, of team prior-auth")
        code = stranger.team.cost_center.code
        found = ask(client, kind="cost_center", caller=code, model=registered_model.name)
        assert found.context["asked"].caller.teams == ("prior-auth",)

    def test_sees_the_calls_of_their_own_team_alone(self, client, charlie, stranger, auditor):
        mine, theirs = call("claims-review"), call("prior-auth")
        nameless = call("", model="")
        sees = {
            charlie: [200, 404, 404], stranger: [404, 200, 404], auditor: [200, 200, 200],
        }  # fmt: skip
        for person, statuses in sees.items():
            client.force_login(person)
            found = [
                ask(client, request_id=str(one.event_id)).status_code
                for one in (mine, theirs, nameless)
            ]
            assert found == statuses, person
        client.force_login(charlie)
        assert ask(client, request_id=str(uuid4())).status_code == 404


class TestPage:
    def test_does_not_say_that_a_call_was_answered_whose_caller_had_left(self, client, charlie):
        client.force_login(charlie)
        left = {"outcome": "UNMETERED", "unmetered_because": "CLIENT_LEFT"}
        gone = call("claims-review", response_code=0, **left)
        cut = call("claims-review", response_code=200, **left)
        found = ask(client, request_id=str(gone.event_id))
        assert found.context["headline"] == "No answer to this call is known."
        assert ("Response code", "none is known") in found.context["facts"]
        found = ask(client, request_id=str(cut.event_id))
        assert found.context["headline"] == "This call was answered."

    def test_asks_for_something_first(self, client, charlie):
        client.force_login(charlie)
        text = ask(client).content.decode()
        assert "A call that could be made" in text
        assert 'name="kind"' not in text

    def test_says_what_cannot_be_asked(self, client, charlie):
        client.force_login(charlie)
        for asked, words in (
            ({"request_id": "tomato"}, "This is not the id of a call."),
            ({"caller": "claims-review"}, "Name a model, or give a request id."),
            ({"model": "m", "at": "tomorrow"}, "Enter a valid date/time."),
            ({"model": "m", "at": (NOW + timedelta(days=1)).isoformat()},
             "Name a time that is not in the future."),
        ):  # fmt: skip
            answer = ask(client, **asked)
            assert answer.status_code == 422, asked
            assert words in answer.content.decode()

    def test_explains_a_call_and_says_what_to_do(self, client, charlie, registered_model):
        event = call("claims-review", outcome="FAILED", response_code=503)
        client.force_login(charlie)
        answer = ask(client, request_id=str(event.event_id))
        assert answer.context["headline"] == "This call failed with 503: replica."
        text = answer.content.decode()
        assert "no replica was ready" in text
        assert "Wait for the seconds in Retry-After" in text
        assert str(event.event_id) in text

    def test_links_the_calls_around_a_moment(self, client, charlie, registered_model):
        event, _, _ = call("claims-review"), call("prior-auth"), call("claims-review", model="m")
        client.force_login(charlie)
        at = event.occurred_at.strftime("%Y-%m-%dT%H:%M")
        found = ask(client, model=registered_model.name, at=at).context["around"]
        assert [one.pk for one, _ in found] == [event.pk]
        assert found[0][1] == f"{WHY}?request_id={event.event_id}"

    def test_is_a_click_away_from_every_call_and_from_how_to_call(
        self, client, charlie, registered_model
    ):
        event = call("claims-review")
        client.force_login(charlie)
        asked = f"{WHY}?request_id={event.event_id}"
        assert f'href="{asked}"' in client.get("/usage/").content.decode()
        assert client.get(asked).status_code == 200
        page = reverse("gateway:how_to_call", args=[registered_model.name])
        assert f'href="{WHY}?model={registered_model.name}"' in client.get(page).content.decode()

    def test_says_that_a_call_is_counted_nowhere(self, client, auditor):
        call_id = uuid4()
        values = {"response_code": "402", "cost_center": "CC-1"}
        QuarantinedRecord.objects.create(
            fingerprint="f", doubt="TEAM", detail="team is not known", received_at=NOW,
            received_via="OTLP", event_id=call_id, team="gone", model="m", values=values,
        )  # fmt: skip
        client.force_login(auditor)
        answer = ask(client, request_id=str(call_id))
        assert "This call was refused with 404" not in answer.content.decode()
        assert answer.context["asked"].call.code == 402
        assert "unknown team (team is not known)" in " ".join(answer.content.decode().split())

    def test_asks_the_same_queries_however_many_calls_there_are(
        self, client, charlie, registered_model, django_assert_max_num_queries
    ):
        for _ in range(5):
            call("claims-review")
        client.force_login(charlie)
        with django_assert_max_num_queries(26):
            assert ask(client, model=registered_model.name).status_code == 200


class TestApi:
    def get(self, who, **asked):
        headers = {"Authorization": f"Bearer {who}"}
        return Client().get(reverse("api:gateway_why"), asked, headers=headers)

    def test_answers_as_the_page_does(self, world):
        found = self.get("lead", request_id=str(world.ids["refused_call"]))
        told = found.json()
        assert (found.status_code, told["allowed"], told["refused_by"]) == (200, False, "BUDGET")
        assert (told["team"], told["model"]) == ("claims-review", "extract")
        by_rule = {check["rule"]: check["verdict"] for check in told["checks"]}
        assert (by_rule["GRANT"], by_rule["REPLICA"]) == ("PASSED", "NOT_REACHED")

    def test_says_who_is_not_there_and_what_is_missing(self, world):
        assert self.get("lead", caller="prior-auth", model="extract").status_code == 404
        assert self.get("lead", request_id=str(uuid4())).status_code == 404
        problem = self.get("lead").json()
        assert problem["errors"] == {"model": ["Name a model, or give a request id."]}
        now = self.get("lead", model="extract").json()
        assert (now["request_id"], now["checks"][0]["rule"]) == (None, "TOKEN")
