"""The API of keys that sign manifests: the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.signers import actions
from apps.catalog.signers.models import Signer, SignerRevocation
from apps.common.filters import Filters
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import Cursor
from apps.common.reasons import ReasonInput, reason_of

TAG = "Registry"
DECISIONS = {"approve": actions.approve_revocation, "reject": actions.reject_revocation}
ORDERS = {"withdraw": actions.withdraw_revocation}


class NewestKeys(Cursor):
    """Pages of keys, the newest first."""

    ordering = ("-active_from", "-id")


class SignerOutput(serializers.ModelSerializer[Signer]):
    """One key. public_key: PEM; active_to: null while it signs; revoked_at: null while its
    signatures count.
    """

    class Meta:
        model = Signer
        fields = (
            "fingerprint", "name", "kind", "key_id", "public_key", "active_from", "active_to",
            "revoked_at",
        )  # fmt: skip


class RevocationOutput(AskedOutput[SignerRevocation]):
    """A request that a key be revoked. versions: how many it took out of use, null before."""

    signer = serializers.CharField(source="signer.fingerprint")

    class Meta:
        model = SignerRevocation
        fields = ("id", "signer", *ASKED, "versions")


class Signers(Listing):
    """List keys."""

    queryset = Signer.objects.all()
    serializer_class = SignerOutput
    pagination_class = NewestKeys
    filterset_class = Filters

    @operation(
        "signers_list", TAG, "List signing keys", answers=SignerOutput(many=True), refuses=(400,)
    )
    def get(self, request: Request) -> Response:
        """Answer the keys that sign manifests, those of before included."""
        return self.listed(Signer.objects.visible_to(caller(request)))


@operation("signer", TAG, "Read a signing key", answers=SignerOutput, refuses=(404,))
@api_view(["GET"])
def signer(request: Request, fingerprint: str) -> Response:
    """Answer one key, by the SHA-256 of its public half."""
    return Response(SignerOutput(_signer_for(request, fingerprint)).data)


@operation(
    "signer_revoke",
    TAG,
    "Ask for a key to be revoked",
    takes=ReasonInput,
    answers=RevocationOutput,
    status=201,
    refuses=(404, 409),
)
@api_view(["POST"])
def revoke(request: Request, fingerprint: str) -> Response:
    """Ask that nobody believes the key any more; somebody else decides."""
    found = _signer_for(request, fingerprint)
    row = actions.request_revocation(
        signer=found, justification=reason_of(request.data), requester=caller(request), now=now()
    )
    return Response(RevocationOutput(row).data, status=201)


@operation(
    "signer_revocation_decide",
    TAG,
    "Decide about a revocation",
    takes=ReasonInput,
    answers=RevocationOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What becomes of it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Revoke the key, leave it, or take one's own request back (which needs no reason)."""
    rows: Any = SignerRevocation.objects.visible_to(caller(request))
    row = get_object_or_404(rows.select_related("signer", "requested_by"), pk=pk)
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=caller(request), body=request.data,
        now=now(), row=row,
    )  # fmt: skip
    return Response(RevocationOutput(row).data)


def _signer_for(request: Request, fingerprint: str) -> Signer:
    return get_object_or_404(Signer.objects.visible_to(caller(request)), fingerprint=fingerprint)
