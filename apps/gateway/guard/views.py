"""Pages of the guard: the rules in force with what they look at and how well, proposing others,
deciding about a proposal, and what was found.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import JUDGES_HITS, OVERSEES_GUARDRAILS, SEES_EVERY_TEAM
from apps.audit.timeline import timeline
from apps.catalog.models import RegisteredModel
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.rulings import beside_former
from apps.common.tables.reading import respond
from apps.gateway.guard import actions, coverage, queries, tables, words
from apps.gateway.guard.forms import GuardrailForm, MarkForm
from apps.gateway.guard.measured import measurement
from apps.gateway.guard.models import GuardHit, GuardrailChange, GuardrailRevision
from apps.gateway.guard.rules import Rule
from apps.metering import store
from apps.prompts.reading.actions import may_read

RELATED = ("before", "requested_by", "decided_by")
LATELY = timedelta(days=30)


@require_GET
def guardrails(request: SignedIn) -> HttpResponse:
    """Show the rules in force: what each looks for and does, what it found lately, and how well the
    set that ships was measured.
    """
    _require_role(request.user)
    ruling, moment = queries.in_force(now()), now()
    names = [rule.name for rule in ruling.rules.rules]
    hits = GuardHit.objects.visible_to(request.user).since(moment - LATELY)
    tallies = {tally.rule: tally for tally in queries.tallies(hits, names)}
    found = measurement()
    context = {
        "ruling": ruling,
        "rules": [_rule(rule, tallies[rule.name]) for rule in ruling.rules.rules],
        "gone": [tally for name, tally in tallies.items() if name not in names],
        "waiting": GuardrailChange.objects.visible_to(request.user).pending().select_related(
            *RELATED
        ),
        "actions": _propose_button(request.user),
        "sees_all": request.user.has_role(*JUDGES_HITS),
        "sees_drift": request.user.has_role(*SEES_EVERY_TEAM),
        "endpoints": coverage.endpoints(ruling.rules),
        "models": coverage.models(
            ruling.rules,
            dict(RegisteredModel.objects.visible_to(request.user).order_by("name").values_list(
                "name", "data_class"
            )),
        ),
        "not_looked_at": coverage.NOT_LOOKED_AT,
        "measured": found,
        "is_measured_set": found.digest == ruling.digest,
        "days": LATELY.days,
    }  # fmt: skip
    return render(request, "gateway/guard/rules.html", context)


def _rule(rule: Rule, tally: queries.Tally) -> dict[str, object]:
    return {
        "rule": rule,
        "does": words.DOES[rule.action],
        "half": words.PHASES[rule.phase],
        "finds": words.finds_words(rule),
        "scope": words.scope_words(rule),
        "failure": words.failure_words(rule),
        "tally": tally,
        "precision": words.tally_words(tally),
    }


def _require_role(user: User) -> None:
    if not user.roles:
        raise Http404


def _propose_button(user: User) -> list[dict[str, str]]:
    if not actions.may_propose(user):
        return []
    url = reverse("gateway:guardrail_change_create")
    return [{"label": "Propose a change", "url": url, "style": "primary"}]


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Gateway", reverse("gateway:guardrails")), *rest]


@require_GET
def guardrail_history(request: SignedIn) -> HttpResponse:
    """Show every revision of the rules, and what it changed."""
    _require_role(request.user)
    pairs = beside_former(queries.revisions())
    context = {
        "crumbs": _crumbs(("History", "")),
        "ruling": queries.in_force(now()),
        "history": [_revision(*pair) for pair in pairs],
        "oversees": request.user.has_role(*OVERSEES_GUARDRAILS),
    }
    return render(request, "gateway/guard/history.html", context)


def _revision(revision: GuardrailRevision, before: GuardrailRevision | None) -> dict[str, object]:
    diff = words.difference(before.rules, revision.rules) if before else []
    return {"revision": revision, "diff": diff}


@require_http_methods(["GET", "POST"])
def guardrail_change_create(request: SignedIn) -> HttpResponse:
    """Propose other rules."""
    _require_role(request.user)
    actions.permit_proposing(request.user)
    ruling = queries.in_force(now())
    sent = request.POST if request.method == "POST" else None
    form = GuardrailForm(sent, initial={"rules": words.text_of(ruling.rules)})
    made = _propose(request, form) if sent is not None else None
    if made is not None:
        messages.success(request, "Proposed. A reviewer decides.")
        return redirect(made)
    context = {
        "crumbs": _crumbs(("Change", "")),
        "form": form,
        "ruling": ruling,
        "keys": words.KEYS,
    }
    status = 200 if sent is None else 422
    return render(request, "gateway/guard/form.html", context, status=status)


def _propose(request: SignedIn, form: GuardrailForm) -> GuardrailChange | None:
    """Propose what the form says; None, with the errors on the form, where that cannot be."""
    if not form.is_valid():
        return None
    try:
        return actions.propose_guardrails(
            rules=form.cleaned_data["rules"],
            justification=form.cleaned_data["justification"],
            requester=request.user,
            now=now(),
        )
    except DomainError as error:
        form.add_error(None, str(error))
        return None


@require_GET
def guardrail_change_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a change: what it changes, who proposed it and why, and who decided."""
    return _show(request, _change_for(request.user, pk), ReasonForm())


