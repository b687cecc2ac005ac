"""Routes, limits and drift: what stands on the pages, for whom, and at which price."""

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.access.models import AccessRequest, Grant
from apps.accounts.models import Role
from apps.gateway.effective.models import GatewayDrift, GatewayLook, RouteReading
from tests.factories import RegisteredModelFactory, TeamFactory, UserFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()
AGO = NOW - timedelta(hours=2)


@pytest.fixture(autouse=True)
def moments():
    """Let each test be now: what was read a few minutes ago is old, and a run takes longer."""
    global NOW, AGO
    NOW = timezone.now()
    AGO = NOW - timedelta(hours=2)


def grant(model, team, limit=1000):
    asked = AccessRequest.objects.create(
        registered_model=model, team=team, requested_by=UserFactory(), requested_at=AGO,
        purpose="Codes.", data_class="PHI", tokens_per_minute=limit, monthly_budget_usd=5,
        expires_date=NOW.date() + timedelta(days=20), status="APPROVED",
        decided_by=UserFactory(), decided_at=AGO,
    )  # fmt: skip
    return Grant.objects.create(
        request=asked, registered_model=model, team=team, tokens_per_minute=limit,
        active_from=AGO, active_to=NOW + timedelta(days=20),
    )  # fmt: skip


def read(model, weights, **limits):
    objects = {"weights": weights, "limits": limits}
    envoy = {"weights": weights, "teams": list(limits), "limited": list(limits), "classes": []}
    return RouteReading.objects.create(registered_model=model, cluster=objects, envoy=envoy)


def differs(model, what, subject="", since=None, place="ENVOY", **more):
    return GatewayDrift.objects.create(
        registered_model=model, place=place, what=what, subject=subject, declared="may not call",
        found="may call", since=since or AGO, seen_at=NOW, **more,
    )  # fmt: skip


@pytest.fixture
def auditor(db):
    return UserFactory(username="ada", with_roles=[Role.AUDITOR])


@pytest.fixture
def models(registered_model, alice, charlie):
    """A model of claims-review as declared, and one of prior-auth that differs."""
    other = RegisteredModelFactory(name="summary", owner_team=TeamFactory(slug="others"))
    for model, number in ((registered_model, 1), (other, 7)):
        factories.live(model, number)
    grant(registered_model, charlie.team)
    grant(other, TeamFactory(slug="prior-auth"), 500)
    read(registered_model, {"prior-auth-extract-v1": 100}, **{"claims-review": 1000})
    read(other, {"summary-v7": 90, "summary-v8": 10}, **{"prior-auth": 400})
    GatewayLook.objects.create(looked_at=NOW, cluster_read_at=NOW, envoy_read_at=NOW,
                               gate="ACCEPTED")  # fmt: skip
    differs(other, "WEIGHTS")
    differs(other, "LIMIT", "prior-auth", place="CLUSTER")
    return registered_model, other


def cells(answer):
    """Return each line's cells by key."""
    return [{cell.column.key: cell.value for cell in line.cells}
            for line in answer.context["table"].lines]  # fmt: skip


class TestRoutes:
    def test_stand_as_declared_in_the_cluster_and_in_envoy(self, client, charlie, models):
        client.force_login(charlie)
        right, wrong = cells(client.get("/gateway/"))
        assert (right["model"], right["state"].words) == ("prior-auth-extract", "As declared")
        assert right["declared"] == right["cluster"] == "prior-auth-extract-v1 100 %"
        assert (wrong["state"].tone, wrong["state"].words) == (
            "bad",
            "Differs in Cluster and Envoy",
        )
        assert (wrong["declared"], wrong["envoy"]) == (
            "summary-v7 100 %", "summary-v7 90 %, summary-v8 10 %",
        )  # fmt: skip
        assert [row["model"] for row in cells(client.get("/gateway/", {"state": "yes"}))] == [
            "summary"
        ]
        assert [row["model"] for row in cells(client.get("/gateway/", {"q": "summary"}))] == [
            "summary"
        ]

    def test_are_not_green_where_a_place_was_not_read(self, client, charlie, models):
        GatewayLook.objects.update(envoy_read_at=None, envoy_problem="No way to Envoy.")
        RouteReading.objects.update(envoy=None)
        client.force_login(charlie)
        right, _ = cells(client.get("/gateway/"))
        assert (right["state"].tone, right["state"].words) == ("draft", "Not all read")
        assert right["state"].title == "No way to Envoy."
        assert right["envoy"] is None
        assert "not read" in client.get("/gateway/").content.decode()

    def test_are_not_green_where_nobody_looks_any_more(self, client, auditor, models):
        client.force_login(auditor)
        GatewayLook.objects.update(looked_at=NOW - timedelta(minutes=30))
        answer = client.get("/gateway/")
        assert cells(answer)[0]["state"].words == "Not all read"
        assert "no worker runs" in answer.content.decode()
        GatewayLook.objects.all().update(looked_at=NOW)
        assert cells(client.get("/gateway/"))[0]["state"].words == "As declared"

    def test_let_a_change_settle(self, client, charlie, models):
        GatewayDrift.objects.all().update(seen_at=NOW)
        differs(models[0], "ACCESS", "claims-review", since=NOW)
        client.force_login(charlie)
        assert cells(client.get("/gateway/"))[0]["state"].words == "Settling"

    def test_ask_the_same_queries_for_any_number_of_models(
        self, client, auditor, models, django_assert_num_queries
    ):
        client.force_login(auditor)
        client.get("/gateway/")
        with django_assert_num_queries(12):
            client.get("/gateway/")
        for number in range(60):
            model = RegisteredModelFactory(name=f"m-{number:02}")
            read(model, {f"m-{number:02}-v1": 100})
            differs(model, "WEIGHTS")
        with django_assert_num_queries(12):
            answer = client.get("/gateway/")
        assert (answer.context["table"].count, len(cells(answer))) == (62, 50)
        text = b"".join(client.get("/gateway/", {"format": "csv"})).decode()
        assert len(list(csv.DictReader(io.StringIO(text)))) == 62


