"""The page that holds the price list's ledger against the hours that it is made of."""

from django.http import Http404
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.chargeback.api import parse_month
from apps.chargeback.periods import months_to_choose
from apps.chargeback.reconciliation.spend import queries
from apps.chargeback.reconciliation.spend.compare import summary
from apps.chargeback.reconciliation.spend.tables import DAYS
from apps.common.periods import month_bounds, month_of
from apps.common.tables.reading import respond


@require_GET
def spend_reconciliation(request: SignedIn) -> HttpResponseBase:
    """Show each day of each model in a month: what the ledger says, what its hours come to at the
    prices of each; the same as CSV.
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
    }
    return respond(DAYS, request, found, "chargeback/reconciliation/spend.html", context)
