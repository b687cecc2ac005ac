"""The list of capacity requests as a table. Declarations only."""

from django.urls import reverse

from apps.capacity import pages
from apps.capacity.filters import RequestFilters
from apps.capacity.models import CapacityRequest
from apps.common.tables.columns import Column, Empty, Table


def _why_failed(request: CapacityRequest) -> str:
    return request.message[:120] if request.status == CapacityRequest.Status.FAILED else ""


REQUESTS = Table(
    name="capacity-requests",
    noun=("request", "requests"),
    columns=(
        Column(
            "pool",
            "Pool",
            "pool",
            sort="pool",
            url=lambda request: reverse("capacity:request_detail", args=[request.pk]),
            sub=lambda request: f"on revision {request.base.number}",
            place="name",
        ),
        Column(
            "state", "State", pages.badge, kind="badge", sort="status", sub=_why_failed,
            csv="status", place="figure",
        ),
        Column("why", "Why", "justification", css="wide"),
        Column("by", "Asked by", "requested_by.name", sort="requested_by__name", css="nowrap"),
        Column(
            "decider", "Decided by", "decided_by.name", sort="decided_by__name", css="nowrap"
        ),
        Column("asked", "Asked", "requested_at", kind="time", sort="requested_at", css="nowrap"),
        Column(
            "decided", "Decided", "decided_at", kind="time", sort="decided_at",
            unknown="not yet", optional=True, at_first=False,
        ),
        Column("commit", "Commit", lambda request: request.commit[:12], kind="mono", csv="commit",
               title="commit", optional=True, at_first=False),
        Column("id", "Id", "pk", kind="mono", optional=True, at_first=False),
    ),
    search=("pool", "justification", "requested_by__name", "requested_by__username"),
    search_words="Pool, reason or person",
    filters=RequestFilters,
    order="-asked",
    empty=Empty(
        "Nobody has asked for a change yet",
        "Platform engineers ask on a pool's card above; somebody else decides.",
        icon="gauge",
    ),
)  # fmt: skip
