"""The page that holds the engines' counts against the gateway's."""

from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.chargeback.reconciliation import queries
from apps.chargeback.reconciliation.asked import asked_month
from apps.chargeback.reconciliation.compare import TOLERANCE, summary
from apps.chargeback.reconciliation.tables import CALLS, DAYS
from apps.common.periods import month_bounds
from apps.common.simulated import Simulated
from apps.common.tables.reading import is_for_table, read, respond, wants_csv
from apps.fleet.simulated import stand_in_versions
from apps.metering.estimates import METHOD, METHOD_WORDS
from apps.metering.gate.queries import differences

TEMPLATE = "chargeback/reconciliation/month.html"


@require_GET
def reconciliation(request: SignedIn) -> HttpResponseBase:
    """Show each day of each version in a month: what the engine counted, what was metered, what is
    left; and the calls of which the access log and the gate tell different figures. Each table as
    CSV too.
    """
    asked = asked_month(request)
    calls = differences(*month_bounds(asked.month))
    if wants_csv(CALLS, request) or is_for_table(CALLS, request):
        return respond(CALLS, request, calls, TEMPLATE)
    found = queries.days(*month_bounds(asked.month))
    context = asked.context(
        summary=summary(found),
        tolerance=f"{TOLERANCE:.1%}",
        method=METHOD,
        method_words=METHOD_WORDS,
        differences=read(CALLS, request, calls),
        simulated=Simulated(engine=bool(stand_in_versions({day.version for day in found}))),
    )
    return respond(DAYS, request, found, TEMPLATE, context)