def _change_for(user: User, pk: UUID) -> GuardrailChange:
    rows = GuardrailChange.objects.visible_to(user).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


def _show(
    request: SignedIn, item: GuardrailChange, form: ReasonForm, status: int = 200
) -> HttpResponse:
    decide = decisions.card(
        actions.question(item, request.user),
        urls="gateway:guardrail_change",
        approve="Put these rules in force",
    )
    context = {
        "item": item,
        "crumbs": _crumbs(("Change", "")),
        "badge": decisions.BADGES[item.status],
        "facts": _facts(item),
        "diff": words.difference(item.before.rules, item.rules),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("GuardrailChange", item.pk),
    }
    return render(request, "gateway/guard/change.html", context, status=status)


def _facts(item: GuardrailChange) -> list[tuple[str, object]]:
    return [
        ("Environment", item.environment),
        ("Changes", f"revision {item.before.number}"),
        ("Why", item.justification),
        ("Proposed by", f"{item.requested_by} ({item.requested_by.username})"),
        *decisions.decided_facts(item),
    ]


@require_POST
def guardrail_change_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Put proposed rules in force."""
    done = "These rules are in force now. Each gate reads them within seconds."
    return _decide(request, pk, actions.approve_guardrails, done)


@require_POST
def guardrail_change_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject proposed rules."""
    done = "Rejected. Whoever proposed them sees your reason."
    return _decide(request, pk, actions.reject_guardrails, done)


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _change_for(request.user, pk)
    order = partial(action, change=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect(item)


@require_POST
def guardrail_change_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take proposed rules back."""
    item = _change_for(request.user, pk)
    order = partial(actions.withdraw_guardrails, change=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect(item)


# -- What was found --------------------------------------------------------------------------------


@require_GET
def guard_hits(request: SignedIn) -> HttpResponseBase:
    """List what the rules found, the newest first; as a page, its table alone, or CSV."""
    _require_role(request.user)
    rows = GuardHit.objects.visible_to(request.user)
    context = {
        "sees_all": request.user.has_role(*JUDGES_HITS),
        "sees_drift": request.user.has_role(*SEES_EVERY_TEAM),
    }
    return respond(tables.HITS, request, rows, "gateway/guard/hits.html", context)


@require_GET
def guard_hit_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one hit, and let those who judge hits say whether it was one."""
    hit = get_object_or_404(
        GuardHit.objects.visible_to(request.user).select_related("marked_by"), pk=pk
    )
    may_mark = actions.may_mark_hit(request.user, hit)
    context = {
        "hit": hit,
        "crumbs": [("Gateway", reverse("gateway:guard_hits")), ("Guard hit", "")],
        "badge": words.did_badge(hit),
        "mark": words.mark_badge(hit),
        "facts": _hit_facts(hit, request.user),
        "record_url": _record_url(hit, request.user),
        "reasons": words.reasons_of(hit.detector),
        "may_mark": may_mark and not hit.was_not_inspected,
        "events": timeline("GuardHit", hit.pk),
    }
    return render(request, "gateway/guard/hit.html", context)


def _hit_facts(hit: GuardHit, user: User) -> list[tuple[str, Any]]:
    call = {"text": str(hit.call), "mono": True, "copy": True}
    if store.sees_calls_of(user, hit.team):
        call["url"] = f"{reverse('gateway:why')}?request_id={hit.call}"
    return [
        ("Kind", {"text": hit.detector, "mono": True}),
        ("Times found", f"{hit.count:,}"),
        ("Found in", words.PHASES[hit.phase]),
        ("Where", {"text": hit.where, "mono": True} if hit.where else "not told"),
        ("Team", hit.team),
        ("Model", hit.model),
        ("Call", call),
        ("Rules", {"text": hit.rules, "mono": True}),
    ]


def _record_url(hit: GuardHit, user: User) -> str:
    """Return where the call is in the prompt record; "" for those who may not search it."""
    return f"{reverse('prompts:record_list')}?q={hit.call}" if may_read(user, now()) else ""


@require_POST
def guard_hit_mark(request: SignedIn, pk: UUID) -> HttpResponse:
    """Say of a hit whether it was one."""
    hit = get_object_or_404(GuardHit.objects.visible_to(request.user), pk=pk)
    form = MarkForm(request.POST)
    if not form.is_valid():
        raise Http404
    order = partial(
        actions.mark_hit, hit=hit, mark=form.cleaned_data["mark"], actor=request.user, now=now()
    )
    carry_out(request, order, "Kept. It counts for the rule's precision.")
    return redirect("gateway:guard_hit_detail", pk=pk)
