"""Pages of capacity: the pools and what changes them, asking for a change, and the request that
others decide on.
"""

from collections.abc import Callable
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

from apps.accounts.models import Role, User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_CAPACITY, SEES_FLEET
from apps.audit.timeline import timeline
from apps.capacity import actions, forms, pages, queries, tables
from apps.capacity.models import CapacityRequest, NodePoolRevision
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import is_for_table, respond, wants_csv
from apps.fleet.simulated import of_machines
from apps.gitops import trouble
from apps.manifests.capacity import NodePool

RELATED = ("base", "requested_by", "decided_by")
Status = CapacityRequest.Status
# what a request that is under way waits for
TROUBLE = (*trouble.PROBLEMS, "AWAY", "NOT_READY", "REFUSED_BY_CLUSTER")


@require_GET
def pool_list(request: SignedIn) -> HttpResponseBase:
    """Show the pools with what they may buy, and the requests to change them; as a page, a fragment
    or CSV.
    """
    _require_reader(request)
    rows = CapacityRequest.objects.visible_to(request.user).select_related(*RELATED)
    alone = wants_csv(tables.REQUESTS, request) or is_for_table(tables.REQUESTS, request)
    context = {} if alone else _pools(request.user)
    return respond(tables.REQUESTS, request, rows, "capacity/pool_list.html", context)


def _pools(user: User) -> dict[str, object]:
    return {
        "pools": [pages.pool_line(pool) for pool in queries.pools()],
        "needs_me": list(CapacityRequest.objects.to_decide(user).select_related(*RELATED)[:20]),
        "may_ask": actions.may_ask(user),
        "sees_fleet": user.has_role(*SEES_FLEET),
        "basis": pages.spend_basis(),
        "simulated": of_machines(),
    }


def _require_reader(request: SignedIn) -> None:
    if not request.user.has_role(*SEES_CAPACITY):
        raise Http404


@require_http_methods(["GET", "POST"])
def request_create(request: SignedIn, name: str) -> HttpResponse:
    """Ask for a change of a pool."""
    _require_reader(request)
    pool = queries.pool(name)
    if pool is None:
        raise Http404
    actions.permit_asking(request.user)
    if pool.spec is None:
        return _show_form(request, pool, None, None)
    if request.method != "POST":
        form = forms.CapacityForm(initial=forms.initial_of(pool.spec, pool.revision.number))
        return _show_form(request, pool, form, _budgets(pool.spec))
    initial = forms.initial_of(pool.spec, pool.revision.number)
    form = forms.CapacityForm(request.POST, initial=initial)
    budgets = _budgets(pool.spec, request.POST)
    made = _ask(request, name, form, budgets)
    return (
        _show_form(request, pool, form, budgets, 422)
        if made is None
        else _asked(request, made, pool)
    )


def _budgets(spec: NodePool, data: Any = None) -> Any:
    return forms.BudgetFormSet(data, initial=forms.initial_budgets_of(spec), prefix="budgets")


def _ask(
    request: SignedIn, name: str, form: forms.CapacityForm, budgets: Any
) -> CapacityRequest | None:
    """Ask for what the form says; None, with the errors on the form, where that cannot be."""
    if not all([form.is_valid(), budgets.is_valid()]):
        return None
    found = [forms.budget_of(row.cleaned_data) for row in budgets if row.cleaned_data]
    wish = form.wish(tuple(budget for budget in found if budget is not None))
    values = form.cleaned_data
    try:
        return actions.request_capacity(
            pool=name,
            base=values["base"],
            wish=wish,
            justification=values["justification"],
            requester=request.user,
            now=now(),
        )
    except DomainError as error:
        form.add_error(None, str(error))
        return None


def _asked(request: SignedIn, made: CapacityRequest, pool: queries.Pool) -> HttpResponse:
    messages.success(
        request,
        f"Asked for a change of {made.pool}. Another platform engineer, or a reviewer, decides.",
    )
    if pool.spec is not None:
        found = queries.effect_of(pool.spec, queries.read_text(made.text), now())
        for words in found.exceeded:
            messages.warning(
                request, f"{words}. Karpenter launches nothing more until use is below it."
            )
        if found.only_spot:
            messages.warning(
                request,
                "No pool would buy on-demand machines any more, so no warm version could start.",
            )
    return redirect("capacity:request_detail", pk=made.pk)


