"""What is remembered of the parts that S3 has of a version's files."""

from datetime import timedelta

import pytest

from apps.catalog import actions, parts
from apps.catalog.models import ModelFile, ModelVersion
from apps.common.model_manifest import PART_SIZE
from apps.integrations.s3.types import UploadedPart
from tests.catalog.samples import declared, folder, safetensors
from tests.catalog.test_actions import add, as_stored
from tests.factories import NOW, ModelVersionFactory, RegisteredModelFactory

pytestmark = pytest.mark.django_db


class TestRecordStarted:
    def test_is_for_the_first_who_begins_it(self, files):
        file, other = files
        assert parts.record_started(file=file, upload_id="first") is True
        assert parts.record_started(file=file, upload_id="second") is False
        assert as_stored(file)["upload_id"] == "first"
        assert as_stored(other)["upload_id"] == ""


class TestRecordPart:
    def test_keeps_parts_in_order_and_the_upload_alive(self, files):
        file, other = files
        later = NOW + timedelta(hours=5)
        for number in (10, 9):
            parts.record_part(file=file, part=UploadedPart(number, "e", number), now=later)
        assert as_stored(file)["parts"] == [
            {"PartNumber": 9, "ETag": "e", "size": 9},
            {"PartNumber": 10, "ETag": "e", "size": 10},
        ]
        assert as_stored(other)["parts"] == []
        checks = [as_stored(one.version)["next_check_at"] - NOW for one in files]
        assert checks == [timedelta(hours=29), timedelta(hours=24)]

    def test_loses_no_part_that_came_meanwhile(self, files):
        stale = ModelFile.objects.get(pk=files[0].pk)
        parts.record_part(file=files[0], part=UploadedPart(1, "e", 1), now=NOW)
        parts.record_part(file=stale, part=UploadedPart(2, "e", 1), now=NOW)
        assert [part["PartNumber"] for part in as_stored(stale)["parts"]] == [1, 2]

    def test_replaces_a_part_that_came_again(self, alice, registered_model):
        file = add(registered_model, alice).files.get(name="config.json")
        parts.record_part(file=file, part=UploadedPart(1, "first", 1), now=NOW)
        parts.record_part(file=file, part=UploadedPart(1, "second", 2), now=NOW)
        file.refresh_from_db()
        assert file.parts == [{"PartNumber": 1, "ETag": "second", "size": 2}]

    def test_keeps_no_part_of_an_upload_that_it_cannot_keep_alive(self, files, monkeypatch):
        monkeypatch.setattr(actions, "ABANDONED_AFTER", timedelta.max)
        with pytest.raises(OverflowError):
            parts.record_part(file=files[0], part=UploadedPart(1, "e", 1), now=NOW)
        assert as_stored(files[0])["parts"] == []

    def test_refuses_a_version_that_is_closed(self, alice, registered_model):
        version = ModelVersionFactory(registered_model=registered_model)
        file = version.files.create(name="config.json", size=1, sha256="00" * 32)
        with pytest.raises(actions.NotUploading, match="never changes"):
            parts.record_part(file=file, part=UploadedPart(1, "e", 1), now=NOW)


class TestRecordParts:
    @pytest.fixture
    def weights(self, alice):
        """The same file of two parts, in two versions."""
        contents = folder(model__safetensors=safetensors(PART_SIZE // 2 + 3))
        found = []
        for _ in range(2):
            version = actions.add_version(
                registered_model=RegisteredModelFactory(owner_team=alice.team),
                files=declared(contents),
                actor=alice,
                now=NOW,
            )
            found.append(version.files.get(name="model.safetensors"))
        return found

    def test_keeps_what_s3_lists_and_forgets_what_it_does_not(self, weights):
        file, other = weights
        for one in weights:
            parts.record_part(file=one, part=UploadedPart(1, "old", PART_SIZE), now=NOW)
        rest = file.size - PART_SIZE
        listed = [UploadedPart(2, "b", rest, "c2hh")]
        later = NOW + timedelta(hours=5)
        row = parts.record_parts(file=file, parts=listed, now=later)
        assert as_stored(file)["parts"] == row.parts
        assert row.parts == [{"PartNumber": 2, "ETag": "b", "size": rest, "checksum": "c2hh"}]
        assert as_stored(other)["parts"][0]["ETag"] == "old"
        checks = [as_stored(one.version)["next_check_at"] - NOW for one in weights]
        assert checks == [timedelta(hours=29), timedelta(hours=24)]

    def test_takes_no_part_of_another_length_or_number(self, weights):
        file, _ = weights
        rest = file.size - PART_SIZE
        listed = [UploadedPart(1, "a", PART_SIZE - 1), UploadedPart(2, "b", rest + 1)]
        listed.append(UploadedPart(3, "c", 5))
        assert parts.record_parts(file=file, parts=listed, now=NOW).parts == []
        assert not actions.is_complete(file)

    def test_looking_keeps_no_idle_upload_alive(self, weights):
        listed = [UploadedPart(1, "a", PART_SIZE)]
        parts.record_parts(file=weights[0], parts=listed, now=NOW)
        parts.record_parts(file=weights[0], parts=listed, now=NOW + timedelta(hours=9))
        assert as_stored(weights[0].version)["next_check_at"] - NOW == timedelta(hours=24)

    def test_refuses_a_version_that_is_closed(self, weights):
        ModelVersion.objects.filter(pk=weights[0].version_id).update(status="FAILED")
        with pytest.raises(actions.NotUploading):
            parts.record_parts(file=weights[0], parts=[], now=NOW)


class TestRecordLost:
    def test_lets_another_upload_begin(self, files):
        for one in files:
            parts.record_started(file=one, upload_id="gone")
            parts.record_part(file=one, part=UploadedPart(1, "a", one.size), now=NOW)
        stale = ModelFile.objects.get(pk=files[0].pk)
        row = parts.record_lost(file=stale)
        assert (row.upload_id, row.parts) == ("", [])
        assert as_stored(files[1])["upload_id"] == "gone"
        assert len(as_stored(files[1])["parts"]) == 1

    def test_keeps_the_upload_that_somebody_began_meanwhile(self, files):
        parts.record_started(file=files[0], upload_id="gone")
        stale = ModelFile.objects.get(pk=files[0].pk)
        parts.record_lost(file=stale)
        parts.record_started(file=files[0], upload_id="new")
        assert parts.record_lost(file=stale).upload_id == "new"
