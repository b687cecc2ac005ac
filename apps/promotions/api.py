"""The API of promotions and rollouts: the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.requests import caller
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.pagination import Cursor
from apps.promotions import actions
from apps.promotions.models import Promotion, Rollout, RolloutCommit, RolloutPhase, ServingClass

RELATED = ("registered_model", "model_version", "baseline__registered_model", "requested_by", "rollout")


class Newest(Cursor):
    """Pages of promotions, newest first."""

    ordering = ("-requested_at", "-id")


class ProposalInput(serializers.Serializer[Any]):
    """Body of a new promotion."""

    model = serializers.SlugField()
    version = serializers.IntegerField(min_value=1)
    justification = serializers.CharField(min_length=10, max_length=2000)
    serving_class = serializers.ChoiceField(choices=ServingClass.choices, default=ServingClass.WARM)


class DecisionInput(serializers.Serializer[Any]):
    """Body of a decision. manifest_digest, eval_run and baseline: what the reviewer looked at, as GET answered it."""

    reason = serializers.CharField(min_length=3, max_length=1000)
    manifest_digest = serializers.CharField(max_length=71)
    eval_run = serializers.UUIDField()
    baseline = serializers.CharField(allow_null=True, max_length=63)


class PromotionOutput(serializers.ModelSerializer[Promotion]):
    """One promotion. baseline: the name of the version it is compared with, or null."""

    model = serializers.CharField(source="registered_model.name")
    version = serializers.IntegerField(source="model_version.number")
    baseline = serializers.CharField(source="baseline.name", default=None)
    requested_by = serializers.CharField(source="requested_by.username")
    rollout = serializers.UUIDField(source="rollout.id", default=None)

    class Meta:
        model = Promotion
        fields = (
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
            "status",
            "decided_at",
            "rollout",
        )


class CommitOutput(serializers.ModelSerializer[RolloutCommit]):
    """One step's commit."""

    class Meta:
        model = RolloutCommit
        fields = ("step", "sha", "committed_at")


class PhaseOutput(serializers.ModelSerializer[RolloutPhase]):
    """One phase that was reached."""

    class Meta:
        model = RolloutPhase
        fields = ("phase", "reached_at", "learned_at", "detail")


class RolloutOutput(serializers.ModelSerializer[Rollout]):
    """One rollout with its commits and phases."""

    model = serializers.CharField(source="registered_model.name")
    version = serializers.IntegerField(source="model_version.number")
    commits = CommitOutput(many=True)
    phases = PhaseOutput(many=True)

    class Meta:
        model = Rollout
        fields = (
            "id",
            "promotion",
            "model",
            "version",
            "status",
            "weight",
            "reason",
            "message",
            "engine",
            "instance_type",
            "started_at",
            "finished_at",
            "observed_at",
            "commits",
            "phases",
        )


class Promotions(APIView):
    """List and make promotions."""

    def get(self, request: Request) -> Response:
        """Answer the promotions the caller may see."""
        rows = Promotion.objects.visible_to(caller(request)).select_related(*RELATED)
        listing = Newest()
        page = listing.paginate_queryset(rows, request)
        return listing.get_paginated_response(PromotionOutput(page, many=True).data)

    def post(self, request: Request) -> Response:
        """Propose a version."""
        body = ProposalInput(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        model = get_object_or_404(RegisteredModel.objects.visible_to(caller(request)), name=values["model"])
        rows = ModelVersion.objects.select_related("registered_model")
        version = get_object_or_404(rows, registered_model=model, number=values["version"])
        made = actions.request_promotion(
            version=version,
            requester=caller(request),
            justification=values["justification"],
            serving_class=values["serving_class"],
            now=now(),
        )
        return Response(PromotionOutput(_promotion(request, made.pk)).data, status=201)


def _promotion(request: Request, pk: UUID) -> Promotion:
    return get_object_or_404(Promotion.objects.visible_to(caller(request)).select_related(*RELATED), pk=pk)


@api_view(["GET"])
def promotion(request: Request, pk: UUID) -> Response:
    """Answer one promotion."""
    return Response(PromotionOutput(_promotion(request, pk)).data)


@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve or reject a promotion."""
    action = {"approve": actions.approve_promotion, "reject": actions.reject_promotion}.get(decision)
    if action is None:
        raise Http404
    item = _promotion(request, pk)
    body = DecisionInput(data=request.data)
    body.is_valid(raise_exception=True)
    values = body.validated_data
    seen = actions.Seen(values["manifest_digest"], str(values["eval_run"]), _baseline(item, values["baseline"]))
    action(promotion=item, approver=caller(request), seen=seen, reason=values["reason"], now=now())
    return Response(PromotionOutput(_promotion(request, pk)).data)


def _baseline(item: Promotion, name: str | None) -> int | None:
    """Return the key of the named version; -1, which matches nothing, for another name than the bound one's."""
    if not name:
        return None
    return item.baseline_id if item.baseline is not None and item.baseline.name == name else -1


@api_view(["GET"])
def rollout(request: Request, pk: UUID) -> Response:
    """Answer one rollout."""
    rows = Rollout.objects.filter(promotion__in=Promotion.objects.visible_to(caller(request)))
    found = rows.select_related("registered_model", "model_version").prefetch_related("commits", "phases")
    return Response(RolloutOutput(get_object_or_404(found, pk=pk)).data)
