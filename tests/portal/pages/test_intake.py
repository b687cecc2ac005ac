"""Asking for a new model as people meet it."""

import json

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.catalog.intake.models import ModelIntake
from apps.catalog.sizing.models import SizingJob
from tests.catalog import configs, intakes
from tests.factories import NOW, TeamFactory, UserFactory
from tests.pages import joined
from tests.portal.pages.test_sizing import measured_shape

pytestmark = pytest.mark.django_db
ASK = reverse("catalog:intake_create")


@pytest.fixture
def owner():
    team = TeamFactory(slug="ml-platform", name="ML platform")
    return UserFactory(username="olga", team=team, with_roles=[Role.MODEL_OWNER])


@pytest.fixture
def lead(owner):
    return UserFactory(username="lena", team=TeamFactory(), with_roles=[Role.TEAM_LEAD])


@pytest.fixture(autouse=True)
def moment(monkeypatch):
    monkeypatch.setattr("portal.pages.intake.now", lambda: NOW)


def filled(owner, **more):
    wish = {name: value for name, value in vars(intakes.WISH).items() if name != "weight_bytes"}
    work = {"context": 2200, "answer": 200, "callers": 8, "ttft_ms": 1000, "itl_ms": 50}
    return {
        **wish,
        **work,
        "config": json.dumps(wish["config"]),
        "weight_gib": 14.957,
        "owner_team": owner.team_id,
        **more,
    }


class TestAsking:
    def test_is_sized_before_anything_is_sent(self, client, lead, owner):
        measured_shape(intakes.WISH)
        client.force_login(lead)
        page = joined(client.post(ASK, filled(owner, size="1")).content)
        for words in ("Cheapest that serves it", "p5.4xlarge", "Not measured"):
            assert words in page, words
        assert not ModelIntake.objects.exists()
        assert 'value="llama-31-8b"' in page  # what was typed stays

    def test_keeps_what_it_would_cost_and_has_its_speed_worked_out(self, client, lead, owner):
        client.force_login(lead)
        answer = client.post(ASK, filled(owner))
        made = ModelIntake.objects.get()
        assert answer.url == reverse("catalog:intake_detail", args=[made.pk])
        assert made.estimate["is_measured"] is False  # its memory was known alone
        assert made.estimate["usd_per_hour"]
        assert SizingJob.objects.get().config == configs.LLAMA_8B
        page = joined(client.get(answer.url).content)
        for words in (
            "by memory alone, its speed was not known", "llama3.1", "14.96 GiB",
            "2,000 tokens in, 200 out, 8 callers at once", "Working out its speed",
            "You asked for this",
        ):  # fmt: skip
            assert words in page, words

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"config": "{"}, "it is not JSON"),
            ({"config": "[" * 9000}, "nested too deeply"),
            ({"config": "{}"}, "It says nothing"),
            ({"config": '{"a": "\\u0000"}'}, "plain text"),
            ({"config": '{"model_type": "x"}'}, "names no architecture"),
            ({"weight_gib": "nan"}, "Enter a number"),
            ({"weight_gib": 0}, "greater than or equal"),
            ({"owner_team": 0}, "Select a valid choice"),
            ({"answer": 5000}, "leave room for a prompt"),
            ({"name": "No Good"}, "Use lower-case letters"),
        ],
    )
    def test_refuses_what_cannot_be(self, client, lead, owner, change, words):
        client.force_login(lead)
        answer = client.post(ASK, filled(owner, **change))
        assert answer.status_code == 422
        assert words in joined(answer.content)
        assert not ModelIntake.objects.exists()

    def test_offers_only_teams_with_a_model_owner(self, client, lead, owner):
        TeamFactory(slug="nobody", name="Nobody owns")
        client.force_login(lead)
        page = joined(client.get(ASK).content)
        assert "ML platform" in page
        assert "Nobody owns" not in page


class TestApi:
    def ask(self, lead, owner, **more):
        client = APIClient(raise_request_exception=True)
        client.force_authenticate(lead)
        wish = dict(vars(intakes.WISH))
        load = {"prompt": 2000, "answer": 200, "callers": 8}
        body = {**wish, "owner_team": owner.team.slug, "load": load, **more}
        return client.post("/api/v1/new-models", json.dumps(body), content_type="application/json")

    def test_takes_what_the_page_takes(self, lead, owner):
        assert self.ask(lead, owner).status_code == 201
        assert ModelIntake.objects.get().config == configs.LLAMA_8B

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"config": {"a": 2**60}}, "config.json"),
            ({"config": {"a": "\x00"}}, "plain text"),
            ({"config": {"a": "\ud800"}}, "config.json"),
            ({"config": {"a": "x" * 1024 * 1024}}, "larger than 1 MiB"),
            ({"load": {"prompt": 9, "answer": 9, "rate": "nan"}}, "valid number"),
            ({"load": {"prompt": 9, "answer": 9, "callers": 1, "itl_ms": "nan"}}, "valid number"),
        ],
    )
    def test_refuses_what_no_file_could_say(self, lead, owner, change, words):
        answer = self.ask(lead, owner, **change)
        assert answer.status_code == 400
        assert words in answer.content.decode()
        assert not ModelIntake.objects.exists()


class TestDeciding:
    def test_leads_from_the_list_to_a_registered_model(self, client, lead, owner):
        made = intakes.ask(lead, owner.team)
        client.force_login(owner)
        listed = joined(client.get(reverse("catalog:intake_list")).content)
        assert "These wait for you" in listed
        page = joined(client.get(reverse("catalog:intake_detail", args=[made.pk])).content)
        assert "Approve and register llama-31-8b" in page
        answer = client.post(
            reverse("catalog:intake_approve", args=[made.pk]), {"reason": "Needed."}
        )
        page = joined(client.get(answer.url).content)
        assert "Approved and registered" in page
        assert reverse("catalog:model_detail", args=["llama-31-8b"]) in page

    def test_wants_a_reason(self, client, lead, owner):
        made = intakes.ask(lead, owner.team)
        client.force_login(owner)
        answer = client.post(reverse("catalog:intake_reject", args=[made.pk]), {})
        assert answer.status_code == 422
        made.refresh_from_db()
        assert made.status == "PENDING"
