"""The API of promotion policies: what is in force, and the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.accounts.roles import DECIDES_PROMOTIONS, OVERSEES_POLICIES
from apps.catalog.models import DataClass
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput
from apps.promotions.policy import actions, queries
from apps.promotions.policy.filters import ChangeQuery
from apps.promotions.policy.models import PolicyChange, PolicyRevision
from apps.promotions.policy.rules import BOUNDS, WHOLE, BadRules, ChangeRule, Excluded, Rules

TAG = "Promotions"
RELATED = ("before", "requested_by", "decided_by")
DECISIONS = {"approve": actions.approve_policy, "reject": actions.reject_policy}
ORDERS = {"withdraw": actions.withdraw_policy}
MOMENTS = "Both as fri 16:00, every week, or both as 2026-12-18T16:00, once; in the clock of zone."


def _figure(name: str) -> serializers.Field[Any, Any, Any, Any]:
    least, most, _ = BOUNDS[name]
    if name in WHOLE:
        return serializers.IntegerField(min_value=int(least), max_value=int(most))
    return serializers.FloatField(min_value=least, max_value=most)


class FreezeField(serializers.Serializer[Any]):
    """A window in which no rollout starts. exceptions: names of models that it leaves alone."""

    words = serializers.CharField(max_length=200)
    starts = serializers.CharField(max_length=20, help_text=MOMENTS)
    ends = serializers.CharField(max_length=20, help_text=MOMENTS)
    zone = serializers.CharField(max_length=60, default="UTC")
    exceptions = serializers.ListField(child=serializers.CharField(max_length=63), default=list)


class RulesField(serializers.Serializer[Any]):
    """What a policy says. steps: the candidate's percents, rising to 100; the last five figures
    before the hours are how much worse than the baseline a candidate may be.
    """

    approvals = _figure("approvals")
    approver_roles = serializers.ListField(
        child=serializers.ChoiceField(choices=[role.value for role in DECIDES_PROMOTIONS]),
        allow_empty=False,
    )
    excluded = serializers.ListField(
        child=serializers.ChoiceField(choices=[one.value for one in Excluded])
    )
    approval_max_age_days = _figure("approval_max_age_days")
    change = serializers.ChoiceField(choices=[one.value for one in ChangeRule])
    freezes = FreezeField(many=True)
    steps = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=100), allow_empty=False
    )
    hold_seconds = _figure("hold_seconds")
    minimum_calls = _figure("minimum_calls")
    ttft_factor = _figure("ttft_factor")
    ttft_slack_ms = _figure("ttft_slack_ms")
    error_points = _figure("error_points")
    speed_factor = _figure("speed_factor")
    real_engine_required = serializers.BooleanField()
    emergency_review_hours = _figure("emergency_review_hours")


class PolicyOutput(serializers.Serializer[Any]):
    """The policy in force for a data class. digest: SHA-256 over the canonical JSON of its rules.
    active_from: null while it is what the portal's settings say, and nothing rests on it yet.
    """

    data_class = serializers.ChoiceField(choices=DataClass.choices)
    number = serializers.IntegerField()
    digest = serializers.CharField()
    active_from = serializers.DateTimeField(allow_null=True)
    rules = RulesField()


@operation(
    "promotion_policies_list",
    TAG,
    "List the promotion policies in force",
    answers=PolicyOutput(many=True),
)
@api_view(["GET"])
def policies(request: Request) -> Response:
    """Answer the policy in force for each data class."""
    found = [
        {"data_class": data_class, **ruling.as_json()}
        for data_class, ruling in queries.in_force(now()).items()
    ]
    return Response(PolicyOutput(found, many=True).data)


class RevisionOutput(serializers.ModelSerializer[PolicyRevision]):
    """A revision of a policy. The people are null for the first: it is what the settings said."""

    rules = RulesField(source="body")
    proposed_by = serializers.CharField(
        source="change.requested_by.username", default=None, allow_null=True
    )
    approved_by = serializers.CharField(
        source="change.decided_by.username", default=None, allow_null=True
    )

    class Meta:
        model = PolicyRevision
        fields = (
            "environment", "data_class", "number", "digest", "active_from", "rules", "proposed_by",
            "approved_by",
        )  # fmt: skip


@operation(
    "promotion_policy_revisions",
    TAG,
    "List the revisions of a promotion policy",
    answers=RevisionOutput(many=True),
    refuses=(404,),
    parameters=[choice("data_class", DataClass.values, "Whose policy.")],
)
@api_view(["GET"])
def revisions(request: Request, data_class: str) -> Response:
    """Answer every revision that something rests on, newest first."""
    if data_class not in DataClass.values:
        raise Http404
    return Response(RevisionOutput(queries.revisions_of(data_class), many=True).data)


class PolicyChangeInput(serializers.Serializer[Any]):
    """Body of a proposed change: all the rules of a data class, those that stay among them."""

    data_class = serializers.ChoiceField(choices=DataClass.choices)
    rules = RulesField()
    justification = serializers.CharField(min_length=10, max_length=2000)

    def validate_rules(self, body: dict[str, Any]) -> Rules:
        """Return the rules. Raises ValidationError for what no policy may say."""
        try:
            return Rules.of(body)
        except BadRules as error:
            raise serializers.ValidationError(str(error)) from None


class PolicyChangeOutput(AskedOutput[PolicyChange]):
    """A proposed change of a policy. before: the number of the revision that it changes."""

    rules = RulesField(source="body")
    before = serializers.IntegerField(source="before.number")

    class Meta:
        model = PolicyChange
        fields = ("id", "environment", "data_class", "rules", "before", *ASKED)


class PolicyChanges(Listing):
    """List and make proposed changes."""

    queryset = PolicyChange.objects.all()
    serializer_class = PolicyChangeOutput
    pagination_class = NewestRequests
    filterset_class = ChangeQuery

    @operation(
        "promotion_policy_changes_list",
        TAG,
        "List proposed changes of promotion policies",
        answers=PolicyChangeOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the changes, newest first."""
        if not caller(request).has_role(*OVERSEES_POLICIES):
            raise Http404
        rows = PolicyChange.objects.visible_to(caller(request))
        return self.listed(rows.select_related(*RELATED))

    @operation(
        "promotion_policy_changes_create",
        TAG,
        "Propose a change of a promotion policy",
        takes=PolicyChangeInput,
        answers=PolicyChangeOutput,
        status=201,
        refuses=(409,),
    )
    def post(self, request: Request) -> Response:
        """Propose the rules of a data class; a reviewer puts them in force or not."""
        actions.permit_proposing(caller(request))
        body = PolicyChangeInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = actions.propose_policy(
            requester=caller(request), now=now(), **dict(body.validated_data)
        )
        return Response(PolicyChangeOutput(made).data, status=201)


def _change(request: Request, pk: UUID) -> PolicyChange:
    rows = PolicyChange.objects.visible_to(caller(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation(
    "promotion_policy_change",
    TAG,
    "Read a proposed change of a promotion policy",
    answers=PolicyChangeOutput,
    refuses=(404,),
)
@api_view(["GET"])
def policy_change(request: Request, pk: UUID) -> Response:
    """Answer one proposed change."""
    return Response(PolicyChangeOutput(_change(request, pk)).data)


@operation(
    "promotion_policy_change_decide",
    TAG,
    "Decide about a change of a promotion policy, or withdraw it",
    takes=ReasonInput(required=False),
    answers=PolicyChangeOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve a change, which puts its rules in force, or reject it, with a reason; withdraw it
    without.
    """
    item, who = _change(request, pk), caller(request)
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=who, body=request.data, now=now(),
        change=item,
    )  # fmt: skip
    return Response(PolicyChangeOutput(_change(request, pk)).data)
