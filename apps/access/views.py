"""Pages of requests for access: what waits, and deciding. Asking has its page in portal/pages, and
grants have theirs beside this one.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.access import actions, tables, words
from apps.access.budgets.terms import ENFORCED
from apps.access.handed import SeenOf
from apps.access.models import AccessRequest
from apps.access.wishes import highest_words
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import OWNS_MODELS, SEES_EVERY_TEAM
from apps.audit.timeline import timeline_of
from apps.common import decisions
from apps.common.money import usd
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.periods import ZONE_NAME, day_words
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond

# portal/pages, which stand above this app, have the pages
TO_GRANTS: dict[str, object] = {
    "label": "Grants",
    "url": reverse_lazy("grant_list"),
    "icon": "key-round",
}
TO_LOOKS: dict[str, object] = {
    "label": "Recertification",
    "url": reverse_lazy("recertification_list"),
    "icon": "calendar-clock",
}


@require_GET
def request_list(request: SignedIn) -> HttpResponseBase:
    """List the requests the person may see, those that wait for them first; the same as CSV."""
    rows = AccessRequest.objects.visible_to(request.user).select_related(
        "registered_model", "team", "requested_by"
    )
    waiting = AccessRequest.objects.to_decide(request.user).select_related(
        "registered_model", "team", "requested_by"
    )[:20]
    return respond(
        tables.REQUESTS,
        request,
        rows,
        "access/request_list.html",
        {"needs_me": waiting, "actions": _links(request.user)},
    )


@require_GET
def request_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one request, its decision and its history."""
    return _show_request(request, _request_for(request.user, pk), ReasonForm())


def _links(user: User) -> list[dict[str, object]]:
    """Return the pages beside the list of requests, as far as this person has use for them."""
    looks = user.has_role(*OWNS_MODELS, *SEES_EVERY_TEAM)
    return [TO_GRANTS, TO_LOOKS] if looks else [TO_GRANTS]


def _request_for(user: User, pk: UUID) -> AccessRequest:
    rows = AccessRequest.objects.visible_to(user).select_related(
        "registered_model__owner_team", "team", "requested_by", "decided_by", "grant", "renews"
    )
    return get_object_or_404(rows, pk=pk)


def _show_request(
    request: SignedIn, item: AccessRequest, form: ReasonForm, status: int = 200
) -> HttpResponse:
    decide = _decision(item, request.user)
    context = {
        "item": item,
        "title": f"{item.team} asks for {item.registered_model}",
        "crumbs": [("Access", reverse("access:request_list")), (str(item), "")],
        "badge": tables.request_badge(item),
        "facts": _request_facts(item),
        "expected": words.asked_rows(item),
        "use": words.kept_use_rows(item),
        "seen": words.seen_rows(item),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline_of(_history(item)),
    }
    return render(request, "access/request_detail.html", context, status=status)


def _history(item: AccessRequest) -> list[tuple[str, object]]:
    """Return whose events a request's history is made of: its own, those of the grant that it
    became, and the end of the one that it replaced.
    """
    targets: list[tuple[str, object]] = [("AccessRequest", item.pk)]
    if hasattr(item, "grant"):
        targets.append(("Grant", item.grant.pk))
    return targets


def _decision(item: AccessRequest, user: User) -> decisions.Card | None:
    return decisions.card(
        actions.question(item, user),
        urls="access:request",
        approve=f"Give {item.team} access to {item.registered_model}",
    )


def _request_facts(item: AccessRequest) -> list[tuple[str, object]]:
    model = item.registered_model
    facts: list[tuple[str, object]] = [
        ("Model", {"text": model.name, "url": reverse("catalog:model_detail", args=[model.name])}),
        ("Purpose", item.purpose),
        ("Most sensitive data", f"{item.get_data_class_display()}. {highest_words(model)}"),
        ("Tokens per minute", f"{item.tokens_per_minute:,}"),
        *words.terms_rows(item),
        ("Monthly budget", f"{usd(item.monthly_budget_usd)}. {ENFORCED}"),
        ("Access ends", f"at the end of {day_words(item.expires_date)}, {ZONE_NAME}"),
        ("Asked by", f"{item.requested_by} of {item.team}"),
    ]
    if item.decided_by:
        facts.append(("Decided by", str(item.decided_by)))
    if item.decision_reason:
        facts.append(("Reason", item.decision_reason))
    return facts


@require_POST
def request_approve(request: SignedIn, pk: UUID, seen_of: SeenOf) -> HttpResponse:
    """Approve a request; its grant reaches the gateway within seconds. seen_of: what lies before
    the approver, which stands above this app; portal/pages/access_urls.py hands it in.
    """
    done = "Approved. The gateway lets the team in within seconds."
    return _decide(request, pk, actions.approve_request, seen_of, done)


@require_POST
def request_reject(request: SignedIn, pk: UUID, seen_of: SeenOf) -> HttpResponse:
    """Reject a request. seen_of: as of request_approve."""
    done = "Rejected. The team sees your reason."
    return _decide(request, pk, actions.reject_request, seen_of, done)


def _decide(
    request: SignedIn, pk: UUID, action: Callable[..., object], seen_of: SeenOf, done: str
) -> HttpResponse:
    item, moment = _request_for(request.user, pk), now()
    seen = seen_of(item, moment)
    order = partial(action, request=item, approver=request.user, now=moment, seen=seen)
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show_request(request, item, refused, status=422)
    return redirect("access:request_detail", pk=pk)


@require_POST
def request_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take one's own request back."""
    item = _request_for(request.user, pk)
    order = partial(actions.withdraw_request, request=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("access:request_detail", pk=pk)
