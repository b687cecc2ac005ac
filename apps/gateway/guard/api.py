"""The API of guard rules and hits: the same actions as the pages."""

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
from apps.accounts.roles import OVERSEES_GUARDRAILS
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import Cursor, NewestRequests
from apps.common.reasons import ReasonInput
from apps.gateway.guard import actions, queries
from apps.gateway.guard.filters import ChangeQuery, HitQuery
from apps.gateway.guard.measured import measurement
from apps.gateway.guard.models import GuardHit, GuardrailChange, GuardrailRevision
from apps.gateway.guard.rules import BadRules, RuleSet

TAG = "Gateway"
RELATED = ("before", "requested_by", "decided_by")
DECISIONS = {"approve": actions.approve_guardrails, "reject": actions.reject_guardrails}
ORDERS = {"withdraw": actions.withdraw_guardrails}
RULES = (
    'The whole set: {"rules": [{name, phase, provider: {type, …}, detectors, action, scope: '
    "{models, teams, dataClasses}, threshold, onlyNew, failureMode, timeoutSeconds, message, "
    "maskReplacement}]}, in the order in which they are asked."
)


class GuardrailsOutput(serializers.Serializer[Any]):
    """The rules in force. digest: SHA-256 over the canonical JSON of the set. active_from: null
    while it is the set that ships, and nothing rests on it yet.
    """

    number = serializers.IntegerField()
    digest = serializers.CharField()
    active_from = serializers.DateTimeField(allow_null=True)
    rules = serializers.JSONField(help_text=RULES)


@operation("guardrails", TAG, "Read the guard rules in force", answers=GuardrailsOutput)
@api_view(["GET"])
def guardrails(request: Request) -> Response:
    """Answer the set of rules of this environment."""
    return Response(GuardrailsOutput(queries.in_force(now()).as_json()).data)


class GuardrailRevisionOutput(serializers.ModelSerializer[GuardrailRevision]):
    """A revision of the rules. The people are null for the first: it is the set that ships."""

    rules = serializers.JSONField(source="body", help_text=RULES)
    proposed_by = serializers.CharField(
        source="change.requested_by.username", default=None, allow_null=True
    )
    approved_by = serializers.CharField(
        source="change.decided_by.username", default=None, allow_null=True
    )

    class Meta:
        model = GuardrailRevision
        fields = (
            "environment", "number", "digest", "active_from", "rules", "proposed_by",
            "approved_by",
        )  # fmt: skip


@operation(
    "guardrail_revisions",
    TAG,
    "List the revisions of the guard rules",
    answers=GuardrailRevisionOutput(many=True),
)
@api_view(["GET"])
def revisions(request: Request) -> Response:
    """Answer every revision that something rests on, newest first."""
    return Response(GuardrailRevisionOutput(queries.revisions(), many=True).data)


class MeasuredOutput(serializers.Serializer[Any]):
    """How well one detector of the set that ships finds made-up texts. recall, precision: 0 to 1,
    null where there was nothing to find or nothing found.
    """

    detector = serializers.CharField()
    texts = serializers.IntegerField()
    found = serializers.IntegerField()
    false_alarms = serializers.IntegerField()
    recall = serializers.FloatField(allow_null=True)
    precision = serializers.FloatField(allow_null=True)


class MeasurementOutput(serializers.Serializer[Any]):
    """What was measured of the set that ships. digest: of that set; harmless: texts with nothing to
    find, of which a rule that blocks hit `alarms`. costs: milliseconds per 4,000 characters by
    provider; reference_ms: of one pass of SHA-256 over 16 MiB in the same run.
    """

    digest = serializers.CharField()
    measured_on = serializers.DateField()
    seed = serializers.IntegerField()
    harmless = serializers.IntegerField()
    alarms = serializers.IntegerField()
    rows = MeasuredOutput(many=True)
    costs = serializers.DictField(child=serializers.FloatField())
    reference_ms = serializers.FloatField()


@operation(
    "guardrails_measured",
    TAG,
    "Read how well the guard rules that ship were measured",
    answers=MeasurementOutput,
)
@api_view(["GET"])
def measured(request: Request) -> Response:
    """Answer the measurement that came with this version of the portal."""
    return Response(MeasurementOutput(measurement()).data)


class GuardrailChangeInput(serializers.Serializer[Any]):
    """Body of a proposed change: the whole set of rules, those that stay among them."""

    rules = serializers.JSONField(help_text=RULES)
    justification = serializers.CharField(min_length=10, max_length=2000)

    def validate_rules(self, body: object) -> RuleSet:
        """Return the set. Raises ValidationError for what no set says."""
        try:
            return RuleSet.of(body)
        except BadRules as error:
            raise serializers.ValidationError(str(error)) from None


