"""Registering models and taking uploads: who may, in which state, and twice."""

from datetime import timedelta

import pytest
from django.urls import resolve

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.catalog import actions, parts
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.errors import NotPermitted
from apps.common.leases import lease
from apps.common.model_manifest import FileEntry
from apps.integrations.s3.types import UploadedPart
from tests.catalog.samples import declared, folder
from tests.factories import NOW, ModelVersionFactory, UserFactory
from tests.trail import AuditAway, trail

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


def two(registered_model, **state):
    """Two versions in the same state; a change of the first leaves the second as it is."""
    return [ModelVersionFactory(registered_model=registered_model, **state) for _ in range(2)]


def as_stored(row) -> dict:
    """Every column of a row, as the database has it now."""
    return type(row).objects.filter(pk=row.pk).values().get()


def complete(version) -> None:
    for file in version.files.all():
        parts.record_part(file=file, part=UploadedPart(1, "e", file.size), now=NOW)


class TestRegisterModel:
    def test_makes_the_actors_team_the_owner(self, alice):
        row = actions.register_model(name="clinical-summary", actor=alice, now=NOW, **FACTS)
        assert row.owner_team == alice.team
        assert row.is_owned_by(alice)
        stored = as_stored(row)
        assert {name: stored[name] for name in FACTS} == FACTS
        assert (row.name, row.created_by, row.created_at) == ("clinical-summary", alice, NOW)
        assert (row.intended_use, row.forbidden_use) == ("", "")
        assert trail(row) == [(Action.MODEL_REGISTERED, "alice", {"owner_team": str(alice.team)})]

    def test_keeps_what_it_may_be_used_for(self, alice):
        uses = {"intended_use": "Summaries.", "forbidden_use": "Diagnoses."}
        row = actions.register_model(name="a" * 36, actor=alice, now=NOW, **FACTS, **uses)
        assert (row.intended_use, row.forbidden_use) == ("Summaries.", "Diagnoses.")

    def test_registers_nothing_that_it_cannot_record(self, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.register_model(name="x", actor=alice, now=NOW, **FACTS)
        assert not RegisteredModel.objects.exists()

    def test_is_for_model_owners(self, charlie):
        with pytest.raises(NotPermitted, match="model owners"):
            actions.register_model(name="x", actor=charlie, now=NOW, **FACTS)

    def test_needs_a_team(self, db):
        lonely = UserFactory(team=None, with_roles=[Role.MODEL_OWNER])
        with pytest.raises(NotPermitted, match="team"):
            actions.register_model(name="x", actor=lonely, now=NOW, **FACTS)

    def test_refuses_a_name_that_is_taken(self, alice, registered_model):
        with pytest.raises(actions.NameTaken, match="already registered"):
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
        entries = [FileEntry(f.name, f.size, f.sha256) for f in version.files.all()]
        assert sorted(entries, key=lambda e: e.name) == sorted(
            declared(folder()), key=lambda e: e.name
        )
        assert (version.created_by, version.created_at) == (alice, NOW)
        assert version.next_check_at == NOW + timedelta(hours=24)
        facts = {"files": 3, "bytes": sum(e.size for e in entries), "note": "better"}
        assert trail(version) == [(Action.VERSION_ADDED, "alice", facts)]

    def test_begins_with_one_and_takes_the_number_that_is_asked_for(self, alice, registered_model):
        ModelVersionFactory(number=7)
        assert add(registered_model, alice).number == 1
        other = actions.add_version(
            registered_model=registered_model, number=5, actor=alice, now=NOW,
            files=declared(folder(LICENSE=b"MIT")),
        )  # fmt: skip
        assert other.number == 5

    def test_resumes_only_the_number_that_is_asked_for(self, alice, registered_model):
        first = add(registered_model, alice, number=3)
        assert add(registered_model, alice, number=3) == first
        assert add(registered_model, alice, number=4) != first

    def test_does_not_resume_what_is_no_upload_any_more(self, alice, registered_model):
        version = add(registered_model, alice)
        ModelVersion.objects.filter(pk=version.pk).update(status="FAILED")
        assert add(registered_model, alice) != version

    def test_opens_nothing_that_it_cannot_record(self, alice, registered_model, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            add(registered_model, alice)
        assert not ModelVersion.objects.exists()

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


class TestFinishUpload:
    def test_hands_over_to_the_worker(self, alice, registered_model):
        version = add(registered_model, alice)
        complete(version)
        row = actions.finish_upload(version=version, actor=alice, locked_until=NOW, now=NOW)
        assert row.status == ModelVersion.Status.SIGNING
        assert row.next_check_at == NOW
        assert audited(version) == [Action.VERSION_ADDED, Action.VERSION_UPLOADED]

    def test_tells_the_worker_what_to_do_until_when(self, alice, registered_model):
        version, other = add(registered_model, alice), add(registered_model, alice, number=9)
        ModelVersion.objects.filter(pk=version.pk).update(attempts=3)
        complete(version)
        later = NOW + timedelta(hours=1)
        until = NOW + timedelta(days=30, microseconds=5)
        untouched = as_stored(other)
        row = actions.finish_upload(version=version, actor=alice, locked_until=until, now=later)
        assert (row.locked_until, row.observed_at) == (NOW + timedelta(days=30), later)
        assert (row.next_check_at, row.attempts, row.generation) == (later, 0, 2)
        assert row.message == "The worker reads every file back."
        assert trail(row)[1:] == [(Action.VERSION_UPLOADED, "alice", {})]
        assert as_stored(other) == untouched

    @pytest.mark.parametrize("status", ["SIGNING", "VERIFYING", "VERIFIED"])
    def test_has_nothing_to_do_for_a_version_that_went_on(self, alice, registered_model, status):
        version = ModelVersionFactory(registered_model=registered_model, status=status)
        before = as_stored(version)
        row = actions.finish_upload(version=version, actor=alice, locked_until=NOW, now=NOW)
        assert (row, as_stored(version), audited(version)) == (version, before, [])

    def test_closes_nothing_that_it_cannot_record(self, alice, registered_model, audit_away):
        version = add(registered_model, alice)
        complete(version)
        with audit_away(), pytest.raises(AuditAway):
            actions.finish_upload(version=version, actor=alice, locked_until=NOW, now=NOW)
        assert as_stored(version)["status"] == "UPLOADING"

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


class TestWhatTheWorkerFoundOut:
    LATER = NOW + timedelta(hours=1)

    def test_of_one_file_is_kept_of_that_file(self, files):
        file, other = files
        untouched = as_stored(other)
        actions.record_stored(file=file, object_version="v1", now=NOW)
        for now in (NOW, self.LATER):
            actions.record_read_back(file=file, range_digests=["aa"], now=now)
            actions.record_file_verified(file=file, now=now)
        stored = as_stored(file)
        assert (stored["object_version"], stored["uploaded_at"]) == ("v1", NOW)
        assert (stored["read_back_at"], stored["verified_at"]) == (NOW, NOW)
        assert as_stored(other) == untouched

    def test_of_its_progress_is_shown_while_it_moves(self, registered_model):
        version, other = two(registered_model, status="VERIFYING", reason="WAITING")
        untouched = as_stored(other)
        facts = {"version": version, "message": "Half.", "now": NOW}
        assert actions.record_progress(bytes_verified=7, **facts) is True
        version.refresh_from_db()
        assert version.next_check_at == NOW + lease()
        assert (version.bytes_verified, version.message, version.reason, version.observed_at) == (
            7,
            "Half.",
            "",
            NOW,
        )
        gone = {"status": "QUARANTINED", "next_check_at": None}
        ModelVersion.objects.filter(pk=version.pk).update(**gone)
        assert actions.record_progress(bytes_verified=9, **facts) is False
        stored = as_stored(version)
        assert (stored["bytes_verified"], stored["next_check_at"]) == (7, None)
        assert as_stored(other) == untouched

    def test_waits_for_what_is_away_unless_the_row_has_changed(self, registered_model):
        version, other = two(registered_model, status="SIGNING")
        untouched = as_stored(other)
        actions.record_waiting(version=version, message="S3 is away.", at=self.LATER, now=NOW)
        stored = as_stored(version)
        assert (stored["reason"], stored["message"], stored["observed_at"]) == (
            "WAITING",
            "S3 is away.",
            NOW,
        )
        assert (stored["next_check_at"], as_stored(other)) == (self.LATER, untouched)
        ModelVersion.objects.filter(pk=version.pk).update(generation=5)
        actions.record_waiting(version=version, message="Again.", at=NOW, now=NOW)
        assert as_stored(version)["message"] == "S3 is away."
        version.refresh_from_db()
        ModelVersion.objects.filter(pk=version.pk).update(status="QUARANTINED")
        actions.record_waiting(version=version, message="Again.", at=NOW, now=NOW)
        assert as_stored(version)["message"] == "S3 is away."

    def test_signs_once_and_goes_on(self, registered_model):
        state = {"status": "SIGNING", "attempts": 4, "reason": "WAITING", "bytes_verified": 9}
        version, other = two(registered_model, **state, manifest_digest="")
        untouched = as_stored(other)
        facts = {"manifest_digest": f"sha256:{'a' * 64}", "signer": "Registry key 1"}
        facts["signature_digest"] = f"sha256:{'b' * 64}"
        for _ in range(2):
            actions.record_signed(version=version, now=NOW, **facts)
        found = {name: getattr(version, name) for name in facts}
        assert (version.status, found) == ("VERIFYING", facts)
        assert (version.bytes_verified, version.attempts, version.reason) == (0, 0, "")
        assert (version.next_check_at, version.observed_at) == (NOW, NOW)
        assert version.message.startswith("Everything is read once more")
        assert trail(version) == [
            (Action.VERSION_PUBLISHED, "system:catalog.reconcile_version", facts)
        ]
        assert as_stored(other) == untouched

    def test_verifies_once(self, registered_model):
        state = {"status": "VERIFYING", "next_check_at": NOW, "reason": "R", "generation": 3}
        version, other = two(registered_model, **state, message="Half.")
        untouched = as_stored(other)
        for _ in range(2):
            actions.record_verified(version=version, bytes_verified=12, now=NOW)
        assert (version.status, version.verified_at, version.bytes_verified) == (
            "VERIFIED",
            NOW,
            12,
        )
        again = NOW + actions.CHECKED_AGAIN_AFTER
        assert (version.next_check_at, version.reason, version.message) == (again, "", "")
        assert version.observed_generation == 3
        facts = {"manifest_digest": version.manifest_digest, "bytes": 12}
        assert trail(version) == [
            (Action.VERSION_VERIFIED, "system:catalog.reconcile_version", facts)
        ]
        assert as_stored(other) == untouched

    @pytest.mark.parametrize(
        ("change", "action", "status"),
        [
            (actions.quarantine_version, Action.VERSION_QUARANTINED, "QUARANTINED"),
            (actions.fail_version, Action.VERSION_FAILED, "FAILED"),
        ],
    )
    @pytest.mark.parametrize("start", ["SIGNING", "VERIFYING"])
    def test_ends_one_version_and_says_why(self, registered_model, change, action, status, start):
        version, other = two(registered_model, status=start, next_check_at=NOW)
        untouched = as_stored(other)
        why = {"reason": "DIGEST", "message": "config.json differs."}
        for _ in range(2):
            change(version=version, now=NOW, **why)
        stored = as_stored(version)
        assert {name: stored[name] for name in why} == why
        assert (stored["status"], stored["next_check_at"]) == (status, None)
        assert trail(version) == [(action, "system:catalog.reconcile_version", why)]
        assert as_stored(other) == untouched

    def test_gives_an_upload_up_but_does_not_quarantine_it(self, registered_model):
        version, _ = two(registered_model, status="UPLOADING")
        why = {"reason": "ABANDONED", "message": "Nothing came.", "now": NOW}
        actions.quarantine_version(version=version, **why)
        assert as_stored(version)["status"] == "UPLOADING"
        actions.fail_version(version=version, **why)
        assert as_stored(version)["status"] == "FAILED"

    def test_changes_nothing_that_it_cannot_record(self, registered_model, audit_away):
        version, _ = two(registered_model, status="SIGNING", manifest_digest="")
        why = {"reason": "DIGEST", "message": "config.json differs."}
        digest = f"sha256:{'a' * 64}"
        signed = {"manifest_digest": digest, "signature_digest": digest, "signer": "x"}
        with audit_away():
            for change, more in (
                (actions.record_signed, signed),
                (actions.quarantine_version, why),
                (actions.fail_version, why),
            ):
                with pytest.raises(AuditAway):
                    change(version=version, now=NOW, **more)
                assert as_stored(version)["status"] == "SIGNING"
                version.refresh_from_db()
            ModelVersion.objects.filter(pk=version.pk).update(
                status="VERIFYING", manifest_digest=digest
            )
            with pytest.raises(AuditAway):
                actions.record_verified(version=version, bytes_verified=1, now=NOW)
        assert as_stored(version)["status"] == "VERIFYING"


class TestRetryVersion:
    @pytest.mark.parametrize(("digest", "status"), [("", "SIGNING"), ("sha256:a", "VERIFYING")])
    def test_wakes_the_worker_for_this_version(self, alice, registered_model, digest, status):
        state = {"status": "FAILED", "locked_until": NOW, "attempts": 9, "reason": "R"}
        version, other = two(registered_model, **state, message="m", manifest_digest=digest)
        untouched = as_stored(other)
        actions.retry_version(version=version, actor=alice, now=NOW)
        assert (version.status, version.reason, version.message) == (status, "", "")
        assert (version.next_check_at, version.attempts, version.generation) == (NOW, 0, 2)
        assert trail(version) == [(Action.VERSION_RETRIED, "alice", {})]
        assert as_stored(other) == untouched

    def test_tries_nothing_that_it_cannot_record(self, alice, registered_model, audit_away):
        version, _ = two(registered_model, status="FAILED", locked_until=NOW)
        with audit_away(), pytest.raises(AuditAway):
            actions.retry_version(version=version, actor=alice, now=NOW)
        assert as_stored(version)["status"] == "FAILED"

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
    def test_a_failed_one_can_turn_out_to_be_something_else(self, registered_model):
        version, other = two(registered_model, status="FAILED")
        where = {"file": "config.json", "first_byte": 0, "last_byte": 9}
        for _ in range(2):
            actions.quarantine_version(
                version=version, reason="REPLACED", message="m", where=where, now=NOW
            )
        assert as_stored(version)["status"] == "QUARANTINED"
        assert as_stored(other)["status"] == "FAILED"
        facts = {"reason": "REPLACED", "message": "m"} | where
        assert trail(version) == [
            (Action.VERSION_QUARANTINED, "system:catalog.reconcile_version", facts)
        ]

    @pytest.mark.parametrize("status", ["QUARANTINED", "FAILED"])
    def test_are_final_for_the_worker(self, registered_model, status):
        version = ModelVersionFactory(registered_model=registered_model, status=status)
        if status == "QUARANTINED":
            actions.quarantine_version(version=version, reason="R", message="m", now=NOW)
        actions.fail_version(version=version, reason="R", message="m", now=NOW)
        actions.record_verified(version=version, bytes_verified=1, now=NOW)
        version.refresh_from_db()
        assert version.status == status
        assert audited(version) == []

    def test_a_verified_version_never_fails_and_is_verified_once(self, registered_model):
        version = ModelVersionFactory(registered_model=registered_model, status="VERIFIED")
        actions.fail_version(version=version, reason="R", message="m", now=NOW)
        actions.record_verified(version=version, bytes_verified=1, now=NOW)
        version.refresh_from_db()
        assert (version.status, version.bytes_verified) == ("VERIFIED", 0)
        assert audited(version) == []


class TestQuarantineVersion:
    def test_takes_a_verified_version_out_once(self, registered_model):
        changed, other = (
            ModelVersionFactory(
                registered_model=registered_model, verified_at=NOW, next_check_at=NOW
            )
            for _ in range(2)
        )
        for _ in range(2):
            actions.quarantine_version(
                version=changed, reason="REPLACED", message="LICENSE: another", now=NOW
            )
        changed.refresh_from_db()
        assert (changed.status, changed.reason) == ("QUARANTINED", "REPLACED")
        assert (changed.verified_at, changed.next_check_at) == (NOW, None)
        assert audited(changed) == ["version.quarantined"]
        other.refresh_from_db()
        assert (other.status, audited(other)) == ("VERIFIED", [])
