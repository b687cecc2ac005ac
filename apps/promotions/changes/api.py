"""The API of a promotion's changes in ServiceNow: what the dossier shows of them."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.common.openapi import operation
from apps.integrations.servicenow.addresses import page_of
from apps.promotions.changes.gate import gate_of
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.models import Promotion


class DifferenceOutput(serializers.Serializer[Any]):
    """A field that no longer says what was written when the change was opened."""

    field = serializers.CharField()
    wrote = serializers.CharField()
    found = serializers.CharField()


class ApproverOutput(serializers.Serializer[Any]):
    """Somebody who decided in ServiceNow. decision: approved or rejected; at: "" where unknown."""

    name = serializers.CharField()
    decision = serializers.CharField()
    at = serializers.CharField()


class ChangeRecordOutput(serializers.ModelSerializer[ChangeRecord]):
    """One change in ServiceNow as read last. state and approval are its own values; approvers: who
    decided there; message: why nothing certain is known of it, "" where all is well.
    """

    url = serializers.SerializerMethodField()
    differences = DifferenceOutput(many=True)
    conflicts = serializers.ListField(child=serializers.CharField())
    approvers = serializers.SerializerMethodField()

    class Meta:
        model = ChangeRecord
        fields = (
            "kind", "status", "number", "url", "correlation_id", "state", "state_words",
            "approval", "approvers", "on_hold", "starts_at", "ends_at", "conflicts",
            "conflicts_read_at", "differences", "read_at", "message", "outcome", "outcome_notes",
            "closed_at",
        )  # fmt: skip

    @extend_schema_field(ApproverOutput(many=True))
    def get_approvers(self, row: ChangeRecord) -> list[dict[str, str]]:
        """Return who decided there."""
        found: list[dict[str, str]] = row.approvers.get("people", [])
        return found

    def get_url(self, row: ChangeRecord) -> str:
        """Return the address of the change's page in ServiceNow."""
        return page_of("change_request", row.sys_id)


class ChangesOutput(serializers.Serializer[Any]):
    """Whether a change must let the rollout start, whether it does now, and why not."""

    needed = serializers.BooleanField()
    open_for_start = serializers.BooleanField()
    words = serializers.CharField()
    changes = ChangeRecordOutput(many=True)


@operation(
    "promotion_changes",
    "Promotions",
    "Read a promotion's changes in ServiceNow",
    answers=ChangesOutput,
    refuses=(404,),
)
@api_view(["GET"])
def changes(request: Request, pk: UUID) -> Response:
    """Answer the changes, and whether they let the rollout start."""
    visible = Promotion.objects.visible_to(caller(request)).select_related("policy_revision")
    promotion = get_object_or_404(visible.prefetch_related("changes"), pk=pk)
    gate = gate_of(promotion, now(), policy=promotion.policy_revision.rules.change)
    answer = {
        "needed": gate.needed,
        "open_for_start": gate.is_open_for_start,
        "words": gate.words,
        "changes": promotion.changes.all(),
    }
    return Response(ChangesOutput(answer).data)
