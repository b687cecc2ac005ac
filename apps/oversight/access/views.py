"""The access report: who may see or do what, and who could take either part of a decision; for
those who oversee the record.
"""

from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.models import Grant
from apps.accounts.models import User
from apps.accounts.recertification.models import RoleReview
from apps.accounts.requests import SignedIn
from apps.common.tables.reading import respond
from apps.oversight.access import report
from apps.oversight.access.tables import PEOPLE
from apps.oversight.record.views import require_reader


@require_GET
def access_report(request: SignedIn) -> HttpResponseBase:
    """List everybody with what they may see or do; as a page, a table or CSV."""
    require_reader(request)
    people = User.objects.filter(is_active=True, acts_for=None)  # pipelines have pages of their own
    context = {"figures": _figures}  # asked for where the page is drawn, not its table alone
    rows = people.select_related("team__cost_center").prefetch_related("role_bindings")
    return respond(PEOPLE, request, rows, "oversight/access/report.html", context)


def _figures() -> dict[str, object]:
    holders = report.holders()
    return {
        "crumbs": [("Audit", reverse("oversight:event_list")), ("Access report", "")],
        "abilities": report.ability_lines(holders),
        "duties": report.duty_lines(holders),
        "roles_overdue": RoleReview.objects.overdue(now()).count(),
        "grants": Grant.objects.active(now()).count(),
        "people": len(holders),
    }
