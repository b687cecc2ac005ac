"""The change in ServiceNow that a promotion waits for: what was asked for, and what was read last.

The row is the intent, written with the proposal; the change's number comes later. A row keeps for
good what we wrote, so that each look can tell whether somebody changed it since.
"""

import uuid

from django.db import models
from django.db.models import Q

from apps.common.leases import Reconciled
from apps.promotions.models import Promotion


class ChangeRecord(Reconciled):
    """One change in ServiceNow, found again by its correlation id.

    fields: what we write when it is opened, by ServiceNow's names. differences: [{field, wrote,
    found}], where the change no longer says that. conflicts: what its conflict check found, one
    line each; conflicts_read_at: of the last check that had ended. reason, message: why it could
    not be read or is in doubt, and what to do; "" where all is well.
    """

    class Kind(models.TextChoices):
        """A rollout waits for a normal change. An emergency change is opened beside a rollout that
        waits for nothing.
        """

        NORMAL = "NORMAL", "Normal"
        EMERGENCY = "EMERGENCY", "Emergency"

    class Status(models.TextChoices):
        """OPENING until its number is known; CLOSED for good, by us or by somebody else there."""

        OPENING = "OPENING", "To be opened"
        OPEN = "OPEN", "Open"
        CLOSED = "CLOSED", "Closed"

    class Outcome(models.TextChoices):
        """How the portal closed it. A change that was never carried out is canceled."""

        SUCCESSFUL = "SUCCESSFUL", "Successful"
        WITH_ISSUES = "WITH_ISSUES", "Successful with issues"
        UNSUCCESSFUL = "UNSUCCESSFUL", "Unsuccessful"
        CANCELED = "CANCELED", "Canceled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    correlation_id = models.CharField(max_length=100, unique=True)
    fields = models.JSONField()
    asked_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPENING)
    sys_id = models.CharField(max_length=32, blank=True, default="")
    number = models.CharField(max_length=40, blank=True, default="")
    opened_at = models.DateTimeField(null=True, blank=True)
    # as read last; values and words are ServiceNow's own
    state = models.CharField(max_length=16, blank=True, default="")
    state_words = models.CharField(max_length=60, blank=True, default="")
    approval = models.CharField(max_length=40, blank=True, default="")
    approval_words = models.CharField(max_length=60, blank=True, default="")
    # who decided there, as read when `approval` became what `of` says: {of, people: [{name,
    # decision, at}], problem}; {} before anybody did
    approvers = models.JSONField(default=dict)
    on_hold = models.BooleanField(default=False)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    differences = models.JSONField(default=list)
    conflicts = models.JSONField(default=list)
    conflicts_read_at = models.DateTimeField(null=True, blank=True)
    # a check that was asked for and has not ended; when the one before it ended, by ServiceNow
    conflicts_asked_at = models.DateTimeField(null=True, blank=True)
    conflicts_run = models.CharField(max_length=40, blank=True, default="")
    read_at = models.DateTimeField(null=True, blank=True)
    # "" where it is open, or was closed by somebody in ServiceNow
    outcome = models.CharField(max_length=16, choices=Outcome.choices, blank=True, default="")
    outcome_notes = models.TextField(blank=True, default="")
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("asked_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("promotion", "kind"), name="change_record_one_of_each_kind"
            ),
            models.CheckConstraint(
                condition=Q(status="OPENING") | ~Q(number=""), name="change_record_has_its_number"
            ),
            models.CheckConstraint(
                condition=Q(status="CLOSED", closed_at__isnull=False)
                | (~Q(status="CLOSED") & Q(closed_at__isnull=True)),
                name="change_record_closed_at_when_closed",
            ),
        )

    def __str__(self) -> str:
        return self.number or f"change for {self.promotion}"
