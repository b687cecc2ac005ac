"""How much may be spent: budgets, the changes that somebody asks for and another person decides,
and boosts for a while. What the gateway holds against them stands in apps/access/holds.

A budget is of a cost center, of a team, or of a team and a model; calendar months in its own zone
begin with nothing spent. A budget that changes is a new row of the same series, so what was in
force when, and who set it, stays readable. What was spent stands in no row here: chargeback adds it
up from the ledger (apps/chargeback/budgets).
"""

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce, Floor
from django.urls import reverse

from apps.accounts.asked import Asked, AskedQuerySet
from apps.accounts.models import CostCenter, Role, Team, User
from apps.accounts.roles import (
    ASKS_FOR_MODELS,
    SEES_ALL_MONEY,
    SETS_COST_CENTER_BUDGETS,
    SETS_TEAM_BUDGETS,
    USES_MODELS,
)
from apps.catalog.models import RegisteredModel
from apps.common import decisions
from apps.common.counts import counted
from apps.common.money import usd
from apps.common.periods import day_words
from apps.common.zones import ZONES, day_in

MOST_DIGITS, MOST_PLACES = 20, 2


class Unit(models.TextChoices):
    """What a budget counts. Money is counted by the price list."""

    USD = "USD", "US dollars, by the price list"
    TOKENS = "TOKENS", "Tokens, in and out"


class Mode(models.TextChoices):
    """What happens when a budget is spent, the loosest first."""

    WARN = "WARN", "Warn only"
    SOFT = "SOFT", "Warn, and ask for a boost"
    HARD = "HARD", "Refuse calls"


def in_unit(amount: Decimal, unit: str) -> str:
    """Return an amount in words: "$1,200.00", "5,000,000 tokens"."""
    if unit == Unit.USD:
        return usd(amount)
    return counted(round(amount), "token").replace("-", "−")


def scope_words(cost_center: str, team: str, model: str) -> str:
    """Return what a budget is for: "cost center CC-1", "claims-review", "claims-review for
    summary". "" for any.
    """
    if cost_center:
        return f"cost center {cost_center}"
    return f"{team} for {model}" if model else team


def decider_words(*, of_cost_center: bool, owner_team: str) -> str:
    """Return who sets a budget and decides about it, without an article. owner_team: of the model
    that it is for, "" where it is for all.
    """
    if of_cost_center:
        return "finance person or platform engineer"
    return f"model owner of {owner_team} or finance person" if owner_team else "finance person"


STRICTNESS = (Mode.WARN, Mode.SOFT, Mode.HARD)


def _whole_tokens(amount: str) -> Q:
    """Return the condition that an amount of tokens is a whole number."""
    return ~Q(unit="TOKENS") | Q(**{amount: Floor(amount)})


class BudgetQuerySet(models.QuerySet["Budget"]):
    """Budgets over time."""

    def active(self, at: datetime) -> "BudgetQuerySet":
        """Return the budgets in force at a moment."""
        return self.filter(active_from__lte=at).filter(
            Q(active_to__isnull=True) | Q(active_to__gt=at)
        )

    def visible_to(self, user: User) -> "BudgetQuerySet":
        """Return every budget for those who see all money; else those of the person's team, and of
        the models that their team owns, where they use models.
        """
        if user.has_role(*SEES_ALL_MONEY):
            return self
        if user.team_id is None or not user.has_role(*USES_MODELS):
            return self.none()
        return self.filter(Q(team=user.team_id) | Q(registered_model__owner_team=user.team_id))

    def of_call(self, *, cost_center: str, team: str, model: str) -> "BudgetQuerySet":
        """Return the budgets that a call counts against, by the names that its token and its
        request tell: every one of them must pass.
        """
        of_team = Q(team__slug=team) & (
            Q(registered_model__isnull=True) | Q(registered_model__name=model)
        )
        return self.filter(Q(cost_center__code=cost_center) | of_team)

    def named(self) -> "BudgetQuerySet":
        """Return them with the names of what they are for, in the same query."""
        return self.select_related(
            "cost_center", "team", "registered_model__owner_team", "set_by", "ended_by"
        )


