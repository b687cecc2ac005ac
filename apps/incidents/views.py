"""Pages of incidents: what went wrong with what serves, and what came of it."""

from functools import partial
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.common.orders import carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.incidents import pages, tables
from apps.incidents.models import Episode
from apps.incidents.signs import DRIFTED
from apps.integrations.servicenow.addresses import is_configured, page_of
from apps.promotions.holding.actions import lift_hold, may_lift
from apps.promotions.holding.models import RolloutHold

RELATED = ("rollout", "registered_model", "model_version__registered_model__owner_team")


@require_GET
def episode_list(request: SignedIn) -> HttpResponseBase:
    """List incidents, the newest first; as a page, its table alone, or CSV."""
    rows = Episode.objects.visible_to(request.user).with_version_name().select_related(*RELATED)
    return respond(tables.EPISODES, request, rows, "incidents/episode_list.html", {})


@require_GET
def episode_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one incident; the fragment asks again while it is open."""
    return _show(request, _found(request, pk), ReasonForm())


@require_POST
def episode_lift(request: SignedIn, pk: UUID) -> HttpResponse:
    """Let the rollouts go on that an incident holds."""
    episode = _found(request, pk)
    hold = get_object_or_404(_holds(), cause=episode.correlation_id)
    order = partial(lift_hold, hold=hold, actor=request.user, now=now())
    reasons = carry_out_with_reason(request, order, "Rollouts of the model may go on.")
    if reasons is not None:
        return _show(request, episode, reasons)
    return redirect("incidents:episode_detail", pk=pk)


def _found(request: SignedIn, pk: UUID) -> Episode:
    visible = Episode.objects.visible_to(request.user).select_related(*RELATED)
    found: Episode = get_object_or_404(visible, pk=pk)
    return found


def _holds() -> QuerySet[RolloutHold]:
    return RolloutHold.objects.select_related("registered_model", "lifted_by")


def _show(request: SignedIn, episode: Episode, reasons: ReasonForm) -> HttpResponse:
    hold = _holds().filter(cause=episode.correlation_id).first()
    rollout = episode.rollout
    is_open = episode.status == Episode.Status.OPEN
    # what differs now is of this incident only while it is open; a later one has its own
    is_drift = is_open and episode.kind == Episode.Kind.DRIFT
    differences = rollout.differences if is_drift and rollout else []
    context = {
        "episode": episode,
        "title": f"{episode.get_kind_display()}: {episode.model_version.name}",
        "crumbs": [("Incidents", reverse("incidents:episode_list")), ("Incident", "")],
        "badge": pages.badge(episode),
        "moving": is_open and not reasons.is_bound,
        "hold": hold,
        "may_lift": hold is not None and hold.ended_at is None and may_lift(hold, request.user),
        "form": reasons,
        "differences": differences,
        "wrong": DRIFTED if differences else episode.words,
        "where": _where(episode),
        "facts": _facts(episode),
        "notes": episode.notes.all(),
        "has_servicenow": is_configured(),
        "events": timeline("Episode", episode.pk),
    }
    template = "incidents/episode_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, context, status=422 if reasons.is_bound else 200)


def _facts(episode: Episode) -> list[tuple[str, object]]:
    told: object = pages.report(episode)
    if url := page_of("incident", episode.sys_id):
        told = {"text": told, "url": url}
    return [
        _about(episode),
        ("Owned by", str(episode.model_version.registered_model.owner_team)),
        ("ServiceNow", told),
        ("Id", {"text": str(episode.pk), "mono": True, "copy": True}),
    ]


def _about(episode: Episode) -> tuple[str, object]:
    if episode.registered_model is not None:
        return ("Model", {"text": episode.registered_model.name, "url": _where(episode)[1]})
    rollout, version = episode.rollout, episode.model_version
    found = rollout or version
    text = f"{version.name}, {found.get_status_display().lower()}"
    return ("Rollout" if rollout else "Version", {"text": text, "url": _where(episode)[1]})


def _where(episode: Episode) -> tuple[str, str]:
    """Return what a person does about it, and where: the rollout's page, or the version's."""
    if episode.rollout_id:
        where = reverse("promotions:rollout_detail", args=[episode.rollout_id])
        return ("Open the rollout", where)
    version = episode.model_version
    if episode.registered_model is not None:
        where = reverse("slo:objective_create", args=[episode.registered_model.name])
        return ("Look at its objectives", where)
    if episode.kind == Episode.Kind.GUARD:
        hits = reverse("gateway:guard_hits")
        return ("Look at the hits", f"{hits}?{urlencode({'q': version.registered_model.name})}")
    address = (version.registered_model.name, version.number)
    return ("Open the version", reverse("catalog:version_detail", args=address))
