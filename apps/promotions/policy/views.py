"""Pages of the promotion policy: what is in force with its history, proposing a change, and
deciding about one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import OVERSEES_POLICIES
from apps.audit.timeline import timeline
from apps.catalog.models import DataClass
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.rulings import beside_former
from apps.promotions.policy import actions, queries, words
from apps.promotions.policy.forms import FreezeForm, FreezeFormSet, PolicyForm, freezes_of
from apps.promotions.policy.models import PolicyChange, PolicyRevision

RELATED = ("before", "requested_by", "decided_by")


@require_GET
def policy_list(request: SignedIn) -> HttpResponse:
    """Show what is in force for each data class, and what waits for a decision."""
    _require_role(request.user)
    found = queries.in_force(now())
    waiting = PolicyChange.objects.visible_to(request.user).pending().select_related(*RELATED)
    context = {
        "crumbs": _crumbs()[:1] + [("Policy", "")],
        "classes": [
            {
                "label": DataClass(data_class).label,
                "slug": data_class.lower(),
                "ruling": ruling,
            }
            for data_class, ruling in found.items()
        ],
        "rows": words.side_by_side(
            {str(DataClass(one).label): ruling.rules for one, ruling in found.items()}
        ),
        "waiting": waiting,
        "may_propose": actions.may_propose(request.user),
    }
    return render(request, "promotions/policy/list.html", context)


@require_GET
def policy_detail(request: SignedIn, data_class: str) -> HttpResponse:
    """Show the policy of a data class, and what each revision changed."""
    _require_role(request.user)
    known = _data_class(data_class)
    ruling = queries.rules_of(known, now())
    pairs = beside_former(queries.revisions_of(known))
    context = {
        "title": f"Policy for {known.label}",
        "crumbs": _crumbs((str(known.label), "")),
        "ruling": ruling,
        "words": words.words_of(ruling.rules),
        "history": [_revision(*pair) for pair in pairs],
        "actions": _propose_button(request.user, known),
        "oversees": request.user.has_role(*OVERSEES_POLICIES),
    }
    return render(request, "promotions/policy/detail.html", context)


def _revision(revision: PolicyRevision, before: PolicyRevision | None) -> dict[str, object]:
    diff = words.difference(before.rules, revision.rules) if before else []
    return {"revision": revision, "diff": diff}


def _require_role(user: User) -> None:
    if not user.roles:
        raise Http404


def _data_class(text: str) -> DataClass:
    try:
        return DataClass(text.upper())
    except ValueError:
        raise Http404 from None


def _propose_button(user: User, data_class: DataClass) -> list[dict[str, str]]:
    if not actions.may_propose(user):
        return []
    url = reverse("promotions:policy_change_create", args=[data_class.value.lower()])
    return [{"label": "Propose a change", "url": url, "style": "primary"}]


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        ("Promotions", reverse("promotions:promotion_list")),
        ("Policy", reverse("promotions:policy_list")),
        *rest,
    ]


@require_http_methods(["GET", "POST"])
def policy_change_create(request: SignedIn, data_class: str) -> HttpResponse:
    """Propose other rules for a data class."""
    _require_role(request.user)
    known = _data_class(data_class)
    actions.permit_proposing(request.user)
    ruling = queries.rules_of(known, now())
    sent = request.POST if request.method == "POST" else None
    form = PolicyForm(sent, initial=PolicyForm.initial_of(ruling.rules))
    shown = [FreezeForm.initial_of(freeze) for freeze in ruling.rules.freezes]
    freezes = FreezeFormSet(sent, initial=shown, prefix="freezes")
    made = _propose(request, known, form, freezes) if sent is not None else None
    if made is not None:
        messages.success(request, "Proposed. A reviewer decides.")
        return redirect("promotions:policy_change_detail", pk=made.pk)
    context = {
        "title": f"Change the policy for {known.label}",
        "crumbs": _crumbs(
            (str(known.label), reverse("promotions:policy_detail", args=[data_class])),
            ("Change", ""),
        ),
        "form": form,
        "freezes": freezes,
        "ruling": ruling,
        "words": words.words_of(ruling.rules),
    }
    status = 200 if sent is None else 422
    return render(request, "promotions/policy/form.html", context, status=status)


def _propose(
    request: SignedIn, data_class: DataClass, form: PolicyForm, freezes: Any
) -> PolicyChange | None:
    """Propose what the form says; None, with the errors on the form, where that cannot be."""
    if not all([form.is_valid(), freezes.is_valid()]):
        return None
    rules = form.rules(freezes_of(freezes))
    if rules is None:
        return None
    try:
        return actions.propose_policy(
            data_class=data_class,
            rules=rules,
            justification=form.cleaned_data["justification"],
            requester=request.user,
            now=now(),
        )
    except DomainError as error:
        form.add_error(None, str(error))
        return None


@require_GET
def policy_change_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a change: what it changes, who proposed it and why, and who decided."""
    return _show(request, _change_for(request.user, pk), ReasonForm())


def _change_for(user: User, pk: UUID) -> PolicyChange:
    rows = PolicyChange.objects.visible_to(user).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


def _show(
    request: SignedIn, item: PolicyChange, form: ReasonForm, status: int = 200
) -> HttpResponse:
    decide = decisions.card(
        actions.question(item, request.user),
        urls="promotions:policy_change",
        approve="Put these rules in force",
    )
    label = item.get_data_class_display()
    where = reverse("promotions:policy_detail", args=[item.data_class.lower()])
    context = {
        "item": item,
        "title": f"Change of the policy for {label}",
        "crumbs": _crumbs((label, where), ("Change", "")),
        "badge": decisions.BADGES[item.status],
        "facts": _facts(item),
        "diff": words.difference(item.before.rules, item.rules),
        "words": words.words_of(item.rules),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("PolicyChange", item.pk),
    }
    return render(request, "promotions/policy/change.html", context, status=status)


def _facts(item: PolicyChange) -> list[tuple[str, object]]:
    return [
        ("Environment", item.environment),
        ("Data class", item.get_data_class_display()),
        ("Changes", f"revision {item.before.number}"),
        ("Why", item.justification),
        ("Proposed by", f"{item.requested_by} ({item.requested_by.username})"),
        *decisions.decided_facts(item),
    ]


@require_POST
def policy_change_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Put proposed rules in force."""
    return _decide(request, pk, actions.approve_policy, "These rules are in force now.")


@require_POST
def policy_change_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject proposed rules."""
    done = "Rejected. Whoever proposed them sees your reason."
    return _decide(request, pk, actions.reject_policy, done)


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _change_for(request.user, pk)
    order = partial(action, change=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect("promotions:policy_change_detail", pk=pk)


@require_POST
def policy_change_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take proposed rules back."""
    item = _change_for(request.user, pk)
    order = partial(actions.withdraw_policy, change=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("promotions:policy_change_detail", pk=pk)
