"""Registering models and taking uploads: who may, in which state, and twice."""

import pytest
from django.urls import resolve

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.catalog import actions
from apps.catalog.manifest import FileEntry
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.errors import NotPermitted
from tests.catalog.samples import declared, folder
from tests.factories import NOW, ModelVersionFactory, UserFactory

pytestmark = pytest.mark.django_db
FACTS = {
    "title": "Clinical summary", "description": "Summaries.", "task": "Summarization",
    "family": "SmolLM2",
    "parameter_count": 1, "context_length": 2048, "license": "Apache-2.0", "data_class": "PHI",
}  # fmt: skip


def audited(target) -> list[str]:
    events = AuditEvent.objects.about(type(target).__name__, str(target.pk))
    return sorted(event.action for event in events)


def add(model, actor, **more):
    return actions.add_version(
        registered_model=model, files=declared(folder()), actor=actor, now=NOW, **more
    )


def complete(version) -> None:
    for file in version.files.all():
        actions.record_part(file=file, number=1, etag="e", size=file.size, now=NOW)


class TestRegisterModel:
    def test_makes_the_actors_team_the_owner(self, alice):
        row = actions.register_model(name="clinical-summary", actor=alice, now=NOW, **FACTS)
        assert row.owner_team == alice.team
        assert row.is_owned_by(alice)
        assert audited(row) == [Action.MODEL_REGISTERED]

    def test_is_for_model_owners(self, charlie):
        with pytest.raises(NotPermitted, match="model owners"):
            actions.register_model(name="x", actor=charlie, now=NOW, **FACTS)

    def test_needs_a_team(self, db):
        lonely = UserFactory(team=None, with_roles=[Role.MODEL_OWNER])
        with pytest.raises(NotPermitted, match="team"):
            actions.register_model(name="x", actor=lonely, now=NOW, **FACTS)

    def test_refuses_a_name_that_is_taken(self, alice, registered_model):
        with pytest.raises(actions.NameTaken, match="registered already"):
            actions.register_model(name=registered_model.name, actor=alice, now=NOW, **FACTS)
        assert RegisteredModel.objects.count() == 1

    def test_refuses_a_name_that_is_an_address_of_the_catalog(self, alice):
        taken = resolve("/catalog/register/")
        assert taken.url_name == "model_create"
        with pytest.raises(actions.BadName, match="page of its own"):
            actions.register_model(name="register", actor=alice, now=NOW, **FACTS)

    @pytest.mark.parametrize("name", ["", "1a", "A", "a_b", "a-", "-a", "a" * 37, "a/b", "a\n"])
    def test_refuses_a_name_that_cannot_be_served(self, alice, name):
        with pytest.raises(actions.BadName):
            actions.register_model(name=name, actor=alice, now=NOW, **FACTS)


class TestAddVersion:
    def test_opens_the_next_number(self, alice, registered_model):
        ModelVersionFactory(registered_model=registered_model, number=4)
        version = add(registered_model, alice, note="better")
        assert (version.number, version.status, version.note) == (
            5,
            ModelVersion.Status.UPLOADING,
            "better",
        )
        assert version.files.count() == 3
        assert audited(version) == [Action.VERSION_ADDED]

    def test_resumes_the_same_upload(self, alice, registered_model):
        version = add(registered_model, alice)
        assert add(registered_model, alice) == version
        assert audited(version) == [Action.VERSION_ADDED]

    def test_does_not_resume_a_colleagues_upload(self, alice, bob, registered_model):
        assert add(registered_model, alice) != add(registered_model, bob)

    def test_does_not_resume_other_files(self, alice, registered_model):
        other = actions.add_version(
            registered_model=registered_model,
            files=declared(folder(config__json=b"{}")),
            actor=alice,
            now=NOW,
        )
        assert add(registered_model, alice).number == other.number + 1

    def test_refuses_a_number_that_is_taken(self, alice, registered_model):
        ModelVersionFactory(registered_model=registered_model, number=3)
        with pytest.raises(
            actions.VersionExists,
            match=r"v3 exists; a version never changes. "
            r"Publish v4",
        ):
            add(registered_model, alice, number=3)

    def test_refuses_others(self, charlie, registered_model):
        with pytest.raises(NotPermitted, match="model owners of the team"):
            add(registered_model, charlie)

    def test_refuses_an_owner_of_another_team(self, registered_model):
        with pytest.raises(NotPermitted):
            add(registered_model, UserFactory(with_roles=[Role.MODEL_OWNER]))

    def test_refuses_bad_files(self, alice, registered_model):
        files = [*declared(folder()), FileEntry("evil.pkl", 1, "00" * 32)]
        with pytest.raises(actions.BadFiles, match=r"evil.pkl: .pkl files can carry code"):
            actions.add_version(
                registered_model=registered_model, files=files, actor=alice, now=NOW
            )
        assert not ModelVersion.objects.exists()


