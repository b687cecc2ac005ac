"""A model's retirement: announced by its owners with a last day, and carried out when that day is
over and nobody calls the model any more, or when a person says that it goes all the same.

What it served stays in the registry under its locks: retiring a model takes away no evidence.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import User
from apps.common.periods import end_of_day

if TYPE_CHECKING:  # which loads this module first
    from apps.catalog.models import RegisteredModel


class RetirementQuerySet(models.QuerySet["Retirement"]):
    """Retirements, newest first."""

    def announced(self) -> "RetirementQuerySet":
        """Return those that are to come."""
        return self.filter(status=Retirement.Status.ANNOUNCED)

    def standing(self) -> "RetirementQuerySet":
        """Return those that are to come or happened: none that was taken back."""
        return self.exclude(status=Retirement.Status.WITHDRAWN)


class Retirement(models.Model):
    """One retirement of one model.

    last_day: the last day on which the model may be called. successor: what to call instead, where
    there is something. note: what callers are to do, in the owner's words. ended_by: NULL where the
    portal retired it by itself, for nobody called. callers: who called it in the thirty days before
    it was announced, and before it ended, as whoever decided saw them.
    """

    class Status(models.TextChoices):
        """Where it stands."""

        ANNOUNCED = "ANNOUNCED", "Retires"
        RETIRED = "RETIRED", "Retired"
        WITHDRAWN = "WITHDRAWN", "Stays after all"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    registered_model = models.ForeignKey(
        "catalog.RegisteredModel", on_delete=models.PROTECT, related_name="retirements"
    )
    last_day = models.DateField()
    successor = models.ForeignKey(
        "catalog.RegisteredModel",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="successor_of",
    )
    note = models.TextField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ANNOUNCED)
    announced_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    announced_at = models.DateTimeField()
    callers = models.JSONField(default=list)
    ended_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.TextField(blank=True, default="")
    callers_at_end = models.JSONField(null=True, blank=True)

    objects = RetirementQuerySet.as_manager()

    class Meta:
        ordering = ("-announced_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model",),
                condition=~Q(status="WITHDRAWN"),
                name="retirement_one_standing_per_model",
            ),
            models.CheckConstraint(
                condition=Q(status="ANNOUNCED", ended_at=None)
                | (~Q(status="ANNOUNCED") & Q(ended_at__isnull=False)),
                name="retirement_ended_at_when_ended",
            ),
            models.CheckConstraint(
                condition=Q(ended_by=None) | ~Q(end_reason=""),
                name="retirement_ended_by_somebody_with_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(successor=None) | ~Q(successor=F("registered_model")),
                name="retirement_successor_is_another_model",
            ),
        )

    def __str__(self) -> str:
        return f"retirement of {self.registered_model}"

    @property
    def is_announced(self) -> bool:
        """Tell whether it is still to come."""
        return self.status == self.Status.ANNOUNCED

    @property
    def is_retired(self) -> bool:
        """Tell whether the model is gone."""
        return self.status == self.Status.RETIRED

    @property
    def ends_at(self) -> datetime:
        """Return the first moment after the last day."""
        return end_of_day(self.last_day)

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether its last day is over and the model is still there."""
        return self.is_announced and self.ends_at <= now


def standing(models_: Iterable[int]) -> dict[int, Retirement]:
    """Return model → its retirement, announced or carried out; one query. models_: their keys."""
    rows = Retirement.objects.standing().filter(registered_model__in=list(models_))
    return {row.registered_model_id: row for row in rows.select_related("successor")}


def standing_of(model_id: int) -> Retirement | None:
    """Return the retirement of one model, announced or carried out; one query."""
    return standing([model_id]).get(model_id)


def stays_instead(retirement: Retirement) -> "RegisteredModel | None":
    """Return what to call instead of a model that goes: its successor or, where that is retired by
    now, the one that came after it; None where nothing is left. One query for each.
    """
    found, seen = retirement.successor, {retirement.registered_model_id}
    while found is not None and found.pk not in seen:
        seen.add(found.pk)
        theirs = standing_of(found.pk)
        if theirs is None or not theirs.is_retired:
            return found
        found = theirs.successor
    return None


def is_retired(model_id: int) -> bool:
    """Tell whether a model is gone; one query."""
    retired = Retirement.objects.filter(status=Retirement.Status.RETIRED)
    return retired.filter(registered_model=model_id).exists()
