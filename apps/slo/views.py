"""Pages of objectives: the list, one of them with its course and revisions, and setting them."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.catalog.pages import crumbs
from apps.catalog.queries import model_for
from apps.common.charts import Limit, LineChart, Series, counted
from apps.common.errors import DomainError, require
from apps.common.orders import carry_out_with_reason
from apps.common.periods import day_of
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.slo import actions, forms, queries, tables, words
from apps.slo.burn import RULES, WINDOWS, Counts, burn_rate
from apps.slo.models import Objective, ObjectiveRevision

BURN = counted("× the budget", 1)


@require_GET
def objective_list(request: SignedIn) -> HttpResponseBase:
    """List objectives, those with the least budget left first; as a page, its table, or CSV."""
    rows = Objective.objects.visible_to(request.user).active().with_parts()
    return respond(tables.OBJECTIVES, request, rows, "slo/objective_list.html", {})


@require_http_methods(["GET", "POST"])
def objective_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show an objective; change what it promises."""
    objective = _found(request, pk)
    initial = forms.initial_of(objective)
    form = forms.TermsForm(request.POST or None, initial=initial)
    if request.method == "POST":
        require(actions.may_set(objective.registered_model, request.user), actions.MAY_SET)
        if form.is_valid() and _set(request, objective, form):
            return redirect(objective)
    return _show(request, objective, form, ReasonForm())


@require_POST
def objective_end(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take an objective back."""
    objective = _found(request, pk)
    order = partial(actions.end_objective, objective=objective, actor=request.user, now=now())
    reasons = carry_out_with_reason(request, order, "The objective is ended.")
    if reasons is not None:
        form = forms.TermsForm(initial=forms.initial_of(objective))
        return _show(request, objective, form, reasons)
    return redirect("slo:objective_create", name=objective.registered_model.name)


@require_http_methods(["GET", "POST"])
def objective_create(request: SignedIn, name: str) -> HttpResponse:
    """Show a model's objectives, and set one."""
    model, moment = model_for(request.user, name), now()
    may_set = actions.may_set(model, request.user)
    form = forms.ObjectiveForm(request.POST or None, initial=forms.initial_of_new())
    if request.method == "POST":
        require(may_set, actions.MAY_SET)
        if form.is_valid():
            try:
                made = actions.set_objective(
                    model=model, kind=form.cleaned_data["kind"],
                    window=form.cleaned_data["window"], terms=form.terms,
                    reason=form.cleaned_data["reason"], actor=request.user, now=moment,
                )  # fmt: skip
            except DomainError as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, "The objective is in force.")
                return redirect(made)
    context = {
        "model": model,
        "title": f"Objectives of {model}",
        "crumbs": crumbs(model, "Objectives"),
        "lines": queries.of_models([model], moment).get(model.pk, []),
        "may_set": may_set,
        "form": form,
    }
    status = 422 if form.is_bound else 200
    return render(request, "slo/objective_create.html", context, status=status)


def _found(request: SignedIn, pk: UUID) -> Objective:
    found: Objective = get_object_or_404(
        Objective.objects.visible_to(request.user).with_parts(), pk=pk
    )
    return found


def _set(request: SignedIn, objective: Objective, form: forms.TermsForm) -> bool:
    """Change an objective by a valid form; False, with the error on the form, where that cannot
    be.
    """
    try:
        if objective.ended_at is not None:
            raise actions.HasEnded("This objective has been ended before.")
        actions.set_objective(
            model=objective.registered_model, kind=objective.kind, window=objective.window,
            terms=form.terms, reason=form.cleaned_data["reason"], actor=request.user, now=now(),
        )  # fmt: skip
    except DomainError as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, "The objective is changed.")
    return True


def _show(
    request: SignedIn, objective: Objective, form: forms.TermsForm, ending: ReasonForm
) -> HttpResponse:
    moment = now()
    (line,) = queries.lines([objective], moment)
    ending.auto_id = "end_%s"  # the page has two reasons
    may_set = actions.may_set(objective.registered_model, request.user)
    context = {
        "line": line,
        "objective": objective,
        "title": f"{line.model.name}: {line.promise}",
        "crumbs": [
            ("Objectives", reverse("slo:objective_list")),
            (line.model.name, reverse("slo:objective_create", args=[line.model.name])),
            ("Objective", ""),
        ],
        "burns": _burns(line),
        "rules": RULES,
        "chart": _chart(line, moment),
        "revisions": _revisions(objective),
        "may_set": may_set and objective.ended_at is None,
        "form": form,
        "ending": ending,
        "events": timeline("Objective", objective.pk),
    }
    status = 422 if form.is_bound or ending.is_bound else 200
    return render(request, "slo/objective_detail.html", context, status=status)


def _burns(line: queries.Line) -> list[tuple[str, str, str]]:
    """Return each window's length, burn rate and calls, in words; nothing before the first look."""
    if line.standing is None:
        return []
    found = []
    for window in WINDOWS:
        counts = Counts(*line.standing.windows.get(window.key, (0, 0, 0)))
        rate = burn_rate(counts, line.objective.target)
        missed = f"{counts.bad:,} of {counts.measured:,} missed it"
        calls = missed if counts.measured else "no call measured"
        if counts.unknown:
            calls += f", {counts.unknown:,} not measured"
        found.append((window.words, words.burn_words(rate), calls))
    return found


def _chart(line: queries.Line, moment: datetime) -> LineChart:
    first = day_of(moment) - timedelta(days=len(line.days) - 1)
    return LineChart(
        name="burn", title="Burn rate by day", unit=BURN,
        at=[first + timedelta(days=place) for place in range(len(line.days))],
        series=(Series("Burn rate", list(line.days)),),
        limit=Limit(1, "the budget lasts exactly"),
    )  # fmt: skip


def _revisions(objective: Objective) -> list[tuple[ObjectiveRevision, dict[str, Any]]]:
    """Return what it said, the newest first, each in words."""
    rows = objective.revisions.select_related("set_by")
    return [
        (
            row,
            {
                "promise": words.promise(objective.kind, row),
                "window": words.window_words(row),
                "holds": "holds rollouts" if row.holds_rollouts else "",
            },
        )
        for row in rows
    ]
