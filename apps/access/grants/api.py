"""The API of grants: the same actions as their pages. What stands above this app (handed.py) comes
in with the address.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.access import actions
from apps.access.api import TAG, AccessRequestOutput
from apps.access.budgets.queries import of_grants
from apps.access.filters import GrantQuery
from apps.access.forms import budget_of
from apps.access.handed import AgainOf, UseOf
from apps.access.models import Grant
from apps.access.recertification.actions import keep_grant
from apps.access.recertification.models import with_due
from apps.access.recertification.queries import period
from apps.accounts.requests import caller
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import NewestFirst
from apps.common.reasons import ReasonInput, reason_of

RELATED = ("registered_model__owner_team", "team", "request__requested_by")


class GrantOutput(serializers.ModelSerializer[Grant]):
    """One grant. calls_at_once: how many calls may be under way; null for any number.
    monthly_budget_usd: what the team may spend on the model in a month; null where
    that is not limited. look_due_at: when an owner is to keep or end it; null where it ends before.
    """

    model = serializers.CharField(source="registered_model.name")
    team = serializers.CharField(source="team.slug")
    monthly_budget_usd = serializers.SerializerMethodField()
    look_due_at = serializers.SerializerMethodField()

    def get_monthly_budget_usd(self, grant: Grant) -> str | None:
        """Return the amount of the budget of the grant's team for its model."""
        budget = self.context["budgets"].get(grant.pk)
        return f"{budget.amount:f}" if budget else None

    def get_look_due_at(self, grant: Grant) -> datetime | None:
        """Return when an owner is to look at it again."""
        due: datetime | None = self.context["due"].get(grant.pk)
        return due

    class Meta:
        model = Grant
        fields = (
            "id",
            "model",
            "team",
            "tokens_per_minute",
            "service_class",
            "calls_at_once",
            "monthly_budget_usd",
            "active_from",
            "active_to",
            "last_day",
            "revoked_at",
            "look_due_at",
        )


class Grants(Listing):
    """List grants."""

    queryset = Grant.objects.select_related("registered_model", "team")
    serializer_class = GrantOutput
    pagination_class = NewestFirst
    filterset_class = GrantQuery

    @operation("grants_list", TAG, "List grants", answers=GrantOutput(many=True), refuses=(400,))
    def get(self, request: Request) -> Response:
        """Answer the grants the caller may see: those in force now, unless `active` asks for the
        others.
        """
        rows = Grant.objects.visible_to(caller(request)).select_related("registered_model", "team")
        return self.listed(rows if "active" in request.query_params else rows.active(now()))

    def context_of(self, page: Sequence[Grant]) -> dict[str, object]:
        """Return the budgets of a page's grants, and when each is to be looked at again."""
        return context_of(page)


def context_of(grants: Sequence[Grant]) -> dict[str, object]:
    """Return what GrantOutput tells beside the grants' own columns; two queries."""
    shown = Grant.objects.filter(pk__in=[grant.pk for grant in grants], revoked_at=None)
    due = {grant.pk: grant.due_at for grant in with_due(shown, period())}
    return {"budgets": of_grants(grants, now()), "due": due}


def _grant_for(request: Request, pk: UUID) -> Grant:
    rows = Grant.objects.visible_to(caller(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation(
    "grant_renew",
    TAG,
    "Ask to renew a grant as it is",
    answers=AccessRequestOutput,
    status=201,
    refuses=(404, 409),
)
@api_view(["POST"])
def renew(request: Request, pk: UUID, again_of: AgainOf, use_of: UseOf) -> Response:
    """Ask for a grant again, with the same limits for as long."""
    grant, moment = _grant_for(request, pk), now()
    made = actions.renew_grant(
        grant=grant,
        monthly_budget_usd=budget_of(grant, of_grants([grant], moment).get(grant.pk)),
        requester=caller(request),
        now=moment,
        expected=again_of(grant.request, moment),
        use=use_of(grant, moment),
    )
    return Response(AccessRequestOutput(made).data, status=201)


@operation(
    "grant_keep",
    TAG,
    "Keep a grant that is due to be looked at again",
    takes=ReasonInput,
    answers=GrantOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def keep(request: Request, pk: UUID, use_of: UseOf) -> Response:
    """Keep a grant; it is due again later."""
    grant, moment, reason = _grant_for(request, pk), now(), reason_of(request.data)
    keep_grant(
        grant=grant,
        owner=caller(request),
        reason=reason,
        period=period(),
        use=use_of(grant, moment),
        now=moment,
    )
    return Response(GrantOutput(grant, context=context_of([grant])).data)


@operation(
    "grant_revoke",
    TAG,
    "End a grant",
    takes=ReasonInput,
    answers=GrantOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def revoke(request: Request, pk: UUID) -> Response:
    """End a grant now."""
    grant, reason = _grant_for(request, pk), reason_of(request.data)
    ended = actions.revoke_grant(grant=grant, actor=caller(request), reason=reason, now=now())
    return Response(GrantOutput(ended, context=context_of([ended])).data)
