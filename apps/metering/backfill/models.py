"""How far usage of the past has been brought in. While it is under way no hour that is still to
come is sealed: it is not late, it is history.
"""

from math import ceil

from django.db import models
from django.db.models import F, Q

from apps.common.periods import DAY


class Backfill(models.Model):
    """Usage of [since, until) that is brought in from the oldest day on. stored_until: everything
    before is stored. is_sample: it was made up, and so is what rests on it.
    """

    name = models.CharField(max_length=40, primary_key=True)
    since = models.DateTimeField()
    until = models.DateTimeField()
    stored_until = models.DateTimeField()
    is_sample = models.BooleanField()
    begun_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(since__lte=F("stored_until"), stored_until__lte=F("until")),
                name="backfill_is_within_its_time",
            ),
            models.CheckConstraint(
                condition=Q(finished_at=None) | Q(stored_until=F("until")),
                name="backfill_finishes_whole",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def days(self) -> int:
        """Return how many days it has, the last one begun."""
        return ceil((self.until - self.since) / DAY)

    @property
    def days_stored(self) -> int:
        """Return how many of them are stored."""
        if self.stored_until == self.until:
            return self.days
        return (self.stored_until - self.since) // DAY
