"""What the cluster had and has: node pools, node claims, nodes, replicas, their phases and events.

Rows are what the observer saw; nothing here is asked of the cluster. Each fact keeps two times: the
object's own (`created_at`, `launched_at`, `occurred_at`) and the time we learned it (`learned_at`).
A claim's intervals are what money is computed from: no two overlap, and time that nobody saw is an
interval with `observed=False`.
"""

from datetime import datetime, timedelta
from typing import Self, TypeVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from apps.fleet import prices

# Django finds an app's models through this module only
from apps.fleet.metrics import models as metrics_models  # noqa: F401
from apps.fleet.pricing import models as pricing_models  # noqa: F401

SIMULATED_MACHINE = "kwok://"  # how a provider id begins behind which no machine is


Row = TypeVar("Row", bound="ClusterObject")


class ClusterObjectQuerySet(models.QuerySet[Row]):
    """Queries that every observed kind has."""

    def present(self) -> Self:
        """Return what the cluster still has, as far as we know."""
        return self.filter(ended_at__isnull=True)


class ClusterObject(models.Model):
    """One object of the API. resource_version: the newest state that was read, so that an older one
    changes nothing.

    end_observed: False where the object was gone after a time in which nobody watched.
    """

    uid = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=253)
    resource_version = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    learned_at = models.DateTimeField()
    deleting_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_observed = models.BooleanField(default=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class NodePoolQuerySet(ClusterObjectQuerySet["NodePool"]):
    """Queries on node pools."""


class NodePool(ClusterObject):
    """A Karpenter NodePool: what may be bought, up to which limits. limits, usage: resource →
    quantity.
    """

    limits = models.JSONField(default=dict)
    usage = models.JSONField(default=dict)
    disruption = models.JSONField(default=dict)  # spec.disruption: when Karpenter may remove a node
    is_ready = models.BooleanField(default=False)
    message = models.TextField(blank=True, default="")

    objects = NodePoolQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("name",),
                condition=Q(ended_at__isnull=True),
                name="node_pool_one_present_per_name",
            ),
        )


class Machine(ClusterObject):
    """What a machine is and costs. price_usd_per_hour: None where the cluster does not say; basis:
    whose price.
    """

    node_pool = models.CharField(max_length=253, blank=True, default="")
    instance_type = models.CharField(max_length=63, blank=True, default="")
    zone = models.CharField(max_length=63, blank=True, default="")
    capacity_type = models.CharField(max_length=16, blank=True, default="")
    gpu_count = models.PositiveSmallIntegerField(default=0)
    price_usd_per_hour = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, blank=True
    )
    price_basis = models.CharField(max_length=63, blank=True, default="")

    class Meta:
        abstract = True

    @property
    def is_price_simulated(self) -> bool:
        """Tell whether the price was made up for the local cluster."""
        return prices.is_simulated(self.price_basis)


class NodeClaimQuerySet(ClusterObjectQuerySet["NodeClaim"]):
    """Queries on node claims."""

    def matching(self, text: str) -> Self:
        """Return the claims whose name, node, machine, zone or pool holds `text`."""
        if not text:
            return self
        words = (
            Q(name__icontains=text)
            | Q(node_name__icontains=text)
            | Q(instance_type__icontains=text)
        )
        return self.filter(words | Q(zone__icontains=text) | Q(node_pool__icontains=text))


class NodeClaim(Machine):
    """A Karpenter NodeClaim: a machine asked for, launched, registered, initialized, and given
    back.
    """

    node_name = models.CharField(max_length=253, blank=True, default="")
    provider_id = models.CharField(max_length=255, blank=True, default="")
    launched_at = models.DateTimeField(null=True, blank=True)
    registered_at = models.DateTimeField(null=True, blank=True)
    initialized_at = models.DateTimeField(null=True, blank=True)
    launch_reason = models.CharField(max_length=300, blank=True, default="")
    end_reason = models.CharField(max_length=300, blank=True, default="")
    # what stands in the way while it is not initialized
    message = models.TextField(blank=True, default="")

    objects = NodeClaimQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("-created_at", "-id"), name="node_claim_newest_first"),
            models.Index(fields=("name",), name="node_claim_by_name"),
            models.Index(fields=("node_name",), name="node_claim_by_node"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("created_at")),
                name="node_claim_ends_after_it_begins",
            ),
        )

    @property
    def is_simulated(self) -> bool:
        """Tell whether no machine is behind it: its node is one of KWOK's."""
        return self.provider_id.startswith(SIMULATED_MACHINE)

    @property
    def resource_id(self) -> str:
        """Return what the cloud's bill calls the machine: i-0abc of aws:///us-east-1a/i-0abc; ""
        while it is not launched.
        """
        return self.provider_id.rpartition("/")[2]


