"""The API of the catalog: models, versions, and the road files take. The upload page's script uses
it too.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.oidc import EITHER_DOOR
from apps.accounts.requests import caller
from apps.catalog import actions, uploads
from apps.catalog.filters import ModelQuery, VersionQuery
from apps.catalog.models import DataClass, ModelFile, ModelVersion, RegisteredModel
from apps.catalog.queries import model_for
from apps.catalog.registry import registry_from_settings
from apps.catalog.retirement.models import standing
from apps.common import model_manifest
from apps.common.listing import Listing
from apps.common.model_manifest import FileEntry
from apps.common.openapi import operation
from apps.common.pagination import Cursor

TAG = "Catalog"
MOST_PARTS = 100  # that are asked for at once


class ByName(Cursor):
    """Pages of models, by name."""

    ordering = "name"


class Newest(Cursor):
    """Pages of versions, newest first."""

    ordering = "-number"


class ModelInput(serializers.Serializer[Any]):
    """Body of a new model."""

    name = serializers.CharField(max_length=40)
    title = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=4000)
    task = serializers.CharField(max_length=60)
    family = serializers.CharField(max_length=60)
    parameter_count = serializers.IntegerField(min_value=1, max_value=10**14)
    context_length = serializers.IntegerField(min_value=1, max_value=100_000_000)
    license = serializers.CharField(max_length=60)
    data_class = serializers.ChoiceField(choices=DataClass.choices)
    intended_use = serializers.CharField(max_length=4000, default="", allow_blank=True)
    forbidden_use = serializers.CharField(max_length=4000, default="", allow_blank=True)


class FileInput(serializers.Serializer[Any]):
    """One declared file."""

    name = serializers.CharField(max_length=255, trim_whitespace=False)
    size = serializers.IntegerField(min_value=0, max_value=2**62)
    sha256 = serializers.CharField(max_length=64)


class VersionInput(serializers.Serializer[Any]):
    """Body of a new version. number: the next one when left out."""

    note = serializers.CharField(max_length=2000, default="", allow_blank=True)
    number = serializers.IntegerField(min_value=1, max_value=99_999, required=False)
    files = FileInput(many=True, allow_empty=False)

    def validate_files(self, value: list[dict[str, Any]]) -> list[FileEntry]:
        """Refuse a list that may not be published, with every reason."""
        entries = [FileEntry(**item) for item in value]
        if problems := model_manifest.file_list_problems(entries):
            raise serializers.ValidationError(problems)
        return entries


class EndOutput(serializers.Serializer[Any]):
    """When a model goes, or went. last_day: the last day on which it may be called, UTC.
    successor: what to call instead, null for nothing.
    """

    status = serializers.CharField()
    last_day = serializers.DateField()
    successor = serializers.CharField(source="successor.name", default=None, allow_null=True)
    note = serializers.CharField()


class ModelOutput(serializers.ModelSerializer[RegisteredModel]):
    """One model. retirement: null where it stays."""

    owner_team = serializers.CharField(source="owner_team.slug")
    retirement = serializers.SerializerMethodField()

    @extend_schema_field(EndOutput(allow_null=True))
    def get_retirement(self, row: RegisteredModel) -> dict[str, Any] | None:
        """Return when the model goes."""
        found = self.context["going"].get(row.pk)
        return dict(EndOutput(found).data) if found else None

    class Meta:
        model = RegisteredModel
        fields = (
            "name", "title", "description", "task", "family", "parameter_count", "context_length",
            "license",
            "data_class", "intended_use", "forbidden_use", "owner_team", "created_at",
            "retirement",
        )  # fmt: skip


class FileOutput(serializers.ModelSerializer[ModelFile]):
    """One file, with the parts that have arrived."""

    parts = serializers.SerializerMethodField()

    class Meta:
        model = ModelFile
        fields = ("name", "size", "sha256", "parts", "uploaded_at", "read_back_at", "verified_at")

    def get_parts(self, file: ModelFile) -> list[int]:
        """Return the numbers of the parts that S3 has."""
        return [part["PartNumber"] for part in file.parts]


class VersionOutput(serializers.ModelSerializer[ModelVersion]):
    """One version. Bytes and times; part_size: of every part but a file's last."""

    model = serializers.CharField(source="registered_model.name")
    created_by = serializers.CharField(source="created_by.username")
    files = FileOutput(many=True)
    part_size = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "model", "number", "status", "reason", "message", "note", "manifest_digest", "signer",
            "locked_until",
            "bytes_verified", "verified_at", "created_by", "created_at", "part_size", "files",
        )  # fmt: skip

    def get_part_size(self, version: ModelVersion) -> int:
        """Return the fixed size of a part."""
        return model_manifest.PART_SIZE


