"""Two versions beside each other, on a suite that both were asked."""

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.runs.comparing import Measured, compared, measured_on, pair_of


class CompareForm(forms.Form):
    """Which two versions, on which suite."""

    suite = forms.ModelChoiceField(queryset=EvalSuite.objects.none(), label="Suite")
    left = forms.TypedChoiceField(coerce=int, label="Version", required=False)
    right = forms.TypedChoiceField(coerce=int, label="Against", required=False)

    def choose_of(self, suites: list[EvalSuite], found: dict[int, list[Measured]]) -> None:
        """Offer these suites, and the versions that were measured."""
        rows = EvalSuite.objects.filter(pk__in=[suite.pk for suite in suites])
        self.fields["suite"].queryset = rows.order_by("slug", "-revision")  # type: ignore[attr-defined]
        names = sorted((found[key][0].version.name, key) for key in found)
        for name in ("left", "right"):
            field: forms.TypedChoiceField = self.fields[name]  # type: ignore[assignment]
            field.choices = [("", "Choose a version"), *((key, words) for words, key in names)]


@require_GET
def run_compare(request: SignedIn) -> HttpResponse:
    """Compare two versions over the packets that both were asked."""
    visible = EvalRun.objects.visible_to(request.user)
    asked = visible.deciding().order_by().values_list("suite", flat=True).distinct()
    suites = list(EvalSuite.objects.filter(pk__in=asked).order_by("slug", "-revision"))
    wanted = request.GET.get("suite", "")
    suite = next((each for each in suites if str(each.pk) == wanted), suites[0] if suites else None)
    found = measured_on(suite, visible=visible) if suite else {}
    initial = {"suite": suite.pk} if suite else {}
    form = CompareForm(initial | request.GET.dict())
    form.choose_of(suites, found)
    pair = result = None
    if suite is not None and form.is_valid():
        values = form.cleaned_data
        if values["left"] and values["right"] and values["left"] != values["right"]:
            pair = pair_of(found, values["left"], values["right"])
            result = compared(*pair, suite) if pair else None
    context = {
        "form": form,
        "title": "Compare versions",
        "crumbs": [("Evaluations", reverse("evals:run_list")), ("Compare", "")],
        "suite": suite,
        "versions": len(found),
        "result": result,
        "has_nothing_in_common": pair is not None and result is None,
    }
    return render(request, "evals/compare.html", context)
