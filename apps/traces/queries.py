"""Reads a trace by the id of its request."""

from datetime import datetime, timedelta
from uuid import UUID

from apps.traces.models import KEPT, Span, slot_of

MOST_SPANS = 500  # of one page; a call has about six
LONGEST_CALL = timedelta(hours=1)  # GATE_CALL_SECONDS at most, by default
BEFORE = timedelta(minutes=1)  # the clocks of two machines


def spans_of(request_id: UUID, began_at: datetime, now: datetime) -> list[Span]:
    """Return the spans of a request's trace, by their start, MOST_SPANS at most; two queries.

    began_at: when the request began, as far as that is known: the hours around it are looked
    through. Who may see them is the caller's to know.
    """
    found = Span.objects.filter(slot__in=_slots(began_at), started_at__gte=now - KEPT)
    traces = found.filter(request_id=request_id).values_list("trace_id", flat=True).distinct()
    spans = found.filter(trace_id__in=list(traces[:8])).order_by("started_at", "id")
    return list(spans[:MOST_SPANS])


def is_kept(began_at: datetime, now: datetime) -> bool:
    """Tell whether spans of that time are kept still."""
    return began_at > now - KEPT


def _slots(began_at: datetime) -> set[int]:
    return {slot_of(began_at - BEFORE), slot_of(began_at), slot_of(began_at + LONGEST_CALL)}
