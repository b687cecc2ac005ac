"""What sizing keeps: figures of a configuration on each kind of GPU, the work that makes them, and
what engines reported of their own memory.
"""

from django.db import models

from apps.common.leases import Reconciled


class CardFigures(models.Model):
    """Figures of one configuration on one table of measurements, split over `ways` GPUs. A fact of
    that release of the library. figures: None where there are none; then problem says why.
    """

    shape = models.CharField(max_length=71)  # the digest of the configuration
    table = models.CharField(max_length=40)
    ways = models.PositiveSmallIntegerField()
    library = models.CharField(max_length=80)
    figures = models.JSONField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, default="")
    made_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("shape", "library", "table", "ways"), name="card_figures_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.table} over {self.ways}"


class SizingJob(Reconciled):
    """Figures of one configuration are to be worked out, for all tables. finished_at: when nothing
    was left to do.
    """

    shape = models.CharField(max_length=71)
    library = models.CharField(max_length=80)
    config = models.JSONField()
    wanted = models.JSONField()  # [[table, ways], …]
    asked_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("shape", "library"), name="sizing_job_once"),
        )

    def __str__(self) -> str:
        return f"sizing of {self.shape[7:19]}"


class EngineReport(models.Model):
    """What an engine said of its memory when it started a version on real GPUs; a stand-in, and a
    machine that is only simulated, report nothing. A fact: one for each start.

    start: names the start (a pod). gpu: the kind; ways: over how many; gpu_bytes: that an engine
    sees of one. kv_tokens: that its cache holds. weight_bytes: on one GPU, None where it did not
    say: then those of its files count.
    """

    version = models.ForeignKey(
        "catalog.ModelVersion", on_delete=models.PROTECT, related_name="engine_reports"
    )
    start = models.CharField(max_length=255, unique=True)
    engine = models.CharField(max_length=63)
    gpu = models.CharField(max_length=40)
    ways = models.PositiveSmallIntegerField()
    fraction = models.FloatField()  # of the GPU's memory that it was given
    kv_tokens = models.BigIntegerField()
    weight_bytes = models.BigIntegerField(null=True, blank=True)
    gpu_bytes = models.BigIntegerField()
    reported_at = models.DateTimeField()

    class Meta:
        ordering = ("-reported_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(kv_tokens__gt=0, fraction__gt=0, fraction__lte=1, ways__gt=0),
                name="engine_report_is_possible",
            ),
        )

    def __str__(self) -> str:
        return f"{self.engine} on {self.ways}×{self.gpu}"
