"""What holds the rollouts of a model: while it lasts none begins, and none under way goes forward.

Going back is never held, nor is what was declared an emergency.
"""

import uuid

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import User
from apps.catalog.models import RegisteredModel


class RolloutHoldQuerySet(models.QuerySet["RolloutHold"]):
    """Holds, newest first."""

    def open(self) -> "RolloutHoldQuerySet":
        """Return those that hold now."""
        return self.filter(ended_at=None)

    def of(self, model: RegisteredModel) -> "RolloutHoldQuerySet":
        """Return those that hold a model's rollouts now."""
        return self.open().filter(registered_model=model)


class RolloutHold(models.Model):
    """One reason to hold the rollouts of a model. cause: what asked for it, unique: what was lifted
    is not asked for again by the same. lifted_by: who let rollouts go on before that was right
    again, with the reason; None where it was.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="rollout_holds"
    )
    cause = models.CharField(max_length=100, unique=True)
    words = models.TextField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True, default="")

    objects = RolloutHoldQuerySet.as_manager()

    class Meta:
        ordering = ("-began_at", "-id")
        indexes = (
            models.Index(
                fields=("registered_model",), name="rollout_hold_open", condition=Q(ended_at=None)
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("began_at")),
                name="rollout_hold_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(lifted_by=None, reason="")
                | (Q(lifted_by__isnull=False, ended_at__isnull=False) & ~Q(reason="")),
                name="rollout_hold_lifted_with_reason",
            ),
        )

    def __str__(self) -> str:
        return f"hold of rollouts of {self.registered_model}"
