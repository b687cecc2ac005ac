"""A model's versions and the page of one: the hub from which its files, evaluations, promotion and
rollout are reached, and where it says whether it can be proposed.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_REGISTRY
from apps.audit.timeline import timeline
from apps.catalog import pages
from apps.catalog.facts import queries as model_facts
from apps.catalog.facts import words as fact_words
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.catalog.signers import pages as signers
from apps.catalog.signers.queries import signer_of
from apps.catalog.verification import actions as verification
from apps.catalog.verification import pages as readings
from apps.common.simulated import Simulated
from apps.common.tables.columns import Empty
from apps.common.tables.reading import respond
from apps.evals import actions as evals
from apps.evals import pages as run_pages
from apps.evals import queries as runs
from apps.evals.models import EvalRun
from apps.manifests.serving_settings import in_short
from apps.promotions import queries as promotions
from apps.promotions import serving
from apps.promotions.models import Promotion
from apps.promotions.serving import ServingState
from portal.pages.version_table import VERSIONS, VersionLine

RUNS = 20


@require_GET
def version_list(request: SignedIn, name: str) -> HttpResponseBase:
    """List a model's versions, newest first: stage, evaluation, signature and lock."""
    models = RegisteredModel.objects.visible_to(request.user).select_related("owner_team")
    model = get_object_or_404(models, name=name)
    versions = model.versions.with_sizes().select_related("created_by", "registered_model")
    at, may_publish = now(), model.is_owned_by(request.user)
    context = {
        "model": model,
        "crumbs": pages.crumbs(model, "Versions"),
        "serving": serving.of_model(model, at),
        "may_publish": may_publish,
    }
    table = replace(VERSIONS, empty=_no_versions(model, may_publish))
    return respond(table, request, _lines(list(versions), at), "catalog/version_list.html", context)


def _lines(versions: list[ModelVersion], at: datetime) -> list[VersionLine]:
    """Return the versions with their stage and newest run; three queries, four more where one
    sleeps.
    """
    states, newest = serving.version_states(versions, at), runs.newest_runs(versions)
    return [VersionLine(each, states[each.pk], newest.get(each.pk)) for each in versions]


def _no_versions(model: RegisteredModel, may_publish: bool) -> Empty:
    title = "No versions yet"
    if not may_publish:
        return Empty(title, f"Model owners of {model.owner_team.name} publish versions.")
    text = "A version is one immutable set of files: uploaded, signed, locked and verified."
    where = reverse("catalog:version_create", args=[model.name])
    return Empty(title, text, "Publish the first version", where)


@require_GET
def version_detail(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Show a version: its stage and share of the callers, evaluations, promotion and rollout, its
    files, signature and lock, and how far the worker is.
    """
    version = version_for(request.user, name, number)
    files = list(version.files.all())
    model = version.registered_model
    events = timeline("ModelVersion", str(version.pk))
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
        "facts": pages.version_facts(version, _signed_by(version, request.user)),
        "steps": pages.version_steps(version, files, events),
        "progress": pages.version_progress(version, files),
        "may_publish": model.is_owned_by(request.user),
        "events": events,
        **_facts(version),
        **_readings(version, request.user),
        **_stage(version, request.user),
        **_evaluations(version, request.user),
    }
    template = "catalog/version_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, context)


def _signed_by(version: ModelVersion, user: User) -> object:
    """Return who signed it, with the way to the key's page for those who see it."""
    signer = signer_of(version.signer)
    if signer is None or not user.has_role(*SEES_REGISTRY):
        return version.signer
    state = signers.badge(signer).words.lower()
    return {"text": f"{signer.name}, {state}", "url": signers.url(signer)}


def _readings(version: ModelVersion, user: User) -> dict[str, Any]:
    """Return how the version's objects are kept, when its bytes were read again, and whether this
    person may have them read.
    """
    last = version.verifications.select_related("requested_by").first()
    running = last is not None and last.status == last.Status.RUNNING
    return {
        "protection": readings.protection_facts(version, settings.REGISTRY_KMS_KEY),
        "reading": last,
        "reading_badge": readings.badge(last) if last else None,
        "reading_found": readings.found(last) if last else "",
        "reading_progress": readings.progress(last) if last and running else None,
        "may_verify": not running
        and verification.can_be_read(version)
        and verification.may_ask(version, user),
        "moving": version.status in ModelVersion.MOVING or running,
    }


def version_for(user: User, name: str, number: int) -> ModelVersion:
    """Return a version that this person may see, with its model. Raises Http404."""
    rows = ModelVersion.objects.visible_to(user).select_related(
        "registered_model__owner_team", "created_by"
    )
    return get_object_or_404(rows, registered_model__name=name, number=number)


def _facts(version: ModelVersion) -> dict[str, Any]:
    """Return what the version's own files say, beside what was registered and the last version."""
    facts = model_facts.of_version(version)
    if facts is None:
        return {"model_facts": None}
    before = model_facts.before(version)
    return {
        "model_facts": facts,
        "model_fact_rows": fact_words.rows(facts),
        "contradictions": fact_words.contradictions(facts, version.registered_model),
        "template_title": fact_words.template_title(facts, before),
        "template_diff": fact_words.template_diff(facts, before),
    }


def _stage(version: ModelVersion, user: User) -> dict[str, Any]:
    """Return where the version stands on its way to callers, and to its owner what keeps it from
    being proposed.
    """
    state = serving.of_version(version, now())
    rows = Promotion.objects.visible_to(user).filter(model_version=version)
    promotion = rows.select_related("requested_by").first()
    owns = version.registered_model.is_owned_by(user)
    obstacles = promotions.obstacles(version, now()) if owns else []
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
            ("Served with", in_short(rollout.promotion.settings)),
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
