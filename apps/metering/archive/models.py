"""Days of calls as objects of the archive."""

from django.db import models
from django.db.models import Q

from apps.common.ids import ordered_id
from apps.common.leases import Reconciled


class ArchivedDay(Reconciled):
    """A day of calls as one object of the archive, which is written once and never changed.

    A day that is brought back and archived again is another row with another object. rows and
    fingerprint tell which calls it holds: how many, and the sum of their hashes
    (usage_day_fingerprint). searched_until: what stored days got until then was looked for in it.
    """

    class Status(models.TextChoices):
        """Where the day's calls are."""

        WAITING = "WAITING", "Waiting to be written"
        VERIFIED = "VERIFIED", "Written and read back"
        REPLACED = "REPLACED", "Changed before it was dropped"
        DROPPED = "DROPPED", "In the archive alone"
        RESTORED = "RESTORED", "Brought back"

    OPEN = (Status.WAITING, Status.VERIFIED, Status.DROPPED)

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    day = models.DateField()  # UTC
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    asked_at = models.DateTimeField()
    object_key = models.CharField(max_length=200, blank=True, default="")
    version_id = models.CharField(max_length=200, blank=True, default="")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    rows = models.BigIntegerField(null=True, blank=True)
    fingerprint = models.DecimalField(max_digits=40, decimal_places=0, null=True, blank=True)
    last_call_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    dropped_at = models.DateTimeField(null=True, blank=True)
    restored_at = models.DateTimeField(null=True, blank=True)
    searched_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-day", "-asked_at")
        constraints = (
            models.UniqueConstraint(
                fields=("day",),
                condition=Q(status__in=("WAITING", "VERIFIED", "DROPPED")),
                name="archived_day_one_open",
            ),
            models.CheckConstraint(
                condition=Q(status="WAITING")
                | ~Q(object_key="")
                & ~Q(sha256="")
                & Q(rows__isnull=False, fingerprint__isnull=False, archived_at__isnull=False),
                name="archived_day_tells_its_object",
            ),
        )

    def __str__(self) -> str:
        return f"Usage of {self.day:%Y-%m-%d}"
