"""Pages of emergencies: rolling a version forward in one, what it did without, and its review."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline_of
from apps.common import decisions
from apps.common.errors import require
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.promotions.emergencies import actions, tables
from apps.promotions.emergencies.forms import EmergencyForm
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion, Rollout
from apps.promotions.proposal import as_shown_or_is


@require_GET
def emergency_list(request: SignedIn) -> HttpResponseBase:
    """List emergencies; as a page, its table alone, or CSV."""
    rows = Emergency.objects.with_parts()
    return respond(tables.emergencies(now()), request, rows, "promotions/emergency_list.html", {})


@require_GET
def emergency_banner(request: SignedIn) -> HttpResponse:
    """Show, as a fragment of every page, the emergencies that concern the person and that nobody
    has reviewed.
    """
    open_ones = Emergency.objects.pending().concerning(request.user).with_parts()
    lines = [(item, item.is_overdue(now())) for item in open_ones[:5]]
    return render(request, "promotions/emergency_banner.html", {"lines": lines})


@require_http_methods(["GET", "POST"])
def emergency_create(request: SignedIn, pk: UUID) -> HttpResponse:
    """Roll a promotion forward in an emergency."""
    related = ("registered_model__owner_team", "model_version__registered_model", "requested_by")
    rows = Promotion.objects.visible_to(request.user).select_related(*related, "policy_revision")
    promotion = get_object_or_404(rows, pk=pk)
    require(
        actions.may_declare(promotion, request.user) or request.method == "POST",
        "Only a platform engineer who had no part in a proposal rolls it forward in an emergency.",
    )
    form = EmergencyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        order = partial(_declare, promotion, request.user, form.cleaned_data)
        made = carry_out(request, order, "Rolling forward. Everybody whom it concerns is told.")
        return redirect(made or _url_of(promotion))
    return _form(request, promotion, form)


def _declare(promotion: Promotion, engineer: User, values: Mapping[str, str]) -> Emergency:
    """Roll forward with the change that was shown. Raises what the action and the change raise."""
    return actions.declare_emergency(
        promotion=promotion,
        engineer=engineer,
        statement=values["statement"],
        change=as_shown_or_is(promotion, values["change"]),
        now=now(),
    )


def _url_of(promotion: Promotion) -> str:
    return reverse("promotions:promotion_detail", args=[promotion.pk])


def _form(request: SignedIn, promotion: Promotion, form: EmergencyForm) -> HttpResponse:
    back = _url_of(promotion)
    context = {
        "promotion": promotion,
        "version": promotion.model_version,
        "form": form,
        "back": back,
        "skipped": actions.goes_without(promotion, now()),
        "crumbs": [
            ("Promotions", reverse("promotions:promotion_list")),
            (promotion.model_version.name, back),
            ("Emergency", ""),
        ],
        "hours": actions.review_hours(promotion),
    }
    status = 422 if form.is_bound else 200
    return render(request, "promotions/emergency_form.html", context, status=status)


@require_GET
def emergency_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one emergency, what it did without, and its review."""
    return _show(request, _emergency(pk), ReasonForm())


def _emergency(pk: UUID) -> Emergency:
    return get_object_or_404(Emergency.objects.with_parts(), pk=pk)


def _show(request: SignedIn, item: Emergency, form: ReasonForm, status: int = 200) -> HttpResponse:
    decide = _decision(item, request.user)
    rollout = item.promotion.newest_rollout()
    about = [("Emergency", item.pk), ("Promotion", item.promotion_id)]
    context = {
        "item": item,
        "title": f"Emergency: {item.promotion.model_version.name}",
        "crumbs": [
            ("Promotions", reverse("promotions:promotion_list")),
            ("Emergencies", reverse("promotions:emergency_list")),
            (item.promotion.model_version.name, ""),
        ],
        "badge": tables.badge_of(item, now()),
        "facts": _facts(item, rollout),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline_of([*about, *([("Rollout", rollout.pk)] if rollout else [])]),
    }
    return render(request, "promotions/emergency_detail.html", context, status=status)


def _decision(item: Emergency, user: User) -> decisions.Card | None:
    card = decisions.card(
        actions.question(item, user),
        urls="promotions:emergency",
        approve="It was justified",
    )
    return replace(card, reject="It was not justified") if card else None


def _facts(item: Emergency, rollout: Rollout | None) -> list[tuple[str, object]]:
    promotion = item.promotion
    facts: list[tuple[str, object]] = [
        ("Emergency", item.statement),
        ("Rolled forward by", f"{item.requested_by} ({item.requested_by.username})"),
        ("At", f"{item.requested_at:%d %b %Y %H:%M} UTC"),
        ("Promotion", {"text": str(promotion), "url": _url_of(promotion)}),
        ("Proposed by", f"{item.proposed_by} ({item.proposed_by.username})"),
        *([("Rollout", _rollout(rollout))] if rollout else []),
        ("Review due", f"{item.review_due_at:%d %b %Y %H:%M} UTC, by somebody else"),
    ]
    if item.decided_by:
        facts.append(("Reviewed by", f"{item.decided_by}, {item.decided_at:%d %b %Y %H:%M} UTC"))
        facts.append(("Reviewer's reason", item.decision_reason))
    return facts


def _rollout(rollout: Rollout) -> dict[str, str]:
    """Return what became of it so far, as a link: whoever reviews has to see that."""
    text = f"{rollout.get_status_display()}, {rollout.weight} % of callers"
    return {"text": text, "url": reverse("promotions:rollout_detail", args=[rollout.pk])}


@require_POST
def emergency_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Close an emergency as justified."""
    return _review(request, pk, actions.uphold_emergency, "Reviewed: it was justified.")


@require_POST
def emergency_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Close an emergency as not justified."""
    done = "Reviewed: it was not justified. The owners and platform engineers are told."
    return _review(request, pk, actions.object_to_emergency, done)


def _review(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _emergency(pk)
    order = partial(action, emergency=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect(item)
