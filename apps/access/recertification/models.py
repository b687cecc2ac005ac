"""Grants that are looked at again while they last: an owner of the model keeps each, or ends it.

A grant is due a period after it began, or after somebody kept it last (a renewal begins a new one).
Keeping it is a row here, which never changes; ending it is the grant's own end.
"""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import DateTimeField, ExpressionWrapper, F, Max, Q, Value
from django.db.models.functions import Coalesce

from apps.accounts.models import User

if TYPE_CHECKING:
    from apps.access.models import GrantQuerySet

AHEAD = timedelta(days=14)  # a grant may be kept so long before it is due


class Recertification(models.Model):
    """An owner looked at a grant and kept it.

    requested_by: who asked for the grant, so that the database can tell that another person keeps
    it. due_at: when it was to be looked at. use: what lay before whoever kept it (work.Use).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    grant = models.ForeignKey(
        "access.Grant", on_delete=models.PROTECT, related_name="recertifications"
    )
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()
    due_at = models.DateTimeField()
    reason = models.TextField()
    use = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ("-decided_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("grant", "due_at"), name="recertification_once_each_time"
            ),
            models.CheckConstraint(
                condition=~Q(decided_by=F("requested_by")),
                name="recertification_not_by_requester",
            ),
        )

    def __str__(self) -> str:
        return f"recertification of {self.grant}"


def with_due(grants: "GrantQuerySet", period: timedelta) -> "models.QuerySet[Any]":
    """Return grants with when each is to be looked at again (`due_at`), and when somebody kept it
    last (`kept_at`, None: nobody did), what is due first on top.

    A grant that ends before is never due: its renewal is the look.
    """
    last = Max("recertifications__decided_at")
    due = ExpressionWrapper(
        Coalesce(last, F("active_from")) + Value(period), output_field=DateTimeField()
    )
    found = grants.annotate(kept_at=last, due_at=due).filter(due_at__lt=F("active_to"))
    return found.order_by("due_at", "pk")


def to_look_at(grants: "GrantQuerySet", period: timedelta, at: datetime) -> "models.QuerySet[Any]":
    """Return the grants in force that are due at a moment, or within AHEAD of it."""
    return with_due(grants.active(at), period).filter(due_at__lte=at + AHEAD)
