"""Asking for access: the expected work and what it comes to at the model's real price, live while
somebody types and kept as it was seen; and asking again for a grant that ends.

It joins access with money and usage, so it stands above them. A request's own page, and the
decision about it, are apps/access's.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.access import actions, wishes, words
from apps.access.budgets.queries import of_grants
from apps.access.forms import AccessRequestForm, WorkForm, budget_of, usual_wish, usual_work
from apps.access.models import AccessRequest, Grant
from apps.access.work import Estimate, estimate_of
from apps.accounts.models import Team, User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import ASKS_FOR_MODELS
from apps.catalog.models import RegisteredModel
from apps.chargeback.prices.words import price_words
from apps.chargeback.queries import prices_at
from apps.common.errors import DomainError
from apps.common.money import usd
from apps.common.orders import carry_out
from portal.pages import estimates

NOT_SEEN = "This is what the work comes to now. Look at it once more, then ask."


@dataclass(frozen=True)
class Asking:
    """Somebody at the form: for which model, when, and which grant they renew, if any."""

    user: User
    model: RegisteredModel
    moment: datetime
    renews: Grant | None

    @property
    def team(self) -> Team | None:
        """Return in whose name they ask."""
        return self.user.team

    def work_form(self, data: QueryDict | dict[str, Any] | None) -> WorkForm:
        """Return the fields of the expected work; filled in at first where a renewal has told it
        before.
        """
        usual = usual_work(self.renews)
        if data is None and "packets_a_day" in usual:
            data = usual
        measured = estimates.measured(self.model, self.team, self.moment)
        return WorkForm(data, measured=measured, initial=usual)

    def estimate(self, form: WorkForm) -> Estimate | None:
        """Return what the work in a form comes to; None where the form does not tell it."""
        if not form.is_bound or not form.is_valid():
            return None
        return estimates.estimate(self.model, self.team, form.expected(), self.moment)


@require_http_methods(["GET", "POST"])
def request_create(request: SignedIn, name: str) -> HttpResponse:
    """Ask for a model in the name of the person's team."""
    asking = _asking(request, name)
    if request.method != "POST":
        form = AccessRequestForm(
            model=asking.model, now=asking.moment, initial=_usual(asking.renews, asking.moment)
        )
        return _show(request, asking, form, asking.work_form(None))
    work = asking.work_form(request.POST)
    if "fill" in request.POST:
        return _filled(request, asking, work)
    form = AccessRequestForm(request.POST, model=asking.model, now=asking.moment)
    if form.is_valid() & work.is_valid():
        made = _submit(request, asking, form, work)
        if made is not None:
            decider = f"A model owner of {asking.model.owner_team} decides."
            messages.success(request, f"Asked for {asking.model}. {decider}")
            return redirect("access:request_detail", pk=made.pk)
    return _show(request, asking, form, work)


def _asking(request: SignedIn, name: str) -> Asking:
    models = RegisteredModel.objects.visible_to(request.user).select_related("owner_team")
    model = get_object_or_404(models, name=name)
    return Asking(request.user, model, now(), _grant_to_renew(request, model))


def _grant_to_renew(request: SignedIn, model: RegisteredModel) -> Grant | None:
    """Return the grant that the address names; None where it names none. Raises Http404 for what
    this person cannot renew.
    """
    asked = request.GET.get("renew")
    if not asked:
        return None
    try:
        pk = UUID(asked)
    except ValueError:
        raise Http404("There is no such grant.") from None
    mine = Grant.objects.renewable_by(request.user).select_related("request", "team")
    return get_object_or_404(mine, pk=pk, registered_model=model)


def _usual(renews: Grant | None, moment: datetime) -> dict[str, object]:
    budget = of_grants([renews], moment).get(renews.pk) if renews else None
    return usual_wish(moment, renews, budget)


def _submit(
    request: SignedIn, asking: Asking, form: AccessRequestForm, work: WorkForm
) -> AccessRequest | None:
    """Ask, with the figures that the person saw; None, with the words on the form, where the rows
    do not allow it or the figures are others meanwhile.
    """
    expected = asking.estimate(work)
    seen = request.POST.get("seen")
    if expected and seen is not None and seen != expected.digest:
        form.add_error(None, NOT_SEEN)
        return None
    try:
        return actions.submit_request(
            model=asking.model,
            wish=form.wish(),
            requester=request.user,
            now=asking.moment,
            renews=asking.renews,
            expected=expected,
            use=estimates.use_of(asking.renews, asking.moment) if asking.renews else None,
        )
    except DomainError as error:
        form.add_error(None, str(error))
        return None


