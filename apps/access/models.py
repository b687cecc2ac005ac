"""Who may call which model: requests that an owner decides, and the grants they become.

Approved grants are the desired state; apps/gateway compiles them into policy. A grant is active
over [active_from, active_to), cut short by revoked_at.
"""

import uuid
from datetime import date, datetime

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Least
from django.urls import reverse

# Django finds an app's models through this module only
from apps.access.budgets import models as budget_models  # noqa: F401
from apps.access.holds import models as hold_models  # noqa: F401
from apps.access.recertification import models as recertification_models  # noqa: F401
from apps.accounts.models import Team, User
from apps.accounts.roles import ASKS_FOR_MODELS, OWNS_MODELS, SEES_EVERY_TEAM
from apps.catalog.models import DataClass, RegisteredModel
from apps.common import decisions
from apps.common.periods import last_day

MOST_CALLS_AT_ONCE = 10_000


class ServiceClass(models.TextChoices):
    """How long a team's calls of a model may wait. The gate tells it to the gateway, by whose rule
    for batch calls an engine that schedules by priority takes interactive ones first.
    """

    INTERACTIVE = "INTERACTIVE", "Interactive"
    BATCH = "BATCH", "Batch"


class Terms(models.Model):
    """How a team may call a model. calls_at_once: how many of its calls may be under way; None for
    any number.
    """

    tokens_per_minute = models.PositiveIntegerField()
    service_class = models.CharField(
        max_length=11, choices=ServiceClass.choices, default=ServiceClass.INTERACTIVE
    )
    calls_at_once = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        abstract = True
        constraints = (
            models.CheckConstraint(
                condition=Q(calls_at_once__isnull=True)
                | Q(calls_at_once__gte=1, calls_at_once__lte=MOST_CALLS_AT_ONCE),
                name="%(class)s_has_room_for_a_call",
            ),
        )


def _is_visible_to(user: User) -> Q:
    """Return the condition under which a person sees a request or grant: their team's, one of a
    model that their team owns, or any for those who oversee.
    """
    if user.has_role(*SEES_EVERY_TEAM):
        return Q()
    if user.team_id is None or not user.roles:
        return Q(pk__in=())
    return Q(team=user.team_id) | Q(registered_model__owner_team=user.team_id)


class AccessRequestQuerySet(models.QuerySet["AccessRequest"]):
    """Requests, newest first."""

    def pending(self) -> "AccessRequestQuerySet":
        """Return the requests that wait for the owner."""
        return self.filter(status=AccessRequest.Status.PENDING)

    def to_decide(self, user: User) -> models.QuerySet["AccessRequest"]:
        """Return the requests that wait for this person: those for models that they own."""
        theirs = self.pending().filter(registered_model__owner_team=user.team_id)
        return decisions.waiting_for(theirs, user, is_decider=user.has_role(*OWNS_MODELS))

    def visible_to(self, user: User) -> "AccessRequestQuerySet":
        """Return the requests of the person's team, of models the team owns, or all for those who
        oversee.
        """
        return self.filter(_is_visible_to(user))


class AccessRequest(Terms):
    """A team asks for a model: purpose, data class, terms, monthly budget."""

    class Status(models.TextChoices):
        """Decided once, by the model's owner."""

        PENDING = "PENDING", "Waiting for the owner"
        APPROVED = "APPROVED", "Approved"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="access_requests"
    )
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="access_requests")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="access_requests")
    requested_at = models.DateTimeField()
    purpose = models.TextField()
    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    monthly_budget_usd = models.DecimalField(max_digits=12, decimal_places=2)
    expires_date = models.DateField()  # the grant's last day: it ends at the end of it
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True, default="")
    # the grant that an approval replaces
    renews = models.ForeignKey(
        "Grant", null=True, blank=True, on_delete=models.PROTECT, related_name="renewals"
    )
    # What was seen when somebody asked, which stays as it was. expected: the work and what it comes
    # to (work.Estimate); use: what the grant to be renewed was used for (work.Use). None: not told.
    expected = models.JSONField(null=True, blank=True)
    use = models.JSONField(null=True, blank=True)
    # the same two, {"expected":, "use":}, as they lay before whoever decided
    decision_seen = models.JSONField(null=True, blank=True)

    objects = AccessRequestQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at",)
        indexes = (models.Index(fields=("-requested_at",), name="access_request_newest"),)
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model", "team"),
                condition=Q(status="PENDING"),
                name="access_request_one_pending_per_team_and_model",
            ),
            *decisions.two_people("access_request"),
            *Terms.Meta.constraints,
        )

    def __str__(self) -> str:
        return f"{self.team} → {self.registered_model}"

    def get_absolute_url(self) -> str:
        """Return the request's page."""
        return reverse("access:request_detail", args=[self.pk])


class GrantQuerySet(models.QuerySet["Grant"]):
    """Grants over time."""

    def active(self, at: datetime) -> "GrantQuerySet":
        """Return the grants in force at this moment."""
        return self.filter(active_from__lte=at, active_to__gt=at, revoked_at__isnull=True)

    def in_force(self, at: datetime) -> "GrantQuerySet":
        """Return the grants that were in force at a moment, those that somebody ended since among
        them.
        """
        not_ended = Q(revoked_at__isnull=True) | Q(revoked_at__gt=at)
        return self.filter(not_ended, active_from__lte=at, active_to__gt=at)

    def renewable_by(self, user: User) -> "GrantQuerySet":
        """Return the grants that this person may ask to renew: their own team's, unless somebody
        ended them.
        """
        if user.team_id is None or not user.has_role(*ASKS_FOR_MODELS):
            return self.none()
        return self.filter(team=user.team_id, revoked_at__isnull=True)

    def visible_to(self, user: User) -> "GrantQuerySet":
        """Return the grants of the person's team, of models the team owns, or all for those who
        oversee.
        """
        return self.filter(_is_visible_to(user))


class Grant(Terms):
    """A team may call a model: on these terms, until it expires. What it may spend says its budget
    (budgets/models.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.OneToOneField(AccessRequest, on_delete=models.PROTECT, related_name="grant")
    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="grants"
    )
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="grants")
    active_from = models.DateTimeField()
    active_to = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    revoke_reason = models.TextField(blank=True, default="")

    objects = GrantQuerySet.as_manager()

    class Meta:
        ordering = ("-active_from",)
        indexes = (
            models.Index(fields=("-active_from",), name="grant_newest"),
            models.Index(
                fields=("revoked_at",), name="grant_by_end", condition=Q(revoked_at__isnull=False)
            ),
        )
        constraints = (
            ExclusionConstraint(
                name="grant_one_active_per_team_and_model",
                expressions=(
                    ("registered_model", RangeOperators.EQUAL),
                    ("team", RangeOperators.EQUAL),
                    (
                        Func(
                            "active_from",
                            Least("active_to", "revoked_at"),
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ),
            ),
            models.CheckConstraint(
                condition=Q(active_to__gt=F("active_from")), name="grant_ends_after_it_begins"
            ),
            *Terms.Meta.constraints,
        )

    def __str__(self) -> str:
        return f"{self.team} → {self.registered_model}"

    @property
    def last_day(self) -> date:
        """Return the day that the grant ends on, at the end of it; a revoked one ended before."""
        return last_day(self.active_to)

    @property
    def ended_at(self) -> datetime:
        """Return when it ends, or ended: early where somebody ended it."""
        return min(self.active_to, self.revoked_at or self.active_to)

    def is_active(self, at: datetime) -> bool:
        """Tell whether the grant is in force at a moment."""
        return self.active_from <= at < self.active_to and self.revoked_at is None