class Budget(models.Model):
    """So much a month for a scope, over [active_from, active_to). One at a time for each scope and
    unit (exclusion constraint). A row never changes; it ends.

    thresholds: per cent of the month's limit, ascending, at which people are told.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    series = models.UUIDField(default=uuid.uuid4, editable=False)  # the same for all its changes
    cost_center = models.ForeignKey(
        CostCenter, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets"
    )
    team = models.ForeignKey(
        Team, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets"
    )
    registered_model = models.ForeignKey(
        RegisteredModel, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets"
    )
    unit = models.CharField(max_length=6, choices=Unit.choices)
    amount = models.DecimalField(max_digits=MOST_DIGITS, decimal_places=MOST_PLACES)
    zone = models.CharField(max_length=32, choices=list(ZONES.items()))
    mode = models.CharField(max_length=4, choices=Mode.choices)
    thresholds = ArrayField(models.PositiveSmallIntegerField())
    active_from = models.DateTimeField()
    active_to = models.DateTimeField(null=True, blank=True)
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    # what allowed more than there was before: a decided change, or a decided request for access
    change = models.OneToOneField(
        "BudgetChange", null=True, blank=True, on_delete=models.PROTECT, related_name="made"
    )
    grant = models.ForeignKey(
        "access.Grant", null=True, blank=True, on_delete=models.PROTECT, related_name="budgets"
    )
    ended_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    end_reason = models.TextField(blank=True, default="")

    objects = BudgetQuerySet.as_manager()

    class Meta:
        ordering = ("-active_from", "-id")
        indexes = (
            models.Index(fields=("series", "-active_from"), name="budget_by_series"),
            models.Index(fields=("-active_from", "-id"), name="budget_newest"),
            models.Index(
                fields=("active_to",), name="budget_by_end", condition=Q(active_to__isnull=False)
            ),
        )
        constraints = (
            ExclusionConstraint(
                name="budget_one_per_scope_and_unit_at_a_time",
                expressions=(
                    (Coalesce("cost_center", Value(0)), RangeOperators.EQUAL),
                    (Coalesce("team", Value(0)), RangeOperators.EQUAL),
                    (Coalesce("registered_model", Value(0)), RangeOperators.EQUAL),
                    ("unit", RangeOperators.EQUAL),
                    (
                        Func(
                            "active_from",
                            "active_to",
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ),
            ),
            models.CheckConstraint(
                condition=Q(cost_center__isnull=False, team=None, registered_model=None)
                | Q(cost_center=None, team__isnull=False),
                name="budget_of_a_cost_center_or_a_team",
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="budget_is_more_than_nothing"),
            models.CheckConstraint(
                condition=_whole_tokens("amount"), name="budget_of_whole_tokens"
            ),
            models.CheckConstraint(
                condition=Q(active_to__isnull=True) | Q(active_to__gte=F("active_from")),
                name="budget_ends_not_before_it_begins",
            ),
        )

    def __str__(self) -> str:
        return f"budget of {self.scope}"

    def get_absolute_url(self) -> str:
        """Return the page of the budget, which is the same for all its changes."""
        return reverse("chargeback:budget_detail", args=[self.series])

    @property
    def scope(self) -> str:
        """Return what it is for, as scope_words does."""
        return scope_words(
            str(self.cost_center or ""), str(self.team or ""), str(self.registered_model or "")
        )

    def is_active(self, at: datetime) -> bool:
        """Tell whether it is in force at a moment."""
        return self.active_from <= at and (self.active_to is None or at < self.active_to)

    def decider(self) -> str:
        """Return who sets it and decides about it, without an article."""
        owner = str(self.registered_model.owner_team) if self.registered_model else ""
        return decider_words(of_cost_center=self.cost_center_id is not None, owner_team=owner)

    def is_set_by(self, user: User) -> bool:
        """Tell whether this person sets it and decides about it."""
        if self.cost_center_id:
            return user.has_role(*SETS_COST_CENTER_BUDGETS)
        owns = self.registered_model is not None and self.registered_model.is_owned_by(user)
        return owns or user.has_role(*SETS_TEAM_BUDGETS)


class AskedOfBudget(Asked):
    """A change or a boost of a budget. budget: as it was when somebody asked."""

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="%(class)ss")

    class Meta(Asked.Meta):
        abstract = True
        constraints = (
            models.UniqueConstraint(
                fields=("budget",),
                condition=Q(status="PENDING"),
                name="%(class)s_one_pending_per_budget",
            ),
            *decisions.two_people("%(class)s"),
        )


class AskedOfBudgetQuerySet(AskedQuerySet[Any]):
    """Changes or boosts, newest first."""

    def visible_to(self, user: User) -> "AskedOfBudgetQuerySet":
        """Return those of the budgets that the person sees."""
        return self.filter(budget__in=Budget.objects.visible_to(user))

    def to_decide(self, user: User) -> models.QuerySet[Any]:
        """Return those that wait for this person, never their own."""
        theirs = Q(pk__in=())
        if user.has_role(*SETS_COST_CENTER_BUDGETS):
            theirs |= Q(budget__cost_center__isnull=False)
        if user.has_role(*SETS_TEAM_BUDGETS):
            theirs |= Q(budget__team__isnull=False)
        if user.has_role(Role.MODEL_OWNER):
            theirs |= Q(budget__registered_model__owner_team=user.team_id)
        return decisions.waiting_for(self.pending().filter(theirs), user)

    def named(self) -> "AskedOfBudgetQuerySet":
        """Return them with the names of their budgets and people, in the same query."""
        return self.select_related(
            "budget__cost_center",
            "budget__team",
            "budget__registered_model__owner_team",
            "requested_by",
            "decided_by",
        )


class BudgetChange(AskedOfBudget):
    """Somebody asks for a budget with other terms, or, where `ends`, for none any more."""

    amount = models.DecimalField(max_digits=MOST_DIGITS, decimal_places=MOST_PLACES)
    zone = models.CharField(max_length=32, choices=list(ZONES.items()))
    mode = models.CharField(max_length=4, choices=Mode.choices)
    thresholds = ArrayField(models.PositiveSmallIntegerField())
    ends = models.BooleanField(default=False)

    objects = AskedOfBudgetQuerySet.as_manager()

    class Meta(AskedOfBudget.Meta):
        pass

    def __str__(self) -> str:
        return f"{'end' if self.ends else 'change'} of the {self.budget}"

    def get_absolute_url(self) -> str:
        """Return the request's page."""
        return reverse("chargeback:budget_change_detail", args=[self.pk])

    @property
    def asks(self) -> str:
        """Return what it asks for, in a few words."""
        if self.ends:
            return "No limit any more"
        if self.amount == self.budget.amount:
            return "Other terms"
        before, after = (in_unit(each.amount, self.budget.unit) for each in (self.budget, self))
        return f"{after} a month instead of {before}"


