"""The page that holds the engines' counts against the gateway's."""

from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.chargeback.reconciliation import queries
from apps.chargeback.reconciliation.asked import asked_month
from apps.chargeback.reconciliation.compare import TOLERANCE, summary
from apps.chargeback.reconciliation.tables import DAYS
from apps.common.periods import month_bounds
from apps.common.simulated import Simulated
from apps.common.tables.reading import respond
from apps.fleet.simulated import stand_in_versions
from apps.metering.estimates import METHOD, METHOD_WORDS


@require_GET
def reconciliation(request: SignedIn) -> HttpResponseBase:
    """Show each day of each version in a month: what the engine counted, what was metered, what is
    left; the same as CSV.
    """
    asked = asked_month(request)
    found = queries.days(*month_bounds(asked.month))
    context = asked.context(
        summary=summary(found),
        tolerance=f"{TOLERANCE:.1%}",
        method=METHOD,
        method_words=METHOD_WORDS,
        simulated=Simulated(engine=bool(stand_in_versions({day.version for day in found}))),
    )
    return respond(DAYS, request, found, "chargeback/reconciliation/month.html", context)
