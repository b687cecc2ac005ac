"""The page of one evaluation run: how far it is and how long that usually takes, then the verdict
by the suite's rule, and each side's figures with their intervals. And the end of a run, by a
person.
"""

from decimal import Decimal
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.common.errors import DomainError
from apps.common.money import usd
from apps.common.progress import about
from apps.common.simulated import Simulated
from apps.evals import actions, pace, pages, queries
from apps.evals.models import EvalRun
from apps.evals.pace import Pace
from apps.evals.runs import costs
from apps.fleet.prices import list_price
from portal.pages.evaluations.asked import usual_pace


@require_GET
def run_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one run; while it is under way, its progress first."""
    run = get_object_or_404(queries.runs_for(request.user), pk=pk)
    template = "evals/run_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, _of_run(run) | _for_person(run, request.user))


@require_POST
def run_cancel(request: SignedIn, pk: UUID) -> HttpResponse:
    """End a run that is under way; the worker takes away what it served."""
    run = get_object_or_404(queries.runs_for(request.user), pk=pk)
    try:
        actions.cancel_eval_run(run=run, actor=request.user, now=now())
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("evals:run_detail", pk=pk)


def crumbs(run: EvalRun, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the way to a run's page, and from there on to more."""
    version = run.model_version
    where = [version.registered_model.name, version.number]
    here = reverse("evals:run_detail", args=[run.pk]) if more else ""
    return [
        ("Evaluations", reverse("evals:run_list")),
        (version.name, reverse("catalog:version_detail", args=where)),
        (str(run.pk)[:8], here),
        *more,
    ]


def _of_run(run: EvalRun) -> dict[str, object]:
    version = run.model_version
    usual = Pace()
    if run.removed_at is None:
        usual, _ = usual_pace(run.suite, version, before=run.requested_at)
    return {
        "run": run,
        "version": version,
        "model": version.registered_model,
        "title": f"Evaluation of {version.name}",
        "crumbs": crumbs(run),
        "badge": pages.run_badge(run),
        "is_open": run.status in EvalRun.OPEN,
        "moving": run.removed_at is None,
        "simulated": Simulated(engine=pages.is_stand_in(run)),
        "pace": usual,
        "whole": about(usual.whole.total_seconds() if usual.whole is not None else None),
        "progress": pages.progress(run, usual),
        "took": pace.took(run.requested_at, run.finished_at),
        "steps": pages.steps(run, usual),
        "rule": pages.rule_words(run.suite),
        "verdict": pages.verdict_words(run),
        "f1": pages.figure("f1", run.metrics.get("f1")),
        "f1_interval": pages.between("f1", run.metrics.get("f1_low"), run.metrics.get("f1_high")),
        "f1_delta": pages.delta("f1", run.metrics.get("f1"), run.baseline_metrics.get("f1")),
        "baseline_f1": pages.figure("f1", run.baseline_metrics.get("f1")),
        "no_baseline": pages.NO_BASELINE,
        "metrics": pages.metric_lines(run) if run.metrics else [],
        "sides": pages.side_facts(run),
        "cost": _cost(run),
        "facts": _facts(run),
        "events": timeline("EvalRun", str(run.pk)),
    }


def _for_person(run: EvalRun, user: User) -> dict[str, object]:
    version = run.model_version
    owns = version.registered_model.is_owned_by(user)
    is_open = run.status in EvalRun.OPEN
    may = actions.can_start(version=version, actor=user)
    return {
        "may_start": not is_open and may,
        "may_cancel": is_open and may,
        "may_go_on": owns and run.status == EvalRun.Status.PASSED,
    }


def _cost(run: EvalRun) -> str:
    """Return what the run's machines may have cost at most, and its limit, in words."""
    spent, limit, is_open = _spent(run), run.cost_limit_usd, run.status in EvalRun.OPEN
    if spent is None:
        words = "not known, for a machine was not seen or has no list price"
        return f"{words}, so its limit of {usd(limit)} cannot hold" if is_open and limit else words
    if not limit:
        return f"at most {usd(spent)}; no limit"
    ends = "the run ends" if is_open else "the run would have ended"
    return f"at most {usd(spent)}; {ends} at {usd(limit)}"


def _spent(run: EvalRun) -> Decimal | None:
    """Return what a run cost, or costs so far. What one that somebody canceled cost is not kept."""
    if run.status in (EvalRun.Status.PASSED, EvalRun.Status.FAILED, EvalRun.Status.ERROR):
        return run.cost_usd
    return costs.spent_by(run, list_price, run.finished_at or now())


def _facts(run: EvalRun) -> list[tuple[str, object]]:
    version = run.model_version
    url = reverse("catalog:version_detail", args=[version.registered_model.name, version.number])
    digest = {"text": run.report_digest, "mono": True, "copy": True}
    kept = {"text": run.report_key, "mono": True} if run.report_key else "not stored yet"
    canceled = [("Canceled by", str(run.canceled_by))] if run.canceled_by else []
    return [
        ("Version", {"text": version.name, "url": url}),
        ("Manifest digest", {"text": version.manifest_digest, "mono": True, "copy": True}),
        ("Suite", f"{run.suite.title}, revision {run.suite.revision}"),
        ("Packets", pages.packets_words(run)),
        ("Asked at once", f"{run.concurrency} of each side"),
        ("Machines cost", _cost(run)),
        ("Asked by", str(run.requested_by)),
        *canceled,
        ("Report digest", digest if run.report_digest else "—"),
        ("Report in the registry", kept if run.report_digest else "—"),
        ("Commit", {"text": run.deploy_commit[:12], "mono": True} if run.deploy_commit else "—"),
    ]