def _filled(request: SignedIn, asking: Asking, work: WorkForm) -> HttpResponse:
    """Show the form again, with the limits that the work needs in their fields."""
    typed = {name: request.POST.get(name, "") for name in AccessRequestForm.base_fields}
    expected = asking.estimate(work)
    form = AccessRequestForm(
        model=asking.model, now=asking.moment, initial=typed | _limits(expected)
    )
    return _show(request, asking, form, work)


def _limits(estimate: Estimate | None) -> dict[str, object]:
    """Return the limits that expected work needs, as far as they are known: tokens a minute, and
    whole dollars a month.
    """
    found: dict[str, object] = {}
    if estimate and estimate.needs:
        tokens = estimate.needs.tokens_per_minute
        found["tokens_per_minute"] = min(tokens, wishes.HIGHEST_TOKENS_PER_MINUTE)
    if estimate and estimate.monthly_usd is not None:
        dollars = estimate.monthly_usd.to_integral_value(ROUND_CEILING)
        found["monthly_budget_usd"] = min(max(dollars, Decimal(1)), wishes.HIGHEST_BUDGET_USD)
    return found


def _show(
    request: SignedIn, asking: Asking, form: AccessRequestForm, work: WorkForm
) -> HttpResponse:
    model, renews = asking.model, asking.renews
    has = Grant.objects.active(asking.moment).filter(registered_model=model, team=asking.team)
    title = "Renew access" if renews else "Request access"
    context = {
        "model": model,
        "form": form,
        "work": work,
        "title": title,
        "renews": renews,
        "grant": None if renews else has.first(),
        "may_ask": request.user.has_role(*ASKS_FOR_MODELS),
        "crumbs": [
            ("Catalog", reverse("catalog:model_list")),
            (model.name, reverse("catalog:model_detail", args=[model.name])),
            (title, ""),
        ],
        "lead": f"For your team {asking.team}. A model owner of {model.owner_team} decides.",
    }
    context |= _panel(asking, work)
    is_wrong = bool(form.errors or (work.errors and request.method == "POST"))
    return render(request, "access/request_form.html", context, status=422 if is_wrong else 200)


def _panel(asking: Asking, work: WorkForm) -> dict[str, object]:
    """Return what the page says of the expected work. seen: the digest of its figures."""
    estimate = asking.estimate(work)
    limits = _limits(estimate)
    parts = []
    if "tokens_per_minute" in limits:
        parts.append(f"{limits['tokens_per_minute']:,} tokens a minute")
    if "monthly_budget_usd" in limits:
        parts.append(f"{usd(Decimal(str(limits['monthly_budget_usd'])))} a month")
    return {
        "rows": words.estimate_rows(estimate) if estimate else [],
        "seen": estimate.digest if estimate else "",
        "limits": " and ".join(parts),
        "price": None if estimate else price_words(prices_at(asking.model, asking.moment)),
        "wrong": [
            error for name in work.errors if work.data.get(name) for error in work[name].errors
        ],
    }


@require_GET
def request_estimate(request: SignedIn, name: str) -> HttpResponse:
    """Say what the work that somebody types comes to: a fragment of the form."""
    asking = _asking(request, name)
    work = asking.work_form(request.GET)
    return render(request, "access/_estimate.html", _panel(asking, work))


@require_POST
def grant_renew(request: SignedIn, pk: UUID) -> HttpResponse:
    """Ask for a grant again as it is, in one click: with its use since it was granted, and the same
    work at today's price, before whoever decides.
    """
    grants = Grant.objects.visible_to(request.user)
    grant = get_object_or_404(
        grants.select_related("registered_model__owner_team", "team", "request"), pk=pk
    )
    moment = now()
    order = partial(
        actions.renew_grant,
        grant=grant,
        monthly_budget_usd=budget_of(grant, of_grants([grant], moment).get(grant.pk)),
        requester=request.user,
        now=moment,
        expected=estimates.again(grant.request, moment),
        use=estimates.use_of(grant, moment),
    )
    owner = grant.registered_model.owner_team
    made = carry_out(request, order, f"Asked to renew. A model owner of {owner} decides.")
    if made is None:
        return redirect("access:grant_detail", pk=pk)
    return redirect("access:request_detail", pk=made.pk)


@require_GET
def request_today(request: SignedIn, pk: UUID) -> HttpResponse:
    """Say what a request's expected work comes to by the prices and figures of today, beside what
    was seen when it was asked: a fragment of its page.
    """
    rows = AccessRequest.objects.visible_to(request.user).select_related("registered_model", "team")
    item = get_object_or_404(rows, pk=pk)
    today = estimates.again(item, now())
    before = estimate_of(item.expected) if item.expected else None
    context = {
        "today": today,
        "is_same": bool(today and before and today.monthly_usd == before.monthly_usd),
        "cost": words.cost_words(today) if today else "",
        "price": today.prices_words if today else "",
    }
    return render(request, "access/_today.html", context)
