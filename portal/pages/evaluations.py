"""The page of one evaluation run: how far it is and how long that usually takes, then its figures
against the thresholds, and each packet's right codes beside those of the candidate.
"""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.common.progress import about
from apps.common.simulated import Simulated
from apps.evals import actions, pace, pages, queries
from apps.evals.models import EvalRun
from apps.evals.pace import Pace
from apps.evals.suites.queries import packets_of
from apps.fleet.simulated import has_simulated_machine
from apps.manifests.names import EVALS


@require_GET
def run_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one run; while it is under way, its progress first."""
    run = get_object_or_404(
        queries.runs_for(request.user).select_related("baseline_run__model_version"), pk=pk
    )
    template = "evals/run_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, _of_run(run) | _for_person(run, request.user))


def _of_run(run: EvalRun) -> dict[str, object]:
    version, live = run.model_version, run.baseline_run
    texts = {packet.id: packet.text for packet in packets_of(run.suite)}
    usual = _pace(run) if run.removed_at is None else Pace()
    return {
        "run": run,
        "version": version,
        "model": version.registered_model,
        "title": f"Evaluation of {version.name}",
        "crumbs": _crumbs(run),
        "badge": pages.run_badge(run),
        "is_open": run.status in EvalRun.OPEN,
        "moving": run.removed_at is None,
        "simulated": Simulated(engine=pages.is_stand_in(run)),
        "pace": usual,
        "whole": about(usual.whole.total_seconds() if usual.whole is not None else None),
        "progress": pages.progress(run, usual),
        "took": pace.took(run.requested_at, run.finished_at),
        "steps": pages.steps(run, usual),
        "f1": pages.figure("f1", run.metrics.get("f1")),
        "f1_threshold": pages.threshold(run.suite.thresholds.get("f1"), "f1"),
        "metrics": pages.metric_lines(run, live) if run.metrics else [],
        "live": live,
        "packets": pages.packet_lines(run, texts),
        "facts": _facts(run),
        "events": timeline("EvalRun", str(run.pk)),
    }


def _for_person(run: EvalRun, user: User) -> dict[str, object]:
    version = run.model_version
    owns = version.registered_model.is_owned_by(user)
    is_open = run.status in EvalRun.OPEN
    return {
        "may_start": not is_open and actions.can_start(version=version, actor=user),
        "may_go_on": owns and run.status == EvalRun.Status.PASSED,
    }


def _pace(run: EvalRun) -> Pace:
    """Return how long such runs usually take, and whether that rests on simulated nodes."""
    earlier = queries.earlier_results(run, pace.MOST)
    services = [each.inference_service for each in earlier]
    made_up = bool(services) and has_simulated_machine(EVALS, services)
    return pace.pace_of(earlier, is_simulated=made_up)


def _crumbs(run: EvalRun) -> list[tuple[str, str]]:
    version = run.model_version
    where = [version.registered_model.name, version.number]
    return [
        ("Evaluations", reverse("evals:run_list")),
        (version.name, reverse("catalog:version_detail", args=where)),
        (str(run.pk)[:8], ""),
    ]


def _facts(run: EvalRun) -> list[tuple[str, object]]:
    version = run.model_version
    engine = f"{run.engine} (labeled: no model is loaded)" if pages.is_stand_in(run) else run.engine
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
