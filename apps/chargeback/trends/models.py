"""What a day's machines tell beside their shares: hours that were ready and used, idle money by its
cause, savings and losses. Computed whole with the day's shares, never changed.
"""

from django.db import models
from django.db.models import Q

from apps.chargeback.method import Fact
from apps.chargeback.models import AllocatedDay


class DayFact(models.Model):
    """One fact of a UTC day, by a version of its method.

    events: how often it happened, where it is something that happens. usd: what was saved, or what
    it cost; None where nothing of it has a price, 0 where nothing happened. unpriced_gpu_hours:
    those of gpu_hours that are in no amount.
    """

    day = models.ForeignKey(
        AllocatedDay, on_delete=models.PROTECT, related_name="facts", db_index=False
    )
    fact = models.CharField(max_length=16, choices=Fact.choices)
    method_version = models.PositiveSmallIntegerField()
    events = models.PositiveIntegerField(default=0)
    gpu_hours = models.DecimalField(max_digits=30, decimal_places=12)
    unpriced_gpu_hours = models.DecimalField(max_digits=30, decimal_places=12)
    usd = models.DecimalField(max_digits=30, decimal_places=12, null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("day", "fact"), name="day_fact_once"),
            models.CheckConstraint(condition=Q(fact__in=Fact.values), name="day_fact_is_known"),
        )

    def __str__(self) -> str:
        return f"{self.day_id} {self.fact}"
