"""The page of one call's trace: what each part of the platform did for it, and how long that took.
Whoever may see the call may see its trace.
"""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.common.simulated import Simulated
from apps.gateway.why import gather
from apps.traces import queries
from apps.traces.waterfall import waterfall
from portal.pages.gateway.asking import NotThere, call_for
from portal.pages.gateway.whose import sees_all


@require_GET
def trace(request: SignedIn, request_id: UUID) -> HttpResponse:
    """Show a call's trace, or say why there is none: 404 for a call that this person may not
    see.
    """
    moment = now()
    try:
        call = call_for(request.user, request_id)
    except NotThere as problem:
        raise Http404(str(problem)) from problem
    began_at = gather.moment_of(call)
    spans = queries.spans_of(request_id, began_at, moment)
    found = waterfall(spans)
    why = f"{reverse('gateway:why')}?request_id={request_id}"
    context = {
        "call": call,
        "request_id": str(request_id),
        "began_at": began_at,
        "found": found,
        "simulated": Simulated(engine=bool(found and found.stand_in)),
        "is_cut": len(spans) == queries.MOST_SPANS,
        "most": queries.MOST_SPANS,
        "is_kept": queries.is_kept(began_at, moment),
        "why": why,
        "sees_all": sees_all(request.user),
        "crumbs": [("Gateway", reverse("gateway:why")), ("Call", why), ("Trace", "")],
    }
    return render(request, "gateway/trace.html", context)
