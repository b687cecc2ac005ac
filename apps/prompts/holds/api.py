"""The API of legal holds: the same actions as the pages."""

from typing import Any
from uuid import UUID

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
from apps.common.pagination import Cursor
from apps.common.reasons import ReasonInput
from apps.prompts.holds import actions
from apps.prompts.holds.models import HoldRelease, LegalHold, Scope
from apps.prompts.pages import require_overseer
from apps.prompts.rules.actions import permit_asking
from apps.prompts.rules.api import TAG

DECISIONS = {"approve": actions.approve_release, "reject": actions.reject_release}
ORDERS = {"withdraw": actions.withdraw_release}


class NewestHolds(Cursor):
    """Pages of holds, newest first."""

    ordering = ("-placed_at", "-id")


class HoldInput(serializers.Serializer[Any]):
    """Body of a hold. name: a member's or case's key, hashed at once and kept nowhere; a team's
    slug; a call's request id.
    """

    scope = serializers.ChoiceField(choices=Scope.choices)
    name = serializers.CharField(max_length=200)
    matter = serializers.CharField(min_length=3, max_length=80)


class HoldOutput(serializers.ModelSerializer[LegalHold]):
    """A legal hold. value: of a member or a case its token. lifted_at: null while it stands."""

    placed_by = serializers.CharField(source="placed_by.username")

    class Meta:
        model = LegalHold
        fields = ("id", "scope", "value", "matter", "placed_by", "placed_at", "lifted_at")


class HoldQuery(Filters):
    """Holds by what they cover."""

    class Meta:
        model = LegalHold
        fields = ("scope", "value", "matter")


class LegalHolds(Listing):
    """List and place holds."""

    queryset = LegalHold.objects.all()
    serializer_class = HoldOutput
    pagination_class = NewestHolds
    filterset_class = HoldQuery

    @operation(
        "legal_holds_list", TAG, "List legal holds", answers=HoldOutput(many=True),
        refuses=(400, 404),
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Answer the holds, newest first."""
        require_overseer(caller(request))
        return self.listed(LegalHold.objects.select_related("placed_by"))

    @operation(
        "legal_holds_create", TAG, "Place a legal hold", takes=HoldInput, answers=HoldOutput,
        status=201, refuses=(404, 409),
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Keep everything of a member, a case, a team or a call."""
        require_overseer(caller(request))
        permit_asking(caller(request))
        body = HoldInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = actions.place_hold(actor=caller(request), now=now(), **dict(body.validated_data))
        return Response(HoldOutput(made).data, status=201)


def _hold(request: Request, pk: UUID) -> LegalHold:
    rows = LegalHold.objects.visible_to(caller(request)).select_related("placed_by")
    return get_object_or_404(rows, pk=pk)


@operation("legal_hold", TAG, "Read a legal hold", answers=HoldOutput, refuses=(404,))
@api_view(["GET"])
def legal_hold(request: Request, pk: UUID) -> Response:
    """Answer one hold."""
    return Response(HoldOutput(_hold(request, pk)).data)


class WhyInput(serializers.Serializer[Any]):
    """Why something is asked for."""

    justification = serializers.CharField(min_length=10, max_length=2000)


class ReleaseOutput(AskedOutput[HoldRelease]):
    """A request to lift a hold."""

    hold = serializers.UUIDField(source="hold_id")

    class Meta:
        model = HoldRelease
        fields = ("id", "hold", *ASKED)


@operation(
    "legal_hold_release", TAG, "Ask that a legal hold be lifted", takes=WhyInput,
    answers=ReleaseOutput, status=201, refuses=(404, 409),
)  # fmt: skip
@api_view(["POST"])
def ask_release(request: Request, pk: UUID) -> Response:
    """Ask that a hold be lifted; somebody else lifts it or not."""
    hold = _hold(request, pk)
    permit_asking(caller(request))
    body = WhyInput(data=request.data)
    body.is_valid(raise_exception=True)
    made = actions.ask_release(
        hold=hold, requester=caller(request), now=now(), **dict(body.validated_data)
    )
    return Response(ReleaseOutput(made).data, status=201)


def _release(request: Request, pk: UUID) -> HoldRelease:
    rows = HoldRelease.objects.visible_to(caller(request))
    return get_object_or_404(rows.select_related("hold", "requested_by", "decided_by"), pk=pk)


@operation(
    "hold_release", TAG, "Read a request to lift a hold", answers=ReleaseOutput, refuses=(404,)
)
@api_view(["GET"])
def hold_release(request: Request, pk: UUID) -> Response:
    """Answer one request."""
    return Response(ReleaseOutput(_release(request, pk)).data)


@operation(
    "hold_release_decide", TAG, "Decide about lifting a hold, or withdraw the request",
    takes=ReasonInput(required=False), answers=ReleaseOutput, refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)  # fmt: skip
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Lift the hold or let it stand, with a reason; withdraw the request without."""
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=caller(request), body=request.data,
        now=now(), release=_release(request, pk),
    )  # fmt: skip
    return Response(ReleaseOutput(_release(request, pk)).data)