class TestRecordPart:
    def test_replaces_a_part_that_came_again(self, alice, registered_model):
        file = add(registered_model, alice).files.get(name="config.json")
        actions.record_part(file=file, number=1, etag="first", size=1, now=NOW)
        actions.record_part(file=file, number=1, etag="second", size=2, now=NOW)
        file.refresh_from_db()
        assert file.parts == [{"PartNumber": 1, "ETag": "second", "size": 2}]

    def test_refuses_a_version_that_is_closed(self, alice, registered_model):
        version = ModelVersionFactory(registered_model=registered_model)
        file = version.files.create(name="config.json", size=1, sha256="00" * 32)
        with pytest.raises(actions.NotUploading, match="never changes"):
            actions.record_part(file=file, number=1, etag="e", size=1, now=NOW)


class TestFinishUpload:
    def test_hands_over_to_the_worker(self, alice, registered_model):
        version = add(registered_model, alice)
        complete(version)
        row = actions.finish_upload(version=version, actor=alice, locked_until=NOW, now=NOW)
        assert row.status == ModelVersion.Status.SIGNING
        assert row.next_check_at == NOW
        assert audited(version) == [Action.VERSION_ADDED, Action.VERSION_UPLOADED]

    def test_does_nothing_the_second_time(self, alice, registered_model):
        version = add(registered_model, alice)
        complete(version)
        for _ in range(2):
            actions.finish_upload(version=version, actor=alice, locked_until=NOW, now=NOW)
        assert audited(version).count(Action.VERSION_UPLOADED) == 1

    def test_names_what_is_missing(self, alice, registered_model):
        version = add(registered_model, alice)
        with pytest.raises(
            actions.UploadIncomplete,
            match=r"LICENSE, config.json, "
            r"model.safetensors",
        ):
            actions.finish_upload(version=version, actor=alice, locked_until=NOW, now=NOW)

    def test_refuses_others(self, alice, charlie, registered_model):
        with pytest.raises(NotPermitted):
            actions.finish_upload(
                version=add(registered_model, alice), actor=charlie, locked_until=NOW, now=NOW
            )

    def test_refuses_a_quarantined_version(self, alice, registered_model):
        version = ModelVersionFactory(registered_model=registered_model, status="QUARANTINED")
        with pytest.raises(actions.NotUploading):
            actions.finish_upload(version=version, actor=alice, locked_until=NOW, now=NOW)


class TestRetryVersion:
    def test_goes_on_where_it_stopped(self, alice, registered_model):
        version = ModelVersionFactory(
            registered_model=registered_model, status="FAILED", locked_until=NOW
        )
        actions.retry_version(version=version, actor=alice, now=NOW)
        assert version.status == ModelVersion.Status.VERIFYING

    def test_refuses_others_and_other_states(self, alice, charlie, registered_model):
        version = ModelVersionFactory(
            registered_model=registered_model, status="QUARANTINED", locked_until=NOW
        )
        with pytest.raises(NotPermitted):
            actions.retry_version(version=version, actor=charlie, now=NOW)
        with pytest.raises(actions.WrongState):
            actions.retry_version(version=version, actor=alice, now=NOW)

    def test_refuses_an_upload_that_was_given_up(self, alice, registered_model):
        version = ModelVersionFactory(
            registered_model=registered_model, status="FAILED", manifest_digest=""
        )
        with pytest.raises(actions.WrongState, match="never finished"):
            actions.retry_version(version=version, actor=alice, now=NOW)


class TestFinalStates:
    @pytest.mark.parametrize("status", ["VERIFIED", "QUARANTINED", "FAILED"])
    def test_are_final_for_the_worker(self, registered_model, status):
        version = ModelVersionFactory(registered_model=registered_model, status=status)
        actions.quarantine_version(version=version, reason="R", message="m", now=NOW)
        actions.fail_version(version=version, reason="R", message="m", now=NOW)
        actions.record_verified(version=version, bytes_verified=1, now=NOW)
        version.refresh_from_db()
        assert version.status == status
        assert audited(version) == []
