"""Pages of budgets: the list, one budget's month, setting, changing and boosting it."""

from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from uuid import UUID

from django import forms as django_forms
from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.access.budgets import actions
from apps.access.budgets.models import Boost, Budget, BudgetChange, Unit
from apps.access.budgets.terms import Terms, terms_of
from apps.accounts.models import Role, User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SETS_COST_CENTER_BUDGETS, SETS_TEAM_BUDGETS
from apps.audit.timeline import TimelineEvent, timeline_of
from apps.chargeback.budgets import forms, pages, queries, tables, words
from apps.common import zones
from apps.common.errors import require
from apps.common.orders import carry_out
from apps.common.periods import DAY, next_month
from apps.common.reasons import ReasonForm
from apps.common.simulated import Simulated
from apps.common.tables.reading import respond
from apps.fleet.simulated import stand_in_versions

SETS_ANY = (*SETS_COST_CENTER_BUDGETS, *SETS_TEAM_BUDGETS, Role.MODEL_OWNER)


@require_GET
def budget_list(request: SignedIn) -> HttpResponseBase:
    """List the budgets in force that the person may see, the fullest first; the same as CSV."""
    moment, user = now(), request.user
    found = queries.standings(Budget.objects.active(moment).visible_to(user).named(), moment)
    lines = [tables.BudgetLine(standing) for standing in found]
    context = {
        "needs_me": [*_waiting(BudgetChange, user), *_waiting(Boost, user)],
        "actions": _list_actions(user),
        "crumbs": [("Chargeback", reverse("chargeback:month")), ("Budgets", "")],
        "simulated": _simulated(found),
    }
    return respond(tables.BUDGETS, request, lines, "chargeback/budgets/list.html", context)


def _waiting(kind: type[BudgetChange] | type[Boost], user: User) -> list[BudgetChange | Boost]:
    return list(kind.objects.named().to_decide(user)[:20])


def _list_actions(user: User) -> list[dict[str, str]]:
    if not user.has_role(*SETS_ANY):
        return []
    url = reverse("chargeback:budget_create")
    return [{"label": "Set a budget…", "url": url, "style": "primary"}]


def _simulated(found: list[queries.Standing]) -> Simulated:
    versions = queries.versions_of(standing.balance for standing in found)
    return Simulated(engine=bool(stand_in_versions(versions)))


@require_http_methods(["GET", "POST"])
def budget_create(request: SignedIn) -> HttpResponse:
    """Set a budget where there is none."""
    user = request.user
    require(user.has_role(*SETS_ANY), "Finance, platform engineers and model owners set budgets.")
    usual = {"unit": Unit.USD, **vars(Terms(Decimal(1000))), **request.GET.dict()}
    form = forms.BudgetForm(request.POST or None, user=user, initial=usual)
    if request.method == "POST" and form.is_valid():
        made = _set(form, user)
        if made is not None:
            messages.success(request, f"The {made} is set.")
            return redirect(made)
    context = {
        "form": form,
        "title": "Set a budget",
        "crumbs": pages.crumbs(("Set a budget", "")),
        "back": reverse("chargeback:budget_list"),
    }
    return _shown(request, "chargeback/budgets/form.html", context, form)


def _set(form: forms.BudgetForm, user: User) -> Budget | None:
    """Set what the form says; None, with the errors on the form, where that cannot be."""
    values = form.cleaned_data
    order = partial(
        actions.set_budget,
        cost_center=values.get("cost_center"),
        team=values.get("team"),
        model=values.get("model"),
        unit=values["unit"],
        terms=form.terms(),
        reason=values["reason"],
        actor=user,
        now=now(),
    )
    try:
        return order()
    except actions.CannotBudget as error:
        _tell(form, error)
        return None


def _tell(form: django_forms.Form, error: actions.CannotBudget) -> None:
    """Put what is wrong beside its fields."""
    for name, text in error.problems.items() or [(None, str(error))]:
        form.add_error(name, text)


def _shown(
    request: SignedIn, template: str, context: dict[str, object], form: django_forms.Form
) -> HttpResponse:
    return render(request, template, context, status=422 if form.is_bound else 200)


@require_GET
def budget_detail(request: SignedIn, series: UUID) -> HttpResponseBase:
    """Show one budget: its month, how it goes on, its boosts and everything that happened."""
    moment = now()
    budget = _budget_for(request.user, series)
    standing = queries.standings([budget], moment)[0]
    is_active = budget.is_active(moment)
    boosts = Boost.objects.named().filter(budget__series=series)
    context = {
        "budget": budget,
        "title": f"Budget of {budget.scope}",
        "crumbs": pages.crumbs((budget.scope, "")),
        "badge": words.state_badge(standing) if is_active else words.ENDED,
        "actions": _actions(budget, request.user) if is_active else [],
        "is_active": is_active,
        "meter": tables.BudgetLine(standing).meter,
        "figures": words.figures(standing),
        "chart": pages.burn_chart(standing),
        "facts": pages.facts(budget),
        "waiting": list(BudgetChange.objects.pending().filter(budget=budget)),
        "events": _history(series, boosts),
        "simulated": _simulated([standing]),
    }
    table = tables.boosts_table(moment)
    return respond(table, request, boosts, "chargeback/budgets/detail.html", context)


