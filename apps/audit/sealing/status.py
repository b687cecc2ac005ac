"""How whole the record is known to be: what is sealed, what is anchored, when it was verified."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.audit.models import AuditEvent, AuditSeal, Checkpoint, Unsealed, Verification
from apps.audit.sealing.spans import read_since

SEALED_WITHIN = timedelta(minutes=1)  # by a sealer that runs
VERIFIED_WITHIN = timedelta(hours=36)  # by one verification a night
READ_WITHIN = timedelta(days=10)  # by one round of its parts, and some nights more
READINGS = 40  # that are looked at for it


@dataclass(frozen=True)
class Status:
    """The record at a moment. size: entries that are sealed, the last of them at `sealed_at`;
    waiting: events without a seal, the oldest written at `waiting_since`; verified: the last
    reading; read_since: since when each entry that it followed was read again at least once, None
    where some were not.
    """

    now: datetime
    size: int
    sealed_at: datetime | None
    waiting: int
    waiting_since: datetime | None
    anchored: Checkpoint | None
    problem: str
    verified: Verification | None
    read_since: datetime | None

    @property
    def is_late(self) -> bool:
        """Tell whether an event has waited for its seal for too long."""
        return self.waiting_since is not None and self.waiting_since < self.now - SEALED_WITHIN

    @property
    def is_verified(self) -> bool:
        """Tell whether every entry was read again lately, and nothing wrong is found."""
        done, since = self.verified, self.read_since
        if done is None or done.found or since is None:
            return False
        return done.verified_at > self.now - VERIFIED_WITHIN and since > self.now - READ_WITHIN


def status(*, now: datetime) -> Status:
    """Return what is known of the record. Six queries."""
    last = AuditSeal.objects.order_by("-sequence").first()
    waits = AuditEvent.objects.filter(pk__in=Unsealed.objects.values("event"))
    oldest = waits.order_by("pk").values_list("recorded_at", flat=True).first()
    readings = list(Verification.objects.all()[:READINGS])
    waits_there = Checkpoint.objects.filter(anchored_at=None).exclude(problem="")
    problem = waits_there.values_list("problem", flat=True).first()
    return Status(
        now=now,
        size=last.sequence + 1 if last else 0,
        sealed_at=last.sealed_at if last else None,
        waiting=Unsealed.objects.count() if oldest else 0,
        waiting_since=oldest,
        anchored=Checkpoint.objects.filter(anchored_at__isnull=False).first(),
        problem=problem or "",
        verified=readings[0] if readings else None,
        read_since=read_since(readings, readings[0].size) if readings else None,
    )
