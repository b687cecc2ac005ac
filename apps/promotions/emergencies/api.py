"""The API of emergencies: the same actions as the pages."""

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
from apps.common.openapi import choice, operation
from apps.common.outputs import AskedOutput
from apps.common.reasons import ReasonInput, reason_of
from apps.promotions.emergencies import actions
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion
from apps.promotions.proposal import as_shown_or_is

TAG = "Emergencies"
REVIEWS = {"uphold": actions.uphold_emergency, "object": actions.object_to_emergency}


class EmergencyInput(serializers.Serializer[Any]):
    """Body of an emergency: what it is. change: the digest of the change to Git that the engineer
    was shown; left out, what would be committed now is kept with the emergency.
    """

    statement = serializers.CharField(min_length=actions.SHORTEST, max_length=actions.LONGEST)
    change = serializers.CharField(max_length=71, allow_blank=True, default="")


class EmergencyOutput(AskedOutput[Emergency]):
    """A version that was rolled forward in an emergency. skipped: what its rollout did not wait
    for; decided_by, decided_at, decision_reason: its review, null and "" before it.
    """

    promotion = serializers.UUIDField(source="promotion_id")
    version = serializers.CharField(source="promotion.model_version.name")
    proposed_by = serializers.CharField(source="proposed_by.username")
    skipped = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Emergency
        fields = (
            "id", "promotion", "version", "status", "statement", "skipped", "proposed_by",
            "requested_by", "requested_at", "review_due_at", "decided_by", "decided_at",
            "decision_reason",
        )  # fmt: skip


def _emergency(pk: UUID) -> Emergency:
    return get_object_or_404(Emergency.objects.with_parts(), pk=pk)


@operation("emergency", TAG, "Read an emergency", answers=EmergencyOutput, refuses=(404,))
@api_view(["GET"])
def emergency(request: Request, pk: UUID) -> Response:
    """Answer one emergency."""
    return Response(EmergencyOutput(_emergency(pk)).data)


@operation(
    "emergency_declare",
    TAG,
    "Roll a promotion forward in an emergency",
    takes=EmergencyInput,
    answers=EmergencyOutput,
    status=201,
    refuses=(404, 409),
)
@api_view(["POST"])
def declare(request: Request, pk: UUID) -> Response:
    """Start a promotion's rollout without what it waits for; somebody else reviews that."""
    rows = Promotion.objects.visible_to(caller(request)).select_related("policy_revision")
    promotion = get_object_or_404(rows, pk=pk)
    body = EmergencyInput(data=request.data)
    body.is_valid(raise_exception=True)
    made = actions.declare_emergency(
        promotion=promotion,
        engineer=caller(request),
        statement=body.validated_data["statement"],
        change=as_shown_or_is(promotion, body.validated_data["change"]),
        now=now(),
    )
    return Response(EmergencyOutput(_emergency(made.pk)).data, status=201)


@operation(
    "emergency_review",
    TAG,
    "Review an emergency",
    takes=ReasonInput,
    answers=EmergencyOutput,
    refuses=(404, 409),
    parameters=[choice("finding", list(REVIEWS), "Whether it was justified.")],
)
@api_view(["POST"])
def review(request: Request, pk: UUID, finding: str) -> Response:
    """Close an emergency as justified, or not."""
    action = REVIEWS.get(finding)
    if action is None:
        raise Http404
    item = _emergency(pk)
    reason = reason_of(request.data)
    action(emergency=item, approver=caller(request), reason=reason, now=now())
    return Response(EmergencyOutput(_emergency(pk)).data)
