"""Whether what is estimated of calls without usage is priced: set by finance before the month from
which it counts, so that nothing that was used already changes its price by it.
"""

from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.timezone import now
from django.views.decorators.http import require_POST

from apps.accounts.models import Role, User
from apps.accounts.requests import SignedIn
from apps.audit.actions import record
from apps.audit.models import Action
from apps.chargeback.models import EstimateRule
from apps.common.errors import require
from apps.common.orders import carry_out_with_reason
from apps.common.periods import month_of, next_month
from apps.metering.estimates import METHOD, METHOD_WORDS


@dataclass(frozen=True)
class Standing:
    """What holds in the month of a moment, and what will in the next one. newest: the rule that
    was set last; None before the first.
    """

    prices_now: bool
    prices_next: bool
    next_month: date
    newest: EstimateRule | None
    method: str = METHOD
    method_words: str = METHOD_WORDS


def prices_estimates(month: date) -> bool:
    """Tell whether what is estimated in a month is priced. month: its first day. One query."""
    rule = EstimateRule.objects.filter(month__lte=month).first()
    return rule is not None and rule.prices_estimates


def standing(at: datetime) -> Standing:
    """Return what holds at a moment; three queries."""
    month = month_of(at)
    return Standing(
        prices_now=prices_estimates(month),
        prices_next=prices_estimates(next_month(month)),
        next_month=next_month(month),
        newest=EstimateRule.objects.select_related("set_by").order_by("-id").first(),
    )


@transaction.atomic
def set_estimate_rule(*, prices: bool, actor: User, reason: str, now: datetime) -> EstimateRule:
    """Say whether what is estimated is priced from the next month on.

    Raises NotPermitted unless the actor is finance.
    """
    require(actor.has_role(Role.FINANCE), "Only finance says whether estimated usage is priced.")
    month = next_month(month_of(now))
    before = prices_estimates(month)
    rule = EstimateRule.objects.create(
        month=month, prices_estimates=prices, reason=reason, set_by=actor, set_at=now
    )
    data = {"month": f"{month:%Y-%m}", "before": before, "prices": prices, "reason": reason}
    record(action=Action.ESTIMATES_RULED, actor=actor, target=rule, now=now, data=data)
    return rule


@require_POST
def estimate_rule_create(request: SignedIn) -> HttpResponse:
    """Set the rule of the next month; the page of prices has the form."""
    prices = request.POST.get("prices") == "yes"
    order = partial(set_estimate_rule, prices=prices, actor=request.user, now=now())
    words = "priced" if prices else "not priced"
    done = f"From the next month on, estimated usage is {words}."
    refused = carry_out_with_reason(request, order, done)
    if refused is None:
        return redirect("chargeback:rate_list")
    context = {"found": standing(now()), "form": refused}
    return render(request, "chargeback/prices/estimates.html", context, status=422)
