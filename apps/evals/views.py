"""Pages of evaluation runs: is the version good enough, against which thresholds, and what did it
miss.
"""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.catalog.models import ModelVersion
from apps.common.errors import DomainError
from apps.common.simulated import Simulated
from apps.evals import actions, pages, report, suites
from apps.evals.models import EvalRun, EvalRunQuerySet

PAGE = 50


@require_GET
def run_list(request: SignedIn) -> HttpResponse:
    """List the evaluation runs, newest first."""
    rows = _runs_for(request.user)
    query, status = request.GET.get("q", "").strip(), request.GET.get("status", "")
    if query:
        rows = rows.filter(model_version__registered_model__name__icontains=query)
    if status in EvalRun.Status.values:
        rows = rows.filter(status=status)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = {
        "page_obj": page,
        "lines": pages.run_lines(page.object_list),
        "query": query,
        "status": status,
        "statuses": EvalRun.Status.choices,
        "filtered": bool(query or status),
    }
    template = "evals/run_list.html" + ("#rows" if request.htmx else "")
    return render(request, template, context)


@require_GET
def run_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one run: its figure against the threshold, each metric, each packet; progress while it
    runs.
    """
    run = get_object_or_404(_runs_for(request.user), pk=pk)
    version = run.model_version
    live = run.baseline_run
    texts = {packet.id: packet.text for packet in suites.load().packets}
    context = {
        "run": run,
        "version": version,
        "model": version.registered_model,
        "title": f"Evaluation of {version.name}",
        "crumbs": [
            ("Evaluations", reverse("evals:run_list")),
            (
                version.name,
                reverse(
                    "catalog:version_detail", args=[version.registered_model.name, version.number]
                ),
            ),
            (str(run.pk)[:8], ""),
        ],
        "badge": pages.run_badge(run),
        "simulated": Simulated(engine=pages.is_stand_in(run)),
        "f1": pages.figure("f1", run.metrics.get("f1")),
        "f1_threshold": pages.threshold(run.suite.thresholds.get("f1"), "f1"),
        "metrics": pages.metric_lines(run, live) if run.metrics else [],
        "live": live,
        "packets": pages.packet_lines(run, texts),
        "steps": pages.steps(run),
        "facts": _facts(run),
        "moving": run.removed_at is None,
        "may_start": actions.can_start(version=version, actor=request.user)
        and run.status not in EvalRun.OPEN,
        "may_go_on": version.registered_model.is_owned_by(request.user)
        and run.status == EvalRun.Status.PASSED,
        "events": timeline("EvalRun", str(run.pk)),
    }
    template = "evals/run_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, context)


@require_POST
def run_create(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Start a run of a version."""
    version = _version_for(request.user, name, number)
    suite = actions.ensure_suite(suite=suites.load(), now=now())
    try:
        run = actions.start_eval_run(version=version, suite=suite, actor=request.user, now=now())
    except DomainError as error:
        messages.error(request, str(error))
        return redirect("catalog:version_detail", name=name, number=number)
    return redirect("evals:run_detail", pk=run.pk)


@require_GET
def run_report(request: SignedIn, pk: UUID) -> HttpResponse:
    """Give a run's report as JSON: the bytes whose digest is kept with the run."""
    run = get_object_or_404(_runs_for(request.user), pk=pk)
    if not run.report_digest:
        raise Http404
    answer = HttpResponse(report.content(run), content_type="application/json")
    answer["Content-Disposition"] = (
        f'attachment; filename="{run.model_version.name}-{str(run.pk)[:8]}.json"'
    )
    return answer


def _runs_for(user: User) -> EvalRunQuerySet:
    rows = EvalRun.objects.visible_to(user)
    return rows.select_related(
        "suite", "model_version__registered_model__owner_team", "requested_by"
    )


def _version_for(user: User, name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.visible_to(user).select_related("registered_model__owner_team")
    return get_object_or_404(rows, registered_model__name=name, number=number)


def _facts(run: EvalRun) -> list[tuple[str, object]]:
    version = run.model_version
    engine = (
        f"{run.engine} (labelled: no model is loaded)" if pages.is_stand_in(run) else run.engine
    )
    url = reverse("catalog:version_detail", args=[version.registered_model.name, version.number])
    return [
        ("Version", {"text": version.name, "url": url}),
        ("Manifest digest", {"text": version.manifest_digest, "mono": True, "copy": True}),
        (
            "Suite",
            f"{run.suite.title}, revision {run.suite.revision}, {run.suite.packet_count} "
            f"synthetic packets",
        ),
        ("Engine", engine or "—"),
        ("Hardware", run.instance_type or "—"),
        ("Asked by", str(run.requested_by)),
        (
            "Report digest",
            {"text": run.report_digest, "mono": True, "copy": True} if run.report_digest else "—",
        ),
        ("Commit", {"text": run.deploy_commit[:12], "mono": True} if run.deploy_commit else "—"),
    ]
