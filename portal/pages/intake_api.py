"""The API of requests for new models: the same actions as the pages."""

import json
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.api import TAG
from apps.catalog.facts.documents import json_object
from apps.catalog.intake import actions
from apps.catalog.intake.filters import IntakeQuery
from apps.catalog.intake.forms import LARGEST_GIB, owning_teams
from apps.catalog.intake.models import ModelIntake
from apps.catalog.models import DataClass
from apps.catalog.sizing.fits import Load
from apps.catalog.sizing.forms import LONGEST_CONTEXT, MOST_CALLERS
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import AskedOutput
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput
from portal.pages.intake import RELATED, ask

DECISIONS = {"approve": actions.approve_model, "reject": actions.reject_model}
ORDERS = {"withdraw": actions.withdraw_model}


class LoadInput(serializers.Serializer[Any]):
    """The expected work: tokens of one request; callers at once, or requests a second; goals."""

    prompt = serializers.IntegerField(min_value=1, max_value=LONGEST_CONTEXT)
    answer = serializers.IntegerField(min_value=1, max_value=LONGEST_CONTEXT)
    callers = serializers.IntegerField(
        min_value=1, max_value=MOST_CALLERS, allow_null=True, default=None
    )
    rate = serializers.FloatField(min_value=0.001, max_value=100_000, allow_null=True, default=None)
    ttft_ms = serializers.FloatField(
        min_value=1, max_value=3_600_000, allow_null=True, default=None
    )
    itl_ms = serializers.FloatField(min_value=0.1, max_value=60_000, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a load that is none, or two."""
        if (attrs["callers"] is None) == (attrs["rate"] is None):
            raise serializers.ValidationError("Say callers or rate, and not both.")
        return attrs


class IntakeInput(serializers.Serializer[Any]):
    """Body of a request. config: its config.json; weight_bytes: of all its weights."""

    name = serializers.CharField(max_length=36)
    title = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=4000)
    task = serializers.CharField(max_length=60)
    family = serializers.CharField(max_length=60)
    license = serializers.CharField(max_length=60)
    data_class = serializers.ChoiceField(choices=DataClass.choices)
    # a serializer has a property of that name, which nothing here reads
    source = serializers.CharField(max_length=300)  # type: ignore[assignment]
    revision = serializers.CharField(max_length=80, default="", allow_blank=True)
    parameter_count = serializers.IntegerField(min_value=1, max_value=10**14)
    weight_bytes = serializers.IntegerField(min_value=1, max_value=LARGEST_GIB * 1024**3)
    config = serializers.DictField()
    justification = serializers.CharField(min_length=10, max_length=2000)
    owner_team = serializers.SlugField(max_length=60)
    load = LoadInput()

    def validate_config(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return a configuration that the registry could read as a file; refuse any other."""
        problems: list[str] = []
        try:
            found = json_object("config.json", json.dumps(value).encode(), problems)
        except RecursionError:
            problems.append("config.json: it is nested too deeply.")
        if problems:
            raise serializers.ValidationError(problems[0])
        return found


class IntakeOutput(AskedOutput[ModelIntake]):
    """One request. estimate: the cheapest way to serve the load, as it was when asked."""

    owner_team = serializers.CharField(source="owner_team.slug")
    registered_model = serializers.CharField(
        source="registered_model.name", default=None, allow_null=True
    )

    class Meta:
        model = ModelIntake
        fields = (
            "id", "name", "title", "description", "task", "family", "license", "data_class",
            "source", "revision", "parameter_count", "weight_bytes", "load", "estimate",
            "justification", "owner_team", "requested_by", "requested_at", "status", "decided_by",
            "decided_at", "decision_reason", "registered_model",
        )  # fmt: skip


class NewModels(Listing):
    """List and make requests for new models."""

    queryset = ModelIntake.objects.select_related(*RELATED)
    serializer_class = IntakeOutput
    pagination_class = NewestRequests
    filterset_class = IntakeQuery

    @operation(
        "new_models_list",
        TAG,
        "List requests for new models",
        answers=IntakeOutput(many=True),
        refuses=(400,),
    )
    def get(self, request: Request) -> Response:
        """Answer the requests, newest first."""
        rows = ModelIntake.objects.visible_to(caller(request))
        return self.listed(rows.select_related(*RELATED))

    @operation(
        "new_models_create",
        TAG,
        "Ask for a new model",
        takes=IntakeInput,
        answers=IntakeOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Ask for a new open-weight model."""
        requester = caller(request)
        actions.permit_asking(requester)
        body = IntakeInput(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        team = get_object_or_404(owning_teams(), slug=values.pop("owner_team"))
        load = Load(**values.pop("load"))
        wish = actions.Wish(**values)
        made = ask(wish=wish, load=load, owner_team=team, requester=requester, at=now())
        return Response(IntakeOutput(made).data, status=201)


def _request(request: Request, pk: UUID) -> ModelIntake:
    rows = ModelIntake.objects.visible_to(caller(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation("new_model", TAG, "Read a request for a new model", answers=IntakeOutput, refuses=(404,))
@api_view(["GET"])
def new_model(request: Request, pk: UUID) -> Response:
    """Answer one request."""
    return Response(IntakeOutput(_request(request, pk)).data)


@operation(
    "new_model_decide",
    TAG,
    "Decide on a request for a new model, or withdraw it",
    takes=ReasonInput(required=False),
    answers=IntakeOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve or reject a request, with a reason; withdraw it, without."""
    item, who = _request(request, pk), caller(request)
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=who, body=request.data, now=now(),
        request=item,
    )  # fmt: skip
    return Response(IntakeOutput(_request(request, pk)).data)
