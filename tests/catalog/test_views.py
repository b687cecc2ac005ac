"""The pages of the catalog, as people meet them."""

import json

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.catalog.models import ModelVersion, RegisteredModel
from tests.catalog.test_actions import FACTS, add
from tests.factories import (
    NOW,
    ModelVersionFactory,
    TeamFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_(client):
    """Sign a person in."""

    def sign_in(user):
        client.force_login(user)
        return client

    return sign_in


def url(view: str, *arguments) -> str:
    return reverse(f"catalog:{view}", args=arguments)


class TestModelCreate:
    def test_registers(self, as_, alice):
        answer = as_(alice).post(url("model_create"), {"name": "clinical-summary", **FACTS})
        assert answer.status_code == 302
        assert RegisteredModel.objects.get().owner_team == alice.team

    @pytest.mark.parametrize(
        ("name", "words"), [("prior-auth-extract", "already registered"), ("Bad_Name", "letters")]
    )
    def test_says_what_is_wrong_beside_the_field(self, as_, alice, registered_model, name, words):
        answer = as_(alice).post(url("model_create"), {"name": name, **FACTS})
        assert answer.status_code == 422
        assert words in answer.content.decode()

    def test_is_refused_to_others(self, as_, charlie):
        assert as_(charlie).post(url("model_create"), {"name": "x", **FACTS}).status_code == 403


class TestVersionCreate:
    def test_is_for_owners(self, as_, alice, bob, charlie, registered_model):
        address = url("version_create", registered_model.name)
        assert as_(alice).get(address).status_code == 200
        assert as_(bob).get(address).status_code == 200
        assert as_(charlie).get(address).status_code == 403
        other = UserFactory(team=TeamFactory(), with_roles=[Role.MODEL_OWNER])
        assert as_(other).get(address).status_code == 403

    def test_says_that_an_upload_can_go_on(self, as_, alice, registered_model):
        add(registered_model, alice)
        assert (
            "unfinished"
            in as_(alice).get(url("version_create", registered_model.name)).content.decode()
        )


class TestVersionCheck:
    def check(self, visitor, model, body) -> tuple[int, list[str]]:
        answer = visitor.post(
            url("version_check", model.name), body, content_type="application/json"
        )
        return answer.status_code, answer.json()["problems"]

    def test_names_what_would_be_refused(self, as_, alice, registered_model):
        files = [
            {"name": "config.json", "size": 2},
            {"name": "a.safetensors", "size": 9},
            {"name": "x.pkl", "size": 1},
        ]
        status, problems = self.check(as_(alice), registered_model, json.dumps({"files": files}))
        assert status == 200
        assert problems == [
            "x.pkl: .pkl files can carry code (pickle); publish weights as .safetensors."
        ]

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "[]",
            "{}",
            '{"files": 3}',
            '{"files": [{}]}',
            '{"files": [{"name": 1, "size": "x"}]}',
        ],
    )
    def test_answers_nonsense(self, as_, alice, registered_model, body):
        assert self.check(as_(alice), registered_model, body)[0] == 400


class TestVersionRetry:
    def test_tries_again(self, as_, alice, registered_model):
        version = ModelVersionFactory(
            registered_model=registered_model, status="FAILED", locked_until=NOW
        )
        answer = as_(alice).post(url("version_retry", registered_model.name, version.number))
        assert answer.status_code == 302
        version.refresh_from_db()
        assert version.status == ModelVersion.Status.VERIFYING
        assert AuditEvent.objects.filter(action=Action.VERSION_RETRIED).count() == 1

    def test_is_refused_to_others(self, as_, charlie, registered_model):
        version = ModelVersionFactory(
            registered_model=registered_model, status="FAILED", locked_until=NOW
        )
        assert (
            as_(charlie)
            .post(url("version_retry", registered_model.name, version.number))
            .status_code
            == 403
        )

    def test_wants_a_post(self, as_, alice, registered_model):
        version = ModelVersionFactory(registered_model=registered_model)
        assert (
            as_(alice).get(url("version_retry", registered_model.name, version.number)).status_code
            == 405
        )
