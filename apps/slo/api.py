"""The API of objectives: the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.queries import model_for
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import Cursor
from apps.common.reasons import ReasonInput, reason_of
from apps.metering.met.models import BOUNDS
from apps.slo import actions
from apps.slo.burn import Kind
from apps.slo.filters import ObjectiveQuery
from apps.slo.models import (
    LEAST,
    LONGEST,
    MOST,
    SHORTEST,
    Objective,
    ObjectiveRevision,
    Standing,
    Window,
)

TAG = "Objectives"
TERMS = ("target_percent", "threshold_ms", "window_days", "holds_rollouts")


class NewestObjectives(Cursor):
    """Pages of objectives, those set last first."""

    ordering = ("-set_at", "-id")


class ObjectiveInput(ReasonInput):
    """Body of an objective. threshold_ms: null for availability. window_days: null for a calendar
    month. holds_rollouts: while its budget burns fast, no rollout of the model goes forward.
    """

    kind = serializers.ChoiceField(choices=Kind.choices)
    window = serializers.ChoiceField(choices=Window.choices)
    target_percent = serializers.DecimalField(
        max_digits=6, decimal_places=3, min_value=LEAST, max_value=MOST
    )
    threshold_ms = serializers.ChoiceField(choices=BOUNDS, allow_null=True, default=None)
    window_days = serializers.IntegerField(
        min_value=SHORTEST, max_value=LONGEST, allow_null=True, default=None
    )
    holds_rollouts = serializers.BooleanField(default=False)


class StandingOutput(serializers.ModelSerializer[Standing]):
    """How it stands over [since, until). unknown: calls that nobody could measure. budget_left: 1
    is whole, 0 spent; it and the burn rates are null where no call was measured.
    """

    class Meta:
        model = Standing
        fields = (
            "since", "until", "good", "bad", "unknown", "budget_left", "burn_1h", "burn_6h",
            "burn_3d", "health", "health_since",
        )  # fmt: skip


class ObjectiveOutput(serializers.ModelSerializer[Objective]):
    """One objective. standing: null before it was first worked out, and after its end."""

    model = serializers.CharField(source="registered_model.name")
    standing = StandingOutput(allow_null=True, default=None)

    class Meta:
        model = Objective
        fields = ("id", "model", "kind", "window", *TERMS, "revision", "set_at", "ended_at",
                  "standing")  # fmt: skip


class ObjectiveRevisionOutput(serializers.ModelSerializer[ObjectiveRevision]):
    """What it said from a moment on, who set it and why. is_end: it was taken back."""

    set_by = serializers.CharField(source="set_by.username")

    class Meta:
        model = ObjectiveRevision
        fields = ("number", *TERMS, "is_end", "reason", "set_by", "set_at")


class ObjectiveDetailOutput(ObjectiveOutput):
    """One objective with its revisions."""

    revisions = ObjectiveRevisionOutput(many=True)

    class Meta(ObjectiveOutput.Meta):
        fields = (*ObjectiveOutput.Meta.fields, "revisions")  # type: ignore[assignment]


class Objectives(Listing):
    """List the objectives in force."""

    queryset = Objective.objects.all()
    serializer_class = ObjectiveOutput
    pagination_class = NewestObjectives
    filterset_class = ObjectiveQuery

    @operation(
        "objectives_list",
        TAG,
        "List objectives and how they stand",
        answers=ObjectiveOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the objectives in force."""
        return self.listed(Objective.objects.visible_to(caller(request)).active().with_parts())


def _answer(objective: Objective) -> Response:
    found = Objective.objects.with_parts().get(pk=objective.pk)
    return Response(ObjectiveDetailOutput(found).data)


@operation("objective", TAG, "Read an objective", answers=ObjectiveDetailOutput, refuses=(404,))
@api_view(["GET"])
def objective(request: Request, pk: UUID) -> Response:
    """Answer one objective with its revisions."""
    visible: Any = Objective.objects.visible_to(caller(request))
    return _answer(get_object_or_404(visible, pk=pk))


@operation(
    "objective_set",
    TAG,
    "Set an objective of a model, or change the one of its kind and window",
    takes=ObjectiveInput,
    answers=ObjectiveDetailOutput,
    refuses=(404, 409),
)
@api_view(["PUT"])
def model_objectives(request: Request, name: str) -> Response:
    """Set what the callers of a model may count on."""
    model = model_for(caller(request), name)
    body = ObjectiveInput(data=request.data)
    body.is_valid(raise_exception=True)
    said = body.validated_data
    terms = actions.Terms(**{term: said[term] for term in TERMS})
    return _answer(
        actions.set_objective(
            model=model,
            kind=said["kind"],
            window=said["window"],
            terms=terms,
            reason=said["reason"],
            actor=caller(request),
            now=now(),
        )  # fmt: skip
    )


@operation(
    "objective_end",
    TAG,
    "Take an objective back",
    takes=ReasonInput,
    answers=ObjectiveDetailOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def objective_end(request: Request, pk: UUID) -> Response:
    """End an objective."""
    visible: Any = Objective.objects.visible_to(caller(request)).with_parts()
    found = get_object_or_404(visible, pk=pk)
    reason = reason_of(request.data)
    return _answer(
        actions.end_objective(objective=found, reason=reason, actor=caller(request), now=now())
    )
