"""A model's versions and the page of one: the hub from which its files, evaluations, promotion and
rollout are reached, and where it says whether it can be proposed.
"""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.catalog import pages
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.simulated import Simulated
from apps.evals import actions as evals
from apps.evals import pages as run_pages
from apps.evals import queries as runs
from apps.evals.models import EvalRun
from apps.promotions import queries as promotions
from apps.promotions import serving
from apps.promotions.models import Promotion
from apps.promotions.serving import ServingState

PAGE = 24
RUNS = 20


@require_GET
def version_list(request: SignedIn, name: str) -> HttpResponse:
    """List a model's versions, newest first: stage, evaluation, signature and lock."""
    models = RegisteredModel.objects.visible_to(request.user).select_related("owner_team")
    model = get_object_or_404(models, name=name)
    rows = (
        model.versions.with_sizes()
        .select_related("created_by", "registered_model")
        .order_by("-number")
    )
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    at = now()
    context = {
        "model": model,
        "crumbs": pages.crumbs(model, "Versions"),
        "serving": serving.of_model(model, at),
        "page_obj": page,
        "lines": _version_lines(list(page)),
        "may_publish": model.is_owned_by(request.user),
    }
    return render(request, "catalog/version_list.html", context)


def _version_lines(versions: list[ModelVersion]) -> list[dict[str, Any]]:
    """Return the versions with their stage and newest run; three queries, four more where one
    sleeps.
    """
    states = serving.version_states(versions, now())
    newest = runs.newest_runs(versions)
    lines = []
    for version in versions:
        run = newest.get(version.pk)
        lines.append(
            {
                "version": version,
                "badge": pages.version_badge(version),
                "stage": states[version.pk],
                "run": run,
                "run_badge": run_pages.run_badge(run) if run else None,
                "f1": run_pages.figure("f1", run.metrics.get("f1")) if run else "",
                "simulated": Simulated(engine=run is not None and run_pages.is_stand_in(run)),
            }
        )
    return lines


@require_GET
def version_detail(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Show a version: its stage and share of the callers, evaluations, promotion and rollout, its
    files, signature and lock, and how far the worker is.
    """
    version = _version_for(request.user, name, number)
    files = list(version.files.all())
    model = version.registered_model
    context = {
        "version": version,
        "model": model,
        "title": f"{name} v{number}",
        "crumbs": [
            *pages.crumbs(model, "Versions")[:2],
            ("Versions", reverse("catalog:version_list", args=[name])),
            (f"v{number}", ""),
        ],
        "badge": pages.version_badge(version),
        "files": files,
        "total": sum(file.size for file in files),
        "facts": pages.version_facts(version),
        "steps": pages.version_steps(version, files),
        "progress": pages.version_progress(version, files),
        "moving": version.status in ModelVersion.MOVING,
        "may_publish": model.is_owned_by(request.user),
        "events": timeline("ModelVersion", str(version.pk)),
        **_stage(version, request.user),
        **_evaluations(version, request.user),
    }
    template = "catalog/version_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, context)


def _version_for(user: User, name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.visible_to(user).select_related(
        "registered_model__owner_team", "created_by"
    )
    return get_object_or_404(rows, registered_model__name=name, number=number)


def _stage(version: ModelVersion, user: User) -> dict[str, Any]:
    """Return where the version stands on its way to callers, and to its owner what keeps it from
    being proposed.
    """
    state = serving.of_version(version, now())
    rows = Promotion.objects.visible_to(user).filter(model_version=version)
    promotion = rows.select_related("requested_by").first()
    owns = version.registered_model.is_owned_by(user)
    obstacles = promotions.obstacles(version) if owns else []
    return {
        "stage": state,
        "stage_facts": _stage_facts(state, promotion),
        "may_propose": owns and not obstacles,
        "obstacles": obstacles,
    }


def _stage_facts(state: ServingState, promotion: Promotion | None) -> list[tuple[str, object]]:
    """Return the version's promotion and rollout, each with its way there."""
    rollout = state.rollout
    facts: list[tuple[str, object]] = []
    if promotion:
        where = reverse("promotions:promotion_detail", args=[promotion.pk])
        words = f"{promotion.get_status_display()}, proposed by {promotion.requested_by}"
        facts.append(("Promotion", {"text": words, "url": where}))
    else:
        facts.append(("Promotion", "Not proposed yet"))
    if rollout:
        where = reverse("promotions:rollout_detail", args=[rollout.pk])
        facts += [
            ("Rollout", {"text": f"Started {rollout.started_at:%d %b %Y %H:%M} UTC", "url": where}),
            ("Engine", rollout.engine or "not started yet"),
            ("Node", rollout.instance_type or "none yet"),
        ]
    return facts


def _evaluations(version: ModelVersion, user: User) -> dict[str, Any]:
    """Return the version's runs, newest first, and whether the person may start one."""
    rows = EvalRun.objects.visible_to(user).filter(model_version=version)
    related = ("suite", "model_version__registered_model", "requested_by")
    found = list(rows.select_related(*related)[:RUNS])
    is_open = any(run.status in EvalRun.OPEN for run in found)
    newest = runs.newest_results([version]).get(version.pk)
    return {
        "runs": run_pages.run_lines(found),
        "result": newest,
        "f1": run_pages.figure("f1", newest.metrics.get("f1")) if newest else "",
        "simulated": Simulated(engine=any(run_pages.is_stand_in(run) for run in found)),
        "may_start": evals.can_start(version=version, actor=user) and not is_open,
    }
