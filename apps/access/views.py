"""Pages of access: what waits, what was granted, asking and deciding."""

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
from apps.access.budgets.models import Budget, in_unit
from apps.access.budgets.queries import of_grants
from apps.access.budgets.terms import NOT_ENFORCED
from apps.access.models import AccessRequest, Grant
from apps.access.wishes import highest_words
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline, timeline_of
from apps.common import decisions
from apps.common.money import usd
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.periods import ZONE_NAME, day_words
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond

# portal/pages/grants.py, which stands above this app, has the page
GRANTS_URL = reverse_lazy("grant_list")
TO_GRANTS = [{"label": "Grants", "url": GRANTS_URL, "icon": "key-round"}]


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
        {"needs_me": waiting, "actions": TO_GRANTS},
    )


@require_GET
def request_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one request, its decision and its history."""
    return _show_request(request, _request_for(request.user, pk), ReasonForm())


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
        ("Monthly budget", f"{usd(item.monthly_budget_usd)}. {NOT_ENFORCED}"),
        ("Access ends", f"at the end of {day_words(item.expires_date)}, {ZONE_NAME}"),
        ("Asked by", f"{item.requested_by} of {item.team}"),
    ]
    if item.decided_by:
        facts.append(("Decided by", str(item.decided_by)))
    if item.decision_reason:
        facts.append(("Reason", item.decision_reason))
    return facts


@require_POST
def request_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Approve a request; its grant reaches the gateway within seconds."""
    return _decide(
        request,
        pk,
        actions.approve_request,
        "Approved. The gateway lets the team in within seconds.",
    )


@require_POST
def request_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject a request."""
    return _decide(request, pk, actions.reject_request, "Rejected. The team sees your reason.")


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _request_for(request.user, pk)
    order = partial(action, request=item, approver=request.user, now=now())
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


@require_GET
def grant_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one grant: its limits, its end, what it used."""
    return _show_grant(request, _grant_for(request.user, pk), ReasonForm())


def _grant_for(user: User, pk: UUID) -> Grant:
    rows = Grant.objects.visible_to(user).select_related(
        "registered_model__owner_team", "team", "request", "revoked_by"
    )
    return get_object_or_404(rows, pk=pk)


def _show_grant(
    request: SignedIn, grant: Grant, form: ReasonForm, status: int = 200
) -> HttpResponse:
    moment = now()
    active = grant.is_active(moment)
    context = {
        "grant": grant,
        "title": f"{grant.team} may call {grant.registered_model}"
        if active
        else f"{grant.team} · {grant.registered_model}",
        "crumbs": [
            ("Access", reverse("access:request_list")),
            ("Grants", GRANTS_URL),
            (str(grant), ""),
        ],
        "badge": tables.grant_badge(grant, moment),
        "facts": _grant_facts(grant, of_grants([grant], moment).get(grant.pk)),
        "form": form,
        "actions": _grant_actions(grant, request.user),
        "may_revoke": active and actions.may_revoke(grant, request.user),
        "events": timeline("Grant", str(grant.pk)),
    }
    return render(request, "access/grant_detail.html", context, status=status)


def _grant_actions(grant: Grant, user: User) -> list[dict[str, str]]:
    """Return the button that renews the grant, for those who may ask."""
    if not Grant.objects.renewable_by(user).filter(pk=grant.pk).exists():
        return []
    url = reverse("access:request_create", args=[grant.registered_model.name])
    return [{"label": "Renew…", "url": f"{url}?renew={grant.pk}", "style": "primary"}]


def _grant_facts(grant: Grant, budget: Budget | None) -> list[tuple[str, object]]:
    model = grant.registered_model
    facts: list[tuple[str, object]] = [
        ("Model", {"text": model.name, "url": reverse("catalog:model_detail", args=[model.name])}),
        ("Tokens per minute", f"{grant.tokens_per_minute:,}, enforced by the gateway"),
        ("Monthly budget", _budget_fact(budget)),
        ("Active from", f"{grant.active_from:%d %b %Y %H:%M} UTC"),
        ("Ends", f"at the end of {day_words(grant.last_day)}, {ZONE_NAME}"),
        (
            "Request",
            {
                "text": "the request that it came from",
                "url": reverse("access:request_detail", args=[grant.request_id]),
            },
        ),
    ]
    if grant.revoked_at:
        facts.append(
            (
                "Revoked",
                f"{grant.revoked_at:%d %b %Y %H:%M} UTC by {grant.revoked_by}: "
                f"{grant.revoke_reason}",
            )
        )
    return facts


def _budget_fact(budget: Budget | None) -> object:
    """Return what a grant's team may spend on its model in a month, with the budget's page."""
    if budget is None:
        return "none"
    text = f"{in_unit(budget.amount, budget.unit)}. {NOT_ENFORCED}"
    return {"text": text, "url": budget.get_absolute_url()}


@require_POST
def grant_revoke(request: SignedIn, pk: UUID) -> HttpResponse:
    """End a grant now."""
    grant = _grant_for(request.user, pk)
    order = partial(actions.revoke_grant, grant=grant, actor=request.user, now=now())
    done = "Revoked. The gateway refuses the team within seconds."
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show_grant(request, grant, refused, status=422)
    return redirect("access:grant_detail", pk=pk)
