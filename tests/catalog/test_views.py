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
    RegisteredModelFactory,
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


@pytest.fixture
def nobody(db):
    """Signed in, without any role."""
    return UserFactory(username="nobody", team=None)


def url(view: str, *arguments) -> str:
    return reverse(f"catalog:{view}", args=arguments)


class TestModelList:
    def test_shows_cards_and_a_table(self, as_, charlie, registered_model):
        for query in ("", "?view=table"):
            page = as_(charlie).get(url("model_list") + query)
            assert registered_model.name in page.content.decode()

    def test_answers_htmx_with_the_rows_alone(self, as_, charlie, registered_model):
        page = as_(charlie).get(url("model_list"), headers={"HX-Request": "true"}).content.decode()
        assert registered_model.name in page
        assert "<html" not in page

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("q=prior-auth", True),
            ("q=codes", True),
            ("q=nothing-like-it", False),
            ("data_class=PHI", True),
            ("data_class=PUBLIC", False),
            ("family=SmolLM2", True),
            ("version=none", True),
            ("version=verified", False),
            ("page=99", True),
            ("page=x", True),
        ],
    )
    def test_filters(self, as_, charlie, registered_model, query, found):
        page = as_(charlie).get(f"{url('model_list')}?{query}").content.decode()
        assert (url("model_detail", registered_model.name) in page) is found

    def test_says_what_to_do_when_it_is_empty(self, as_, alice, charlie):
        assert "Register a model" in as_(alice).get(url("model_list")).content.decode()
        assert "Register a model" not in as_(charlie).get(url("model_list")).content.decode()

    def test_takes_as_many_queries_for_many_models_as_for_one(
        self, as_, charlie, registered_model, django_assert_num_queries
    ):
        visitor = as_(charlie)
        visitor.get(url("model_list"))
        RegisteredModelFactory.create_batch(10, owner_team=registered_model.owner_team)
        with django_assert_num_queries(6):  # session, person, roles, count, facets, models
            visitor.get(url("model_list"))

    def test_shows_nothing_to_people_without_a_role(self, as_, nobody, registered_model):
        answer = as_(nobody).get(url("model_list"))
        assert registered_model.name not in answer.content.decode()


class TestModelCreate:
    def test_registers(self, as_, alice):
        answer = as_(alice).post(url("model_create"), {"name": "clinical-summary", **FACTS})
        assert answer.status_code == 302
        assert RegisteredModel.objects.get().owner_team == alice.team

    @pytest.mark.parametrize(
        ("name", "words"), [("prior-auth-extract", "registered already"), ("Bad_Name", "letters")]
    )
    def test_says_what_is_wrong_beside_the_field(self, as_, alice, registered_model, name, words):
        answer = as_(alice).post(url("model_create"), {"name": name, **FACTS})
        assert answer.status_code == 422
        assert words in answer.content.decode()

    def test_is_refused_to_others(self, as_, charlie):
        assert as_(charlie).post(url("model_create"), {"name": "x", **FACTS}).status_code == 403


class TestModelDetail:
    def test_shows_purpose_owner_and_newest_version(self, as_, charlie, registered_model):
        ModelVersionFactory(registered_model=registered_model, number=3)
        page = as_(charlie).get(url("model_detail", registered_model.name)).content.decode()
        for words in (registered_model.description, "v3", "Verified", "Member data (PHI)"):
            assert words in page
        assert "Publish a version" not in page

    def test_lets_its_owner_publish(self, as_, alice, registered_model):
        page = as_(alice).get(url("model_detail", registered_model.name)).content.decode()
        assert "Publish a version" in page

    def test_is_404_for_people_without_a_role_and_for_wrong_names(
        self, as_, nobody, charlie, registered_model
    ):
        assert as_(nobody).get(url("model_detail", registered_model.name)).status_code in (
            302,
            403,
            404,
        )
        assert as_(charlie).get(url("model_detail", "no-such-model")).status_code == 404


class TestVersionList:
    def test_lists_versions_with_size_and_state(self, as_, charlie, registered_model, alice):
        version = add(registered_model, alice, note="First try")
        page = as_(charlie).get(url("version_list", registered_model.name)).content.decode()
        assert f"v{version.number}" in page
        assert "First try" in page
        assert "Uploading" in page

    def test_takes_as_many_queries_for_many_versions_as_for_one(
        self, as_, charlie, registered_model, django_assert_num_queries
    ):
        visitor = as_(charlie)
        ModelVersionFactory.create_batch(6, registered_model=registered_model)
        visitor.get(url("version_list", registered_model.name))
        with django_assert_num_queries(6):  # session, person, roles, model, count, versions
            visitor.get(url("version_list", registered_model.name))


class TestVersionDetail:
    def page(self, visitor, version, **headers) -> str:
        address = url("version_detail", version.registered_model.name, version.number)
        return visitor.get(address, headers=headers).content.decode()

    def test_follows_a_version_that_moves(self, as_, charlie, alice, registered_model):
        version = add(registered_model, alice)
        page = self.page(as_(charlie), version)
        assert "every 1500ms" in page
        assert "config.json" in page

    def test_answers_htmx_with_the_live_part_alone(self, as_, charlie, alice, registered_model):
        page = self.page(as_(charlie), add(registered_model, alice), **{"HX-Request": "true"})
        assert page.lstrip().startswith('<div id="live"')
        assert page.count('id="live"') == 1

    def test_stops_following_when_verified_and_shows_the_digest(
        self, as_, charlie, registered_model
    ):
        version = ModelVersionFactory(
            registered_model=registered_model, locked_until=NOW, signer="Registry key abc"
        )
        page = self.page(as_(charlie), version)
        assert "every 1500ms" not in page
        for words in (version.manifest_digest, "Registry key abc", "02 Nov 2026"):
            assert words in page

    def test_names_the_file_of_a_quarantined_version(self, as_, charlie, registered_model):
        message = "model.safetensors: expected sha256 aa, found bb."
        version = ModelVersionFactory(
            registered_model=registered_model, status="QUARANTINED", message=message
        )
        page = self.page(as_(charlie), version)
        assert message in page
        assert "can never be used" in page
        assert "Propose for production" not in page

    @pytest.mark.parametrize("number", [0, 7, 10**12])
    def test_is_404_where_there_is_none(self, as_, charlie, registered_model, number):
        assert as_(charlie).get(f"/catalog/{registered_model.name}/v{number}/").status_code == 404


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
