"""Pages of legal holds: those that stand, placing one, and lifting one."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib import messages
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
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.prompts import pages, words
from apps.prompts.holds import actions
from apps.prompts.holds.forms import HoldForm, WhyForm
from apps.prompts.holds.models import HoldRelease, LegalHold
from apps.prompts.holds.tables import HOLDS, badge_of
from apps.prompts.rules.actions import may_ask, permit_asking


@require_GET
def hold_list(request: SignedIn) -> HttpResponseBase:
    """Show every hold, and those somebody asks to lift; as a page, a table or CSV."""
    pages.require_overseer(request.user)
    button = {"label": "Place a hold", "url": reverse("prompts:hold_create"), "style": "primary"}
    rows = LegalHold.objects.visible_to(request.user).select_related("placed_by")
    context = {
        "crumbs": pages.crumbs(("Legal holds", "")),
        "tabs": pages.tabs(request.user, "prompts:hold_list"),
        "waiting": HoldRelease.objects.visible_to(request.user)
        .pending()
        .select_related("hold", "requested_by"),
        "actions": [button] if may_ask(request.user) else [],
    }
    return respond(HOLDS, request, rows, "prompts/hold_list.html", context)


@require_http_methods(["GET", "POST"])
def hold_create(request: SignedIn) -> HttpResponse:
    """Place a hold."""
    pages.require_overseer(request.user)
    permit_asking(request.user)
    form = HoldForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            hold = actions.place_hold(actor=request.user, now=now(), **form.cleaned_data)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "It stands. Nothing that it covers is removed or erased.")
            return redirect(hold)
    context = {
        "title": "Place a legal hold",
        "crumbs": _crumbs(("New", "")),
        "form": form,
        "submit": "Place the hold",
        "now_title": "What it does",
        "now": [
            ("Until two people lift it", "nothing that it covers is removed, whatever its time"),
            ("Erasure", "is refused for whatever it covers, and names this hold"),
            ("Covers", "what is kept already, and what comes"),
            (
                "Of a case",
                "calls that named a member too are the member’s: hold the member for them",
            ),
        ],
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "prompts/form.html", context, status=status)


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return pages.crumbs(("Legal holds", reverse("prompts:hold_list")), *rest)


@require_GET
def hold_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a hold, and who asked to lift it."""
    return _show_hold(request, _hold_for(request.user, pk), WhyForm())


def _hold_for(user: User, pk: UUID) -> LegalHold:
    return get_object_or_404(LegalHold.objects.visible_to(user).select_related("placed_by"), pk=pk)


def _show_hold(
    request: SignedIn, hold: LegalHold, form: WhyForm, status: int = 200
) -> HttpResponse:
    releases = list(hold.releases.select_related("requested_by", "decided_by"))
    is_asked = any(one.status == HoldRelease.Status.PENDING for one in releases)
    targets = [("LegalHold", hold.pk), *(("HoldRelease", one.pk) for one in releases)]
    context = {
        "title": f"Legal hold on {hold.covers}",
        "crumbs": _crumbs((hold.covers, "")),
        "badge": badge_of(hold),
        "hold": hold,
        "facts": [
            ("Covers", f"{hold.get_scope_display()}: {hold.value}"),
            ("Matter", hold.matter),
            ("Placed by", f"{hold.placed_by} ({hold.placed_by.username})"),
            ("Placed at", f"{hold.placed_at:%d %b %Y %H:%M} UTC"),
            ("Lifted at", f"{hold.lifted_at:%d %b %Y %H:%M} UTC" if hold.lifted_at else "stands"),
        ],
        "releases": [
            (one, words.decided_badge(one.status, approved=words.LIFTED)) for one in releases
        ],
        "may_ask": may_ask(request.user) and not hold.lifted_at and not is_asked,
        "form": form,
        "events": timeline_of(targets),
    }
    return render(request, "prompts/hold_detail.html", context, status=status)


@require_POST
def hold_release(request: SignedIn, pk: UUID) -> HttpResponse:
    """Ask that a hold be lifted."""
    hold = _hold_for(request.user, pk)
    permit_asking(request.user)
    form = WhyForm(request.POST)
    if not form.is_valid():
        return _show_hold(request, hold, form, status=422)
    order = partial(
        actions.ask_release, hold=hold, justification=form.cleaned_data["justification"],
        requester=request.user, now=now(),
    )  # fmt: skip
    made = carry_out(request, order, "Asked for. A reviewer or another auditor decides.")
    return redirect(made or hold)


@require_GET
def hold_release_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a request to lift a hold."""
    return _show(request, _release_for(request.user, pk), ReasonForm())


def _release_for(user: User, pk: UUID) -> HoldRelease:
    rows = HoldRelease.objects.visible_to(user)
    return get_object_or_404(rows.select_related("hold", "requested_by", "decided_by"), pk=pk)


def _show(
    request: SignedIn, item: HoldRelease, form: ReasonForm, status: int = 200
) -> HttpResponse:
    decide = decisions.card(
        actions.question(item, request.user), urls="prompts:hold_release", approve="Lift the hold"
    )
    hold = item.hold
    context = {
        "title": f"Lift the legal hold on {hold.covers}",
        "crumbs": _crumbs((hold.covers, hold.get_absolute_url()), ("Lift", "")),
        "badge": words.decided_badge(item.status, approved=words.LIFTED),
        "facts": [
            ("Hold", {"text": str(hold), "url": hold.get_absolute_url()}),
            ("Matter", hold.matter),
            *decisions.asked_facts(item, "Asked for by"),
        ],
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline_of([("HoldRelease", item.pk)]),
    }
    return render(request, "prompts/decision.html", context, status=status)


@require_POST
def hold_release_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Lift a hold."""
    return _decide(request, pk, actions.approve_release, "The hold is lifted.")


@require_POST
def hold_release_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Let a hold stand."""
    return _decide(request, pk, actions.reject_release, "Rejected. The hold stands.")


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _release_for(request.user, pk)
    order = partial(action, release=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect(item)


@require_POST
def hold_release_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take the request back."""
    item = _release_for(request.user, pk)
    order = partial(actions.withdraw_release, release=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn. The hold stands.")
    return redirect(item)
