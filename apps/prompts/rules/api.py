"""The API of retention: what is in force, and the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.models import DataClass
from apps.common.filters import Filters
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput
from apps.prompts.pages import require_overseer
from apps.prompts.rules import actions, queries
from apps.prompts.rules.models import RetentionChange
from apps.prompts.rules.rules import LEAST_DAYS, MOST_DAYS, BadRules, Mode, Rules

TAG = "Prompt record"
MODES = [mode.value for mode in Mode]
DECISIONS = {"approve": actions.approve_retention, "reject": actions.reject_retention}
ORDERS = {"withdraw": actions.withdraw_retention}


class RetentionField(serializers.Serializer[Any]):
    """What is kept of a data class. models: name → mode, for models that differ."""

    mode = serializers.ChoiceField(choices=MODES)
    kept_days = serializers.IntegerField(min_value=LEAST_DAYS, max_value=MOST_DAYS)
    models = serializers.DictField(child=serializers.ChoiceField(choices=MODES), default=dict)


class RetentionOutput(serializers.Serializer[Any]):
    """The rules in force for a data class."""

    data_class = serializers.ChoiceField(choices=DataClass.choices)
    number = serializers.IntegerField()
    digest = serializers.CharField()
    rules = RetentionField()


@operation(
    "prompt_retention_list", TAG, "List what is kept of prompts",
    answers=RetentionOutput(many=True), refuses=(404,),
)  # fmt: skip
@api_view(["GET"])
def retention(request: Request) -> Response:
    """Answer the rules in force for each data class."""
    require_overseer(caller(request))
    found = [
        {"data_class": data_class, **ruling.as_json()}
        for data_class, ruling in queries.in_force(now()).items()
    ]
    return Response(RetentionOutput(found, many=True).data)


class RetentionChangeInput(serializers.Serializer[Any]):
    """Body of a proposed change: all the rules of a data class."""

    data_class = serializers.ChoiceField(choices=DataClass.choices)
    rules = RetentionField()
    justification = serializers.CharField(min_length=10, max_length=2000)

    def validate_rules(self, body: dict[str, Any]) -> Rules:
        """Return the rules. Raises ValidationError for what no retention may say."""
        try:
            return Rules.of(body)
        except BadRules as error:
            raise serializers.ValidationError(str(error)) from None


class RetentionChangeOutput(AskedOutput[RetentionChange]):
    """A proposed change. before: the number of the revision that it changes."""

    rules = RetentionField(source="body")
    before = serializers.IntegerField(source="before.number")

    class Meta:
        model = RetentionChange
        fields = ("id", "data_class", "rules", "before", *ASKED)


class RetentionChangeQuery(Filters):
    """Changes by data class and state."""

    class Meta:
        model = RetentionChange
        fields = ("data_class", "status")


class RetentionChanges(Listing):
    """List and make proposed changes."""

    queryset = RetentionChange.objects.all()
    serializer_class = RetentionChangeOutput
    pagination_class = NewestRequests
    filterset_class = RetentionChangeQuery

    @operation(
        "prompt_retention_changes_list", TAG, "List proposed changes of retention",
        answers=RetentionChangeOutput(many=True), refuses=(400, 404),
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Answer the changes, newest first."""
        require_overseer(caller(request))
        rows = RetentionChange.objects.select_related("before", "requested_by", "decided_by")
        return self.listed(rows)

    @operation(
        "prompt_retention_changes_create", TAG, "Propose a change of retention",
        takes=RetentionChangeInput, answers=RetentionChangeOutput, status=201, refuses=(404, 409),
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Propose the rules of a data class; somebody else puts them in force or not."""
        require_overseer(caller(request))
        actions.permit_asking(caller(request))
        body = RetentionChangeInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = actions.propose_retention(
            requester=caller(request), now=now(), **dict(body.validated_data)
        )
        return Response(RetentionChangeOutput(made).data, status=201)


def _change(request: Request, pk: UUID) -> RetentionChange:
    rows = RetentionChange.objects.visible_to(caller(request))
    return get_object_or_404(rows.select_related("before", "requested_by", "decided_by"), pk=pk)


@operation(
    "prompt_retention_change", TAG, "Read a proposed change of retention",
    answers=RetentionChangeOutput, refuses=(404,),
)  # fmt: skip
@api_view(["GET"])
def retention_change(request: Request, pk: UUID) -> Response:
    """Answer one proposed change."""
    return Response(RetentionChangeOutput(_change(request, pk)).data)


@operation(
    "prompt_retention_change_decide", TAG, "Decide about a change of retention, or withdraw it",
    takes=ReasonInput(required=False), answers=RetentionChangeOutput, refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)  # fmt: skip
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve a change, which puts its rules in force, or reject it, with a reason; withdraw it
    without.
    """
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=caller(request), body=request.data,
        now=now(), change=_change(request, pk),
    )  # fmt: skip
    return Response(RetentionChangeOutput(_change(request, pk)).data)
