"""Which GPUs a version needs under a load, how many, at what price, and why others do not do.

The catalog knows the version and how fast it is where; what machines cost, fleet knows. No table is
read while somebody waits: a worker works the figures out, once for each configuration.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.requests import SignedIn
from apps.catalog import pages
from apps.catalog.models import ModelVersion
from apps.catalog.sizing import actions, forms, queries, tables
from apps.catalog.sizing.compute import library
from apps.catalog.sizing.fits import Answer, Load, answer
from apps.catalog.sizing.shapes import Shape
from apps.catalog.sizing.suggestions import suggest
from apps.common.progress import Progress
from apps.common.tables.reading import respond
from apps.fleet.pricing.offers import machines, region
from apps.manifests import serving_settings
from portal.pages.versions import version_for

TYPICAL_SECONDS = 20  # for all tables


@require_GET
def version_sizing(request: SignedIn, name: str, number: int) -> HttpResponseBase:
    """Size a version: the page, its table alone, or CSV. The address keeps the load."""
    version = version_for(request.user, name, number)
    shape = queries.shape_of(version)
    form = forms.asked(request.GET, shape.context if shape else None)
    found = sized(shape, version, form, now()) if shape else None
    context = {
        **_head(version),
        "ask_url": _address("catalog:version_sizing_ask", version, request),
        "propose_url": _address("promotions:promotion_create", version, request)
        if version.registered_model.is_owned_by(request.user)
        else "",
        "shape": shape,
        "form": form,
        **_shown(shape, form, found),
    }
    fits = found.fits if found else ()
    return respond(tables.FITS, request, fits, "catalog/version_sizing.html", context)


@require_POST
def version_sizing_ask(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Have the figures of a version worked out; once is enough."""
    version = version_for(request.user, name, number)
    shape = queries.shape_of(version)
    if shape is not None:
        work_out(request, shape, now())
    return redirect(_address("catalog:version_sizing", version, request))


def work_out(request: SignedIn, shape: Shape, at: datetime) -> None:
    """Have the figures of a shape worked out; say so where too many wait."""
    made = actions.ask_for_figures(shape=shape, now=at)
    if made is None and actions.wanted_for(shape):
        messages.error(request, actions.BUSY)


def _address(name: str, version: ModelVersion, request: SignedIn) -> str:
    """Return an address of a version with the load that this address has."""
    where = reverse(name, args=[version.registered_model.name, version.number])
    query = request.GET.urlencode()
    return f"{where}?{query}" if query else where


def sized(
    shape: Shape, version: ModelVersion | None, form: forms.LoadForm, at: datetime
) -> Answer | None:
    """Return what serves the load of a form; None where the form asks for none. Five queries, more
    for a version's reports.
    """
    if not form.is_valid():
        return None
    return answer(queries.known(shape, version), form.load(), machines(at))


def _head(version: ModelVersion) -> dict[str, Any]:
    model = version.registered_model
    where = reverse("catalog:version_detail", args=[model.name, version.number])
    return {
        "version": version,
        "model": model,
        "title": f"Size {version.name}",
        "crumbs": [
            *pages.crumbs(model, "Versions")[:2],
            (f"v{version.number}", where),
            ("Sizing", ""),
        ],
    }


def _shown(shape: Shape | None, form: forms.LoadForm, found: Answer | None) -> dict[str, Any]:
    """Return what the page says beside the table."""
    if shape is None:
        return {}
    load = form.load() if found else None
    return {
        **work(shape),
        "too_long": _too_long(shape, load),
        "best": found.fits[0] if found and found.fits else None,
        "refusals": found.refusals if found else (),
        "suggested": _suggested(found, load),
        "library": library(),
        "region": region(),
    }


def work(shape: Shape) -> dict[str, Any]:
    """Return how far the figures are, for a page that shows them."""
    state = queries.progress(shape)
    is_moving = state.job is not None and not state.is_done
    return {
        "is_known": state.is_done,
        "can_ask": state.job is None and bool(actions.wanted_for(shape)),
        "moving": is_moving,
        "waits": state.message,
        "progress": Progress(
            "Working out its speed on each GPU",
            done=state.done,
            total=state.total,
            since=state.job.asked_at if state.job else None,
            typical_seconds=TYPICAL_SECONDS,
        )
        if is_moving
        else None,
    }


def _too_long(shape: Shape, load: Load | None) -> str:
    if load is None or shape.context is None or load.context <= shape.context:
        return ""
    return f"The model takes {shape.context:,} tokens at most; this asks for {load.context:,}."


def _suggested(found: Answer | None, load: Load | None) -> Sequence[tuple[str, str]]:
    made = suggest(found, load) if found and load else None
    return serving_settings.lines(made) if made else ()
