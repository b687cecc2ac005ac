"""The page that holds the engines' counts against the gateway's."""

from django.http import Http404
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.chargeback.api import parse_month
from apps.chargeback.periods import months_to_choose
from apps.chargeback.reconciliation import queries
from apps.chargeback.reconciliation.compare import TOLERANCE, summary
from apps.chargeback.reconciliation.tables import DAYS
from apps.common.periods import month_bounds, month_of
from apps.common.simulated import Simulated
from apps.common.tables.reading import respond
from apps.fleet.simulated import stand_in_versions
from apps.metering.estimates import METHOD, METHOD_WORDS


@require_GET
def reconciliation(request: SignedIn) -> HttpResponseBase:
    """Show each day of each version in a month: what the engine counted, what was metered, what is
    left; the same as CSV.
    """
    if not request.user.has_role(*SEES_ALL_MONEY):
        raise Http404
    moment = now()
    chosen = parse_month(request.GET["month"]) if request.GET.get("month") else month_of(moment)
    found = queries.days(*month_bounds(chosen))
    context = {
        "month": chosen,
        "months": months_to_choose(chosen, moment),
        "crumbs": [("Chargeback", reverse("chargeback:month")), ("Reconciliation", "")],
        "summary": summary(found),
        "tolerance": f"{TOLERANCE:.1%}",
        "method": METHOD,
        "method_words": METHOD_WORDS,
        "simulated": Simulated(engine=bool(stand_in_versions({day.version for day in found}))),
    }
    return respond(DAYS, request, found, "chargeback/reconciliation/month.html", context)