class GuardrailChangeOutput(AskedOutput[GuardrailChange]):
    """A proposed change of the rules. before: the number of the revision that it changes."""

    rules = serializers.JSONField(source="body", help_text=RULES)
    before = serializers.IntegerField(source="before.number")

    class Meta:
        model = GuardrailChange
        fields = ("id", "environment", "rules", "before", *ASKED)


class GuardrailChanges(Listing):
    """List and make proposed changes."""

    queryset = GuardrailChange.objects.all()
    serializer_class = GuardrailChangeOutput
    pagination_class = NewestRequests
    filterset_class = ChangeQuery

    @operation(
        "guardrail_changes_list",
        TAG,
        "List proposed changes of the guard rules",
        answers=GuardrailChangeOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the changes, newest first."""
        if not caller(request).has_role(*OVERSEES_GUARDRAILS):
            raise Http404
        rows = GuardrailChange.objects.visible_to(caller(request))
        return self.listed(rows.select_related(*RELATED))

    @operation(
        "guardrail_changes_create",
        TAG,
        "Propose a change of the guard rules",
        takes=GuardrailChangeInput,
        answers=GuardrailChangeOutput,
        status=201,
        refuses=(409,),
    )
    def post(self, request: Request) -> Response:
        """Propose the whole set of rules; a reviewer puts them in force or not."""
        actions.permit_proposing(caller(request))
        body = GuardrailChangeInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = actions.propose_guardrails(
            requester=caller(request), now=now(), **dict(body.validated_data)
        )
        return Response(GuardrailChangeOutput(made).data, status=201)


def _change(request: Request, pk: UUID) -> GuardrailChange:
    rows = GuardrailChange.objects.visible_to(caller(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation(
    "guardrail_change",
    TAG,
    "Read a proposed change of the guard rules",
    answers=GuardrailChangeOutput,
    refuses=(404,),
)
@api_view(["GET"])
def guardrail_change(request: Request, pk: UUID) -> Response:
    """Answer one proposed change."""
    return Response(GuardrailChangeOutput(_change(request, pk)).data)


@operation(
    "guardrail_change_decide",
    TAG,
    "Decide about a change of the guard rules, or withdraw it",
    takes=ReasonInput(required=False),
    answers=GuardrailChangeOutput,
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
    return Response(GuardrailChangeOutput(_change(request, pk)).data)


class NewestHits(Cursor):
    """Pages of hits, newest first."""

    ordering = ("-at", "-id")


class GuardHitOutput(serializers.ModelSerializer[GuardHit]):
    """What a rule found in one half of a call: never the text. call: the request id. count: finds;
    where: the place of the first. detector NOT_INSPECTED: what the rule could not look at.
    """

    marked_by = serializers.CharField(source="marked_by.username", default=None, allow_null=True)

    class Meta:
        model = GuardHit
        fields = (
            "id", "call", "at", "phase", "rule", "provider", "detector", "does", "where", "count",
            "team", "model", "rules", "mark", "marked_by", "marked_at",
        )  # fmt: skip


class GuardHits(Listing):
    """List hits."""

    queryset = GuardHit.objects.all()
    serializer_class = GuardHitOutput
    pagination_class = NewestHits
    filterset_class = HitQuery

    @operation(
        "guard_hits_list",
        TAG,
        "List what the guard found",
        answers=GuardHitOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the hits, newest first: all for those who judge them, else those of the caller's
        team.
        """
        rows = GuardHit.objects.visible_to(caller(request))
        return self.listed(rows.select_related("marked_by"))


class MarkInput(serializers.Serializer[Any]):
    """Body of a judgment: whether the find was one."""

    mark = serializers.ChoiceField(choices=GuardHit.Mark.choices)


@operation(
    "guard_hit_mark",
    TAG,
    "Say of what the guard found whether it was one",
    takes=MarkInput,
    answers=GuardHitOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def mark(request: Request, pk: UUID) -> Response:
    """Keep the judgment; it counts for the rule's precision."""
    rows = GuardHit.objects.visible_to(caller(request)).select_related("marked_by")
    hit = get_object_or_404(rows, pk=pk)
    body = MarkInput(data=request.data)
    body.is_valid(raise_exception=True)
    actions.mark_hit(hit=hit, mark=body.validated_data["mark"], actor=caller(request), now=now())
    return Response(GuardHitOutput(get_object_or_404(rows, pk=pk)).data)
