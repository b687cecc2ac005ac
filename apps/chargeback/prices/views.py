"""Pages of prices: the lists, proposing new ones, and deciding about them."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.audit.timeline import timeline
from apps.catalog.models import RegisteredModel
from apps.chargeback.models import PriceChange
from apps.chargeback.prices import actions, estimates, queries, tables
from apps.chargeback.prices.forms import MarginForm, PriceChangeForm, initial_of
from apps.chargeback.prices.suggestions import Suggestion, from_real_cost
from apps.chargeback.prices.words import price_words, quantity_words, suggestion_words
from apps.chargeback.queries import prices_at
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.money import shown, unit_price
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.periods import ZONE_NAME
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.metering.skus import UNITS

RELATED = ("registered_model", "requested_by", "decided_by")
NO_CHANGE = "no change"


@require_GET
def rate_list(request: SignedIn) -> HttpResponseBase:
    """List every price list with its dates, and what waits for a decision."""
    user = request.user
    models = RegisteredModel.objects.visible_to(user)
    lists = PriceChange.objects.with_ends().filter(registered_model__in=models)
    waiting = PriceChange.objects.visible_to(user).pending().select_related(*RELATED)
    context = {
        "crumbs": _crumbs()[:1] + [("Prices", "")],
        "actions": _propose_button(user),
        "waiting": [(item, price_words(item.proposed)) for item in waiting],
        "estimates": estimates.standing(now()),
        "estimate_form": ReasonForm() if actions.may_propose(user) else None,
    }
    table = tables.price_table(now(), with_links=user.has_role(*SEES_ALL_MONEY))
    rows = tables.sortable(lists).select_related(*RELATED)
    return respond(table, request, rows, "chargeback/prices/list.html", context)


def _propose_button(user: User) -> list[dict[str, str]]:
    if not actions.may_propose(user):
        return []
    url = reverse("chargeback:price_change_create")
    return [{"label": "Propose prices", "url": url, "style": "primary"}]


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        ("Chargeback", reverse("chargeback:month")),
        ("Prices", reverse("chargeback:rate_list")),
        *rest,
    ]


@require_http_methods(["GET", "POST"])
def price_change_create(request: SignedIn) -> HttpResponse:
    """Propose a model's prices from an hour on."""
    models = RegisteredModel.objects.visible_to(request.user)
    asked = MarginForm(request.GET if "margin" in request.GET else None, models=models)
    suggestion = None
    if asked.is_valid():
        given = asked.cleaned_data
        suggestion = from_real_cost(given["model"], margin_percent=given["margin"], now=now())
    initial = _initial(request, models, suggestion)
    form = PriceChangeForm(request.POST or None, models=models, initial=initial)
    if request.method == "POST":
        actions.permit_proposing(request.user)
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.propose_prices(
                model=form.cleaned_data["model"],
                prices=form.prices(),
                active_from=form.cleaned_data["active_from"],
                justification=form.cleaned_data["justification"],
                requester=request.user,
                now=now(),
            )
        except DomainError as error:
            form.add_error("active_from", str(error))
        else:
            messages.success(request, "Proposed. Another finance person publishes them, or not.")
            return redirect("chargeback:price_change_detail", pk=made.pk)
    context = {
        "form": form,
        "asked": asked,
        "suggestion": suggestion,
        "basis": suggestion_words(suggestion) if suggestion else "",
        "may_propose": actions.may_propose(request.user),
        "crumbs": _crumbs(("Propose", "")),
    }
    status = 422 if form.is_bound else 200
    return render(request, "chargeback/prices/form.html", context, status=status)


def _initial(
    request: SignedIn, models: QuerySet[RegisteredModel], suggestion: Suggestion | None
) -> dict[str, object]:
    """Return what the form shows at first: the prices that the model has now, or suggested ones."""
    chosen = models.filter(name=request.GET.get("model", "")).first()
    if suggestion and suggestion.prices:
        return initial_of(chosen, suggestion.prices) | {
            "justification": suggestion_words(suggestion)
        }
    return initial_of(chosen, prices_at(chosen, now()) if chosen else None)


