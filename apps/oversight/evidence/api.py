"""The API of evidence packs: asked for, followed and taken away as on their pages, by those who
take evidence; to everybody else they are not there.
"""

from typing import Any
from uuid import UUID

from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import User
from apps.accounts.requests import caller
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import Cursor
from apps.integrations.s3.client import archive_from_settings
from apps.oversight.evidence import actions, storage
from apps.oversight.evidence.forms import AskForm
from apps.oversight.evidence.models import EvidencePack
from apps.oversight.evidence.tables import PackFilters

TAG = "Evidence"
RELATED = ("promotion__model_version__registered_model", "asked_by")


class AskInput(serializers.Serializer[Any]):
    """Body of a new pack: of one promotion, or of one month as 2026-11; one of the two."""

    promotion = serializers.UUIDField(required=False)
    month = serializers.CharField(max_length=7, required=False)


class PackOutput(serializers.ModelSerializer[EvidencePack]):
    """One pack. about: in words. checkpoint_size: the entries of the record that its proofs lead
    to; done, total, working_on: how far a worker is; sha256, size_bytes: of the zip, "" and null
    until it is made; reason, message: what stands in its way.
    """

    about = serializers.CharField(source="label")
    asked_by = serializers.CharField(source="asked_by.username")

    class Meta:
        model = EvidencePack
        fields = (
            "id", "kind", "about", "promotion", "month", "asked_by", "asked_at", "status",
            "checkpoint_size", "done", "total", "working_on", "sha256", "size_bytes", "made_at",
            "reason", "message",
        )  # fmt: skip


class NewestAsked(Cursor):
    """Pages of what was asked for, newest first."""

    ordering = ("-asked_at", "-id")


class EvidencePacks(Listing):
    """List and ask for evidence packs."""

    queryset = EvidencePack.objects.select_related(*RELATED)
    serializer_class = PackOutput
    pagination_class = NewestAsked
    filterset_class = PackFilters

    @operation(
        "evidence_packs_list",
        TAG,
        "List evidence packs",
        answers=PackOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the packs that were asked for."""
        _taker(request)
        return self.listed(EvidencePack.objects.select_related(*RELATED))

    @operation(
        "evidence_packs_create",
        TAG,
        "Have evidence put together",
        takes=AskInput,
        answers=PackOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Ask for the evidence of a promotion or of a month; answers the one that is being made
        already, where there is one.
        """
        actor = _taker(request)
        body = AskInput(data=request.data)
        body.is_valid(raise_exception=True)
        form = AskForm(body.validated_data)
        if not form.is_valid():
            raise serializers.ValidationError(form.errors.get_json_data())
        promotion, month = form.cleaned_data["promotion"], form.cleaned_data["month"]
        if promotion:
            made = actions.ask_for_promotion(promotion=promotion, actor=actor, now=now())
        else:
            made = actions.ask_for_month(month=month, actor=actor, now=now())
        return Response(PackOutput(_pack(made.pk)).data, status=201)


@operation("evidence_pack", TAG, "Read an evidence pack", answers=PackOutput, refuses=(404,))
@api_view(["GET"])
def evidence_pack(request: Request, pk: UUID) -> Response:
    """Answer where one pack stands."""
    _taker(request)
    return Response(PackOutput(_pack(pk)).data)


@operation(
    "evidence_pack_file",
    TAG,
    "Take an evidence pack away",
    answers=OpenApiTypes.BINARY,
    refuses=(404, 409),
)
@api_view(["GET"])
def evidence_file(request: Request, pk: UUID) -> FileResponse:
    """Answer the zip, after its digest was checked; the record says who took it."""
    actor = _taker(request)
    pack = _pack(pk)
    file = storage.stored(archive_from_settings(), pack)
    actions.record_taken(pack=pack, actor=actor, now=now())
    return FileResponse(
        file, as_attachment=True, filename=pack.file_name, content_type="application/zip"
    )


@operation(
    "evidence_pack_retry",
    TAG,
    "Have an evidence pack made again",
    answers=PackOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def evidence_retry(request: Request, pk: UUID) -> Response:
    """Have a pack that failed made again."""
    actor = _taker(request)
    actions.try_again(pack=_pack(pk), actor=actor, now=now())
    return Response(PackOutput(_pack(pk)).data)


def _pack(pk: UUID) -> EvidencePack:
    return get_object_or_404(EvidencePack.objects.select_related(*RELATED), pk=pk)


def _taker(request: Request) -> User:
    """Return who calls, where they take evidence away. Raises Http404."""
    found = caller(request)
    if not actions.may_take(found):
        raise Http404
    return found
