"""The safeguards of HIPAA that the portal answers, with what can be seen of each now."""

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.oversight.record.views import require_reader
from apps.oversight.safeguards.states import lines


@require_GET
def safeguards(request: SignedIn) -> HttpResponse:
    """Show each safeguard, what answers it, and its live state."""
    require_reader(request)
    moment = now()
    context = {
        "crumbs": [("Audit", reverse("oversight:event_list")), ("HIPAA safeguards", "")],
        "moment": moment,
        "lines": [
            (
                line,
                [(reverse(name), words) for name, words in line.safeguard.url_names],
            )
            for line in lines(moment)
        ],
    }
    return render(request, "oversight/safeguards/list.html", context)
