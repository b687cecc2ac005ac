"""An emergency: who rolled a version forward without the approvals that its policy asks for, why,
and what somebody else found of it afterwards.

proposed_by repeats the promotion's requester, so that the database can refuse a person who would
roll their own proposal forward, or review it (see the migrations).
"""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.roles import SEES_EMERGENCIES


class EmergencyQuerySet(models.QuerySet["Emergency"]):
    """Emergencies, newest first."""

    def with_parts(self) -> "EmergencyQuerySet":
        """Return them with everything that their pages name."""
        return self.select_related(
            "promotion__model_version__registered_model",
            "promotion__model_version__created_by",
            "promotion__policy_revision",
            "promotion__registered_model__owner_team",
            "proposed_by",
            "requested_by",
            "decided_by",
        )

    def pending(self) -> "EmergencyQuerySet":
        """Return the emergencies that nobody has reviewed yet."""
        return self.filter(status=Emergency.Status.PENDING)

    def overdue(self, now: datetime) -> "EmergencyQuerySet":
        """Return those whose review should have been made by now."""
        return self.pending().filter(review_due_at__lte=now)

    def concerning(self, user: User) -> "EmergencyQuerySet":
        """Return the emergencies that a person is told about on every page: all of them for those
        who see all, else those of their team's models.
        """
        if user.has_role(*SEES_EMERGENCIES):
            return self
        return self.filter(promotion__registered_model__owner_team=user.team_id)


class Emergency(models.Model):
    """A promotion whose rollout a platform engineer began in a stated emergency.

    requested_by, requested_at: who rolled it forward, when. statement: the emergency, in their
    words. skipped: what the rollout did not wait for, one sentence each. evidence: what the page
    showed (as an Approval keeps it). decided_by, decided_at, decision_reason: the review.
    """

    class Status(models.TextChoices):
        """Reviewed once, by somebody who neither proposed it nor rolled it forward."""

        PENDING = "PENDING", "Waiting for its review"
        UPHELD = "UPHELD", "Justified"
        OBJECTED = "OBJECTED", "Not justified"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    promotion = models.OneToOneField(
        "promotions.Promotion", on_delete=models.PROTECT, related_name="emergency"
    )
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    statement = models.TextField()
    skipped = models.JSONField(default=list)
    evidence = models.JSONField(default=dict)
    review_due_at = models.DateTimeField()
    overdue_told_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True, default="")

    objects = EmergencyQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at",)
        constraints = (
            models.CheckConstraint(
                condition=~Q(requested_by=F("proposed_by")), name="emergency_not_by_requester"
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True)
                | (~Q(decided_by=F("requested_by")) & ~Q(decided_by=F("proposed_by"))),
                name="emergency_not_reviewed_by_those_in_it",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", decided_at__isnull=True, decided_by__isnull=True)
                | (~Q(status="PENDING") & Q(decided_at__isnull=False, decided_by__isnull=False)),
                name="emergency_reviewed_by_when_reviewed",
            ),
            models.CheckConstraint(
                condition=~Q(statement="") & ~Q(skipped=[]), name="emergency_is_stated"
            ),
        )

    def __str__(self) -> str:
        return f"emergency of {self.promotion.model_version}"

    def get_absolute_url(self) -> str:
        """Return its page."""
        return reverse("promotions:emergency_detail", args=[self.pk])

    @property
    def words(self) -> str:
        """Return what was done, in one sentence without its end: it claims of nothing that it was
        missing, for an emergency may have had its approvals. Needs its people and version loaded.
        """
        version = self.promotion.model_version.name
        return f"{self.requested_by} rolled {version} forward in an emergency"

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether its review should have been made by now."""
        return self.status == self.Status.PENDING and self.review_due_at <= now
