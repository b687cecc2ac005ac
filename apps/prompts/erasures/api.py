"""The API of erasures: the same actions as the pages, and the receipts."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.common.filters import Filters
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput
from apps.prompts.erasures import actions
from apps.prompts.erasures.forms import KINDS
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.erasures.views import receipt_answer
from apps.prompts.holds.api import WhyInput
from apps.prompts.pages import require_overseer
from apps.prompts.rules.actions import permit_asking
from apps.prompts.rules.api import TAG

DECISIONS = {"approve": actions.approve_erasure, "reject": actions.reject_erasure}
ORDERS = {"withdraw": actions.withdraw_erasure}


class ErasureInput(WhyInput):
    """Body of a request. name: the member's or case's key, hashed at once and kept nowhere."""

    kind = serializers.ChoiceField(choices=KINDS)
    name = serializers.CharField(max_length=200)


class ErasureOutput(AskedOutput[ErasureRequest]):
    """A request for erasure. receipt_digest: "" until it is done; the receipt has an address of its
    own.
    """

    class Meta:
        model = ErasureRequest
        fields = ("id", "kind", "token", *ASKED, "receipt_digest")


class ErasureQuery(Filters):
    """Requests by state and whose they are."""

    class Meta:
        model = ErasureRequest
        fields = ("status", "kind", "token")


class Erasures(Listing):
    """List and make requests."""

    queryset = ErasureRequest.objects.all()
    serializer_class = ErasureOutput
    pagination_class = NewestRequests
    filterset_class = ErasureQuery

    @operation(
        "erasures_list", TAG, "List erasures", answers=ErasureOutput(many=True),
        refuses=(400, 404),
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Answer the requests, newest first."""
        require_overseer(caller(request))
        return self.listed(ErasureRequest.objects.select_related("requested_by", "decided_by"))

    @operation(
        "erasures_create", TAG, "Ask for an erasure", takes=ErasureInput, answers=ErasureOutput,
        status=201, refuses=(404, 409),
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Ask that everything of a member or a case be made unreadable; somebody else decides."""
        require_overseer(caller(request))
        permit_asking(caller(request))
        body = ErasureInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = actions.ask_erasure(
            requester=caller(request), now=now(), **dict(body.validated_data)
        )
        return Response(ErasureOutput(made).data, status=201)


def _erasure(request: Request, pk: UUID) -> ErasureRequest:
    rows = ErasureRequest.objects.visible_to(caller(request))
    return get_object_or_404(rows.select_related("requested_by", "decided_by"), pk=pk)


@operation("erasure", TAG, "Read an erasure", answers=ErasureOutput, refuses=(404,))
@api_view(["GET"])
def erasure(request: Request, pk: UUID) -> Response:
    """Answer one request."""
    return Response(ErasureOutput(_erasure(request, pk)).data)


@operation("erasure_receipt", TAG, "Take an erasure's receipt", answers=dict, refuses=(404,))
@api_view(["GET"])
def receipt(request: Request, pk: UUID) -> HttpResponse:
    """Answer the receipt, byte for byte what its digest is over."""
    found = _erasure(request, pk)
    if found.receipt is None:
        raise Http404
    return receipt_answer(found)


@operation(
    "erasure_decide", TAG, "Decide about an erasure, or withdraw it",
    takes=ReasonInput(required=False), answers=ErasureOutput, refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)  # fmt: skip
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Destroy the keys, or erase nothing, with a reason; withdraw the request without."""
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=caller(request), body=request.data,
        now=now(), erasure=_erasure(request, pk),
    )  # fmt: skip
    return Response(ErasureOutput(_erasure(request, pk)).data)
