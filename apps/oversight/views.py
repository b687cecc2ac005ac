"""The audit record, for auditors and platform engineers; to everybody else these pages are not
there.
"""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from apps.accounts.requests import SignedIn
from apps.accounts.roles import OVERSEES_RECORD
from apps.audit import timeline
from apps.audit.models import AuditEvent
from apps.common.tables.reading import respond
from apps.oversight.tables import EVENTS


def _require_reader(request: SignedIn) -> None:
    if not request.user.has_role(*OVERSEES_RECORD):
        raise Http404


def event_list(request: SignedIn) -> HttpResponseBase:
    """Search the record: by words, actor, action, target and days; as a page, a table or CSV."""
    _require_reader(request)
    return respond(EVENTS, request, AuditEvent.objects.all(), "oversight/event_list.html")


def event_detail(request: SignedIn, event_id: UUID) -> HttpResponse:
    """Show one event: what was before and after, and the other events of its object and of its
    request.
    """
    _require_reader(request)
    event = get_object_or_404(AuditEvent, pk=event_id)
    same_request = AuditEvent.objects.none()
    if event.request_id:
        same_request = AuditEvent.objects.filter(request_id=event.request_id).exclude(pk=event.pk)
    context = {
        "event": event,
        "crumbs": [("Audit", reverse("oversight:event_list")), (str(event.pk)[:8], "")],
        "tone": timeline.tone(event.action),
        "icon": timeline.icon(event.action),
        "changes": _changes(event.data),
        "data": [
            (name, value) for name, value in event.data.items() if name not in ("before", "after")
        ],
        "timeline": timeline.timeline(event.target_type, event.target_id),
        "same_request": list(same_request.order_by("occurred_at")[:50]),
    }
    return render(request, "oversight/event_detail.html", context)


def _changes(data: dict[str, Any]) -> list[tuple[str, Any, Any, bool]]:
    """Return (field, before, after, changed) where the event kept both sides."""
    before, after = data.get("before"), data.get("after")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return (
            [] if before is None and after is None else [("value", before, after, before != after)]
        )
    names = list(dict.fromkeys([*before, *after]))
    return [
        (name, before.get(name), after.get(name), before.get(name) != after.get(name))
        for name in names
    ]
