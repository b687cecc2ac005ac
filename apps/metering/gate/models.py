"""Calls whose gate and access log do not tell the same, or of which one tells nothing."""

from django.db import models
from django.db.models import Q


class LostCall(models.Model):
    """A call that a gate had let through and never settled, because the gate died. Its own moment,
    and whom it would be charged to. Immutable; it goes once the ledger has the call.
    """

    call_id = models.UUIDField(primary_key=True)  # the usage event's own id
    occurred_at = models.DateTimeField()
    cost_center = models.CharField(max_length=32, blank=True, default="")
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=40, blank=True, default="")
    noted_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("occurred_at",), name="lost_call_by_time"),)

    def __str__(self) -> str:
        return str(self.call_id)


class CountDifference(models.Model):
    """A call of which the access log and the gate tell different figures. Immutable. counts: whose
    figures the ledger has.
    """

    class Side(models.TextChoices):
        """Whose figures count."""

        LOG = "LOG", "The access log's"
        GATE = "GATE", "The gate's"

    event_id = models.UUIDField(primary_key=True)
    occurred_at = models.DateTimeField()
    noted_at = models.DateTimeField()
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=40, blank=True, default="")
    version = models.CharField(max_length=63, blank=True, default="")
    counts = models.CharField(max_length=4, choices=Side.choices)
    log_input_tokens = models.BigIntegerField(null=True, blank=True)
    log_cached_input_tokens = models.BigIntegerField(null=True, blank=True)
    log_output_tokens = models.BigIntegerField(null=True, blank=True)
    gate_input_tokens = models.BigIntegerField(null=True, blank=True)
    gate_cached_input_tokens = models.BigIntegerField(null=True, blank=True)
    gate_output_tokens = models.BigIntegerField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=("-occurred_at",), name="count_difference_newest"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(counts__in=("LOG", "GATE")), name="count_difference_counts_one_side"
            ),
        )

    def __str__(self) -> str:
        return str(self.event_id)
