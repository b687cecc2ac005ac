"""How whole the record is known to be: what is sealed, what is anchored, when it was verified."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.audit.models import AuditEvent, AuditSeal, Checkpoint, Unsealed, Verification

SEALED_WITHIN = timedelta(minutes=1)  # by a sealer that runs
VERIFIED_WITHIN = timedelta(hours=36)  # by one verification a night


@dataclass(frozen=True)
class Status:
    """The record at a moment. size: entries that are sealed, the last of them at `sealed_at`;
    waiting: events without a seal, the oldest written at `waiting_since`.
    """

    now: datetime
    size: int
    sealed_at: datetime | None
    waiting: int
    waiting_since: datetime | None
    anchored: Checkpoint | None
    problem: str
    verified: Verification | None

    @property
    def is_late(self) -> bool:
        """Tell whether an event has waited for its seal for too long."""
        return self.waiting_since is not None and self.waiting_since < self.now - SEALED_WITHIN

    @property
    def is_verified(self) -> bool:
        """Tell whether somebody read the whole record lately and found nothing wrong."""
        done = self.verified
        return bool(done and not done.found and done.verified_at > self.now - VERIFIED_WITHIN)


def status(*, now: datetime) -> Status:
    """Return what is known of the record. Six queries."""
    last = AuditSeal.objects.order_by("-sequence").first()
    waits = AuditEvent.objects.filter(pk__in=Unsealed.objects.values("event"))
    oldest = waits.order_by("pk").values_list("recorded_at", flat=True).first()
    problem = Checkpoint.objects.exclude(problem="").values_list("problem", flat=True).first()
    return Status(
        now=now,
        size=last.sequence + 1 if last else 0,
        sealed_at=last.sealed_at if last else None,
        waiting=Unsealed.objects.count() if oldest else 0,
        waiting_since=oldest,
        anchored=Checkpoint.objects.filter(anchored_at__isnull=False).first(),
        problem=problem or "",
        verified=Verification.objects.first(),
    )
