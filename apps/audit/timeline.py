"""What happened to one object, or to several together, as every page of theirs shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from apps.audit.models import AuditEvent

LINES = 200
TONES = {
    "ok": (
        "verified",
        "approved",
        "passed",
        "finished",
        "published",
        "created",
        "applied",
        "made",
        "drift_ended",
        "kept",
        "reviewed",
        "over",
        "resolved",
    ),
    "bad": (
        "failed",
        "quarantined",
        "rejected",
        "revoked",
        "aborted",
        "returning",
        "drifted",
        "declared",
        "overdue",
        "began",
    ),
    "warn": ("withdrawn", "expired", "paused", "superseded", "doubted", "went_on", "voided"),
    "busy": (
        "started",
        "committed",
        "requested",
        "proposed",
        "added",
        "uploaded",
        "judged",
        "resumed",
        "asked",
        "opened",
        "adopted",
        "moved",
        "seen",
        "reported",
    ),
}
ICONS = {
    "user": "user",
    "role": "users",
    "team": "users",
    "model": "box",
    "version": "package",
    "evaluation": "flask-conical",
    "access": "key-round",
    "grant": "badge-check",
    "budget": "wallet",
    "budget_change": "wallet",
    "boost": "wallet",
    "emergency": "triangle-alert",
    "promotion": "git-pull-request-arrow",
    "rollout": "rocket",
    "change": "clipboard-check",
    "incident": "triangle-alert",
    "policy": "shield-check",
    "rate": "coins",
    "price": "coins",
    "pool": "server",
    "capacity": "gauge",
    "evidence": "file-check",
}


@dataclass(frozen=True)
class TimelineEvent:
    """One line of a timeline, as templates/components/_timeline.html shows it. machine: no person
    did it.
    """

    id: str
    occurred_at: datetime
    actor: str
    actor_name: str
    label: str
    why: str
    icon: str
    tone: str
    machine: bool
    url: str = ""


def timeline(target_type: str, target_id: object) -> list[TimelineEvent]:
    """Return what happened to one object, oldest first; one query. Whoever sees the object may see
    it.
    """
    return timeline_of([(target_type, target_id)])


def timeline_of(targets: Iterable[tuple[str, object]]) -> list[TimelineEvent]:
    """Return what happened to several objects ("Promotion", id), ("Rollout", id) together, oldest
    first; one query.

    The newest LINES of it: an object that lives for years does not make its page slow.
    """
    wanted = Q(pk__in=[])
    for target_type, target_id in targets:
        wanted |= Q(target_type=target_type, target_id=str(target_id))
    newest = AuditEvent.objects.filter(wanted).order_by("-occurred_at", "-id")[:LINES]
    return [_line(event) for event in reversed(newest)]


def _line(event: AuditEvent) -> TimelineEvent:
    return TimelineEvent(
        id=str(event.pk),
        occurred_at=event.occurred_at,
        actor=event.actor,
        actor_name=event.actor_name,
        label=event.get_action_display(),
        why=why(event.data),
        icon=icon(event.action),
        tone=tone(event.action),
        machine=event.actor.startswith("system:"),
    )


def why(data: Mapping[str, Any]) -> str:
    """Return the reason that somebody wrote, or that the system gives."""
    for name in ("reason", "justification", "purpose", "message", "note", "detail", "file"):
        if isinstance(data.get(name), str) and data[name]:
            return str(data[name])
    return ""


def icon(action: str) -> str:
    """Return the icon of an action's noun."""
    return ICONS.get(action.split(".")[0], "scroll-text")


def tone(action: str) -> str:
    """Return the tone of an action's verb, or nothing."""
    verb = action.rsplit(".", 1)[-1]
    return next((tone for tone, verbs in TONES.items() if verb in verbs), "")
