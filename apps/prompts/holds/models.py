"""Legal holds as rows. One auditor places one; lifting it takes two people.

While a hold stands, no record that it covers is removed and no key under such a record destroyed: a
trigger asks the database's function prompt_is_held, whoever tries.
"""

import uuid

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.asked import AskedInItsOwnWords
from apps.accounts.models import User
from apps.accounts.roles import DECIDES_PROMPTS, OVERSEES_PROMPTS
from apps.common import decisions


class Scope(models.TextChoices):
    """What a hold covers."""

    MEMBER = "MEMBER", "A member"
    CASE = "CASE", "A case"
    TEAM = "TEAM", "A team"
    CALL = "CALL", "One call"


class LegalHoldQuerySet(models.QuerySet["LegalHold"]):
    """Holds, newest first."""

    def standing(self) -> "LegalHoldQuerySet":
        """Return the holds that stand."""
        return self.filter(lifted_at=None)

    def visible_to(self, user: User) -> "LegalHoldQuerySet":
        """Return the holds a person may see: all, for those who ask, decide or oversee."""
        return self if user.has_role(*OVERSEES_PROMPTS) else self.none()


class LegalHold(models.Model):
    """What must be kept. value: a member's or a case's token, a team's slug, a call's id. secret:
    which secret made the token.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scope = models.CharField(max_length=8, choices=Scope.choices)
    value = models.CharField(max_length=64)
    secret = models.CharField(max_length=16, blank=True, default="")
    matter = models.CharField(max_length=80)
    placed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    placed_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)

    objects = LegalHoldQuerySet.as_manager()

    class Meta:
        ordering = ("-placed_at", "-id")
        indexes = (
            models.Index(
                fields=("scope", "value"), condition=Q(lifted_at=None), name="legal_hold_standing"
            ),
        )

    def __str__(self) -> str:
        return f"legal hold {str(self.pk)[:8]} on {self.covers}"

    def get_absolute_url(self) -> str:
        """Return the hold's page."""
        return reverse("prompts:hold_detail", args=[self.pk])

    @property
    def covers(self) -> str:
        """Return what it covers, in words that name no member."""
        if self.scope == Scope.TEAM:
            return f"team {self.value}"
        return f"{self.scope} {self.value[:8]}".lower()


class HoldReleaseQuerySet(models.QuerySet["HoldRelease"]):
    """Requests to lift holds, newest first."""

    def pending(self) -> "HoldReleaseQuerySet":
        """Return the requests that wait for a decision."""
        return self.filter(status=HoldRelease.Status.PENDING)

    def visible_to(self, user: User) -> "HoldReleaseQuerySet":
        """Return the requests a person may see: all, for those who ask, decide or oversee."""
        return self if user.has_role(*OVERSEES_PROMPTS) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["HoldRelease"]:
        """Return the requests that wait for this person."""
        is_decider = user.has_role(*DECIDES_PROMPTS)
        found = decisions.waiting_for(self.pending(), user, is_decider=is_decider)
        return found.select_related("requested_by", "hold")


class HoldRelease(AskedInItsOwnWords):
    """One person asks that a hold be lifted, another lifts it or not."""

    class Status(models.TextChoices):
        """Decided once, by somebody who did not ask for it."""

        PENDING = "PENDING", "Waiting for a decision"
        APPROVED = "APPROVED", "Lifted"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    hold = models.ForeignKey(LegalHold, on_delete=models.PROTECT, related_name="releases")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)

    objects = HoldReleaseQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("hold",),
                condition=Q(status="PENDING"),
                name="hold_release_one_pending_per_hold",
            ),
            *decisions.two_people("hold_release"),
        )

    def __str__(self) -> str:
        return f"lifting of {self.hold}"

    def get_absolute_url(self) -> str:
        """Return the page of its hold."""
        return reverse("prompts:hold_release_detail", args=[self.pk])
