"""The list of evaluation runs, starting one, and its report. The page of a run: portal/pages."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.catalog.models import ModelVersion
from apps.common.errors import DomainError
from apps.common.tables.reading import respond
from apps.evals import actions, queries, report, tables


@require_GET
def run_list(request: SignedIn) -> HttpResponseBase:
    """List the evaluation runs, newest first; as a page, its table alone, or CSV."""
    return respond(tables.RUNS, request, queries.runs_for(request.user), "evals/run_list.html")


@require_POST
def run_create(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Start a run of a version."""
    version = _version_for(request.user, name, number)
    try:
        suite = actions.suite_to_run(version=version, actor=request.user)
        run = actions.start_eval_run(version=version, suite=suite, actor=request.user, now=now())
    except DomainError as error:
        messages.error(request, str(error))
        return redirect("catalog:version_detail", name=name, number=number)
    return redirect("evals:run_detail", pk=run.pk)


@require_GET
def run_report(request: SignedIn, pk: UUID) -> HttpResponse:
    """Give a run's report as JSON: the bytes whose digest is kept with the run."""
    run = get_object_or_404(queries.runs_for(request.user), pk=pk)
    if not run.report_digest:
        raise Http404
    answer = HttpResponse(report.content(run), content_type="application/json")
    answer["Content-Disposition"] = (
        f'attachment; filename="{run.model_version.name}-{str(run.pk)[:8]}.json"'
    )
    return answer


def _version_for(user: User, name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.visible_to(user).select_related("registered_model__owner_team")
    return get_object_or_404(rows, registered_model__name=name, number=number)