class NodeQuerySet(ClusterObjectQuerySet["Node"]):
    """Queries on nodes."""

    def with_gpus(self) -> Self:
        """Return the nodes that have a GPU."""
        return self.filter(gpu_count__gt=0)


class Node(Machine):
    """A Kubernetes Node."""

    is_ready = models.BooleanField(default=False)
    is_unschedulable = models.BooleanField(default=False)

    objects = NodeQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(
                fields=("-created_at", "-id"),
                condition=Q(ended_at__isnull=True),
                name="node_present_newest_first",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("name",),
                condition=Q(ended_at__isnull=True),
                name="node_one_present_per_name",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("created_at")),
                name="node_ends_after_it_begins",
            ),
        )


class NodeIntervalQuerySet(models.QuerySet["NodeInterval"]):
    """Queries on node intervals."""

    def within(self, from_at: datetime, to_at: datetime) -> Self:
        """Return the intervals of which some part, or the whole of an empty one, lies in [from_at,
        to_at).
        """
        reaches = Q(ended_at__isnull=True) | Q(ended_at__gt=from_at) | Q(started_at__gte=from_at)
        return self.filter(reaches, started_at__lt=to_at)


class NodeInterval(models.Model):
    """A stretch of a claim's life at one price: [started_at, ended_at), open while it lasts.

    observed: False for the time before an end that nobody saw; the machine ended somewhere in it.
    """

    node_claim = models.ForeignKey(NodeClaim, on_delete=models.PROTECT, related_name="intervals")
    instance_type = models.CharField(max_length=63, blank=True, default="")
    zone = models.CharField(max_length=63, blank=True, default="")
    capacity_type = models.CharField(max_length=16, blank=True, default="")
    price_usd_per_hour = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, blank=True
    )
    price_basis = models.CharField(max_length=63, blank=True, default="")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    launch_reason = models.CharField(max_length=300, blank=True, default="")
    end_reason = models.CharField(max_length=300, blank=True, default="")
    observed = models.BooleanField(default=True)

    objects = NodeIntervalQuerySet.as_manager()

    class Meta:
        ordering = ("started_at", "id")
        indexes = (models.Index(fields=("started_at",), name="node_interval_by_start"),)
        constraints = (
            ExclusionConstraint(
                name="node_interval_one_per_claim_at_a_time",
                expressions=(
                    ("node_claim", RangeOperators.EQUAL),
                    (
                        Func(
                            "started_at",
                            "ended_at",
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ),
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="node_interval_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(observed=True) | Q(ended_at__isnull=False),
                name="node_interval_unobserved_has_an_end",
            ),
        )

    def __str__(self) -> str:
        return f"{self.node_claim_id} from {self.started_at:%Y-%m-%d %H:%M}"


class ReplicaQuerySet(ClusterObjectQuerySet["Replica"]):
    """Queries on replicas."""


class Replica(ClusterObject):
    """A pod that serves a version, to callers (namespace models) or under evaluation (evals)."""

    namespace = models.CharField(max_length=63)
    service = models.CharField(max_length=63, blank=True, default="")  # the InferenceService
    model = models.CharField(max_length=63, blank=True, default="")
    version = models.CharField(max_length=16, blank=True, default="")
    node_name = models.CharField(max_length=253, blank=True, default="")
    # promised, before it has a node
    node_claim_name = models.CharField(max_length=253, blank=True, default="")
    gpu_count = models.PositiveSmallIntegerField(default=0)
    # of cards that MIG cuts, beside the whole ones: sevenths (see holdings.py)
    mig_slices = models.PositiveSmallIntegerField(default=0)
    engine = models.CharField(max_length=63, blank=True, default="")
    # the engine's, inside the cluster
    address = models.CharField(max_length=63, blank=True, default="")
    manifest_digest = models.CharField(max_length=80, blank=True, default="")
    started_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)  # for the first time
    is_ready = models.BooleanField(default=False)
    restarts = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True, default="")
    end_reason = models.CharField(max_length=300, blank=True, default="")

    objects = ReplicaQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("-created_at", "-id"), name="replica_newest_first"),
            models.Index(fields=("service", "-created_at", "-id"), name="replica_by_service"),
            models.Index(
                fields=("node_name",),
                condition=Q(ended_at__isnull=True),
                name="replica_present_by_node",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("created_at")),
                name="replica_ends_after_it_begins",
            ),
        )

    @property
    def cold_start(self) -> timedelta | None:
        """Return how long it took from the pod's creation to its first readiness."""
        return self.ready_at - self.created_at if self.ready_at else None


