"""Records that are kept apart, with the reason; and days that were searched for ids of others."""

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import User
from apps.common.ids import ordered_id
from apps.metering.via import VIA


class Doubt(models.TextChoices):
    """Why a record is kept apart and not counted."""

    UNREADABLE = "UNREADABLE", "Cannot be read"
    TEAM = "TEAM", "Unknown team"
    MODEL = "MODEL", "Unknown model"
    VERSION = "VERSION", "Unknown version"
    ABSURD = "ABSURD", "Impossible count"
    FUTURE = "FUTURE", "Begins in the future"
    TOO_OLD = "TOO_OLD", "Before the first kept month"
    OTHER_COUNTS = "OTHER_COUNTS", "Id of another call"
    OTHER_DAY = "OTHER_DAY", "Id of a call of another day"
    ARCHIVED = "ARCHIVED", "Its day is in the archive"
    REFUSED = "REFUSED", "Refused by the database"


class QuarantinedRecord(models.Model):
    """A record that was received and is counted in no total, with the reason. It holds the known
    keys of the access log only: no prompt, no answer, nothing else that a caller could have sent.

    fingerprint: SHA-256 over what is kept, so that the same record is one row, however often and by
    which way it comes.
    """

    class Status(models.TextChoices):
        """What became of it."""

        WAITING = "WAITING", "Waiting"
        REPLAYED = "REPLAYED", "Counted later"  # its cause was mended, and now it is a usage event
        LEFT_OUT = "LEFT_OUT", "Left out"  # somebody decided, with a reason, that it never counts

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    fingerprint = models.CharField(max_length=64, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    doubt = models.CharField(max_length=16, choices=Doubt.choices)
    detail = models.CharField(max_length=300)
    received_at = models.DateTimeField()
    received_via = models.CharField(max_length=4, choices=VIA)
    occurred_at = models.DateTimeField(null=True, blank=True)  # None: not told, or not readable
    event_id = models.UUIDField(null=True, blank=True)
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=40, blank=True, default="")
    values = models.JSONField(default=dict)  # key of the access log → its value as text
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    resolution = models.TextField(blank=True, default="")  # the reason of who left it out

    class Meta:
        ordering = ("-received_at", "-id")
        indexes = (
            models.Index(
                fields=("occurred_at",), name="quarantine_waiting", condition=Q(status="WAITING")
            ),
            models.Index(fields=("-received_at", "-id"), name="quarantine_newest_first"),
            models.Index(
                fields=("event_id",), name="quarantine_taken_out", condition=Q(doubt="OTHER_DAY")
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(status="WAITING", resolved_at__isnull=True)
                | (~Q(status="WAITING") & Q(resolved_at__isnull=False)),
                name="quarantine_resolved_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="LEFT_OUT")
                | (~Q(resolution="") & Q(resolved_by__isnull=False)),
                name="quarantine_left_out_has_reason",
            ),
        )

    def __str__(self) -> str:
        return f"Record {str(self.pk)[-8:]}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("metering:quarantine_detail", args=[self.pk])


class CheckedDay(models.Model):
    """A day whose ids were looked for among the calls of every other stored day."""

    day = models.DateField(primary_key=True)  # UTC
    checked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"
