"""The pages and the API of evaluation runs."""

import hashlib

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.evals import actions
from apps.evals.models import EvalRun
from tests.evals.samples import judged
from tests.evals.test_queries import named
from tests.factories import NOW, ModelVersionFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_(client):
    """Sign a person in."""

    def sign_in(user):
        client.force_login(user)
        return client

    return sign_in


def page(visitor, view: str, *arguments, **headers) -> str:
    return visitor.get(reverse(f"evals:{view}", args=arguments), headers=headers).content.decode()


class TestRunList:
    def test_lists_and_filters(self, as_, charlie, run):
        address = reverse("evals:run_detail", args=[run.pk])
        assert address in page(as_(charlie), "run_list")
        assert address not in as_(charlie).get("/evaluations/?status=PASSED").content.decode()
        assert address in as_(charlie).get("/evaluations/?q=prior&status=nonsense").content.decode()

    def test_takes_as_many_queries_for_many_runs_as_for_one(
        self,
        as_,
        charlie,
        alice,
        suite,
        registered_model,
        django_assert_num_queries,
    ):
        for each in ModelVersionFactory.create_batch(5, registered_model=registered_model):
            actions.start_eval_run(version=each, suite=suite, actor=alice, now=NOW)
        visitor = as_(charlie)
        page(visitor, "run_list")
        with django_assert_num_queries(5):  # session, person, roles, count, runs
            page(visitor, "run_list")

    def test_says_what_to_do_when_it_is_empty(self, as_, charlie):
        assert "No evaluation runs yet" in page(as_(charlie), "run_list")


class TestRunReport:
    def test_gives_the_bytes_whose_digest_is_kept(self, as_, charlie, run):
        address = reverse("evals:run_report", args=[run.pk])
        assert as_(charlie).get(address).status_code == 404
        judged(run)
        answer = as_(charlie).get(address)
        assert "sha256:" + hashlib.sha256(answer.content).hexdigest() == run.report_digest


@pytest.mark.usefixtures("suite")
class TestRunCreate:
    def post(self, visitor, version):
        address = reverse("evals:run_create", args=[version.registered_model.name, version.number])
        return visitor.post(address)

    def test_starts_a_run_once(self, as_, alice, version):
        assert self.post(as_(alice), version).status_code == 302
        again = self.post(as_(alice), version)
        assert again.status_code == 422
        assert "already under way" in again.content.decode()
        assert EvalRun.objects.count() == 1

    def test_is_for_owners_and_reviewers(self, as_, carol, charlie, version):
        assert self.post(as_(charlie), version).status_code == 403
        assert self.post(as_(carol), version).status_code == 302


def test_a_model_that_no_suite_judges_is_not_evaluated(as_, alice, version):
    named("another", "other-model")
    address = reverse("evals:run_create", args=[version.registered_model.name, version.number])
    said = joined(as_(alice).post(address, follow=True).content)
    assert "No suite judges prior-auth-extract." in said
    assert not EvalRun.objects.exists()


@pytest.mark.usefixtures("suite")
class TestApi:
    def caller(self, user) -> APIClient:
        client = APIClient()
        client.force_authenticate(user)
        return client

    def test_starts_lists_and_shows_runs(self, alice, charlie, version):
        asked = {"model": version.registered_model.name, "version": version.number}
        made = self.caller(alice).post("/api/v1/evaluation-runs", asked, format="json")
        assert made.status_code == 201
        again = self.caller(alice).post("/api/v1/evaluation-runs", asked, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "already_running")
        listed = (
            self.caller(charlie)
            .get("/api/v1/evaluation-runs?model=prior-auth-extract&version=1")
            .json()
        )
        assert [row["id"] for row in listed["results"]] == [made.json()["id"]]
        assert (
            self.caller(charlie)
            .get(f"/api/v1/evaluation-runs/{made.json()['id']}")
            .json()["status"]
            == "PENDING"
        )

    def test_refuses(self, alice, charlie, version, registered_model):
        asked = {"model": version.registered_model.name, "version": version.number}
        assert (
            self.caller(charlie).post("/api/v1/evaluation-runs", asked, format="json").status_code
            == 403
        )
        moving = ModelVersionFactory(
            registered_model=registered_model, number=9, status="VERIFYING"
        )
        answer = self.caller(alice).post(
            "/api/v1/evaluation-runs", asked | {"version": moving.number}, format="json"
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "not_verified")
        assert (
            self.caller(alice)
            .post("/api/v1/evaluation-runs", {"model": "x"}, format="json")
            .status_code
            == 400
        )
        assert (
            self.caller(alice)
            .post("/api/v1/evaluation-runs", asked | {"version": 77}, format="json")
            .status_code
            == 404
        )