def _show_form(
    request: SignedIn,
    pool: queries.Pool,
    form: forms.CapacityForm | None,
    budgets: Any,
    status: int = 200,
) -> HttpResponse:
    context = {
        "pool": pool,
        "line": pages.pool_line(pool),
        "form": form,
        "budgets": budgets,
        "title": f"Change {pool.revision.pool}",
        "crumbs": _crumbs((pool.revision.pool, "")),
        "lead": "Somebody else decides. Then the change is committed to Git, Argo CD applies it, "
        "and Karpenter follows.",
        "basis": pages.spend_basis(),
    }
    return render(request, "capacity/request_form.html", context, status=status)


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Capacity", reverse("capacity:pool_list")), *rest]


@require_GET
def request_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one request: the exact change, what it would cost and move, who decides, what
    happened.
    """
    return _show(request, _request_for(request.user, pk), ReasonForm())


def _request_for(user: User, pk: UUID) -> CapacityRequest:
    return get_object_or_404(
        CapacityRequest.objects.visible_to(user).select_related(*RELATED), pk=pk
    )


def _show(
    request: SignedIn, item: CapacityRequest, form: ReasonForm, status: int = 200
) -> HttpResponse:
    user = request.user
    found = queries.effect_of(
        queries.read_text(item.base.text), queries.read_text(item.text), now()
    )
    decide = _decision(item, user)
    context = {
        "item": item,
        "title": f"Change {item.pool}",
        "crumbs": _crumbs((item.pool, "")),
        "badge": pages.badge(item),
        "facts": _facts(item),
        "diff": pages.diff(item),
        "effect": found,
        "spend": pages.spend_facts(found),
        "basis": pages.spend_basis(),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "may_retry": item.status == Status.FAILED and user.has_role(Role.PLATFORM_ENGINEER),
        "moving": item.status in CapacityRequest.MOVING,
        "tone": "warn" if item.reason in TROUBLE else "busy",
        "events": timeline("CapacityRequest", item.pk),
    }
    context["fragment"] = bool(request.htmx)
    template = "capacity/request_detail.html" + ("#live" if context["fragment"] else "")
    return render(request, template, context, status=status)


def _decision(item: CapacityRequest, user: User) -> decisions.Card | None:
    current = NodePoolRevision.objects.current_of(item.pool)
    outdated = (
        "The pool has changed since this was asked for.",
        "It can no longer be approved. Reject or withdraw it, and ask again from the newest "
        "revision.",
    )
    return decisions.card(
        actions.question(item, user),
        urls="capacity:request",
        approve="Approve and commit this change",
        blocked=outdated if current is not None and current.pk != item.base_id else None,
    )


def _facts(item: CapacityRequest) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("Pool", item.pool),
        ("Made on", f"revision {item.base.number} of the pool"),
        *decisions.asked_facts(item, "Asked by"),
    ]
    if item.commit:
        facts.append(("Commit", {"text": item.commit, "mono": True, "copy": True}))
    return [*facts, ("File", {"text": item.digest, "mono": True})]


@require_POST
def request_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Approve a request; the worker commits it."""
    return _decide(
        request, pk, actions.approve_capacity, "Approved. It is committed within seconds."
    )


@require_POST
def request_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject a request."""
    return _decide(
        request, pk, actions.reject_capacity, "Rejected. Whoever asked sees your reason."
    )


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _request_for(request.user, pk)
    order = partial(action, request=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect("capacity:request_detail", pk=pk)


@require_POST
def request_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take one's own request back."""
    item = _request_for(request.user, pk)
    order = partial(actions.withdraw_capacity, request=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("capacity:request_detail", pk=pk)


@require_POST
def request_retry(request: SignedIn, pk: UUID) -> HttpResponse:
    """Try a failed request again."""
    item = _request_for(request.user, pk)
    order = partial(actions.retry_capacity, request=item, actor=request.user, now=now())
    carry_out(request, order, "It continues from where it stopped.")
    return redirect("capacity:request_detail", pk=pk)