class PartOutput(serializers.Serializer[Any]):
    """A part that has arrived: its number and its bytes."""

    part = serializers.IntegerField()
    size = serializers.IntegerField()


class AnnouncedInput(serializers.Serializer[Any]):
    """A part that is about to be sent to S3. sha256: of its bytes."""

    part = serializers.IntegerField(min_value=1, max_value=10_000)
    sha256 = serializers.RegexField(r"^[0-9a-f]{64}\Z")


class PartsInput(serializers.Serializer[Any]):
    """Body of a request for leave to send parts."""

    parts = AnnouncedInput(
        many=True,
        allow_empty=False,
        max_length=MOST_PARTS,  # type: ignore[call-arg]  # of the list: the types know it not
    )


class LeaveOutput(serializers.Serializer[Any]):
    """Where to PUT a part's bytes, and the headers that must come with them: S3 refuses the part
    with any other checksum or length.
    """

    part = serializers.IntegerField(source="number")
    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())


class LeavesOutput(serializers.Serializer[Any]):
    """Leave to send parts. expires_at: ask again afterwards."""

    parts = LeaveOutput(many=True)
    expires_at = serializers.DateTimeField()


class Models(Listing):
    """List and register models."""

    queryset = RegisteredModel.objects.select_related("owner_team")
    serializer_class = ModelOutput
    pagination_class = ByName
    filterset_class = ModelQuery

    @operation("models_list", TAG, "List models", answers=ModelOutput(many=True), refuses=(400,))
    def get(self, request: Request) -> Response:
        """Answer the models the caller may see."""
        rows = RegisteredModel.objects.visible_to(caller(request)).select_related("owner_team")
        return self.listed(rows)

    def context_of(self, page: Sequence[RegisteredModel]) -> dict[str, object]:
        """Return which of a page's models go."""
        return {"going": standing(model.pk for model in page)}

    @operation(
        "models_create",
        TAG,
        "Register a model",
        takes=ModelInput,
        answers=ModelOutput,
        status=201,
        refuses=(409,),
    )
    def post(self, request: Request) -> Response:
        """Register a model for the caller's team."""
        body = ModelInput(data=request.data)
        body.is_valid(raise_exception=True)
        row = actions.register_model(**body.validated_data, actor=caller(request), now=now())
        return Response(ModelOutput(row, context={"going": {}}).data, status=201)


@operation("model", TAG, "Read a model", answers=ModelOutput, refuses=(404,))
@api_view(["GET"])
def model(request: Request, name: str) -> Response:
    """Answer one model."""
    found = model_for(caller(request), name)
    return Response(ModelOutput(found, context={"going": standing([found.pk])}).data)


class Versions(Listing):
    """List versions, and open one for upload."""

    queryset = ModelVersion.objects.all()
    serializer_class = VersionOutput
    pagination_class = Newest
    filterset_class = VersionQuery
    authentication_classes = EITHER_DOOR

    @operation(
        "versions_list",
        TAG,
        "List the versions of a model",
        answers=VersionOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request, name: str) -> Response:
        """Answer the model's versions, newest first."""
        return self.listed(_versions().filter(registered_model=model_for(caller(request), name)))

    @operation(
        "versions_create",
        TAG,
        "Open a version for upload",
        takes=VersionInput,
        answers=VersionOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request, name: str) -> Response:
        """Open a version, or answer the caller's own unfinished upload of the same files."""
        registered_model = model_for(caller(request), name)
        actions.require_owner(registered_model, caller(request))
        body = VersionInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = actions.add_version(
            registered_model=registered_model,
            actor=caller(request),
            now=now(),
            **body.validated_data,
        )
        return Response(VersionOutput(_versions().get(pk=made.pk)).data, status=201)


@operation("version", TAG, "Read a version", answers=VersionOutput, refuses=(404,))
@api_view(["GET"])
@authentication_classes(EITHER_DOOR)
def version(request: Request, name: str, number: int) -> Response:
    """Answer one version with its files and the parts that have arrived."""
    return Response(VersionOutput(_version_for(request, name, number)).data)


