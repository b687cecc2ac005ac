"""Pages of retention: what is in force, proposing a change, and deciding about one."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.catalog.models import DataClass
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.rulings import beside_former
from apps.prompts import pages, words
from apps.prompts.rules import actions, queries
from apps.prompts.rules.forms import RetentionForm
from apps.prompts.rules.models import RetentionChange

RELATED = ("before", "requested_by", "decided_by")


@require_GET
def retention_list(request: SignedIn) -> HttpResponse:
    """Show what is kept of each data class, what waits for a decision, and what was in force."""
    pages.require_overseer(request.user)
    waiting = RetentionChange.objects.visible_to(request.user).pending().select_related(*RELATED)
    context = {
        "crumbs": pages.crumbs(("Retention", "")),
        "tabs": pages.tabs(request.user, "prompts:retention_list"),
        "classes": [_class(one, ruling) for one, ruling in queries.in_force(now()).items()],
        "waiting": waiting,
        "may_ask": actions.may_ask(request.user),
    }
    return render(request, "prompts/retention_list.html", context)


def _class(data_class: DataClass, ruling: queries.Ruling) -> dict[str, object]:
    pairs = beside_former(queries.revisions_of(data_class))
    return {
        "label": data_class.label,
        "slug": data_class.value.lower(),
        "number": ruling.number,
        "words": words.words_of(ruling.rules),
        "history": [
            {
                "revision": revision,
                "diff": words.difference(old.rules, revision.rules) if old else [],
            }
            for revision, old in pairs
            if revision.change
        ],
    }


@require_http_methods(["GET", "POST"])
def retention_change_create(request: SignedIn, data_class: str) -> HttpResponse:
    """Propose what is kept of a data class."""
    pages.require_overseer(request.user)
    known = _data_class(data_class)
    actions.permit_asking(request.user)
    ruling = queries.rules_of(known, now())
    sent = request.POST if request.method == "POST" else None
    form = RetentionForm(sent, initial=RetentionForm.initial_of(ruling.rules))
    made = _propose(request, known, form) if sent is not None else None
    if made is not None:
        messages.success(request, "Proposed. A reviewer or another auditor decides.")
        return redirect(made)
    context = {
        "title": f"Change what is kept of {known.label}",
        "crumbs": _crumbs(("Change", "")),
        "form": form,
        "submit": "Propose this retention",
        "now_title": "As it is now",
        "now": words.words_of(ruling.rules),
    }
    return render(request, "prompts/form.html", context, status=200 if sent is None else 422)


def _propose(
    request: SignedIn, data_class: DataClass, form: RetentionForm
) -> RetentionChange | None:
    """Propose what the form says; None, with the errors on the form, where that cannot be."""
    if not form.is_valid():
        return None
    rules = form.rules()
    if rules is None:
        return None
    try:
        return actions.propose_retention(
            data_class=data_class,
            rules=rules,
            justification=form.cleaned_data["justification"],
            requester=request.user,
            now=now(),
        )
    except DomainError as error:
        form.add_error(None, str(error))
        return None


def _data_class(text: str) -> DataClass:
    try:
        return DataClass(text.upper())
    except ValueError:
        raise Http404 from None


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return pages.crumbs(("Retention", reverse("prompts:retention_list")), *rest)


@require_GET
def retention_change_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a change: what it changes, who proposed it and why, and who decided."""
    return _show(request, _change_for(request.user, pk), ReasonForm())


def _change_for(user: User, pk: UUID) -> RetentionChange:
    rows = RetentionChange.objects.visible_to(user).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


def _show(
    request: SignedIn, item: RetentionChange, form: ReasonForm, status: int = 200
) -> HttpResponse:
    decide = decisions.card(
        actions.question(item, request.user),
        urls="prompts:retention_change",
        approve="Put these rules in force",
    )
    context = {
        "title": f"Change of what is kept of {item.get_data_class_display()}",
        "crumbs": _crumbs(("Change", "")),
        "badge": words.decided_badge(item.status),
        "facts": [
            ("Data class", item.get_data_class_display()),
            *decisions.asked_facts(item, "Proposed by"),
        ],
        "diff": words.difference(item.before.rules, item.rules),
        "words": words.words_of(item.rules),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("RetentionChange", item.pk),
    }
    return render(request, "prompts/decision.html", context, status=status)


@require_POST
def retention_change_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Put proposed rules in force."""
    return _decide(request, pk, actions.approve_retention, "These rules are in force now.")


@require_POST
def retention_change_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject proposed rules."""
    done = "Rejected. Whoever proposed them sees your reason."
    return _decide(request, pk, actions.reject_retention, done)


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _change_for(request.user, pk)
    order = partial(action, change=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect(item)


@require_POST
def retention_change_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take proposed rules back."""
    item = _change_for(request.user, pk)
    order = partial(actions.withdraw_retention, change=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect(item)
