"""What of an event is sealed, byte for byte. Pure.

Whoever has an event's fields, or a line of an export, comes to the same bytes and the same leaf.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apps.audit.merkle import leaf_hash
from apps.common.canonical import canonical

if TYPE_CHECKING:
    from apps.audit.models import AuditEvent


def entry(event: "AuditEvent") -> bytes:
    """Return an event as canonical JSON (RFC 8785): everything that it says, times in UTC to the
    microsecond.
    """
    return canonical(
        {
            "id": str(event.pk),
            "occurred_at": _time(event.occurred_at),
            "recorded_at": _time(event.recorded_at),
            "actor": event.actor,
            "actor_name": event.actor_name,
            "action": str(event.action),
            "target_type": event.target_type,
            "target_id": event.target_id,
            "target_label": event.target_label,
            "data": event.data,
            "request_id": event.request_id,
        }
    )


def content_hash(event: "AuditEvent") -> bytes:
    """Return the hash of an event's leaf: 32 bytes."""
    return leaf_hash(entry(event))


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
