"""What a pool says, revision by revision, and the requests to change it.

A revision is a file of the GitOps repository as it was found or committed. A request is bound to
the revision it was made on: where the pool has changed since, nobody can approve it, and the worker
does not commit it.
"""

from django.db import models
from django.db.models import F, Q

from apps.accounts.asked import AskedInItsOwnWords
from apps.accounts.models import User
from apps.accounts.roles import DECIDES_CAPACITY, SEES_CAPACITY
from apps.common import decisions
from apps.common.leases import Reconciled


class NodePoolRevisionQuerySet(models.QuerySet["NodePoolRevision"]):
    """Revisions, newest first."""

    def current(self) -> "NodePoolRevisionQuerySet":
        """Return the newest revision of each pool, by name."""
        return self.order_by("pool", "-number").distinct("pool")

    def current_of(self, pool: str) -> "NodePoolRevision | None":
        """Return the newest revision of one pool; one query."""
        return self.filter(pool=pool).order_by("-number").first()


class NodePoolRevision(models.Model):
    """A pool's file in Git at one time. request: the capacity request that made it; None where it
    was found there.
    """

    pool = models.CharField(max_length=63)
    number = models.PositiveIntegerField()
    text = models.TextField()
    digest = models.CharField(max_length=71)
    commit = models.CharField(max_length=40, blank=True, default="")
    request = models.OneToOneField(
        "CapacityRequest", null=True, blank=True, on_delete=models.PROTECT, related_name="revision"
    )
    recorded_at = models.DateTimeField()

    objects = NodePoolRevisionQuerySet.as_manager()

    class Meta:
        ordering = ("pool", "-number")
        constraints = (
            models.UniqueConstraint(fields=("pool", "number"), name="node_pool_revision_once"),
        )

    def __str__(self) -> str:
        return f"{self.pool} revision {self.number}"


class CapacityRequestQuerySet(models.QuerySet["CapacityRequest"]):
    """Requests, newest first."""

    def pending(self) -> "CapacityRequestQuerySet":
        """Return the requests that wait for a decision."""
        return self.filter(status=CapacityRequest.Status.PENDING)

    def open(self) -> "CapacityRequestQuerySet":
        """Return the requests that wait for a decision or are on their way to the cluster."""
        return self.filter(status__in=CapacityRequest.OPEN)

    def visible_to(self, user: User) -> "CapacityRequestQuerySet":
        """Return all requests for those who run, review, pay for or audit the platform; nothing for
        others.
        """
        return self if user.has_role(*SEES_CAPACITY) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["CapacityRequest"]:
        """Return the requests that wait for this person: for each who decides, those of others."""
        return decisions.waiting_for(
            self.pending(), user, is_decider=user.has_role(*DECIDES_CAPACITY)
        )


class CapacityRequest(AskedInItsOwnWords, Reconciled):
    """Somebody asks to change what a pool may buy. text: the whole file that will be committed."""

    class Status(models.TextChoices):
        """Decided once, by somebody who did not ask; then on its way until the cluster has it."""

        PENDING = "PENDING", "Waiting for a decision"
        APPROVED = "APPROVED", "Approved, to be committed"
        COMMITTED = "COMMITTED", "Committed, to be applied"
        APPLIED = "APPLIED", "Applied"
        FAILED = "FAILED", "Failed"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    MOVING = (Status.APPROVED, Status.COMMITTED)
    OPEN = (Status.PENDING, *MOVING)

    pool = models.CharField(max_length=63)
    base = models.ForeignKey(NodePoolRevision, on_delete=models.PROTECT, related_name="requests")
    text = models.TextField()
    digest = models.CharField(max_length=71)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    commit = models.CharField(max_length=40, blank=True, default="")
    # approved, committed, tried again: a standstill fails
    moved_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = CapacityRequestQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        indexes = (models.Index(fields=("-requested_at", "-id"), name="capacity_request_newest"),)
        constraints = (
            models.UniqueConstraint(
                fields=("pool",),
                condition=Q(status__in=("PENDING", "APPROVED", "COMMITTED")),
                name="capacity_request_one_open_per_pool",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True)
                | Q(status="WITHDRAWN")
                | ~Q(decided_by=F("requested_by")),
                name="capacity_request_not_decided_by_requester",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("PENDING", "WITHDRAWN")) | Q(decided_by__isnull=False),
                name="capacity_request_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", decided_at__isnull=True)
                | (~Q(status="PENDING") & Q(decided_at__isnull=False)),
                name="capacity_request_decided_at_when_decided",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("COMMITTED", "APPLIED")) | ~Q(commit=""),
                name="capacity_request_has_its_commit",
            ),
        )

    def __str__(self) -> str:
        return f"change of {self.pool}"
