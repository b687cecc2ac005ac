"""Readings of a version's every byte, and what S3 says of the bucket they lie in.

A reading is a row from when somebody or the schedule asks for it; it keeps how far it is, so that
whoever goes on after a crash begins at the next range and not at the start.
"""

import uuid

from django.db import models
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.roles import SEES_REGISTRY
from apps.catalog.models import ModelVersion
from apps.common.leases import Reconciled


class VerificationQuerySet(models.QuerySet["Verification"]):
    """Readings, newest first."""

    def open(self) -> "VerificationQuerySet":
        """Return those that are not over."""
        return self.filter(status=Verification.Status.RUNNING)

    def visible_to(self, user: User) -> "VerificationQuerySet":
        """Return all of them for anybody who may see versions: everybody with a role."""
        return self if user.roles else self.none()


class Verification(Reconciled):
    """One reading of every byte of a version.

    ranges_done: how many ranges of the files, by name, are behind it. file, first_byte, last_byte:
    what differs, where something does.
    """

    class Cause(models.TextChoices):
        """Why it is read."""

        SCHEDULE = "SCHEDULE", "On schedule"
        DEMAND = "DEMAND", "Asked for"

    class Status(models.TextChoices):
        """Running until it came to a result, or cannot come to one."""

        RUNNING = "RUNNING", "Reading"
        PASSED = "PASSED", "Every byte as signed"
        FAILED = "FAILED", "Not what was signed"
        ENDED = "ENDED", "Ended without a result"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="verifications"
    )
    cause = models.CharField(max_length=16, choices=Cause.choices)
    requested_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    ranges_done = models.PositiveIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    bytes_total = models.BigIntegerField()
    finished_at = models.DateTimeField(null=True, blank=True)
    file = models.CharField(max_length=255, blank=True, default="")
    first_byte = models.BigIntegerField(null=True, blank=True)
    last_byte = models.BigIntegerField(null=True, blank=True)

    objects = VerificationQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("version",), condition=Q(status="RUNNING"),
                name="verification_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status="RUNNING", finished_at__isnull=True)
                | (~Q(status="RUNNING") & Q(finished_at__isnull=False)),
                name="verification_finished_at_when_over",
            ),
            models.CheckConstraint(
                condition=Q(cause="SCHEDULE") | Q(requested_by__isnull=False),
                name="verification_asked_for_by_somebody",
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return f"Verification of {self.version}"


class BucketState(models.Model):
    """What S3 said of a bucket's settings when it was asked last. settings: as bucket.Setting has
    them, as JSON. problem: why S3 could not be asked; "" where it could.
    """

    bucket = models.CharField(max_length=63, unique=True)
    checked_at = models.DateTimeField()
    settings = models.JSONField(default=list)
    problem = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return self.bucket

    @staticmethod
    def may_be_seen_by(user: User) -> bool:
        """Tell whether this person may see it."""
        return user.has_role(*SEES_REGISTRY)
