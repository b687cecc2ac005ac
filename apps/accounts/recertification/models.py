"""Roles that are looked at again while people have them: somebody who oversees keeps each, or takes
it away. Nobody looks at their own.

A role comes from the identity provider's groups, at each sign-in. One that was taken away is
withheld from then on, whatever the groups say, until another look keeps it.
"""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Role, User
from apps.common import decisions
from apps.common.ids import ordered_id

AHEAD = timedelta(days=14)  # a look is asked for so long before it is due


class RoleReviewQuerySet(models.QuerySet["RoleReview"]):
    """Looks at roles, newest first."""

    def pending(self) -> "RoleReviewQuerySet":
        """Return those that wait for somebody to look."""
        return self.filter(status=RoleReview.Status.PENDING)

    def to_decide(self, user: User, *, is_decider: bool) -> models.QuerySet["RoleReview"]:
        """Return those that wait for this person, never those of their own roles."""
        found = decisions.waiting_for(self.pending(), user, is_decider=is_decider)
        return found.select_related("requested_by").order_by("due_at", "pk")

    def overdue(self, at: datetime) -> "RoleReviewQuerySet":
        """Return those that somebody should have looked at by a moment."""
        return self.pending().filter(due_at__lte=at)

    def due_after(self, at: datetime) -> "RoleReviewQuerySet":
        """Return those that wait, and for which there is time still at a moment."""
        return self.pending().filter(due_at__gt=at)


class RoleReview(models.Model):
    """One look at one role of one person.

    requested_by: whose role it is, so that the database can tell that another person looks. due_at:
    when it is to be looked at. LAPSED: the person lost the role before anybody looked.
    """

    class Status(models.TextChoices):
        """What became of it."""

        PENDING = "PENDING", "To be looked at"
        KEPT = "KEPT", "Kept"
        TAKEN = "TAKEN", "Taken away"
        LAPSED = "LAPSED", "No longer needed"

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="role_reviews")
    role = models.CharField(max_length=32, choices=Role.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True, default="")

    objects = RoleReviewQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("requested_by", "role"),
                condition=Q(status="PENDING"),
                name="role_review_one_pending_per_role",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", decided_at=None, decided_by=None)
                | Q(status="LAPSED", decided_at__isnull=False, decided_by=None)
                | Q(
                    status__in=("KEPT", "TAKEN"),
                    decided_at__isnull=False,
                    decided_by__isnull=False,
                ),
                name="role_review_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("requested_by")),
                name="role_review_not_decided_by_holder",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_role_display()} of {self.requested_by}"


def withheld_from(user: User) -> frozenset[str]:
    """Return the roles that somebody took away from a person, and nobody kept since. One query."""
    looked = (RoleReview.Status.KEPT, RoleReview.Status.TAKEN)
    rows = RoleReview.objects.filter(requested_by=user, status__in=looked).order_by("decided_at")
    last = dict(rows.values_list("role", "status"))
    return frozenset(role for role, status in last.items() if status == RoleReview.Status.TAKEN)
