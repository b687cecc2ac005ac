"""Pages of money: the month by cost center, team, model and version; prices; fragments other pages
hold.
"""

import csv
from dataclasses import fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods

from apps.access.models import Grant
from apps.accounts.models import Role, User
from apps.accounts.requests import SignedIn
from apps.catalog.models import RegisteredModel
from apps.chargeback import actions, queries
from apps.chargeback.api import parse_month
from apps.chargeback.forms import RateForm
from apps.chargeback.models import Rate
from apps.common.errors import DomainError
from apps.common.money import exact, usd
from apps.common.periods import month_bounds, month_of
from apps.common.simulated import Simulated
from apps.common.spreadsheets import cell
from apps.fleet.simulated import stand_in_versions
from apps.metering import store
from apps.metering.store import latest_call_at

PAGE = 50


@require_GET
def month(request: SignedIn) -> HttpResponse:
    """Show one month: the total first, then every line it is made of; the same lines as CSV."""
    chosen = parse_month(request.GET["month"]) if request.GET.get("month") else month_of(now())
    start, end = month_bounds(chosen)
    scope = queries.scope_of(request.user)
    by_day = request.GET.get("by") == "day"
    lines = queries.lines(start=start, end=end, scope=scope, by_day=by_day)
    if request.GET.get("format") == "csv":
        return _csv(lines, f"chargeback-{chosen:%Y-%m}.csv")
    totals = queries.totals(lines)
    played = stand_in_versions({line.version for line in lines})
    before = queries.totals(queries.lines(start=_before(start), end=start, scope=scope))
    context = {
        "title": f"Chargeback {chosen:%B %Y}",
        "lead": f"Only team {scope.team} is shown to you." if scope.team else "",
        "actions": [{"label": "Prices", "url": reverse("chargeback:rate_list"), "icon": "tags"}],
        "month": chosen,
        "months": _months(chosen),
        "by_day": by_day,
        "page_obj": Paginator(lines, PAGE).get_page(request.GET.get("page")),
        "totals": totals,
        "simulated": Simulated(engine=bool(played)),
        "played": played,
        "figures": _figures(totals, before),
        "csv_url": f"{reverse('chargeback:month')}?month={chosen:%Y-%m}"
        f"{'&by=day' if by_day else ''}&format=csv",
    }
    return render(request, "chargeback/month.html", context)


def _figures(totals: queries.Totals, before: queries.Totals) -> dict[str, str]:
    """Return the words and figures at the top of the page."""
    latest = latest_call_at()
    others = (totals.unmetered_calls, totals.refused_calls, totals.failed_calls)
    return {
        "cost": usd(totals.list_cost_usd),
        "change": _change(totals.list_cost_usd, before.list_cost_usd),
        "note": f"metered until {latest:%d %b %H:%M:%S} UTC · real GPU cost follows"
        if latest
        else "no call metered yet",
        "input": f"{totals.input_tokens:,}",
        "cached": f"{totals.cached_input_tokens:,} of them cached",
        "output": f"{totals.output_tokens:,}",
        "metered": f"{totals.metered_calls:,}",
        "others": "{:,} unmetered · {:,} refused · {:,} failed".format(*others),
        "unpriced": f"{totals.unpriced_tokens:,} "
        f"token{pluralize(totals.unpriced_tokens, ' has,s have')} no price.",
        "unmetered": f"{totals.unmetered_calls:,} "
        f"call{pluralize(totals.unmetered_calls, ' is,s are')} unmetered.",
    }


def _change(amount: Decimal, before: Decimal) -> str:
    return f"{(amount - before) / before:+.1%} vs last month" if before else ""


def _before(start: datetime) -> datetime:
    return (start - timedelta(days=1)).replace(day=1)


def _months(chosen: date) -> list[date]:
    """Return the last twelve months and the chosen one, newest first."""
    found = [now().date().replace(day=1)]
    while len(found) < 12:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found if chosen in found else [*found, chosen]


def _csv(lines: list[queries.Line], name: str) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    columns = [field.name for field in fields(queries.Line)]
    writer.writerow(columns)
    writer.writerows([_cell(getattr(line, column)) for column in columns] for line in lines)
    return response


def _cell(value: object) -> object:
    if isinstance(value, Decimal):
        return exact(value)
    return cell(value) if isinstance(value, str) else value


@require_http_methods(["GET", "POST"])
def rate_list(request: SignedIn) -> HttpResponse:
    """List every price with its dates; finance sets a new one."""
    models = RegisteredModel.objects.visible_to(request.user)
    form = RateForm(request.POST or None, models=models)
    if request.method == "POST" and form.is_valid():
        try:
            rate = actions.set_rate(
                model=form.cleaned_data["model"],
                prices=form.prices(),
                active_from=form.cleaned_data["active_from"],
                actor=request.user,
                now=now(),
            )
        except DomainError as error:
            form.add_error("active_from", str(error))
        else:
            messages.success(
                request,
                f"{rate.registered_model} has a new price from {rate.active_from:%d %b %H:%M} UTC.",
            )
            return redirect("chargeback:rate_list")
    rates = Rate.objects.filter(registered_model__in=models).select_related(
        "registered_model", "set_by"
    )
    context = {
        "form": form,
        "page_obj": Paginator(rates, PAGE).get_page(request.GET.get("page")),
        "may_set": request.user.has_role(Role.FINANCE),
        "now": now(),
        "crumbs": [("Chargeback", reverse("chargeback:month")), ("Prices", "")],
    }
    return render(
        request, "chargeback/rate_list.html", context, status=422 if form.is_bound else 200
    )


@require_GET
def price_badge(request: SignedIn, name: str) -> HttpResponse:
    """Say a model's price in a line: a fragment for catalog cards and forms."""
    model = get_object_or_404(RegisteredModel.objects.visible_to(request.user), name=name)
    return render(request, "chargeback/_price.html", {"rate": queries.rate_at(model, now())})


@require_GET
def grant_use(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show what a grant's team spent on its model, this month and since it was granted: a fragment
    of the pages where somebody decides about it.
    """
    grants = Grant.objects.visible_to(request.user).select_related("team", "registered_model")
    grant = get_object_or_404(grants, pk=pk)
    moment = now()
    use = queries.use_of(grant, moment)
    spent, budget = use.month.list_cost_usd, grant.monthly_budget_usd
    context = {
        "grant": grant,
        "use": use,
        "is_active": grant.is_active(moment),
        "spent": spent,
        "text": f"{usd(spent)} of {usd(budget)}",
        "tone": "bad" if spent > budget else "busy",
        "until": min(grant.ended_at, moment),
        "usage": _usage_of(grant, request.user),
    }
    return render(request, "chargeback/grant_use.html", context)


def _usage_of(grant: Grant, user: User) -> str:
    """Return where the calls are that a grant's use is made of; for the model's owner, who sees no
    other team's calls, the model's usage by team.
    """
    model = grant.registered_model.name
    if store.sees_calls_of(user, grant.team.slug):
        found = urlencode({"team": grant.team.slug, "model": model})
        return f"{reverse('metering:usage_list')}?{found}"
    return reverse("metering:model_usage", args=[model])
