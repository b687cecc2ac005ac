"""Spans, kept for a day in a ring of hours.

The table is cut into SLOTS partitions; a span lies in that of the hour it began in, so that whole
hours are taken away at once, which costs the same however many spans there were.
"""

from datetime import datetime, timedelta

from django.db import models

KEPT = timedelta(hours=24)
SLOTS = 32  # more than the hours that are kept: taking away may be late by some hours
AHEAD = timedelta(minutes=5)  # so far a clock may be ahead
HOUR_SECONDS = 3600


def slot_of(moment: datetime) -> int:
    """Return the slot of an hour: 0 to SLOTS - 1."""
    return int(moment.timestamp()) // HOUR_SECONDS % SLOTS


class Span(models.Model):
    """One step of one trace. Immutable; taken away with its hour.

    facts: what is known beside its time, by the names of apps/common/otlp/facts.py.
    """

    id = models.CharField(max_length=48, primary_key=True)  # of the trace and of the span, in hex
    slot = models.PositiveSmallIntegerField()
    trace_id = models.CharField(max_length=32)
    parent_id = models.CharField(max_length=16, blank=True, default="")
    # the gateway's own id of the call, or that of a request to the portal
    request_id = models.UUIDField(null=True, blank=True)
    service = models.CharField(max_length=63)
    name = models.CharField(max_length=120)
    started_at = models.DateTimeField()
    duration_us = models.BigIntegerField()
    failed = models.BooleanField(default=False)
    facts = models.JSONField(default=dict)

    class Meta:
        indexes = (
            models.Index(fields=("trace_id",), name="span_by_trace"),
            models.Index(
                fields=("request_id",),
                condition=models.Q(request_id__isnull=False),
                name="span_by_request",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(slot__lt=SLOTS), name="span_slot_is_of_the_ring"
            ),
            models.CheckConstraint(
                condition=models.Q(duration_us__gte=0), name="span_ends_after_its_start"
            ),
        )

    def __str__(self) -> str:
        return f"{self.service} {self.name}"

    @property
    def span_id(self) -> str:
        """Return its own id, in hex."""
        return self.id[32:]
