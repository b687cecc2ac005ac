"""What the calls of a version's last day say of its speed, and on what it ran; one row a version.

A version that is called no longer keeps its last row, which says until when it holds. A figure that
no call told is NULL, never 0.
"""

from django.db import models
from django.db.models import F, Q

from apps.integrations.engine.identity import is_stand_in


class Performance(models.Model):
    """The speed of one version over [since, until).

    version: `<model>-v<n>`. calls: those that reached it; timed: the streamed ones, whose first
    token's time is known. tokens_per_second: the median over calls of output tokens over duration.
    concurrency: requests that ran at once, the mean over the minutes in which any ran; *_max: the
    most in any of them. hardware: of a replica. is_machine_simulated:
    its machine was made up.
    """

    model = models.CharField(max_length=40)
    version = models.CharField(max_length=63, unique=True)
    since = models.DateTimeField()
    until = models.DateTimeField()
    calls = models.PositiveIntegerField()
    timed = models.PositiveIntegerField()
    ttft_p95_ms = models.FloatField(null=True, blank=True)
    tokens_per_second = models.FloatField(null=True, blank=True)
    concurrency = models.FloatField(null=True, blank=True)
    concurrency_max = models.FloatField(null=True, blank=True)
    hardware = models.CharField(max_length=200, blank=True, default="")
    engine = models.CharField(max_length=63, blank=True, default="")
    is_machine_simulated = models.BooleanField(default=False)

    class Meta:
        ordering = ("version",)
        constraints = (
            models.CheckConstraint(
                condition=Q(until__gt=F("since")), name="performance_ends_after_it_begins"
            ),
            models.CheckConstraint(
                condition=Q(calls__gte=F("timed")), name="performance_times_calls_that_came"
            ),
        )

    def __str__(self) -> str:
        return f"speed of {self.version}"

    @property
    def is_by_stand_in(self) -> bool:
        """Tell whether the stand-in answered its callers instead of a model."""
        return is_stand_in(self.engine)