class ReplicaPhase(models.Model):
    """A step of a replica's cold start, once. occurred_at: the object's own time."""

    class Phase(models.TextChoices):
        CLAIM = "CLAIM", "Node claimed"
        LAUNCHED = "LAUNCHED", "Machine launched"
        REGISTERED = "REGISTERED", "Node registered"
        INITIALIZED = "INITIALIZED", "Node initialized"
        SCHEDULED = "SCHEDULED", "Pod scheduled"
        IMAGE = "IMAGE", "Image pulled"
        WEIGHTS = "WEIGHTS", "Weights loaded and verified"
        ENGINE = "ENGINE", "Engine started"
        READY = "READY", "Ready"

    replica = models.ForeignKey(Replica, on_delete=models.CASCADE, related_name="phases")
    phase = models.CharField(max_length=12, choices=Phase.choices)
    occurred_at = models.DateTimeField()
    learned_at = models.DateTimeField()

    class Meta:
        ordering = ("occurred_at", "id")
        constraints = (
            models.UniqueConstraint(fields=("replica", "phase"), name="replica_phase_once"),
            models.CheckConstraint(
                condition=Q(
                    phase__in=[
                        "CLAIM",
                        "LAUNCHED",
                        "REGISTERED",
                        "INITIALIZED",
                        "SCHEDULED",
                        "IMAGE",
                        "WEIGHTS",
                        "ENGINE",
                        "READY",
                    ]
                ),
                name="replica_phase_is_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.replica_id}: {self.phase}"


class ClusterEvent(models.Model):
    """An event of the API, kept after the cluster has forgotten it. object_*: what it is about."""

    uid = models.CharField(max_length=64, unique=True)
    type = models.CharField(max_length=16, blank=True, default="")
    reason = models.CharField(max_length=128)
    object_kind = models.CharField(max_length=63)
    object_namespace = models.CharField(max_length=63, blank=True, default="")
    object_name = models.CharField(max_length=253)
    object_uid = models.CharField(max_length=64, blank=True, default="")
    field_path = models.CharField(max_length=255, blank=True, default="")
    message = models.TextField(blank=True, default="")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    learned_at = models.DateTimeField()

    class Meta:
        ordering = ("-last_at", "-id")
        indexes = (
            models.Index(
                fields=("object_kind", "object_name", "-last_at"), name="cluster_event_by_object"
            ),
            models.Index(fields=("-last_at",), name="cluster_event_newest_first"),
        )

    def __str__(self) -> str:
        return f"{self.reason} {self.object_kind}/{self.object_name}"


class Observation(models.Model):
    """How far one feed (a kind, in a namespace) has been seen, if ever. error: why it is not seen
    now.

    heard_at: its last message. A stream that is silent may be dead, so no more than that is sure to
    have been seen.
    """

    feed = models.CharField(max_length=128, primary_key=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, default="")

    def __str__(self) -> str:
        return f"{self.feed} until {self.seen_at or 'never'}"
