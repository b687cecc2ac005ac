"""The list of evaluation runs, and the report of one. The other pages: portal/pages/evaluations."""

from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.common.tables.reading import respond
from apps.evals import queries, tables
from apps.evals.models import EvalReport


@require_GET
def run_list(request: SignedIn) -> HttpResponseBase:
    """List the evaluation runs, newest first; as a page, its table alone, or CSV."""
    actions = [
        {"label": "Compare versions", "url": reverse("evals:run_compare"), "icon": "scale"},
        {"label": "Suites", "url": reverse("evals:suite_list"), "icon": "list-checks"},
    ]
    rows = queries.runs_for(request.user)
    return respond(tables.RUNS, request, rows, "evals/run_list.html", {"actions": actions})


@require_GET
def run_report(request: SignedIn, pk: UUID) -> HttpResponse:
    """Give a run's report as JSON: the bytes whose digest is kept with the run."""
    run = get_object_or_404(queries.runs_for(request.user), pk=pk)
    kept = get_object_or_404(EvalReport, run=run)
    answer = HttpResponse(bytes(kept.content), content_type="application/json")
    answer["Content-Disposition"] = (
        f'attachment; filename="{run.model_version.name}-{str(run.pk)[:8]}.json"'
    )
    return answer
