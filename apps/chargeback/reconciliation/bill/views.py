"""The page that holds the cloud's bill against the ledger."""

from django.http import Http404
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.chargeback.api import parse_month
from apps.chargeback.bills.manifest import export_from_settings
from apps.chargeback.bills.queries import deliveries, reading
from apps.chargeback.periods import months_to_choose
from apps.chargeback.reconciliation.bill import queries, tables
from apps.chargeback.reconciliation.bill.compare import Name, summary
from apps.common.money import exact, shown
from apps.common.periods import month_of
from apps.common.simulated import Simulated
from apps.common.tables.reading import is_for_table, read, respond, wants_csv

TEMPLATE = "chargeback/reconciliation/bill.html"


@require_GET
def bill_reconciliation(request: SignedIn) -> HttpResponseBase:
    """Show each day of a month: what the ledger says that machines cost, what the bill says, and
    what the difference is; and the deliveries of the bill. Each table as CSV too.
    """
    if not request.user.has_role(*SEES_ALL_MONEY):
        raise Http404
    moment = now()
    chosen = parse_month(request.GET["month"]) if request.GET.get("month") else month_of(moment)
    delivered = deliveries(chosen)
    other = tables.deliveries_table(delivered)
    if wants_csv(other, request) or is_for_table(other, request):
        return respond(other, request, delivered, TEMPLATE)
    known = reading(chosen, export_from_settings())
    found = queries.rows(known, moment)
    came_to = summary(found)
    context = {
        "month": chosen,
        "months": months_to_choose(chosen, moment),
        "crumbs": [("Chargeback", reverse("chargeback:month")), ("Reconciliation", "")],
        "reading": known,
        "summary": came_to,
        "restated": queries.restated([chosen]).get(chosen),
        "names": [(Name(name).label, shown(usd)) for name, usd in came_to.names.items()],
        "tolerance": f"{exact(found[0].tolerance)} %" if found else "",
        "simulated": Simulated(bills=bool(known.bill and known.bill.is_simulated)),
        "deliveries": read(other, request, delivered),
    }
    return respond(tables.DAYS, request, found, TEMPLATE, context)