class BoostQuerySet(AskedOfBudgetQuerySet):
    """Boosts over time."""

    def named(self) -> "BoostQuerySet":
        """Return them with names as others, and with their end where somebody ended them."""
        return super().named().select_related("ending")  # type: ignore[return-value]

    def active(self, at: datetime) -> "BoostQuerySet":
        """Return the boosts in force at a moment."""
        approved = self.filter(status=Asked.Status.APPROVED)
        not_ended = Q(ending__isnull=True) | Q(ending__ended_at__gt=at)
        return approved.filter(not_ended, decided_at__lte=at, ends_at__gt=at)


class Boost(AskedOfBudget):
    """Adds an amount to a budget's months until `ends_at`, from when it is approved on."""

    amount = models.DecimalField(max_digits=MOST_DIGITS, decimal_places=MOST_PLACES)
    ends_at = models.DateTimeField()

    objects = BoostQuerySet.as_manager()

    class Meta(AskedOfBudget.Meta):
        constraints = (
            *AskedOfBudget.Meta.constraints,
            models.CheckConstraint(condition=Q(amount__gt=0), name="boost_is_more_than_nothing"),
            models.CheckConstraint(
                condition=~Q(status="APPROVED") | Q(decided_at__lt=F("ends_at")),
                name="boost_ends_after_it_begins",
            ),
        )

    def __str__(self) -> str:
        return f"boost of the {self.budget}"

    def get_absolute_url(self) -> str:
        """Return the boost's page."""
        return reverse("chargeback:boost_detail", args=[self.pk])

    @property
    def asks(self) -> str:
        """Return what it asks for, in a few words."""
        return f"{in_unit(self.amount, self.budget.unit)} until {day_words(self.last_day)}"

    @property
    def over_at(self) -> datetime:
        """Return when it ends: with its last day, or when somebody ended it before."""
        return self.ending.ended_at if hasattr(self, "ending") else self.ends_at

    @property
    def last_day(self) -> date:
        """Return its last day, in the budget's zone: it ends at the end of it."""
        return day_in(self.budget.zone, self.ends_at - timedelta(microseconds=1))


