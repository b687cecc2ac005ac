"""What was measured: GPUs, their use, and what each replica did, minute by minute, for as long as
settings keep it.

A minute that nobody measured has no row: it is unobserved, never zero. A figure that the other side
did not give is None. `samples` says how many scrapes a row was made of.
"""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q

FRESH = timedelta(minutes=3)  # figures that are older are not "now"


class ScrapeTarget(models.Model):
    """One endpoint: an engine (then replica is set) or a GPU exporter. seen_at: its last answer;
    error: why none now.

    observed_from: its first answer. active_at: when it was last seen with a request; None: never.
    """

    class Kind(models.TextChoices):
        ENGINE = "ENGINE", "Engine"
        GPU = "GPU", "GPU exporter"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=320)
    replica = models.OneToOneField(
        "fleet.Replica", null=True, blank=True, on_delete=models.CASCADE, related_name="scrape"
    )
    tried_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True, blank=True)
    observed_from = models.DateTimeField(null=True, blank=True)
    active_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ("kind", "name")
        constraints = (
            models.UniqueConstraint(fields=("kind", "name"), name="scrape_target_one_per_name"),
            models.CheckConstraint(
                condition=Q(kind__in=["ENGINE", "GPU"]), name="scrape_target_kind_is_known"
            ),
        )

    def __str__(self) -> str:
        return self.name


class GpuDeviceQuerySet(models.QuerySet["GpuDevice"]):
    """Queries on GPUs."""

    def seen_since(self, moment: datetime) -> Self:
        """Return the devices that an exporter told of since a moment."""
        return self.filter(seen_at__gte=moment)


class GpuDevice(models.Model):
    """A GPU, or a MIG instance of one: cut into other instances, a card is other devices.

    number: its place on the node. namespace, pod, container: who held it when it was last seen.
    """

    uuid = models.CharField(max_length=64)
    instance_id = models.CharField(max_length=16, blank=True, default="")  # MIG's GPU_I_ID
    profile = models.CharField(max_length=32, blank=True, default="")  # MIG's GPU_I_PROFILE
    node_name = models.CharField(max_length=253)
    number = models.CharField(max_length=8, blank=True, default="")
    model_name = models.CharField(max_length=128, blank=True, default="")
    namespace = models.CharField(max_length=63, blank=True, default="")
    pod = models.CharField(max_length=253, blank=True, default="")
    container = models.CharField(max_length=63, blank=True, default="")
    is_simulated = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    objects = GpuDeviceQuerySet.as_manager()

    class Meta:
        ordering = ("node_name", "number", "instance_id", "id")
        indexes = (models.Index(fields=("-seen_at",), name="gpu_device_newest_first"),)
        constraints = (
            models.UniqueConstraint(
                fields=("uuid", "instance_id", "profile"), name="gpu_device_once"
            ),
            models.CheckConstraint(
                condition=Q(seen_at__gte=F("first_seen_at")), name="gpu_device_seen_after_first"
            ),
        )

    def __str__(self) -> str:
        return f"{self.node_name} {self.label}"

    @property
    def label(self) -> str:
        """Return how people call it on its node."""
        name = f"GPU {self.number}" if self.number else self.uuid
        return (
            f"{name}, MIG {self.profile} instance {self.instance_id}" if self.instance_id else name
        )


class UtilizationSample(models.Model):
    """One minute of a GPU. active: mean share of time in which it computed, as `active_source`
    measures it.

    memory_used_mib is the most, temperature_c the highest; xid the last error code that the driver
    told, 0 for none.
    """

    class Source(models.TextChoices):
        ENGINE_ACTIVE = "GR_ENGINE_ACTIVE", "graphics engine active"
        GPU_UTIL = "GPU_UTIL", "some kernel ran"

    device = models.ForeignKey(GpuDevice, on_delete=models.CASCADE, related_name="samples")
    minute = models.DateTimeField()
    samples = models.PositiveSmallIntegerField()
    active = models.FloatField(null=True, blank=True)
    active_source = models.CharField(max_length=16, choices=Source.choices, blank=True, default="")
    memory_used_mib = models.FloatField(null=True, blank=True)
    memory_total_mib = models.FloatField(null=True, blank=True)
    power_watts = models.FloatField(null=True, blank=True)
    power_watts_max = models.FloatField(null=True, blank=True)
    temperature_c = models.FloatField(null=True, blank=True)
    xid = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("minute", "id")
        indexes = (models.Index(fields=("minute",), name="utilization_sample_by_minute"),)
        constraints = (
            models.UniqueConstraint(
                fields=("device", "minute"), name="utilization_sample_one_per_minute"
            ),
            models.CheckConstraint(
                condition=Q(active__isnull=True) | Q(active__gte=0, active__lte=1),
                name="utilization_sample_active_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(active_source__in=["", "GR_ENGINE_ACTIVE", "GPU_UTIL"]),
                name="utilization_sample_source_is_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.device_id} {self.minute:%Y-%m-%d %H:%M}"


class ReplicaSample(models.Model):
    """One minute of a replica. kv_use: 0 to 1. *_tokens, requests, preemptions: counted in
    `counted_seconds` of it.

    requests: finished requests by outcome, as the engine names them. Times are seconds. cache_hit:
    the share of prompt tokens that were read from the prefix cache. further_answers: beyond one a
    request, for each of which the engine counts the prompt again.
    """

    replica = models.ForeignKey("fleet.Replica", on_delete=models.CASCADE, related_name="samples")
    minute = models.DateTimeField()
    samples = models.PositiveSmallIntegerField()
    running = models.FloatField(null=True, blank=True)
    running_max = models.FloatField(null=True, blank=True)
    waiting = models.FloatField(null=True, blank=True)
    waiting_max = models.FloatField(null=True, blank=True)
    kv_use = models.FloatField(null=True, blank=True)
    kv_use_max = models.FloatField(null=True, blank=True)
    ttft_p50 = models.FloatField(null=True, blank=True)
    ttft_p95 = models.FloatField(null=True, blank=True)
    counted_seconds = models.FloatField(default=0)
    prompt_tokens = models.FloatField(null=True, blank=True)
    generation_tokens = models.FloatField(null=True, blank=True)
    # NULL: the engine does not tell. What is not cached of the prompt tokens was computed.
    cached_prompt_tokens = models.FloatField(null=True, blank=True)
    further_answers = models.FloatField(null=True, blank=True)
    requests = models.JSONField(default=dict)
    preemptions = models.FloatField(null=True, blank=True)
    cache_hit = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ("minute", "id")
        indexes = (models.Index(fields=("minute",), name="replica_sample_by_minute"),)
        constraints = (
            models.UniqueConstraint(
                fields=("replica", "minute"), name="replica_sample_one_per_minute"
            ),
            models.CheckConstraint(
                condition=Q(counted_seconds__gte=0), name="replica_sample_counts_forward"
            ),
        )

    def __str__(self) -> str:
        return f"{self.replica_id} {self.minute:%Y-%m-%d %H:%M}"

    @property
    def prompt_rate(self) -> float | None:
        """Return prompt tokens per second; None where nothing was counted."""
        return self._rate(self.prompt_tokens)

    @property
    def generation_rate(self) -> float | None:
        """Return generated tokens per second; None where nothing was counted."""
        return self._rate(self.generation_tokens)

    def _rate(self, count: float | None) -> float | None:
        return (
            count / self.counted_seconds if count is not None and self.counted_seconds > 0 else None
        )
