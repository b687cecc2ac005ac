"""Which parts of a version's files S3 has, while they are uploaded: the changes of those rows.

What is written here is what S3 said. A version's row is held while a part of it is recorded, so
that none comes in once the upload is closed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.catalog import actions
from apps.catalog.models import ModelFile, ModelVersion
from apps.common import model_manifest
from apps.integrations.s3.types import UploadedPart


def record_started(*, file: ModelFile, upload_id: str) -> bool:
    """Remember the multipart upload of a file. False when another request began one first."""
    return bool(ModelFile.objects.filter(pk=file.pk, upload_id="").update(upload_id=upload_id))


@transaction.atomic
def record_part(*, file: ModelFile, part: UploadedPart, now: datetime) -> None:
    """Remember a part that S3 has. A part that is sent again replaces the former one. Raises
    NotUploading.
    """
    row = _uploading(file)
    others = [one for one in row.parts if one["PartNumber"] != part.number]
    _keep_parts(row, [*others, _as_kept(part)], now)


@transaction.atomic
def record_parts(*, file: ModelFile, parts: Sequence[UploadedPart], now: datetime) -> ModelFile:
    """Remember what S3 says it has of a file, and nothing else: parts of another length than the
    file's own are none of it. Returns the file. Raises NotUploading.
    """
    row = _uploading(file)
    fitting = [
        _as_kept(part)
        for part in parts
        if part.size == model_manifest.part_size(row.size, part.number)
    ]
    if fitting != row.parts:
        _keep_parts(row, fitting, now)
    return row


@transaction.atomic
def record_lost(*, file: ModelFile) -> ModelFile:
    """Forget an upload that S3 has thrown away, so that the next part begins another one. Returns
    the file. Raises NotUploading.
    """
    row = _uploading(file)
    lost = ModelFile.objects.filter(pk=row.pk, upload_id=file.upload_id)
    lost.update(upload_id="", parts=[])
    row.refresh_from_db(fields=["upload_id", "parts"])
    return row


def _uploading(file: ModelFile) -> ModelFile:
    """Return a file's row, held with its version until this ends. Raises NotUploading."""
    version = (
        ModelVersion.objects.select_for_update()
        .select_related("registered_model")
        .get(pk=file.version_id)
    )
    actions.require_uploading(version)
    return ModelFile.objects.select_for_update().get(pk=file.pk)


def _keep_parts(row: ModelFile, parts: list[dict[str, Any]], now: datetime) -> None:
    """Write a file's parts; its version is abandoned a day after the last of them."""
    row.parts = sorted(parts, key=_part_number)
    row.save(update_fields=["parts"])
    rows = ModelVersion.objects.filter(pk=row.version_id)
    rows.update(next_check_at=now + actions.ABANDONED_AFTER)


def _as_kept(part: UploadedPart) -> dict[str, Any]:
    kept: dict[str, Any] = {"PartNumber": part.number, "ETag": part.etag, "size": part.size}
    return kept | {"checksum": part.checksum} if part.checksum else kept


def _part_number(part: dict[str, Any]) -> int:
    return int(part["PartNumber"])
