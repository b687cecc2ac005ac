"""Pages of what somebody asked for about a budget: a change, or a boost; and its decision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.access.budgets import actions
from apps.access.budgets.models import Boost, Budget, BudgetChange, in_unit
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.chargeback.budgets import pages, queries, tables
from apps.common import decisions
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.periods import day_words
from apps.common.reasons import ReasonForm

OUTDATED = (
    "The budget has changed or ended since this was asked.",
    "It can no longer be approved. Reject or withdraw it, and ask again.",
)


@dataclass(frozen=True)
class Kind:
    """What is asked for. urls: what the names of its addresses begin with."""

    model: type[BudgetChange] | type[Boost]
    approve: Callable[..., object]
    urls: str


KINDS = {
    "change": Kind(BudgetChange, actions.approve_change, "chargeback:budget_change"),
    "boost": Kind(Boost, actions.approve_boost, "chargeback:boost"),
}


def _find(user: User, kind: str, pk: UUID) -> Any:
    rows = KINDS[kind].model.objects.visible_to(user).named()
    return get_object_or_404(rows, pk=pk)


@require_GET
def detail(request: SignedIn, kind: str, pk: UUID) -> HttpResponse:
    """Show a change or a boost, the budget's month, who decides, and what happened."""
    return _show(request, kind, _find(request.user, kind, pk), ReasonForm())


def _show(
    request: SignedIn, kind: str, item: BudgetChange | Boost, form: ReasonForm, status: int = 200
) -> HttpResponse:
    moment = now()
    budget = Budget.objects.active(moment).filter(series=item.budget.series).named().first()
    standing = queries.standings([budget], moment)[0] if budget else None
    card = decisions.card(
        actions.question(item, request.user),
        urls=KINDS[kind].urls,
        approve=_consequence(item),
        blocked=_blocked(item, budget),
    )
    asks = pages.boost_facts(item) if isinstance(item, Boost) else pages.change_facts(item)
    context = {
        "item": item,
        "title": f"{str(item)[0].upper()}{str(item)[1:]}",
        "crumbs": pages.crumbs(
            (item.budget.scope, item.budget.get_absolute_url()), (kind.capitalize(), "")
        ),
        "badge": tables.asked_badge(item, moment),
        "facts": [*asks, *pages.decision_facts(item), *pages.month_facts(standing)],
        "meter": tables.BudgetLine(standing).meter if standing else None,
        "form": form,
        "may_end": isinstance(item, Boost) and actions.may_end(item, request.user, moment),
        "decide": card,
        "actions": card.head_actions if card else [],
        "events": timeline(type(item).__name__, item.pk),
    }
    return render(request, "chargeback/budgets/asked.html", context, status=status)


def _consequence(item: BudgetChange | Boost) -> str:
    """Return what a yes brings, for its button."""
    if isinstance(item, Boost):
        more = in_unit(item.amount, item.budget.unit)
        return f"Add {more} until {day_words(item.last_day)}"
    if item.ends:
        return "End the budget"
    if item.amount == item.budget.amount:
        return "Change the budget"
    return f"Change the budget to {in_unit(item.amount, item.budget.unit)} a month"


def _blocked(item: BudgetChange | Boost, current: Budget | None) -> tuple[str, str] | None:
    is_there = current is not None and (isinstance(item, Boost) or current.pk == item.budget_id)
    return None if is_there else OUTDATED


@require_POST
def approve(request: SignedIn, kind: str, pk: UUID) -> HttpResponse:
    """Approve a change or a boost."""
    return _decide(request, kind, pk, KINDS[kind].approve, "Approved. It is in force.")


@require_POST
def reject(request: SignedIn, kind: str, pk: UUID) -> HttpResponse:
    """Reject a change or a boost."""
    done = "Rejected. Whoever asked sees your reason."
    return _decide(request, kind, pk, actions.reject, done)


def _decide(
    request: SignedIn, kind: str, pk: UUID, action: Callable[..., object], done: str
) -> HttpResponse:
    item = _find(request.user, kind, pk)
    order = partial(action, request=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, kind, item, refused, status=422)
    return redirect(item)


@require_POST
def end(request: SignedIn, kind: str, pk: UUID) -> HttpResponse:
    """End a boost before its last day."""
    item = _find(request.user, kind, pk)
    order = partial(actions.end_boost, boost=item, actor=request.user, now=now())
    refused = carry_out_with_reason(request, order, "Ended. It adds nothing any more.")
    if refused is not None:
        return _show(request, kind, item, refused, status=422)
    return redirect(item)


@require_POST
def withdraw(request: SignedIn, kind: str, pk: UUID) -> HttpResponse:
    """Take one's own change or boost back."""
    item = _find(request.user, kind, pk)
    order = partial(actions.withdraw, request=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect(item)
