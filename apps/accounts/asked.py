"""What one person asks for and another decides: the columns of such a row, and which rows wait.

Who sees a row and who decides is each app's own rule; what holds for every decision stands in
apps/common/decisions.py. A model whose statuses say more than these, or say it in other words, is
AskedInItsOwnWords and has that one column of its own.
"""

import uuid
from typing import Self, TypeVar

from django.db import models

from apps.accounts.models import User

Row = TypeVar("Row", bound="Asked")


class AskedQuerySet(models.QuerySet[Row]):
    """Rows, newest first."""

    def pending(self) -> Self:
        """Return those that wait for a decision."""
        return self.filter(status=Asked.Status.PENDING)


class AskedInItsOwnWords(models.Model):
    """What somebody asks for and another person decides, once. The database holds that
    (decisions.two_people, which each model names its own way). A model adds its statuses.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    justification = models.TextField()
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True, default="")

    class Meta:
        abstract = True
        ordering = ("-requested_at", "-id")


class Asked(AskedInItsOwnWords):
    """What is decided with a yes or a no, in the words of most such models."""

    class Status(models.TextChoices):
        """Decided by somebody who did not ask."""

        PENDING = "PENDING", "Waiting for a decision"
        APPROVED = "APPROVED", "Approved"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)

    class Meta(AskedInItsOwnWords.Meta):
        abstract = True
