"""What the callers of each model met in five minutes and in an hour, recomputed from the calls
whenever an hour is added up.

A time is kept as the share of calls within each of a list of bounds, so that whoever changes an
objective sees what it would have said of the past, and no call is read again for it.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

STEP, HOUR = 300, 3600  # seconds
# milliseconds: the times that an objective may name
BOUNDS = (
    100, 150, 200, 250, 300, 400, 500, 600, 800, 1_000, 1_200, 1_500, 2_000, 2_500, 3_000, 4_000,
    5_000, 6_000, 8_000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000, 180_000,
    300_000, 600_000,
)  # fmt: skip


class MetCalls(models.Model):
    """The calls of a model that began in [at, at + grain seconds). What the guard, a budget or a
    limit refused is in none of the counts.

    completed: answered to the end; failed: not, by the platform's fault; undecided: nobody can
    tell, as where the client left. Of the calls that did not fail, ttft_timed told when their first
    token came, and ttft_untimed did not; ttft_within: of the timed ones, those within each of
    BOUNDS. The same for the whole duration, of completed calls. Embeddings and reranks have no
    first token, and are in neither of its counts.
    """

    grain = models.PositiveIntegerField(choices=((STEP, "Five minutes"), (HOUR, "An hour")))
    at = models.DateTimeField()
    model = models.CharField(max_length=40)
    completed = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    undecided = models.PositiveIntegerField()
    ttft_timed = models.PositiveIntegerField()
    ttft_untimed = models.PositiveIntegerField()
    ttft_within = ArrayField(models.PositiveIntegerField(), size=len(BOUNDS))
    duration_timed = models.PositiveIntegerField()
    duration_untimed = models.PositiveIntegerField()
    duration_within = ArrayField(models.PositiveIntegerField(), size=len(BOUNDS))

    class Meta:
        constraints = (
            # by time first: what is looked at every minute is the last hours of all models
            models.UniqueConstraint(fields=("grain", "at", "model"), name="met_calls_once"),
            models.CheckConstraint(
                condition=Q(
                    ttft_within__len=len(BOUNDS),
                    duration_within__len=len(BOUNDS),
                ),
                name="met_calls_has_every_bound",
            ),
        )
        indexes = (models.Index(fields=("model", "grain", "at"), name="met_calls_of_model"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.model}"
