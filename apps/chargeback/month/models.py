"""Both bases of money in one place to read, under the same names: what was used by the price list,
and what machines cost. The database's views put the rows of both one below the other and store
nothing; sums over them are the sums of what they are made of.
"""

from django.db import models

from apps.chargeback.models import Counted, Whose


class Figure(Counted, Whose):
    """A usage line, or a share of the machines' cost; what the other basis would say is 0 or None.

    kind: what became of it, as method.Kind has it, and EVALUATION for work under evaluation.
    unpriced_gpu_hours: those of gpu_hours that are in no amount. shares: 1 for a share, else 0.
    """

    kind = models.CharField(max_length=12)
    basis = models.CharField(max_length=12)
    gpu_name = models.CharField(max_length=32)
    list_cost_usd = models.DecimalField(max_digits=30, decimal_places=16, null=True)
    shares = models.BigIntegerField()
    gpu_hours = models.DecimalField(max_digits=30, decimal_places=12)
    unpriced_gpu_hours = models.DecimalField(max_digits=30, decimal_places=12)
    cost_usd = models.DecimalField(max_digits=30, decimal_places=12, null=True)
    estimated_cost_usd = models.DecimalField(max_digits=30, decimal_places=16)

    class Meta:
        abstract = True


class DayFigure(Figure):
    """Of a UTC day. Its rows have no key: only sums of them are read, by the columns named."""

    day = models.DateField(primary_key=True)

    class Meta:
        managed = False
        db_table = "chargeback_dayfigure"

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.kind} {self.team} {self.version}"


class MonthFigure(Figure):
    """Of a calendar month in UTC. month: its first day. Its rows have no key."""

    month = models.DateField(primary_key=True)

    class Meta:
        managed = False
        db_table = "chargeback_monthfigure"

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.kind} {self.team} {self.version}"
