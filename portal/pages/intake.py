"""Requests for new open-weight models: asking, with what it would cost shown before anything is
sent; the list; and the request that somebody else decides. What machines cost, fleet knows.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Team, User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.catalog.intake import actions, pages
from apps.catalog.intake.forms import IntakeForm
from apps.catalog.intake.models import ModelIntake
from apps.catalog.sizing import actions as sizing
from apps.catalog.sizing import queries, tables
from apps.catalog.sizing.compute import library
from apps.catalog.sizing.fits import Answer, Load, answer
from apps.catalog.sizing.forms import FIRST, LoadForm
from apps.catalog.sizing.shapes import Shape
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import read, respond
from apps.fleet.pricing.offers import machines, region
from portal.pages.sizing import work, work_out

RELATED = ("owner_team", "requested_by", "decided_by", "registered_model")
LEAD = (
    "A model whose weights are published, which the catalog does not have. Its size and cost are "
    "told from its config.json before anything is sent. Somebody else decides; then it is "
    "registered, and its first version can be published."
)


@require_GET
def intake_list(request: SignedIn) -> HttpResponseBase:
    """List the requests for new models, newest first."""
    rows = ModelIntake.objects.visible_to(request.user).select_related(*RELATED)
    needs = ModelIntake.objects.to_decide(request.user).select_related(*RELATED)
    context = {"may_ask": actions.may_ask(request.user), "needs_me": list(needs[:20])}
    return respond(pages.REQUESTS, request, rows, "catalog/intake_list.html", context)


@require_http_methods(["GET", "POST"])
def intake_create(request: SignedIn) -> HttpResponse:
    """Ask for a new model, or have it sized first: the button says which."""
    actions.permit_asking(request.user)
    form = IntakeForm(request.POST or None)
    load = LoadForm(request.POST) if request.method == "POST" else LoadForm(initial=FIRST)
    sized = None
    if all([form.is_valid(), load.is_valid()]):
        shape = actions.shape_of(form.wish())
        sized = answer_for(shape, load.load(), now())
        if "size" in request.POST:
            work_out(request, shape, now())
            return _show_form(request, form, load, shape, sized, 200)
        made = _ask(request, form, load.load(), sized)
        if made is not None:
            messages.success(request, f"Asked for {made.name}. A {actions.DECIDER} decides.")
            return redirect("catalog:intake_detail", pk=made.pk)
    return _show_form(request, form, load, None, sized, 422 if form.is_bound else 200)


def answer_for(shape: Shape, load: Load, at: datetime) -> Answer:
    """Return what would serve a load of a model that nobody has published yet; four queries."""
    return answer(queries.known(shape), load, machines(at))


def ask(
    *, wish: actions.Wish, load: Load, owner_team: Team, requester: User, at: datetime
) -> ModelIntake:
    """Ask for a model with what sizing says of it now, and have its figures worked out."""
    shape = actions.shape_of(wish)
    made = actions.request_model(
        wish=wish,
        load=load,
        owner_team=owner_team,
        requester=requester,
        now=at,
        estimate=pages.estimate_of(answer_for(shape, load, at)),
    )
    sizing.ask_for_figures(shape=shape, now=at)
    return made


def _ask(
    request: SignedIn, form: IntakeForm, load: Load, sized: Answer | None
) -> ModelIntake | None:
    """Ask for what the form says; None, with the reason on the form, where that cannot be."""
    try:
        return ask(
            wish=form.wish(),
            load=load,
            owner_team=form.cleaned_data["owner_team"],
            requester=request.user,
            at=now(),
        )
    except DomainError as error:
        form.add_error(None, str(error))
        return None


def _show_form(
    request: SignedIn,
    form: IntakeForm,
    load: LoadForm,
    shape: Shape | None,
    sized: Answer | None,
    status: int,
) -> HttpResponse:
    context = {
        "form": form,
        "load": load,
        "title": "Ask for a new model",
        "lead": LEAD,
        "crumbs": _crumbs("Ask"),
        "sized": sized is not None and shape is not None,
        **(_answer(request, shape, sized) if sized and shape else {}),
    }
    return render(request, "catalog/intake_form.html", context, status=status)


def _answer(request: HttpRequest, shape: Shape, sized: Answer) -> dict[str, Any]:
    """Return what a page shows of an answer."""
    return {
        **work(shape),
        "can_ask": False,
        "table": read(tables.FITS, request, sized.fits),  # type: ignore[arg-type]
        "best": sized.fits[0] if sized.fits else None,
        "refusals": sized.refusals,
        "library": library(),
        "region": region(),
    }


def _crumbs(page: str) -> list[tuple[str, str]]:
    return [
        ("Catalog", reverse("catalog:model_list")),
        ("New models", reverse("catalog:intake_list")),
        (page, ""),
    ]


@require_GET
def intake_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one request: what is asked for, which GPUs it needs, who decides, what happened."""
    return _show(request, _request_for(request.user, pk), ReasonForm())


def _request_for(user: User, pk: UUID) -> ModelIntake:
    rows = ModelIntake.objects.visible_to(user).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


def _show(
    request: SignedIn, item: ModelIntake, form: ReasonForm, status: int = 200
) -> HttpResponse:
    decide = decisions.card(
        actions.question(item, request.user),
        urls="catalog:intake",
        approve=f"Approve and register {item.name}",
    )
    shape = actions.shape_of(item)
    context = {
        "item": item,
        "title": f"New model: {item.title}",
        "crumbs": _crumbs(item.name),
        "badge": pages.badge(item),
        "facts": pages.facts(item, shape),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("ModelIntake", item.pk),
        **_answer(request, shape, answer_for(shape, pages.load_of(item), now())),
    }
    return render(request, "catalog/intake_detail.html", context, status=status)


@require_POST
def intake_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Approve a request: the model is registered."""
    return _decide(request, pk, actions.approve_model, "Approved. The model is registered.")


@require_POST
def intake_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject a request."""
    return _decide(request, pk, actions.reject_model, "Rejected. Whoever asked sees your reason.")


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _request_for(request.user, pk)
    order = partial(action, request=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect("catalog:intake_detail", pk=pk)


@require_POST
def intake_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take one's own request back."""
    item = _request_for(request.user, pk)
    order = partial(actions.withdraw_model, request=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("catalog:intake_detail", pk=pk)
