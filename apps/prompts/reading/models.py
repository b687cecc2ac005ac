"""Who looked at a prompt, and who may beside auditors."""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import User
from apps.accounts.roles import MAY_BE_NAMED_READERS
from apps.common.ids import ordered_id


class Reading(models.Model):
    """Somebody opened a record. It stays when the record is gone, so it names it by its ids."""

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    record_id = models.UUIDField(db_index=True)
    call_id = models.UUIDField()
    team = models.CharField(max_length=63)
    model = models.CharField(max_length=63)
    reader = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    read_at = models.DateTimeField()

    class Meta:
        ordering = ("-read_at", "-id")

    def __str__(self) -> str:
        return f"reading of call {str(self.call_id)[:8]} of {self.team}"


class NamedReaderQuerySet(models.QuerySet["NamedReader"]):
    """Named readers, newest first."""

    def active(self, now: datetime) -> "NamedReaderQuerySet":
        """Return those who may read at this moment, as far as their naming goes."""
        return self.filter(active_from__lte=now, active_to__gt=now)


class NamedReader(models.Model):
    """A reviewer whom an auditor named, who may search and read until a moment."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reader = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    named_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    active_from = models.DateTimeField()
    active_to = models.DateTimeField()

    objects = NamedReaderQuerySet.as_manager()

    class Meta:
        ordering = ("-active_from", "-id")
        constraints = (
            models.CheckConstraint(
                condition=~Q(reader=F("named_by")), name="named_reader_not_by_oneself"
            ),
            models.CheckConstraint(
                condition=Q(active_to__gte=F("active_from")),
                name="named_reader_ends_after_it_began",
            ),
        )

    def __str__(self) -> str:
        return f"{self.reader} as a reader of prompts"

    @property
    def may_read(self) -> bool:
        """Tell whether the account still has a role that may be named. One query where its roles
        were not read.
        """
        return self.reader.is_active and self.reader.has_role(*MAY_BE_NAMED_READERS)
