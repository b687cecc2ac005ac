"""What callers of a model may count on, as data that people set with a reason, every revision kept;
and how each objective stands, worked out anew every minute from what callers met.

An objective is a share of calls over a window. Who changes it changes what the past is held against
too: the figures are always those of the objective as it is now.
"""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog.models import RegisteredModel
from apps.common.periods import hour_of, month_bounds, month_of
from apps.metering.met.models import BOUNDS
from apps.slo.burn import Health, Kind

LEAST, MOST = Decimal(50), Decimal("99.999")  # percent
SHORTEST, LONGEST = 1, 90  # days of a rolling window
DEFAULT_DAYS = 28


class Window(models.TextChoices):
    """Over which time an objective is to hold."""

    ROLLING = "ROLLING", "Rolling days"
    MONTH = "MONTH", "Calendar month"


class TermsOf(models.Model):
    """What is promised. target_percent: of the calls. threshold_ms: within which time; NULL for
    availability. window_days: NULL for a calendar month. holds_rollouts: while its budget burns
    fast, no rollout of the model begins or goes forward.
    """

    target_percent = models.DecimalField(max_digits=6, decimal_places=3)
    threshold_ms = models.PositiveIntegerField(null=True, blank=True)
    window_days = models.PositiveSmallIntegerField(null=True, blank=True)
    holds_rollouts = models.BooleanField(default=False)

    class Meta:
        abstract = True

    @property
    def target(self) -> Decimal:
        """Return the promised share, above 0 and below 1."""
        return self.target_percent / 100


class ObjectiveQuerySet(models.QuerySet["Objective"]):
    """Objectives, by model."""

    def active(self) -> "ObjectiveQuerySet":
        """Return those that are in force."""
        return self.filter(ended_at=None)

    def visible_to(self, user: User) -> "ObjectiveQuerySet":
        """Return the objectives a person may see: everybody with a role sees what models promise
        and whether they keep it.
        """
        return self if user.roles else self.none()

    def with_parts(self) -> "ObjectiveQuerySet":
        """Fetch the model and the standing with them."""
        return self.select_related("registered_model__owner_team", "standing")


class Objective(TermsOf):
    """One promise to the callers of a model. revision: how often it was set, from 1."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="objectives"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    window = models.CharField(max_length=8, choices=Window.choices)
    revision = models.PositiveIntegerField(default=1)
    set_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = ObjectiveQuerySet.as_manager()

    class Meta:
        ordering = ("registered_model__name", "kind", "window")
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model", "kind", "window"),
                condition=Q(ended_at=None),
                name="objective_one_of_a_kind_and_window",
            ),
            models.CheckConstraint(
                condition=Q(target_percent__gte=LEAST, target_percent__lte=MOST),
                name="objective_leaves_a_budget",
            ),
            models.CheckConstraint(
                condition=Q(kind="AVAILABILITY", threshold_ms__isnull=True)
                | (
                    ~Q(kind="AVAILABILITY") & Q(threshold_ms__isnull=False, threshold_ms__in=BOUNDS)
                ),
                name="objective_of_time_has_threshold",
            ),
            models.CheckConstraint(
                condition=Q(window="MONTH", window_days__isnull=True)
                | Q(
                    window="ROLLING",
                    window_days__isnull=False,
                    window_days__gte=SHORTEST,
                    window_days__lte=LONGEST,
                ),
                name="objective_rolls_over_days",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("set_at")),
                name="objective_ends_after_it_was_set",
            ),
        )

    def __str__(self) -> str:
        return f"{self.registered_model} {self.get_kind_display().lower()}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("slo:objective_detail", args=[self.pk])

    def begins(self, now: datetime) -> datetime:
        """Return when the window that ends now begins: a whole hour."""
        if self.window_days is None:
            return month_bounds(month_of(now))[0]
        return hour_of(now) - timedelta(days=self.window_days)


class ObjectiveRevision(TermsOf):
    """What an objective said from a moment on, who set it and why. Immutable. is_end: it was taken
    back, and the terms are those it had.
    """

    objective = models.ForeignKey(Objective, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    is_end = models.BooleanField(default=False)
    reason = models.TextField()
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=("objective", "number"), name="objective_revision_once"),
            models.CheckConstraint(condition=~Q(reason=""), name="objective_revision_has_reason"),
        )

    def __str__(self) -> str:
        return f"revision {self.number} of {self.objective}"


class Standing(models.Model):
    """How an objective stands at a moment: the calls of its window, and its burn rates.

    budget_left: 1 is whole, 0 spent, below 0 overspent. burn_*: times too fast. All NULL where no
    call was measured, which is not 0. windows: key → [good, bad, unknown]. health_since: since when
    it stands so.
    """

    objective = models.OneToOneField(
        Objective, primary_key=True, on_delete=models.CASCADE, related_name="standing"
    )
    since = models.DateTimeField()
    until = models.DateTimeField()
    good = models.PositiveBigIntegerField()
    bad = models.PositiveBigIntegerField()
    unknown = models.PositiveBigIntegerField()
    budget_left = models.FloatField(null=True, blank=True)
    burn_1h = models.FloatField(null=True, blank=True)
    burn_6h = models.FloatField(null=True, blank=True)
    burn_3d = models.FloatField(null=True, blank=True)
    windows = models.JSONField(default=dict)
    health = models.CharField(max_length=8, choices=Health.choices)
    health_since = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("health",), name="standing_by_health"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(until__gt=F("since")), name="standing_ends_after_it_begins"
            ),
            models.CheckConstraint(
                condition=~Q(good=0, bad=0) | Q(budget_left=None),
                name="standing_of_nothing_is_unknown",
            ),
        )

    def __str__(self) -> str:
        return f"standing of {self.objective_id}"
