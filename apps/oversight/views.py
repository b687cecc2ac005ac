"""The audit record, for auditors and platform engineers; to everybody else these pages are not
there.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, date, datetime
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from apps.accounts.requests import SignedIn
from apps.accounts.roles import OVERSEES_RECORD
from apps.audit import timeline
from apps.audit.models import Action, AuditEvent
from apps.common.spreadsheets import cell, csv_lines
from apps.oversight import search

PAGE_SIZE = 50
CSV_ROWS = 50_000
COLUMNS = (
    "id", "occurred_at", "actor", "actor_name", "action", "target_type", "target_id",
    "target_label", "request_id",
    "data",
)  # fmt: skip


def _require_reader(request: SignedIn) -> None:
    if not request.user.has_role(*OVERSEES_RECORD):
        raise Http404


def event_list(request: SignedIn) -> HttpResponse | StreamingHttpResponse:
    """Search the record: by words, actor, action, target and days; as a page, a fragment or CSV."""
    _require_reader(request)
    asked = _asked(request.GET)
    found = search.search(asked)
    if request.GET.get("format") == "csv":
        return _csv(found)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    lines = [
        (event, timeline.icon(event.action), timeline.tone(event.action), timeline.why(event.data))
        for event in page
    ]
    context = {
        "page_obj": page,
        "lines": lines,
        "asked": asked,
        "chips": _chips(request.GET, asked),
        "actions": search.actions_by_noun(),
        "csv_url": f"?{_without(request.GET, 'page', format='csv')}",
    }
    template = "oversight/event_list.html" + ("#results" if request.htmx else "")
    return render(request, template, context)


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


def _asked(query: QueryDict) -> search.Search:
    """Read the filters; what is not understood is left out."""
    action = query.get("action", "")
    return search.Search(
        text=query.get("q", "").strip()[:100],
        actor=query.get("actor", "").strip()[:200],
        action=action if action in Action.values else "",
        target_type=query.get("target_type", "").strip()[:64],
        target_id=query.get("target_id", "").strip()[:64],
        from_date=_day(query.get("from", "")),
        to_date=_day(query.get("to", "")),
    )


def _day(text: str) -> date | None:
    """Return a day; None for what is none, and for the calendar's last ones, which no day
    follows.
    """
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.year < MAXYEAR else None


def _chips(query: QueryDict, asked: search.Search) -> list[tuple[str, str]]:
    """Return the filters in force as (words, address without it)."""
    words = [
        ("q", f"“{asked.text}”" if asked.text else ""),
        ("actor", f"by {asked.actor}" if asked.actor else ""),
        ("action", str(Action(asked.action).label) if asked.action else ""),
        ("target_type", asked.target_type),
        ("target_id", f"id {asked.target_id}" if asked.target_id else ""),
        ("from", f"from {asked.from_date}" if asked.from_date else ""),
        ("to", f"to {asked.to_date}" if asked.to_date else ""),
    ]
    return [(text, f"?{_without(query, name, 'page')}") for name, text in words if text]


def _without(query: QueryDict, *names: str, **more: str) -> str:
    kept = query.copy()
    for name in names:
        kept.pop(name, None)
    for name, value in more.items():
        kept[name] = value
    return kept.urlencode()


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


def _csv(found: QuerySet[AuditEvent]) -> StreamingHttpResponse:
    """Return exactly the rows that the filters show, all pages of them, newest first."""
    headers = {
        "Content-Disposition": f'attachment; filename="audit-{timezone.now():%Y%m%dT%H%M%SZ}.csv"'
    }
    return StreamingHttpResponse(
        csv_lines(_csv_rows(found)), content_type="text/csv; charset=utf-8", headers=headers
    )


def _csv_rows(found: QuerySet[AuditEvent]) -> Iterator[Sequence[str]]:
    yield COLUMNS
    for event in found[:CSV_ROWS].iterator(chunk_size=500):
        yield [_cell(getattr(event, name)) for name in COLUMNS]


def _cell(value: Any) -> str:
    """Return a value as text that no spreadsheet takes for a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    text = (
        json.dumps(value, sort_keys=True, ensure_ascii=False)
        if isinstance(value, dict)
        else str(value)
    )
    return cell(text)