@operation(
    "version_part",
    TAG,
    "Upload a part of a file",
    takes={"application/octet-stream": OpenApiTypes.BINARY},
    answers=PartOutput,
    refuses=(404, 409, 502),
    parameters=[
        OpenApiParameter("part", int, required=True, description="Counts from 1."),
    ],
)
@api_view(["PUT"])
@authentication_classes(EITHER_DOOR)
def part(request: Request, name: str, number: int, file_name: str) -> Response:
    """Take one part of one file; ?part= counts from 1. The body is the part's bytes, nothing
    else.
    """
    file = _file_for(request, name, number, file_name)
    actions.require_owner(file.version.registered_model, caller(request))
    actions.require_uploading(file.version)
    part_number = _part_number(request)
    expected = model_manifest.part_size(file.size, part_number)
    if not expected or request.headers.get("Content-Length") != str(expected):
        count = model_manifest.part_count(file.size)
        text = (
            f"Part {part_number} of {count} of {file.name} has {expected:,} bytes; send that with "
            f"a Content-Length."
        )
        raise serializers.ValidationError({"part": [text]})
    body = request.read(expected)
    uploads.receive_part(
        file=file,
        number=part_number,
        body=body,
        actor=caller(request),
        registry=registry_from_settings(),
        now=now(),
    )
    return Response(PartOutput({"part": part_number, "size": len(body)}).data)


@operation(
    "version_parts_sign",
    TAG,
    "Ask for leave to send parts to S3",
    takes=PartsInput,
    answers=LeavesOutput,
    refuses=(404, 409, 502),
)
@api_view(["POST"])
def sign_parts(request: Request, name: str, number: int, file_name: str) -> Response:
    """Answer where to PUT parts of a file, straight into S3 and without a token: each address takes
    the part whose SHA-256 was named, and nothing else.
    """
    file = _file_for(request, name, number, file_name)
    body = PartsInput(data=request.data)
    body.is_valid(raise_exception=True)
    signed = uploads.sign_parts(
        file=file,
        announced=[
            uploads.Announced(one["part"], one["sha256"]) for one in body.validated_data["parts"]
        ],
        actor=caller(request),
        registry=registry_from_settings(),
        now=now(),
    )
    return Response(LeavesOutput({"parts": signed, "expires_at": now() + uploads.LEAVE}).data)


@operation(
    "version_parts_received",
    TAG,
    "Ask S3 which parts have arrived",
    answers=FileOutput,
    refuses=(404, 409, 502),
)
@api_view(["POST"])
def received_parts(request: Request, name: str, number: int, file_name: str) -> Response:
    """Look into S3 for the parts of a file, and answer the file with those that are there."""
    file = uploads.look_at_parts(
        file=_file_for(request, name, number, file_name),
        actor=caller(request),
        registry=registry_from_settings(),
        now=now(),
    )
    return Response(FileOutput(file).data)


@operation(
    "version_finish",
    TAG,
    "Close an upload",
    answers=VersionOutput,
    status=202,
    refuses=(404, 409, 502),
)
@api_view(["POST"])
@authentication_classes(EITHER_DOOR)
def finish(request: Request, name: str, number: int) -> Response:
    """Close the upload; the worker signs, locks and verifies."""
    found = _version_for(request, name, number)
    uploads.finish(
        version=found, actor=caller(request), registry=registry_from_settings(), now=now()
    )
    return Response(VersionOutput(_versions().get(pk=found.pk)).data, status=202)


def _versions() -> Any:
    rows = ModelVersion.objects.select_related("registered_model__owner_team", "created_by")
    return rows.prefetch_related(Prefetch("files", ModelFile.objects.order_by("name")))


def _version_for(request: Request, name: str, number: int) -> ModelVersion:
    found: ModelVersion = get_object_or_404(
        _versions().visible_to(caller(request)), registered_model__name=name, number=number
    )
    return found


def _file_for(request: Request, name: str, number: int, file_name: str) -> ModelFile:
    version = _version_for(request, name, number)
    file = get_object_or_404(ModelFile, version=version, name=file_name)
    file.version = version
    return file


def _part_number(request: Request) -> int:
    text = request.query_params.get("part", "")
    return int(text) if text.isdecimal() and len(text) < 6 else 0
