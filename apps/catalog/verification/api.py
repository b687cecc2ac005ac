"""The API of the registry: readings of versions, asking for one, and the bucket's settings."""

from typing import Any

from django.conf import settings
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.models import ModelVersion
from apps.catalog.verification import actions
from apps.catalog.verification.bucket import Verdict
from apps.catalog.verification.models import BucketState, Verification
from apps.catalog.verification.tables import VerificationFilters
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import NewestRequests

TAG = "Registry"


class VerificationOutput(serializers.ModelSerializer[Verification]):
    """One reading of a version's every byte. file, first_byte, last_byte: what differs, where
    something does; message: what was found, in words.
    """

    version = serializers.CharField(source="version.name")
    requested_by = serializers.CharField(
        source="requested_by.username", default=None, allow_null=True
    )

    class Meta:
        model = Verification
        fields = (
            "id", "version", "cause", "status", "requested_by", "requested_at", "finished_at",
            "bytes_done", "bytes_total", "reason", "message", "file", "first_byte", "last_byte",
        )  # fmt: skip


class SettingOutput(serializers.Serializer[Any]):
    """A setting of the bucket. verdict: UNKNOWN where S3 does not tell."""

    name = serializers.CharField()
    verdict = serializers.ChoiceField(choices=[str(one) for one in Verdict])
    found = serializers.CharField()
    advice = serializers.CharField()


class RegistryOutput(serializers.ModelSerializer[BucketState]):
    """The bucket as S3 described it last. problem: why S3 could not be asked, "" where it could."""

    settings = SettingOutput(many=True)

    class Meta:
        model = BucketState
        fields = ("bucket", "checked_at", "problem", "settings")


class Verifications(Listing):
    """List the readings of a version, and ask for one."""

    queryset = Verification.objects.all()
    serializer_class = VerificationOutput
    pagination_class = NewestRequests
    filterset_class = VerificationFilters

    @operation(
        "verifications_list",
        TAG,
        "List readings of a version",
        answers=VerificationOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """Answer the readings of a version's bytes, the newest first."""
        version = _version_for(request, name, number)
        rows = Verification.objects.visible_to(caller(request)).filter(version=version)
        return self.listed(rows.select_related("version__registered_model", "requested_by"))

    @operation(
        "verification_ask",
        TAG,
        "Have a version read again",
        answers=VerificationOutput,
        status=202,
        refuses=(404, 409),
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Have every byte of the version read again: read the list until it has a result."""
        version = _version_for(request, name, number)
        row = actions.ask_verification(version=version, actor=caller(request), now=now())
        return Response(VerificationOutput(row).data, status=202)


@operation("registry", TAG, "Read the bucket's settings", answers=RegistryOutput, refuses=(404,))
@api_view(["GET"])
def registry(request: Request) -> Response:
    """Answer what S3 says of the registry's bucket; 404 before it was asked."""
    if not BucketState.may_be_seen_by(caller(request)):
        raise Http404
    state = get_object_or_404(BucketState, bucket=settings.REGISTRY_BUCKET)
    return Response(RegistryOutput(state).data)


def _version_for(request: Request, name: str, number: int) -> ModelVersion:
    rows: Any = ModelVersion.objects.visible_to(caller(request))
    found: ModelVersion = get_object_or_404(
        rows.select_related("registered_model__owner_team"),
        registered_model__name=name,
        number=number,
    )
    return found
