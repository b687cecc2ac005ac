"""The page that holds the cloud's bill against the ledger."""

from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.chargeback.bills.manifest import export_from_settings
from apps.chargeback.bills.queries import deliveries, reading
from apps.chargeback.reconciliation.asked import asked_month
from apps.chargeback.reconciliation.bill import queries, tables
from apps.chargeback.reconciliation.bill.compare import Name, summary
from apps.chargeback.reconciliation.bill.restated import restated
from apps.common.money import exact, shown
from apps.common.simulated import Simulated
from apps.common.tables.reading import is_for_table, read, respond, wants_csv

TEMPLATE = "chargeback/reconciliation/bill.html"


@require_GET
def bill_reconciliation(request: SignedIn) -> HttpResponseBase:
    """Show each day of a month: what the ledger says that machines cost, what the bill says, and
    what the difference is; and the deliveries of the bill. Each table as CSV too.
    """
    asked = asked_month(request)
    delivered = deliveries(asked.month)
    other = tables.deliveries_table(delivered)
    if wants_csv(other, request) or is_for_table(other, request):
        return respond(other, request, delivered, TEMPLATE)
    known = reading(asked.month, export_from_settings())
    found = queries.rows(known, asked.moment)
    came_to = summary(found)
    context = asked.context(
        reading=known,
        summary=came_to,
        restated=restated([asked.month]).get(asked.month),
        names=[(Name(name).label, shown(usd)) for name, usd in came_to.names.items()],
        tolerance=f"{exact(found[0].tolerance)} %" if found else "",
        simulated=Simulated(bills=bool(known.bill and known.bill.is_simulated)),
        deliveries=read(other, request, delivered),
    )
    return respond(tables.DAYS, request, found, TEMPLATE, context)
