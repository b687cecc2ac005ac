"""The one way to write an audit event."""

from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import models

from apps.audit.content import content_hash
from apps.audit.models import Action, AuditEvent
from apps.common.canonical import plain
from apps.common.request_ids import current_request_id


class Actor(Protocol):
    """Who acts: a user, or one of the system's own tasks."""

    username: str

    def get_full_name(self) -> str:
        """Return the name people know the actor by."""


class System:
    """A task acting by itself: `System("promotions.reconcile_rollout")`."""

    def __init__(self, task: str) -> None:
        self.username = f"system:{task}"

    def get_full_name(self) -> str:
        """Return "Quartermaster": people see the portal itself."""
        return "Quartermaster"


def record(
    *,
    action: Action,
    actor: Actor,
    target: models.Model,
    now: datetime,
    data: dict[str, Any] | None = None,
    request_id: str = "",
) -> AuditEvent:
    """Insert the event of a change, in the caller's transaction. data: JSON without secrets or
    prompt text; numbers that JSON does not keep exactly become text.
    """
    event = AuditEvent(
        occurred_at=now,
        recorded_at=datetime.now(UTC),
        actor=actor.username,
        actor_name=actor.get_full_name(),
        action=action,
        target_type=type(target).__name__,
        target_id=str(target.pk),
        target_label=str(target)[:200],
        data=plain(data or {}),
        request_id=request_id or current_request_id.get(),
    )
    event.content_hash = content_hash(event)
    event.save(force_insert=True)
    return event
