"""The API of rollouts: where one stands, and the same orders as on its page."""

from collections.abc import Callable
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.common.openapi import choice, operation
from apps.common.reasons import ReasonInput, reason_of
from apps.promotions.models import GateResult, Promotion, Rollout, RolloutCommit, RolloutPhase
from apps.promotions.rollouts import actions as steering

TAG = "Promotions"


class GateOutput(serializers.ModelSerializer[GateResult]):
    """What was decided at a weight, with its numbers. decided_by: who let it go on without enough
    traffic, or null.
    """

    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)

    class Meta:
        model = GateResult
        fields = (
            "verdict",
            "judged_at",
            "candidate",
            "baseline",
            "words",
            "decided_by",
            "reason",
        )


class CommitOutput(serializers.ModelSerializer[RolloutCommit]):
    """One step's commit. weight: the candidate's percent, or null; observed_at: accepted by the
    gateway, held since.

    lost_at: when the branch was found without it, its history rewritten.
    """

    gate = GateOutput(default=None, allow_null=True)

    class Meta:
        model = RolloutCommit
        fields = (
            "step",
            "attempt",
            "weight",
            "sha",
            "committed_at",
            "observed_at",
            "lost_at",
            "gate",
        )


class PhaseOutput(serializers.ModelSerializer[RolloutPhase]):
    """One phase that was reached."""

    class Meta:
        model = RolloutPhase
        fields = ("phase", "reached_at", "learned_at", "detail")


class RolloutOutput(serializers.ModelSerializer[Rollout]):
    """One rollout with its commits, decisions and phases. health: both versions as last measured at
    the present weight.

    unready_since: since when the callers that it has are not answered, or null.
    rolls_back: the live rollout that this one goes back from, or null.
    checks: what serves, held against what was approved, as last seen: what, approved, found, and as
    verdict SAME, DIFFERENT or UNKNOWN, where found says why. differences: where it differs, kept
    until that was seen to be right again. drifted_at: since when, or null.
    """

    model = serializers.CharField(source="registered_model.name")
    version = serializers.IntegerField(source="model_version.number")
    baseline = serializers.CharField(source="baseline.name", default=None, allow_null=True)
    commits = CommitOutput(many=True)
    phases = PhaseOutput(many=True)

    class Meta:
        model = Rollout
        fields = (
            "id",
            "promotion",
            "model",
            "version",
            "baseline",
            "rolls_back",
            "status",
            "paused_at",
            "unready_since",
            "steps",
            "attempt",
            "weight",
            "reason",
            "message",
            "health",
            "checks",
            "differences",
            "drifted_at",
            "engine",
            "instance_type",
            "started_at",
            "finished_at",
            "observed_at",
            "commits",
            "phases",
        )


def _rollout(request: Request, pk: UUID) -> Rollout:
    rows = Rollout.objects.filter(promotion__in=Promotion.objects.visible_to(caller(request)))
    related = (
        "registered_model__owner_team",
        "model_version__registered_model",
        "baseline__registered_model",
    )
    found = rows.select_related(*related).prefetch_related("commits__gate__decided_by", "phases")
    return get_object_or_404(found, pk=pk)


@operation("rollout", TAG, "Read a rollout", answers=RolloutOutput, refuses=(404,))
@api_view(["GET"])
def rollout(request: Request, pk: UUID) -> Response:
    """Answer one rollout."""
    return Response(RolloutOutput(_rollout(request, pk)).data)


STEER: dict[str, tuple[Callable[..., Rollout], bool]] = {
    "pause": (steering.pause_rollout, True),
    "resume": (steering.resume_rollout, False),
    "retry": (steering.retry_rollout, False),
    "go-on": (steering.go_on_rollout, True),
    "abort": (steering.abort_rollout, True),
    "roll-back": (steering.roll_back_rollout, True),
}


@operation(
    "rollout_steer",
    TAG,
    "Steer a rollout",
    takes=ReasonInput(required=False),
    answers=RolloutOutput,
    status=(200, 201),
    refuses=(404, 409),
    parameters=[choice("order", list(STEER), "What to do with it.")],
)
@api_view(["POST"])
def steer(request: Request, pk: UUID, order: str) -> Response:
    """Pause, resume, retry, let go on, abort or roll back; answers the rollout, and for a roll back
    the one that does it (201).
    """
    found = STEER.get(order)
    if found is None:
        raise Http404
    action, needs_reason = found
    item = _rollout(request, pk)
    more = {"reason": reason_of(request.data)} if needs_reason else {}
    made = action(rollout=item, actor=caller(request), now=now(), **more)
    return Response(
        RolloutOutput(_rollout(request, made.pk)).data, status=200 if made.pk == item.pk else 201
    )