class TestLimits:
    def test_are_ones_own_teams_and_those_of_ones_models(self, client, charlie, alice, models):
        client.force_login(charlie)
        assert [row["team"] for row in cells(client.get("/gateway/limits/"))] == ["claims-review"]
        client.force_login(alice)  # owns the first model
        assert [row["team"] for row in cells(client.get("/gateway/limits/"))] == ["claims-review"]

    def test_stand_beside_what_the_gateway_has(self, client, auditor, models):
        client.force_login(auditor)
        right, wrong = cells(client.get("/gateway/limits/"))
        assert (right["minute"], right["cluster"], right["envoy"]) == (
            1000, 1000, "let in, counted",
        )  # fmt: skip
        assert (wrong["minute"], wrong["cluster"], wrong["state"].words) == (
            500, 400, "Differs in Cluster",
        )  # fmt: skip
        assert [row["team"] for row in cells(client.get("/gateway/limits/", {"state": "yes"}))] == [
            "prior-auth"
        ]
        text = client.get("/gateway/limits/").content.decode()
        assert "/gateway/why/?caller=prior-auth&amp;model=summary" in text

    def test_ask_the_same_queries_for_any_number_of_teams(
        self, client, auditor, models, django_assert_num_queries
    ):
        client.force_login(auditor)
        client.get("/gateway/limits/")
        with django_assert_num_queries(11):
            client.get("/gateway/limits/")
        for number in range(60):
            grant(models[number % 2], TeamFactory(slug=f"crew-{number:02}"))
        with django_assert_num_queries(11):
            assert client.get("/gateway/limits/").context["table"].count == 62


class TestDrift:
    def test_says_what_differs_since_when_and_keeps_what_is_over(self, client, auditor, models):
        differs(models[0], "ACCESS", "claims-review", ended_at=NOW)
        client.force_login(auditor)
        rows = cells(client.get("/gateway/drift/"))
        assert {(row["model"], row["what"], row["since"]) for row in rows} == {
            ("summary", "Weights", AGO), ("summary", "Tokens per minute", AGO),
        }  # fmt: skip
        past = cells(client.get("/gateway/drift/", {"past": "1"}))
        assert {row["state"].words for row in past} == {"Differs", "Over"}
        assert len(cells(client.get("/gateway/drift/", {"place": "ENVOY"}))) == 1

    def test_is_shown_to_those_who_oversee_alone(self, client, charlie, models):
        client.force_login(charlie)
        assert client.get("/gateway/drift/").status_code == 404
        assert "/gateway/drift/" not in client.get("/gateway/").content.decode()

    def test_says_that_nothing_was_read(self, client, auditor):
        client.force_login(auditor)
        text = client.get("/gateway/drift/").content.decode()
        assert "Nobody has looked yet." in text


class TestApi:
    def get(self, who):
        headers = {"Authorization": f"Bearer {who}"}
        return Client().get(reverse("api:gateway_routes"), headers=headers).json()

    def test_answers_each_route_and_its_drift_to_those_who_oversee(self, world):
        from apps.catalog.models import RegisteredModel

        model = RegisteredModel.objects.get(name="extract")
        read(model, {"extract-v1": 100})
        differs(model, "ACCESS", "claims-review")
        (told,) = [row for row in self.get("platform") if row["model"] == "extract"]
        assert (told["declared"], told["cluster"], told["envoy"]) == (
            {"extract-v1": 100}, {"extract-v1": 100}, {"extract-v1": 100},
        )  # fmt: skip
        assert [(one["what"], one["subject"]) for one in told["differences"]] == [
            ("ACCESS", "claims-review")
        ]
        assert all(row["differences"] == [] for row in self.get("lead"))
