"""The page that holds the price list's ledger against the hours that it is made of."""

from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.chargeback.reconciliation.asked import asked_month
from apps.chargeback.reconciliation.spend import queries
from apps.chargeback.reconciliation.spend.compare import summary
from apps.chargeback.reconciliation.spend.tables import DAYS
from apps.common.periods import month_bounds
from apps.common.tables.reading import respond


@require_GET
def spend_reconciliation(request: SignedIn) -> HttpResponseBase:
    """Show each day of each model in a month: what the ledger says, what its hours come to at the
    prices of each; the same as CSV.
    """
    asked = asked_month(request)
    found = queries.days(*month_bounds(asked.month))
    context = asked.context(summary=summary(found))
    return respond(DAYS, request, found, "chargeback/reconciliation/spend.html", context)
