"""The page of machine prices: what contracts say, and what AWS tells."""

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_FLEET, SETS_MACHINE_PRICES
from apps.common.errors import DomainError, require
from apps.common.tables.reading import is_for_table, read, respond, wants_csv
from apps.fleet.pricing import actions, tables
from apps.fleet.pricing.forms import EndForm, OverrideForm
from apps.fleet.pricing.models import PriceFeed, PriceOverride

TEMPLATE = "fleet/pricing/list.html"


@require_http_methods(["GET", "POST"])
def price_list(request: SignedIn) -> HttpResponseBase:
    """List what contracts say and what AWS tells; finance sets a contract's price."""
    _require_reader(request)
    form = OverrideForm(request.POST or None)
    if request.method == "POST":
        require(request.user.has_role(*SETS_MACHINE_PRICES), actions.MAY_SET)
    if request.method == "POST" and form.is_valid():
        begin, end = form.period()
        try:
            row = actions.set_price_override(
                terms=form.terms(),
                active_from=begin,
                active_to=end,
                reason=form.cleaned_data["reason"],
                actor=request.user,
                now=now(),
            )
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{row} costs {tables.price_words(row)} by contract.")
            return redirect("fleet:price_list")
    return _page(request, form, EndForm(contracts=_going_on()))


@require_POST
def price_end(request: SignedIn) -> HttpResponseBase:
    """Let a contract end earlier than it was to."""
    _require_reader(request)
    require(request.user.has_role(*SETS_MACHINE_PRICES), actions.MAY_SET)
    form = EndForm(request.POST, contracts=_going_on())
    if form.is_valid():
        try:
            row = actions.end_price_override(
                override=form.cleaned_data["contract"],
                active_to=form.ends_at(),
                actor=request.user,
                now=now(),
            )
        except DomainError as error:
            form.add_error("end_day", str(error))
        else:
            messages.success(request, f"The contract of {row} ends.")
            return redirect("fleet:price_list")
    return _page(request, OverrideForm(), form)


def _page(request: SignedIn, form: OverrideForm, ending: EndForm) -> HttpResponseBase:
    table = tables.contracts(now())
    rows, feeds = PriceOverride.objects.select_related("set_by"), PriceFeed.objects.all()
    if wants_csv(tables.FEEDS, request) or is_for_table(tables.FEEDS, request):
        return respond(tables.FEEDS, request, feeds, TEMPLATE)
    context = {
        "crumbs": [("Fleet", reverse("fleet:node_list")), ("Machine prices", "")],
        "feeds": read(tables.FEEDS, request, feeds),
        "may_set": request.user.has_role(*SETS_MACHINE_PRICES),
        "form": form,
        "ending": ending if _going_on().exists() else None,
    }
    answer = respond(table, request, rows, TEMPLATE, context)
    if _is_refused(form) or _is_refused(ending):
        answer.status_code = 422
    return answer


def _is_refused(form: forms.Form) -> bool:
    return form.is_bound and not form.is_valid()


def _going_on() -> QuerySet[PriceOverride]:
    return PriceOverride.objects.filter(Q(active_to__isnull=True) | Q(active_to__gt=now()))


def _require_reader(request: SignedIn) -> None:
    if not request.user.has_role(*SEES_FLEET):
        raise Http404
