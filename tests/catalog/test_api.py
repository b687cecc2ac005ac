"""The API of the catalog: publishing from a pipeline, and what is answered to bad input."""

import base64
import hashlib
import json
import time

import httpx
import pytest
from rest_framework.test import APIClient

from apps.accounts.oidc import BearerAuthentication
from apps.catalog.models import ModelFile, ModelVersion, RegisteredModel
from apps.common.model_manifest import PART_SIZE, FileEntry
from tests.catalog.samples import declared, folder, new_model, safetensors
from tests.catalog.test_actions import FACTS, add
from tests.factories import ModelVersionFactory, RegisteredModelFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def api():
    """A client that is already authenticated as somebody."""

    def client(user) -> APIClient:
        caller = APIClient()
        caller.force_authenticate(user)
        return caller

    return client


def body(contents, **more) -> dict:
    return {"files": [vars(entry) for entry in declared(contents)], **more}


def versions(model) -> str:
    return f"/api/v1/models/{model.name}/versions"


class TestModels:
    def test_lists_with_a_cursor(self, api, charlie, registered_model):
        RegisteredModelFactory.create_batch(55, owner_team=registered_model.owner_team)
        first = api(charlie).get("/api/v1/models").json()
        assert len(first["results"]) == 50
        assert len(api(charlie).get(first["next"]).json()["results"]) == 6

    def test_registers(self, api, alice):
        answer = api(alice).post(
            "/api/v1/models", {"name": "clinical-summary", **FACTS}, format="json"
        )
        assert answer.status_code == 201
        assert RegisteredModel.objects.get().name == "clinical-summary"

    def test_refuses(self, api, alice, charlie, registered_model):
        taken = {"name": registered_model.name, **FACTS}
        assert api(charlie).post("/api/v1/models", taken, format="json").status_code == 403
        answer = api(alice).post("/api/v1/models", taken, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
        assert api(alice).post("/api/v1/models", {"name": "x"}, format="json").status_code == 400

    def test_shows_nothing_to_people_without_a_role(self, api, registered_model):
        nobody = UserFactory(team=None)
        assert api(nobody).get("/api/v1/models").json()["results"] == []
        assert api(nobody).get(f"/api/v1/models/{registered_model.name}").status_code == 404

    def test_wants_authentication(self, client, registered_model):
        assert client.get("/api/v1/models").status_code == 401
        assert client.post(
            versions(registered_model), "{}", content_type="application/json"
        ).status_code in (401, 403)


class TestPublishing:
    @pytest.mark.usefixtures("s3_server")
    def test_goes_from_files_to_the_worker(self, api, alice):
        model, contents = (
            new_model(alice),
            folder(model__safetensors=safetensors(PART_SIZE // 2 + 3)),
        )
        caller = api(alice)
        made = caller.post(versions(model), body(contents, note="First"), format="json").json()
        assert (made["number"], made["status"], made["part_size"]) == (1, "UPLOADING", PART_SIZE)
        for name, content in contents.items():
            for number, start in enumerate(range(0, len(content), PART_SIZE), start=1):
                address = f"{versions(model)}/1/files/{name}?part={number}"
                piece = content[start : start + PART_SIZE]
                answer = caller.put(address, piece, content_type="application/octet-stream")
                assert answer.json() == {"part": number, "size": len(piece)}
        resumed = caller.post(versions(model), body(contents), format="json").json()
        assert {file["name"]: file["parts"] for file in resumed["files"]}["model.safetensors"] == [
            1,
            2,
        ]
        done = caller.post(f"{versions(model)}/1/finish")
        assert (done.status_code, done.json()["status"]) == (202, "SIGNING")

    def test_refuses_a_list_with_every_reason(self, api, alice, registered_model):
        listed = [
            *declared(folder()),
            FileEntry("../up.json", 1, "00" * 32),
            FileEntry("x.pkl", 1, "00" * 32),
        ]
        files = [vars(entry) for entry in listed]
        answer = api(alice).post(versions(registered_model), {"files": files}, format="json")
        assert answer.status_code == 400
        assert "paths are refused" in answer.content.decode()
        assert "x.pkl" in answer.content.decode()
        assert not ModelVersion.objects.exists()

    @pytest.mark.parametrize(
        "sent",
        ["", "{", "[]", '{"files": []}', '{"files": [3]}', '{"files": "x"}', '{"files": null}'],
    )
    def test_answers_nonsense_with_400(self, api, alice, registered_model, sent):
        answer = api(alice).post(versions(registered_model), sent, content_type="application/json")
        assert answer.status_code == 400
        assert answer["content-type"] == "application/problem+json"

    def test_says_that_a_version_exists(self, api, alice, registered_model):
        ModelVersionFactory(registered_model=registered_model, number=4)
        answer = api(alice).post(
            versions(registered_model), body(folder(), number=4), format="json"
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "version_exists")
        assert "a version never changes. Publish v5" in answer.json()["detail"]

    def test_is_for_owners(self, api, charlie, registered_model):
        answer = api(charlie).post(versions(registered_model), body(folder()), format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")

    def test_is_404_for_people_without_a_role(self, api, registered_model):
        nobody = UserFactory(team=None)
        assert (
            api(nobody).post(versions(registered_model), body(folder()), format="json").status_code
            == 404
        )


class TestPart:
    def put(self, caller, version, name, query, content):
        address = f"{versions(version.registered_model)}/{version.number}/files/{name}{query}"
        return caller.put(address, content, content_type="application/octet-stream")

    @pytest.mark.parametrize(
        ("query", "content"),
        [
            ("?part=1", b"x"),
            ("?part=2", b"x"),
            ("?part=0", b"x"),
            ("", b"x"),
            ("?part=1", b"x" * 99),
        ],
    )
    def test_refuses_what_is_no_part(self, api, alice, registered_model, query, content):
        version = add(registered_model, alice)
        answer = self.put(api(alice), version, "LICENSE", query, content)
        assert answer.status_code == 400
        assert "LICENSE has" in answer.content.decode()

    def test_refuses_a_published_version(self, api, alice, registered_model):
        version = ModelVersionFactory(registered_model=registered_model)
        version.files.create(name="config.json", size=2, sha256="00" * 32)
        answer = self.put(api(alice), version, "config.json", "?part=1", b"{}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_uploading")

    def test_is_for_owners(self, api, alice, charlie, registered_model):
        version = add(registered_model, alice)
        assert self.put(api(charlie), version, "LICENSE", "?part=1", b"x").status_code == 403

    def test_is_404_for_a_file_that_nobody_declared(self, api, alice, registered_model):
        assert (
            self.put(
                api(alice), add(registered_model, alice), "vocab.json", "?part=1", b"{}"
            ).status_code
            == 404
        )

    def test_says_that_s3_is_away(self, api, alice, registered_model, monkeypatch):
        from apps.integrations.errors import TemporaryError

        class Away:
            def __getattr__(self, name):
                raise TemporaryError("The model registry (S3) cannot be reached.")

        monkeypatch.setattr("apps.catalog.registry.client_from_settings", Away)
        answer = self.put(
            api(alice), add(registered_model, alice), "LICENSE", "?part=1", folder()["LICENSE"]
        )
        assert answer.status_code == 503
        assert "cannot be reached" in answer.json()["detail"]


class TestSignedParts:
    """Parts that go straight to S3, past the portal."""

    CONTENTS = folder(model__safetensors=safetensors(PART_SIZE // 2 + 3))

    def leave(self, caller, model, name, *pieces):
        """Ask for leave to send these pieces as the parts of a file, from the first on."""
        announced = [
            {"part": number, "sha256": hashlib.sha256(piece).hexdigest()}
            for number, piece in enumerate(pieces, start=1)
        ]
        address = f"{versions(model)}/1/files/{name}/parts"
        return caller.post(address, {"parts": announced}, format="json")

    def received(self, caller, model, name):
        """Ask which parts of a file S3 has."""
        return caller.post(f"{versions(model)}/1/files/{name}/received").json()["parts"]

    def opened(self, caller, model):
        """Open a version; return the pieces of its files by name."""
        caller.post(versions(model), body(self.CONTENTS), format="json")
        return {
            name: [content[at : at + PART_SIZE] for at in range(0, len(content), PART_SIZE)]
            for name, content in self.CONTENTS.items()
        }

    @pytest.mark.usefixtures("s3_server")
    def test_take_the_part_that_was_named_and_nothing_else(self, api, alice):
        model, caller = new_model(alice), api(alice)
        first, last = self.opened(caller, model)["model.safetensors"]
        answer = self.leave(caller, model, "model.safetensors", first, last).json()
        assert [one["part"] for one in answer["parts"]] == [1, 2]
        one, two = answer["parts"]
        other = bytes(len(first))
        assert put(one, other) == 400  # bytes that were not announced
        assert put(one, first[:-1], length=len(first) - 1) == 403  # another length than was signed
        checksum = base64.b64encode(hashlib.sha256(other).digest()).decode()
        changed = one["headers"] | {"x-amz-checksum-sha256": checksum}
        assert put({**one, "headers": changed}, other) == 403
        assert put({**one, "url": two["url"]}, first) == 403  # leave for another part
        assert self.received(caller, model, "model.safetensors") == []
        assert put(two, last) == 200
        assert self.received(caller, model, "model.safetensors") == [2]

    @pytest.mark.usefixtures("s3_server")
    def test_become_a_version_by_what_s3_lists(self, api, alice):
        model, caller = new_model(alice), api(alice)
        for name, pieces in self.opened(caller, model).items():
            signed = self.leave(caller, model, name, *pieces).json()["parts"]
            for one, piece in zip(signed, pieces, strict=True):
                assert put(one, piece) == 200
        assert [file.parts for file in ModelFile.objects.all()] == [[], [], []]
        done = caller.post(f"{versions(model)}/1/finish")
        assert (done.status_code, done.json()["status"]) == (202, "SIGNING")
        kept = ModelFile.objects.get(name="model.safetensors").parts
        first = hashlib.sha256(self.CONTENTS["model.safetensors"][:PART_SIZE]).digest()
        assert kept[0]["checksum"] == base64.b64encode(first).decode()

    @pytest.mark.usefixtures("s3_server")
    def test_begin_anew_where_s3_threw_them_away(self, api, alice, store):
        model, caller = new_model(alice), api(alice)
        (piece,) = self.opened(caller, model)["config.json"]
        (one,) = self.leave(caller, model, "config.json", piece).json()["parts"]
        assert put(one, piece) == 200
        file = ModelFile.objects.get(name="config.json")
        store.abort_upload(f"{model.name}/v1/config.json", file.upload_id)
        assert self.received(caller, model, "config.json") == []
        (one,) = self.leave(caller, model, "config.json", piece).json()["parts"]
        assert put(one, piece) == 200
        assert self.received(caller, model, "config.json") == [1]

    def test_refuse_what_is_no_part(self, api, alice, registered_model):
        caller = api(alice)
        add(registered_model, alice)
        refused = self.leave(caller, registered_model, "LICENSE", b"x", b"y")
        assert (refused.status_code, refused.json()["code"]) == (409, "bad_part")
        assert "has 1 part, and no part 2" in refused.json()["detail"]
        address = f"{versions(registered_model)}/1/files/LICENSE/parts"
        for sent in ([], [{"part": 0, "sha256": "0" * 64}], [{"part": 1, "sha256": "A" * 64}]):
            assert caller.post(address, {"parts": sent}, format="json").status_code == 400
        many = [{"part": 1, "sha256": "0" * 64}] * 101
        assert caller.post(address, {"parts": many}, format="json").status_code == 400

    def test_are_for_owners(self, api, alice, charlie, registered_model):
        add(registered_model, alice)
        assert self.leave(api(charlie), registered_model, "LICENSE", b"x").status_code == 403
        address = f"{versions(registered_model)}/1/files/LICENSE/received"
        assert api(charlie).post(address).status_code == 403
        assert api(alice).post(address.replace("LICENSE", "vocab.json")).status_code == 404


def put(leave, piece, length=None):
    """Send a part to S3 with the leave that was given; return the status."""
    headers = leave["headers"] | ({"Content-Length": str(length)} if length is not None else {})
    return httpx.put(leave["url"], content=piece, headers=headers).status_code


class TestFinish:
    def test_names_what_is_missing(self, api, alice, registered_model):
        version = add(registered_model, alice)
        answer = api(alice).post(f"{versions(registered_model)}/{version.number}/finish")
        assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")


class TestSession:
    """The upload page speaks to the same API with its session."""

    def test_is_let_in_with_a_csrf_token_only(self, alice, registered_model):
        browser = APIClient(enforce_csrf_checks=True)
        browser.force_login(alice)
        sent = json.dumps(body(folder()))
        assert (
            browser.post(
                versions(registered_model), sent, content_type="application/json"
            ).status_code
            == 403
        )
        browser.cookies["csrftoken"] = token = "a" * 32
        answer = browser.post(
            versions(registered_model),
            sent,
            content_type="application/json",
            headers={"x-csrftoken": token},
        )
        assert answer.status_code == 201

    def test_ends_as_it_does_on_pages(self, alice, registered_model):
        browser = self.signed_in(alice, started_at=-60, seen_at=-3601)
        answer = browser.get(versions(registered_model))
        assert (answer.status_code, answer.json()["code"]) == (401, "session_over")
        browser = self.signed_in(alice, started_at=-8 * 3600 - 1, seen_at=-60)
        assert browser.get(versions(registered_model)).status_code == 401
        assert self.signed_in(alice, seen_at=-60).get(versions(registered_model)).status_code == 200

    def test_is_in_use_while_it_sends(self, alice, registered_model):
        browser = self.signed_in(alice, started_at=-3700, seen_at=-1800)
        seen_at = browser.session["seen_at"]
        browser.get(versions(registered_model))
        assert browser.session["seen_at"] == seen_at
        sent = json.dumps(body(folder()))
        browser.post(versions(registered_model), sent, content_type="application/json")
        assert browser.session["seen_at"] > seen_at + 1700

    def signed_in(self, user, *, started_at=-60, seen_at):
        """Return a browser whose person signed in, and was last seen, so many seconds ago."""
        browser = APIClient()
        browser.force_login(user)
        session, now = browser.session, time.time()
        session.update(
            {"started_at": now + started_at, "seen_at": now + seen_at, "team_id": user.team_id}
        )
        session.save()
        return browser


def test_bearer_tokens_come_first():
    from apps.accounts.oidc import EITHER_DOOR

    assert EITHER_DOOR[0] is BearerAuthentication