@require_GET
def price_change_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one change: old and new prices, what it does, what last month would have cost."""
    return _show(request, _change_for(request.user, pk), ReasonForm())


def _change_for(user: User, pk: UUID) -> PriceChange:
    rows = PriceChange.objects.visible_to(user).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


def _show(
    request: SignedIn, item: PriceChange, form: ReasonForm, status: int = 200
) -> HttpResponse:
    moment = now()
    model, before, proposed = item.registered_model, item.seen_before, item.proposed
    decide = _decision(item, request.user)
    again = queries.priced_again(item, moment) if decide else None
    context = {
        "item": item,
        "title": f"New prices of {model}",
        "crumbs": _crumbs((str(model), "")),
        "badge": tables.change_badge(item),
        "facts": _facts(item),
        "prices": _price_rows(item),
        "effect": queries.effect_of(model, proposed, item.active_from) if decide else None,
        "last_month": _comparison(queries.last_month(model, before, proposed, moment)),
        "again": _comparison(again) if again else None,
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("PriceChange", item.pk),
    }
    return render(request, "chargeback/prices/detail.html", context, status=status)


def _decision(item: PriceChange, user: User) -> decisions.Card | None:
    too_early = actions.begins_too_early(item.active_from, now())
    blocked = ("The prices would begin before the open period.", too_early) if too_early else None
    return decisions.card(
        actions.question(item, user),
        urls="chargeback:price_change",
        approve="Publish these prices",
        blocked=blocked,
    )


def _facts(item: PriceChange) -> list[tuple[str, object]]:
    model = item.registered_model.name
    return [
        ("Model", {"text": model, "url": reverse("catalog:model_detail", args=[model])}),
        (f"Begins ({ZONE_NAME})", tables.hour_words(item.active_from)),
        ("Why", item.justification),
        ("Proposed by", str(item.requested_by or "the sample")),
        *decisions.decided_facts(item),
    ]


def _price_rows(item: PriceChange) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each SKU: its name, its unit, the price before, the proposed one, and the
    change in words.
    """
    before, proposed = item.seen_before.by_sku, item.proposed.by_sku
    return [
        (
            str(sku.label),
            f"per {unit.per_words}",
            unit_price(before.get(sku)),
            unit_price(proposed.get(sku)),
            _change(before.get(sku), proposed.get(sku)),
        )
        for sku, unit in UNITS.items()
        if sku in before or sku in proposed
    ]


def _change(before: Decimal | None, after: Decimal | None) -> str:
    """Return a change in words; "" where one of both is unknown."""
    if before is None or after is None:
        return ""
    if before == after:
        return NO_CHANGE
    return f"{(after - before) / before:+.1%}".replace("-", "−") if before else "was free"


def _comparison(found: queries.Comparison) -> dict[str, object]:
    """Return what a template shows of a comparison."""
    return {
        "start": found.start,
        "end": found.end,
        "rows": [
            (
                str(row.sku.label),
                quantity_words(row.sku, row.quantity),
                shown(row.before_usd),
                shown(row.proposed_usd),
                _change(row.before_usd, row.proposed_usd),
            )
            for row in found.rows
        ],
        "before": shown(found.before_usd),
        "proposed": shown(found.proposed_usd),
        "change": _change(found.before_usd, found.proposed_usd) if found.is_whole else "",
        "is_whole": found.is_whole,
    }


@require_POST
def price_change_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Publish proposed prices."""
    done = "Published. What is used from their hour on is priced by them."
    return _decide(request, pk, actions.publish_prices, done)


@require_POST
def price_change_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject proposed prices."""
    return _decide(
        request, pk, actions.reject_prices, "Rejected. Whoever proposed them sees your reason."
    )


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _change_for(request.user, pk)
    order = partial(action, change=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect("chargeback:price_change_detail", pk=pk)


@require_POST
def price_change_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take one's own proposal back."""
    item = _change_for(request.user, pk)
    order = partial(actions.withdraw_prices, change=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("chargeback:price_change_detail", pk=pk)