def _budget_for(user: User, series: UUID) -> Budget:
    """Return the newest row of a budget that the person may see, or raise Http404."""
    rows = Budget.objects.visible_to(user).named().filter(series=series)
    return get_object_or_404(rows.order_by("-active_from")[:1])


def _actions(budget: Budget, user: User) -> list[dict[str, str]]:
    if not actions.may_ask(budget, user):
        return []
    boost = reverse("chargeback:boost_create", args=[budget.series])
    change = reverse("chargeback:budget_change", args=[budget.series])
    return [
        {"label": "Ask for a boost…", "url": boost, "style": "primary"},
        {"label": "Change…", "url": change},
    ]


def _history(series: UUID, boosts: object) -> list[TimelineEvent]:
    """Return what happened to a budget, its changes and its boosts."""
    kinds = (("Budget", Budget.objects.filter(series=series)),
             ("BudgetChange", BudgetChange.objects.filter(budget__series=series)),
             ("Boost", Boost.objects.filter(budget__series=series)))  # fmt: skip
    targets = [(kind, pk) for kind, rows in kinds for pk in rows.values_list("pk", flat=True)]
    return timeline_of(targets)


@require_http_methods(["GET", "POST"])
def budget_change(request: SignedIn, series: UUID) -> HttpResponse:
    """Change a budget, or ask for it where that lets more be spent."""
    budget = _budget_for(request.user, series)
    actions.permit_asking(budget, request.user)
    form = forms.ChangeForm(request.POST or None, initial=vars(terms_of(budget)))
    if request.method == "POST" and form.is_valid():
        order = partial(
            actions.change_budget,
            budget=budget,
            terms=form.terms(),
            reason=form.cleaned_data["reason"],
            actor=request.user,
            now=now(),
        )
        try:
            made = order()
        except actions.CannotBudget as error:
            _tell(form, error)
        else:
            if isinstance(made, Budget):
                messages.success(request, f"The {made} has changed.")
            else:
                messages.success(request, _who_decides(made, request.user))
            return redirect(made)
    context = {
        "form": form,
        "budget": budget,
        "title": f"Change the {budget}",
        "crumbs": pages.crumbs((budget.scope, budget.get_absolute_url()), ("Change", "")),
        "back": budget.get_absolute_url(),
        "end_form": ReasonForm(auto_id="end_%s"),
        "may_end": budget.is_set_by(request.user),
    }
    return _shown(request, "chargeback/budgets/form.html", context, form)


def _who_decides(made: BudgetChange | Boost, user: User) -> str:
    """Return that something was asked for, and who decides about it."""
    who = actions.question(made, user).who
    return f"Asked for. {who[0].upper()}{who[1:]} decides."


@require_POST
def budget_end(request: SignedIn, series: UUID) -> HttpResponse:
    """Ask to end a budget."""
    budget = _budget_for(request.user, series)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why the budget should end.")
        return redirect("chargeback:budget_change", series=series)
    order = partial(
        actions.request_end,
        budget=budget,
        reason=form.cleaned_data["reason"],
        requester=request.user,
        now=now(),
    )
    made = carry_out(request, order, f"Asked for. Another {budget.decider()} decides.")
    return redirect(made or budget)


@require_http_methods(["GET", "POST"])
def boost_create(request: SignedIn, series: UUID) -> HttpResponse:
    """Ask for a boost of a budget. The address may name amount and end, as alerts do."""
    moment = now()
    budget = _budget_for(request.user, series)
    actions.permit_asking(budget, request.user)
    form = forms.BoostForm(
        request.POST or None, budget=budget, now=moment, initial=_usual_boost(request, budget)
    )
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            made = actions.request_boost(
                budget=budget, requester=request.user, now=moment, **values
            )
        except actions.CannotBudget as error:
            _tell(form, error)
        else:
            messages.success(request, _who_decides(made, request.user))
            return redirect(made)
    context = {
        "form": form,
        "budget": budget,
        "title": f"Boost the {budget}",
        "crumbs": pages.crumbs((budget.scope, budget.get_absolute_url()), ("Boost", "")),
        "meter": tables.BudgetLine(queries.standings([budget], moment)[0]).meter,
        "unit": "USD" if budget.unit == Unit.USD else "tokens",
    }
    return _shown(request, "chargeback/budgets/boost_form.html", context, form)


def _usual_boost(request: SignedIn, budget: Budget) -> dict[str, object]:
    """Return the amount and the end that the address names; else none, and the month's last day."""
    month = zones.month_in(budget.zone, now())
    found: dict[str, object] = {"last_day": next_month(month) - DAY}
    with suppress(KeyError, InvalidOperation):
        found["amount"] = Decimal(request.GET["amount"])
    with suppress(KeyError, ValueError):
        found["last_day"] = date.fromisoformat(request.GET["end"])
    return found
