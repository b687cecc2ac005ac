"""Which events a pack proves, and up to which checkpoint."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Max, Q, QuerySet

from apps.audit.models import AuditEvent, AuditSeal, Checkpoint, Unsealed
from apps.audit.sealing import export
from apps.integrations.errors import TemporaryError
from apps.oversight.evidence.collecting import Collected, Event

Targets = Iterable[tuple[str, object]]  # ("Promotion", id)


class NotAnchoredYet(TemporaryError):
    """No anchored checkpoint stands over everything that is to be proven. That takes minutes."""


def checkpoint_over(targets: Targets, *, asked_at: datetime, at_least: int = 0) -> Checkpoint:
    """Return the newest anchored checkpoint, if it stands over every event of the targets that was
    written before `asked_at`, and over `at_least` entries. Raises NotAnchoredYet.
    """
    events = events_about(targets).filter(recorded_at__lte=asked_at)
    newest = Checkpoint.objects.filter(anchored_at__isnull=False).order_by("-size").first()
    waits = Unsealed.objects.filter(event__in=events).exists()
    last = AuditSeal.objects.filter(event__in=events).aggregate(Max("sequence"))["sequence__max"]
    needed = max(at_least, 1 if last is None else last + 1)
    if newest is None or waits or newest.size < needed:
        raise NotAnchoredYet(
            "What happened last is not under an anchored checkpoint yet. One is made every few "
            "minutes.",
            retry_after=15,
        )
    return newest


def events_about(targets: Targets) -> QuerySet[AuditEvent]:
    """Return the events of these targets."""
    wanted = Q(pk__in=[])
    for target_type, target_id in targets:
        wanted |= Q(target_type=target_type, target_id=str(target_id))
    return AuditEvent.objects.filter(wanted)


def add_events(collected: Collected, targets: Targets, checkpoint: Checkpoint, base: str) -> None:
    """Add the proof of every event of the targets under a checkpoint, in their order, and a list of
    them for people.
    """
    seals = AuditSeal.objects.filter(
        event__in=events_about(targets), sequence__lt=checkpoint.size
    ).order_by("sequence")
    known = {event.path for event in collected.events}
    lines = []
    for own in seals.select_related("event"):
        event = own.event
        path = f"{base}events/{own.sequence:09}-{event.action}.tlog-proof"
        if path in known:
            continue
        about = f"{event.get_action_display()}: {event.target_label}, by {event.actor_name}."
        collected.add(path, export.proof_of(event, checkpoint).encode(), about)
        collected.events.append(Event(path, event.data))
        lines.append(
            f"{own.sequence:>9}  {event.occurred_at:%Y-%m-%d %H:%M:%S}Z  "
            f"{event.get_action_display()}: {event.target_label}; "
            f"{event.actor_name} ({event.actor})\n"
        )
    text = "".join(lines).encode()
    collected.add(f"{base}events.txt", text, "The events of the folder beside it, one a line.")
