"""What a test reads of the audit trail."""

from typing import Any

from django.db.models import Model

from apps.audit.models import AuditEvent


class AuditAway(Exception):
    """The audit trail cannot be written (fixture audit_away)."""


def trail(target: Model) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (action, actor, data) of every event about an object, oldest first."""
    events = AuditEvent.objects.about(type(target).__name__, str(target.pk)).order_by("id")
    return [(event.action, event.actor, event.data) for event in events]
