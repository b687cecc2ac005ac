"""Requests for erasure as rows: what one person asks for a member or a case, and another decides.

The member's name is nowhere: only its token, which says nothing without the deployment's secret.
"""

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.asked import AskedInItsOwnWords
from apps.accounts.models import User
from apps.accounts.roles import DECIDES_PROMPTS, OVERSEES_PROMPTS
from apps.common import decisions
from apps.prompts.subjects import SubjectKind


class ErasureRequestQuerySet(models.QuerySet["ErasureRequest"]):
    """Requests, newest first."""

    def pending(self) -> "ErasureRequestQuerySet":
        """Return the requests that wait for a decision."""
        return self.filter(status=ErasureRequest.Status.PENDING)

    def visible_to(self, user: User) -> "ErasureRequestQuerySet":
        """Return the requests a person may see: all, for those who ask, decide or oversee."""
        return self if user.has_role(*OVERSEES_PROMPTS) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["ErasureRequest"]:
        """Return the requests that wait for this person."""
        is_decider = user.has_role(*DECIDES_PROMPTS)
        found = decisions.waiting_for(self.pending(), user, is_decider=is_decider)
        return found.select_related("requested_by")


class ErasureRequest(AskedInItsOwnWords):
    """Everything of one member or case is to be unreadable. receipt: what was done, as canonical
    JSON has it; receipt_digest: over it, which the audit event names. Both empty until it is done.
    """

    class Status(models.TextChoices):
        """Decided once, by somebody who did not ask for it."""

        PENDING = "PENDING", "Waiting for a decision"
        APPROVED = "APPROVED", "Erased"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    kind = models.CharField(max_length=8, choices=SubjectKind.choices)
    token = models.CharField(max_length=64)
    secret = models.CharField(max_length=16)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    receipt = models.JSONField(null=True, blank=True)
    receipt_digest = models.CharField(max_length=71, blank=True, default="")

    objects = ErasureRequestQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "token"),
                condition=Q(status="PENDING"),
                name="erasure_one_pending_per_subject",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=("MEMBER", "CASE")), name="erasure_of_a_member_or_case"
            ),
            models.CheckConstraint(
                condition=Q(status="APPROVED", receipt__isnull=False) & ~Q(receipt_digest="")
                | ~Q(status="APPROVED") & Q(receipt=None, receipt_digest=""),
                name="erasure_done_has_a_receipt",
            ),
            *decisions.two_people("erasure"),
        )

    def __str__(self) -> str:
        return f"erasure of {self.get_kind_display().lower()} {self.token[:8]}"

    def get_absolute_url(self) -> str:
        """Return the request's page."""
        return reverse("prompts:erasure_detail", args=[self.pk])
