"""Fragments of money that other pages hold."""

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.budgets.queries import of_grants
from apps.access.models import Grant
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.chargeback import queries
from apps.chargeback.budgets.queries import balances
from apps.chargeback.budgets.words import meter
from apps.metering import store


@require_GET
def grant_use(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show what a grant's team spent on its model, this month and since it was granted: a fragment
    of the pages where somebody decides about it.
    """
    grants = Grant.objects.visible_to(request.user).select_related("team", "registered_model")
    grant = get_object_or_404(grants, pk=pk)
    moment = now()
    is_active = grant.is_active(moment)
    budgets = of_grants([grant], moment) if is_active else {}
    left = next(iter(balances(budgets.values(), moment).values()), None)
    context = {
        "grant": grant,
        "use": queries.use_of(grant, moment),
        "is_active": is_active,
        "meter": meter(left) if left else None,
        "until": min(grant.ended_at, moment),
        "usage": _usage_of(grant, request.user),
    }
    return render(request, "chargeback/grant_use.html", context)


def _usage_of(grant: Grant, user: User) -> str:
    """Return where the calls are that a grant's use is made of; for the model's owner, who sees no
    other team's calls, the model's usage by team.
    """
    model = grant.registered_model.name
    if store.sees_calls_of(user, grant.team.slug):
        found = urlencode({"team": grant.team.slug, "model": model})
        return f"{reverse('metering:usage_list')}?{found}"
    return reverse("metering:model_usage", args=[model])