class BoostEnd(models.Model):
    """Somebody ended a boost before its last day. Immutable, as the boost is."""

    boost = models.OneToOneField(Boost, on_delete=models.PROTECT, related_name="ending")
    ended_at = models.DateTimeField()
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()

    class Meta:
        constraints = (
            models.CheckConstraint(condition=~Q(reason=""), name="boost_end_has_a_reason"),
        )

    def __str__(self) -> str:
        return f"end of the {self.boost}"


class BudgetAlertQuerySet(models.QuerySet["BudgetAlert"]):
    """Alerts, newest first."""

    def told_to(self, user: User) -> "BudgetAlertQuerySet":
        """Return those that are this person's to act on: of budgets that they set, or may ask about
        in the name of their team.
        """
        theirs = Q(pk__in=())
        if user.has_role(*SETS_COST_CENTER_BUDGETS):
            theirs |= Q(budget__cost_center__isnull=False)
        if user.has_role(*SETS_TEAM_BUDGETS):
            theirs |= Q(budget__team__isnull=False)
        if user.team_id and user.has_role(Role.MODEL_OWNER):
            theirs |= Q(budget__registered_model__owner_team=user.team_id)
        if user.team_id and user.has_role(*ASKS_FOR_MODELS):
            theirs |= Q(budget__team=user.team_id)
        return self.filter(theirs)


class BudgetAlert(models.Model):
    """A budget's month has reached a threshold: told once for each month, budget and threshold.

    spent, limit: in the budget's unit, when it was told. boost: what a boost would have to add for
    the month to last, as far as it could be told then.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="alerts")
    series = models.UUIDField()  # the budget's, so that a change of it tells nothing again
    month = models.DateField()  # its first day, in the budget's zone
    threshold = models.PositiveSmallIntegerField()  # per cent
    spent = models.DecimalField(max_digits=30, decimal_places=12)
    limit = models.DecimalField(max_digits=MOST_DIGITS, decimal_places=MOST_PLACES)
    boost = models.DecimalField(max_digits=MOST_DIGITS, decimal_places=MOST_PLACES)
    told_at = models.DateTimeField()

    objects = BudgetAlertQuerySet.as_manager()

    class Meta:
        ordering = ("-told_at", "-threshold")
        indexes = (models.Index(fields=("-told_at",), name="budget_alert_newest"),)
        constraints = (
            models.UniqueConstraint(
                fields=("series", "month", "threshold"),
                name="budget_alert_once_per_month_and_threshold",
            ),
        )

    def __str__(self) -> str:
        return f"{self.threshold} % of the {self.budget} in {self.month:%B %Y}"
