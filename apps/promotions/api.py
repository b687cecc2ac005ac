"""The API of promotions: the same actions as the pages. Rollouts: rollouts/api.py."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput
from apps.manifests.serving_settings import USUAL
from apps.promotions import actions, dossier, proposal, stages
from apps.promotions.begin import WaitCode
from apps.promotions.filters import PromotionQuery
from apps.promotions.models import Approval, Promotion, ServingClass
from apps.promotions.settings.api import SettingsBody
from apps.promotions.standing import Standing, standing

TAG = "Promotions"
DECISIONS = {"approve": actions.approve_promotion, "reject": actions.reject_promotion}
RELATED = (
    "registered_model",
    "model_version",
    "baseline__registered_model",
    "requested_by",
    "policy_revision",
)


class ProposalInput(serializers.Serializer[Any]):
    """Body of a new promotion. pre_warm: hours as mon-fri 07:30-19:00 America/New_York, for
    SCALE_TO_ZERO alone. serving_settings: left out, as usual.
    """

    model = serializers.SlugField()
    version = serializers.IntegerField(min_value=1)
    justification = serializers.CharField(min_length=10, max_length=2000)
    serving_class = serializers.ChoiceField(choices=ServingClass.choices, default=ServingClass.WARM)
    pre_warm = serializers.CharField(max_length=80, allow_blank=True, default="")
    serving_settings = SettingsBody(required=False)
    without_traffic = serializers.BooleanField(default=False)


class DecisionInput(ReasonInput):
    """Body of a decision. manifest_digest, eval_run, baseline and figures: what the reviewer looked
    at, as GET answered it. change: the digest of the change to Git that they were shown; left out,
    the decision says for ever after that they were not.
    """

    manifest_digest = serializers.CharField(max_length=71)
    eval_run = serializers.UUIDField()
    baseline = serializers.CharField(allow_null=True, max_length=63)
    figures = serializers.CharField(max_length=71)
    change = serializers.CharField(max_length=71, allow_blank=True, default="")


class DiffLineOutput(serializers.Serializer[Any]):
    """One line of a diff, with its sign."""

    kind = serializers.ChoiceField(choices=("add", "del", "hunk", "same"))
    text = serializers.CharField()


class DiffFileOutput(serializers.Serializer[Any]):
    """One file that a step changes."""

    path = serializers.CharField()
    lines = DiffLineOutput(many=True)


class StepOutput(serializers.Serializer[Any]):
    """One commit to the GitOps repository. when: in words; count: changed lines."""

    title = serializers.CharField()
    when = serializers.CharField()
    count = serializers.IntegerField()
    files = DiffFileOutput(many=True)


class ChangeOutput(serializers.Serializer[Any]):
    """The exact change to Git, step by step: as it was decided over, else against the branch as it
    is now. digest: a decision names it; "" where problem says why there is nothing to see.
    """

    digest = serializers.CharField()
    problem = serializers.CharField()
    steps = StepOutput(many=True)


class ApprovalOutput(serializers.ModelSerializer[Approval]):
    """A reviewer's decision. counts: towards the approvals that the policy asks for."""

    approver = serializers.CharField(source="approver.username")
    counts = serializers.BooleanField()

    class Meta:
        model = Approval
        fields = (
            "approver",
            "decision",
            "reason",
            "decided_at",
            "counts",
            "dossier_digest",
            "voided_at",
            "void_reason",
        )


class PromotionOutput(serializers.ModelSerializer[Promotion]):
    """One promotion. baseline: the name of the version it is compared with, or null. rollout: the
    newest one's id. policy: the number of the policy's revision that it was proposed under.
    approvals_given, approvals_needed: by that policy. binding_digest: of everything that an
    approval is over; voided_at, void_reason: when approvals were last voided, and what changed.
    """

    model = serializers.CharField(source="registered_model.name")
    version = serializers.IntegerField(source="model_version.number")
    baseline = serializers.CharField(source="baseline.name", default=None, allow_null=True)
    requested_by = serializers.CharField(source="requested_by.username")
    rollout = serializers.UUIDField(source="newest_rollout.id", default=None, allow_null=True)
    stage = serializers.SerializerMethodField()
    policy = serializers.IntegerField(source="policy_revision.number")
    approvals_given = serializers.SerializerMethodField()
    approvals_needed = serializers.IntegerField(source="policy_revision.rules.approvals")
    serving_settings = SettingsBody(source="settings")

    class Meta:
        model = Promotion
        fields: tuple[str, ...] = (
            "id",
            "model",
            "version",
            "baseline",
            "eval_run",
            "manifest_digest",
            "requested_by",
            "requested_at",
            "justification",
            "serving_class",
            "pre_warm",
            "serving_settings",
            "without_traffic",
            "status",
            "stage",
            "policy",
            "approvals_given",
            "approvals_needed",
            "binding_digest",
            "voided_at",
            "void_reason",
            "decided_at",
            "rollout",
        )

    @extend_schema_field(serializers.ChoiceField(choices=stages.Stage.choices))
    def get_stage(self, item: Promotion) -> str:
        """Return its stage."""
        return str(stages.stage_of(item))

    def get_approvals_given(self, item: Promotion) -> int:
        """Return how many approvals count."""
        return len(stages.given(item))


class WaitOutput(serializers.Serializer[Any]):
    """One thing that the start of an approved promotion's rollout waits for. until: when it is
    over, where that is known.
    """

    code = serializers.ChoiceField(choices=[(code.value, code.value) for code in WaitCode])
    words = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)


