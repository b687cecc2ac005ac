"""The API of roles that are looked at again: the due list, and keeping or taking one away; for
those who oversee the record.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import User
from apps.accounts.recertification import actions
from apps.accounts.recertification.models import RoleReview
from apps.accounts.requests import caller
from apps.accounts.roles import OVERSEES_RECORD
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput, reason_of
from apps.oversight.roles.tables import ReviewFilters

TAG = "Audit"
RELATED = ("requested_by", "decided_by")
DECISIONS: dict[str, Callable[..., Any]] = {"keep": actions.keep_role, "take": actions.take_role}
AGAIN = "again"


class RoleReviewOutput(serializers.ModelSerializer[RoleReview]):
    """One look at one role of one person. person: whose role it is; due_at: by when somebody looks;
    decided_by, decided_at, decision_reason: null and "" before that.
    """

    person = serializers.CharField(source="requested_by.username")
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)

    class Meta:
        model = RoleReview
        fields = (
            "id", "person", "role", "status", "requested_at", "due_at", "decided_by", "decided_at",
            "decision_reason",
        )  # fmt: skip


class RoleReviews(Listing):
    """List the looks at roles."""

    queryset = RoleReview.objects.select_related(*RELATED)
    serializer_class = RoleReviewOutput
    pagination_class = NewestRequests
    filterset_class = ReviewFilters

    @operation(
        "role_reviews_list",
        TAG,
        "List roles that are looked at again",
        answers=RoleReviewOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer those that wait, and those that were looked at."""
        _reader(request)
        return self.listed(RoleReview.objects.select_related(*RELATED))


@operation("role_review", TAG, "Read a look at a role", answers=RoleReviewOutput, refuses=(404,))
@api_view(["GET"])
def role_review(request: Request, pk: UUID) -> Response:
    """Answer one look at a role."""
    _reader(request)
    return Response(RoleReviewOutput(_review(pk)).data)


@operation(
    "role_review_decide",
    TAG,
    "Keep a role, take it away, or ask for another look",
    takes=ReasonInput(required=False),
    answers=RoleReviewOutput,
    status=(200, 201),
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, AGAIN], "What to do with the role.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Keep a role or take it away, with a reason; or ask for another look at one that was taken
    away, which is answered then (201).
    """
    who, review = _reader(request), _review(pk)
    if decision == AGAIN:
        made = actions.look_again(review=review, actor=who, now=now())
        return Response(RoleReviewOutput(_review(made.pk)).data, status=201)
    action = DECISIONS.get(decision)
    if action is None:
        raise Http404
    action(review=review, approver=who, reason=reason_of(request.data), now=now())
    return Response(RoleReviewOutput(_review(pk)).data)


def _review(pk: UUID) -> RoleReview:
    return get_object_or_404(RoleReview.objects.select_related(*RELATED), pk=pk)


def _reader(request: Request) -> User:
    """Return who calls, where they oversee the record. Raises Http404."""
    found = caller(request)
    if not found.has_role(*OVERSEES_RECORD):
        raise Http404
    return found
