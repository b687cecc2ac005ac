"""The form that starts an evaluation run: which suite, how much of it, with which settings, and
what it may cost; what it is measured against and what it usually costs stand beside it.
"""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_http_methods

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.catalog.models import ModelVersion
from apps.common.errors import DomainError
from apps.evals import actions, pages
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.suites.queries import CPU, suites_judging
from apps.promotions.settings.forms import SettingsForm
from portal.pages.evaluations.asked import (
    Estimate,
    default_bound,
    estimate,
    usual_pace,
    wanted_by,
)

WHOLE = "whole"
ON_GPU = "Only runs over the same packets compare, and a proposal needs the whole suite."
ON_CPU = "Engines run on a CPU here, so a run asks the declared subset, whatever is chosen."


class StartForm(SettingsForm):
    """What a run is asked to do. What is left empty is as usual."""

    suite = forms.ModelChoiceField(
        queryset=EvalSuite.objects.none(), label="Suite", required=False, empty_label=None
    )
    packets = forms.ChoiceField(
        label="Packets",
        choices=[(WHOLE, "The whole suite"), (CPU, "The declared subset: few packets, short ones")],
        required=False,
    )
    concurrency = forms.IntegerField(
        label="Packets at once",
        min_value=1,
        max_value=actions.MOST_AT_ONCE,
        required=False,
        help_text="That each side has in front of it.",
    )
    cost_limit_usd = forms.DecimalField(
        label="Ends at",
        min_value=Decimal("0.01"),
        max_value=actions.LARGEST_COST,
        decimal_places=2,
        required=False,
        help_text="Dollars that the run's machines may cost, at their list prices.",
    )

    def __init__(self, *given: Any, suites: list[EvalSuite], **more: Any) -> None:
        super().__init__(*given, **more)
        found = EvalSuite.objects.filter(pk__in=[suite.pk for suite in suites])
        self.fields["suite"].queryset = found  # type: ignore[attr-defined]
        self.fields["packets"].help_text = ON_CPU if settings.ENGINES_ON_CPU else ON_GPU


@require_http_methods(["GET", "POST"])
def run_create(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Show the form, with what a run is measured against and what it usually costs; start a run."""
    version = _version_for(request.user, name, number)
    if request.method == "POST":
        actions.permit_start(version=version, actor=request.user)
    judging = suites_judging(version.registered_model)
    usual = wanted_by(version)
    baseline = usual.baseline if usual.baseline != version else None
    cost = _cost(judging, version, sides=2 if baseline else 1)
    shown = StartForm.showing(usual.baseline_settings) | {
        "suite": judging[0].pk if judging else None,
        "packets": usual.subset or WHOLE,
        "concurrency": usual.concurrency,
        "cost_limit_usd": cost.bound if cost else default_bound(),
    }
    sent = request.POST if request.method == "POST" else None
    form = StartForm(sent, suites=judging, initial=shown)
    if request.method == "POST" and form.is_valid():
        try:
            run = _start(version, form, request.user)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"The evaluation of {version.name} begins.")
            return redirect("evals:run_detail", pk=run.pk)
    context = {
        "form": form,
        "version": version,
        "model": version.registered_model,
        "title": f"Evaluate {version.name}",
        "crumbs": _crumbs(version),
        "suites": [(suite, pages.rule_words(suite)) for suite in judging],
        "may_start": actions.can_start(version=version, actor=request.user),
        "baseline": baseline,
        "no_baseline": pages.SERVES_ITSELF if usual.baseline else pages.NO_BASELINE_YET,
        "cost": cost.words if cost else "",
    }
    status = 422 if form.errors else 200
    return render(request, "evals/run_form.html", context, status=status)


def _start(version: ModelVersion, form: StartForm, actor: User) -> EvalRun:
    values = form.cleaned_data
    wanted = wanted_by(
        version,
        whole=values["packets"] == WHOLE if values["packets"] else None,
        concurrency=values["concurrency"],
        cost_limit_usd=values["cost_limit_usd"],
        serving=form.settings(),
    )
    suite = values["suite"] or actions.suite_to_run(version=version, actor=actor)
    return actions.start_eval_run(
        version=version, suite=suite, actor=actor, now=now(), wanted=wanted
    )


def _cost(judging: list[EvalSuite], version: ModelVersion, *, sides: int) -> Estimate | None:
    """Return what a run on the first of the suites may cost; None where no suite judges the
    model.
    """
    if not judging:
        return None
    return estimate(*usual_pace(judging[0], version, before=now()), sides=sides)


def _version_for(user: User, name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.visible_to(user).select_related("registered_model__owner_team")
    return get_object_or_404(rows, registered_model__name=name, number=number)


def _crumbs(version: ModelVersion) -> list[tuple[str, str]]:
    where = [version.registered_model.name, version.number]
    return [
        ("Evaluations", reverse("evals:run_list")),
        (version.name, reverse("catalog:version_detail", args=where)),
        ("Evaluate", ""),
    ]