class OnePromotionOutput(PromotionOutput):
    """One promotion with its decisions. next_approval: who may give the next approval, in words; ""
    where none is asked for. expires_at: when its oldest approval is too old for the rollout to
    start. waits_for: what an approved promotion's rollout waits for; empty once it began. binding:
    the document that binding_digest is of. evidence: what a reviewer is shown beside the change, as
    it was decided over, else as it is now; figures: its digest, which a decision names.
    """

    decisions = ApprovalOutput(source="approvals", many=True)
    next_approval = serializers.SerializerMethodField()
    expires_at = serializers.SerializerMethodField()
    waits_for = serializers.SerializerMethodField()
    evidence = serializers.SerializerMethodField()
    figures = serializers.SerializerMethodField()

    class Meta(PromotionOutput.Meta):
        fields = (
            *PromotionOutput.Meta.fields,
            "binding",
            "decisions",
            "next_approval",
            "expires_at",
            "waits_for",
            "evidence",
            "figures",
        )

    def _standing(self, item: Promotion) -> Standing:
        found: Standing = self.context["standing"]
        return found

    def get_next_approval(self, item: Promotion) -> str:
        """Return who may give the next approval."""
        return self._standing(item).next

    def get_expires_at(self, item: Promotion) -> datetime | None:
        """Return when the oldest approval is too old."""
        return self._standing(item).expires_at

    @extend_schema_field(WaitOutput(many=True))
    def get_waits_for(self, item: Promotion) -> Any:
        """Return what the start waits for."""
        return WaitOutput(self._standing(item).waits, many=True).data

    def get_evidence(self, item: Promotion) -> dict[str, Any]:
        """Return the conditions, metrics, facts, settings and cost that a reviewer is shown."""
        return dossier.figures_of(self.context["shown"])

    def get_figures(self, item: Promotion) -> str:
        """Return the digest of the evidence."""
        return dossier.digest_shown(self.context["shown"])


class Promotions(Listing):
    """List and make promotions."""

    queryset = Promotion.objects.select_related(*RELATED)
    serializer_class = PromotionOutput
    pagination_class = NewestRequests
    filterset_class = PromotionQuery

    @operation(
        "promotions_list",
        TAG,
        "List promotions",
        answers=PromotionOutput(many=True),
        refuses=(400,),
    )
    def get(self, request: Request) -> Response:
        """Answer the promotions the caller may see."""
        rows = stages.with_stage(Promotion.objects.visible_to(caller(request)))
        return self.listed(rows.select_related(*RELATED).prefetch_related(*stages.RESTS_ON))

    @operation(
        "promotions_create",
        TAG,
        "Propose a version",
        takes=ProposalInput,
        answers=OnePromotionOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Propose a version."""
        body = ProposalInput(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        model = get_object_or_404(
            RegisteredModel.objects.visible_to(caller(request)), name=values["model"]
        )
        rows = ModelVersion.objects.select_related("registered_model")
        version = get_object_or_404(rows, registered_model=model, number=values["version"])
        made = actions.request_promotion(
            version=version,
            requester=caller(request),
            justification=values["justification"],
            serving_class=values["serving_class"],
            pre_warm=values["pre_warm"],
            settings=values.get("serving_settings", USUAL),
            without_traffic=values["without_traffic"],
            now=now(),
        )
        return _answer(request, made.pk, 201)


def _promotion(request: Request, pk: UUID) -> Promotion:
    return get_object_or_404(
        Promotion.objects.visible_to(caller(request)).select_related(*RELATED), pk=pk
    )


def _answer(request: Request, pk: UUID, status: int = 200) -> Response:
    item = _promotion(request, pk)
    shown = dossier.kept(item) or dossier.evidence(item, actions.NOT_SHOWN, now())
    context = {"standing": standing(item, now()), "shown": shown}
    return Response(OnePromotionOutput(item, context=context).data, status=status)


@operation("promotion", TAG, "Read a promotion", answers=OnePromotionOutput, refuses=(404,))
@api_view(["GET"])
def promotion(request: Request, pk: UUID) -> Response:
    """Answer one promotion."""
    return _answer(request, pk)


@operation(
    "promotion_change",
    TAG,
    "Read the change that a promotion makes",
    answers=ChangeOutput,
    refuses=(404,),
)
@api_view(["GET"])
def change(request: Request, pk: UUID) -> Response:
    """Answer the exact change to the GitOps repository."""
    return Response(ChangeOutput(proposal.change_shown(_promotion(request, pk))).data)


@operation(
    "promotion_decide",
    TAG,
    "Decide on a promotion",
    takes=DecisionInput,
    answers=OnePromotionOutput,
    refuses=(404, 409),
    parameters=[choice("decision", list(DECISIONS), "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve or reject a promotion."""
    action = DECISIONS.get(decision)
    if action is None:
        raise Http404
    item = _promotion(request, pk)
    body = DecisionInput(data=request.data)
    body.is_valid(raise_exception=True)
    values = body.validated_data
    seen = actions.Seen(
        values["manifest_digest"],
        str(values["eval_run"]),
        _baseline(item, values["baseline"]),
        values["figures"],
    )
    action(
        promotion=item,
        approver=caller(request),
        seen=seen,
        reason=values["reason"],
        change=proposal.as_shown(item, values["change"]),
        now=now(),
    )
    return _answer(request, pk)


def _baseline(item: Promotion, name: str | None) -> int | None:
    """Return the key of the named version; -1, which matches nothing, for another name than the
    bound one's.
    """
    if not name:
        return None
    return item.baseline_id if item.baseline is not None and item.baseline.name == name else -1
