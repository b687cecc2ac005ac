"""The audit record, for auditors and platform engineers; to everybody else these pages are not
there.
"""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timezone import now

from apps.accounts.requests import SignedIn
from apps.audit import timeline
from apps.audit.models import AuditEvent, AuditSeal
from apps.audit.sealing.status import status
from apps.common.badges import Badge
from apps.common.tables.reading import respond
from apps.oversight.record.badges import anchored_badge, sealed_badge, verified_badge
from apps.oversight.record.views import require_reader
from apps.oversight.tables import EVENTS


def event_list(request: SignedIn) -> HttpResponseBase:
    """Search the record: by words, actor, action, target and days; as a page, a table or CSV."""
    require_reader(request)
    context = {"badges": _record_badges}  # asked for where the page is drawn, not its table alone
    events = AuditEvent.objects.all()
    return respond(EVENTS, request, events, "oversight/event_list.html", context)


def event_detail(request: SignedIn, event_id: UUID) -> HttpResponse:
    """Show one event: what was before and after, and the other events of its object and of its
    request.
    """
    require_reader(request)
    event = get_object_or_404(AuditEvent, pk=event_id)
    same_request = AuditEvent.objects.none()
    if event.request_id:
        same_request = AuditEvent.objects.filter(request_id=event.request_id).exclude(pk=event.pk)
    context = {
        "event": event,
        "crumbs": [("Audit", reverse("oversight:event_list")), (str(event.pk)[:8], "")],
        "tone": timeline.tone(event.action),
        "icon": timeline.icon(event.action),
        "seal": AuditSeal.objects.filter(event=event).first(),
        "changes": _changes(event.data),
        "data": [
            (name, value) for name, value in event.data.items() if name not in ("before", "after")
        ],
        "timeline": timeline.timeline(event.target_type, event.target_id),
        "same_request": list(same_request.order_by("occurred_at")[:50]),
    }
    return render(request, "oversight/event_detail.html", context)


def _record_badges() -> list[Badge]:
    found = status(now=now())
    return [sealed_badge(found), anchored_badge(found), verified_badge(found)]


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
