"""What usage costs: prices with effective dates, each asked for by one person and published by
another; and what the machines cost, shared out by the day.

A published change is the whole price list of its model from its hour on: one rate for each SKU that
has a price. What began at that hour or later is replaced by it, and stays as a row. A day's
allocation is computed whole from machines, replicas and usage, never changed in place; a trigger on
those tables marks the days that have to be computed again. So is a day's spend by the price list,
with its lines and those of its month: a trigger on the hourly sums marks its day, and so does a
published change of prices.
"""

import uuid
from datetime import datetime
from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q, Subquery
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.roles import PUBLISHES_PRICES, SEES_ALL_MONEY
from apps.catalog.models import RegisteredModel
from apps.chargeback.method import Basis, Kind
from apps.chargeback.rating import Prices
from apps.common import decisions
from apps.metering.skus import Sku


class PriceChangeQuerySet(models.QuerySet["PriceChange"]):
    """Changes of prices, newest first."""

    def pending(self) -> "PriceChangeQuerySet":
        """Return the changes that wait for a decision."""
        return self.filter(status=PriceChange.Status.PENDING)

    def visible_to(self, user: User) -> "PriceChangeQuerySet":
        """Return all changes for those who see all money; nothing for others, who see what is
        published.
        """
        return self if user.has_role(*SEES_ALL_MONEY) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["PriceChange"]:
        """Return the changes that wait for this person: for finance, those of others."""
        return decisions.waiting_for(
            self.pending(), user, is_decider=user.has_role(*PUBLISHES_PRICES)
        ).select_related("registered_model", "requested_by")

    def with_ends(self) -> "PriceChangeQuerySet":
        """Return the price lists that were published, each with `active_to`, when it ends, and
        `is_replaced`, whether another took its whole place.
        """
        rates = Rate.objects.filter(change=OuterRef("pk"))
        facts: dict[str, Any] = {
            "active_to": Subquery(rates.values("active_to")[:1]),
            "is_replaced": Exists(rates.filter(replaced_by__isnull=False)),
        }
        return self.filter(status__in=PriceChange.LISTED).annotate(**facts)

    def that_count(self) -> "PriceChangeQuerySet":
        """Return the price lists of `with_ends` that no other one replaced."""
        return self.filter(Q(is_replaced=False))


class PriceChange(models.Model):
    """A model's prices from a whole hour on, as one person proposes them. Another one publishes
    them, and then there are rates.

    prices: SKU → USD for one billing unit, decimal text. before: the prices in force at
    active_from, as they were when this was proposed; empty where there were none.
    """

    class Status(models.TextChoices):
        """Decided once, by somebody who did not propose it."""

        PENDING = "PENDING", "Waiting for a decision"
        PUBLISHED = "PUBLISHED", "Published"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"
        # set by one person, or by the sample, before prices took two
        SET = "SET", "Set by one person"

    LISTED = (Status.PUBLISHED, Status.SET)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="price_changes"
    )
    prices = models.JSONField()
    before = models.JSONField(default=dict)
    active_from = models.DateTimeField()
    justification = models.TextField()
    requested_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True, default="")

    # what PriceChangeQuerySet.with_ends adds
    active_to: datetime | None
    is_replaced: bool

    objects = PriceChangeQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        indexes = (
            models.Index(fields=("-requested_at", "-id"), name="price_change_newest"),
            models.Index(fields=("-active_from", "-id"), name="price_change_latest"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model",),
                condition=Q(status="PENDING"),
                name="price_change_one_pending_per_model",
            ),
            models.CheckConstraint(
                condition=Q(status="SET") | Q(requested_by__isnull=False),
                name="price_change_proposed_by_somebody",
            ),
            *decisions.two_people("price_change", decided=("PUBLISHED", "REJECTED")),
        )

    def __str__(self) -> str:
        return f"prices of {self.registered_model} from {self.active_from:%Y-%m-%d %H:%M} UTC"

    def get_absolute_url(self) -> str:
        """Return the change's page."""
        return reverse("chargeback:price_change_detail", args=[self.pk])

    @property
    def proposed(self) -> Prices:
        """Return the prices that it proposes."""
        return Prices.of(self.prices)

    @property
    def seen_before(self) -> Prices:
        """Return the prices that were in force when it was proposed."""
        return Prices.of(self.before)


class RateQuerySet(models.QuerySet["Rate"]):
    """Rates over time."""

    def current(self) -> "RateQuerySet":
        """Return the rates that count: no other took their place."""
        return self.filter(replaced_by__isnull=True)

    def at(self, moment: datetime) -> "RateQuerySet":
        """Return the rates in force at a moment."""
        ends = Q(active_to__isnull=True) | Q(active_to__gt=moment)
        return self.current().filter(ends, active_from__lte=moment)


class Rate(models.Model):
    """The price of one SKU of a model over [active_from, active_to): USD for one billing unit of
    the SKU (metering/skus.py), with ten decimals. No two at once (exclusion constraint).

    replaced_by: the change that took its whole place; such a rate never counts any more.
    """

    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="rates"
    )
    sku = models.CharField(max_length=16, choices=Sku.choices)
    unit_price_usd = models.DecimalField(max_digits=20, decimal_places=10)
    currency = models.CharField(max_length=3, default="USD")
    active_from = models.DateTimeField()
    active_to = models.DateTimeField(null=True, blank=True)
    change = models.ForeignKey(PriceChange, on_delete=models.PROTECT, related_name="rates")
    replaced_by = models.ForeignKey(
        PriceChange, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = RateQuerySet.as_manager()

    class Meta:
        ordering = ("-active_from", "id")
        constraints = (
            ExclusionConstraint(
                name="rate_one_per_model_and_sku_at_a_time",
                expressions=(
                    ("registered_model", RangeOperators.EQUAL),
                    ("sku", RangeOperators.EQUAL),
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
                condition=Q(replaced_by__isnull=True),
            ),
            models.UniqueConstraint(fields=("change", "sku"), name="rate_once_per_change_and_sku"),
            models.CheckConstraint(
                condition=Q(active_to__isnull=True) | Q(active_to__gt=F("active_from")),
                name="rate_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(unit_price_usd__gte=0), name="rate_is_not_below_zero"
            ),
        )

    def __str__(self) -> str:
        return (
            f"{self.get_sku_display()} of {self.registered_model} from {self.active_from:%Y-%m-%d}"
        )


# Whose usage it is, and what is counted of it: the columns of the hourly sums.
WHOSE = ("cost_center", "team", "model", "version")
COUNTS = (
    "metered_calls",
    "unmetered_calls",
    "refused_calls",
    "refused_401_calls",
    "refused_403_calls",
    "refused_404_calls",
    "refused_429_calls",
    "failed_calls",
    "aborted_calls",
    "ended_early_calls",
    "cached_unknown_calls",
    "estimated_calls",
    "estimated_input_tokens",
    "estimated_cached_input_tokens",
    "estimated_output_tokens",
    "input_tokens",
    "cached_input_tokens",
    "embedding_input_tokens",
    "output_tokens",
    "rerank_requests",
)


class Whose(models.Model):
    """Whose usage a row is about. "" where the calls name none."""

    cost_center = models.CharField(max_length=32, blank=True, default="")
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=40, blank=True, default="")
    version = models.CharField(max_length=63, blank=True, default="")

    class Meta:
        abstract = True


class Counted(models.Model):
    """The columns of counts.Counts."""

    metered_calls = models.BigIntegerField()
    unmetered_calls = models.BigIntegerField()
    refused_calls = models.BigIntegerField()
    refused_401_calls = models.BigIntegerField()
    refused_403_calls = models.BigIntegerField()
    refused_404_calls = models.BigIntegerField()
    refused_429_calls = models.BigIntegerField()
    failed_calls = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    embedding_input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField()
    rerank_requests = models.BigIntegerField(default=0)
    unpriced_tokens = models.BigIntegerField()
    unpriced_requests = models.BigIntegerField(default=0)
    estimated_calls = models.BigIntegerField()
    estimated_input_tokens = models.BigIntegerField()
    estimated_output_tokens = models.BigIntegerField()

    class Meta:
        abstract = True


class EstimateRule(models.Model):
    """Whether what is estimated of calls without usage is priced, from a month on until the next
    rule. Of two for one month the later one counts. Without any, nothing estimated is priced.

    It is set before its month begins, so that nothing that was used changes its price by it.
    """

    month = models.DateField()  # its first day
    prices_estimates = models.BooleanField()
    reason = models.TextField()
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        ordering = ("-month", "-id")
        constraints = (
            models.CheckConstraint(condition=~Q(reason=""), name="estimate_rule_has_a_reason"),
            models.CheckConstraint(
                condition=Q(month__day=1), name="estimate_rule_begins_with_its_month"
            ),
            models.CheckConstraint(
                condition=Q(set_at__lt=F("month")), name="estimate_rule_is_set_before_its_month"
            ),
        )

    def __str__(self) -> str:
        return f"estimates from {self.month:%Y-%m}"


class Spend(Whose):
    """What a UTC day's use of one SKU costs at one rate. quantity: in the SKU's unit. No rate: no
    price, and then no cost, which is not 0. is_estimated: of calls that did not tell their usage.
    """

    day = models.DateField()
    sku = models.CharField(max_length=16, choices=Sku.choices)
    rate = models.ForeignKey(
        Rate, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    is_estimated = models.BooleanField(default=False)
    quantity = models.DecimalField(max_digits=30, decimal_places=6)
    # A price has ten decimals, and is for a million: nothing of it is rounded here.
    list_cost_usd = models.DecimalField(max_digits=30, decimal_places=16, null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=("model", "day"), name="spend_by_model"),)
        constraints = (
            models.UniqueConstraint(
                fields=("day", *WHOSE, "sku", "rate", "is_estimated"),
                name="spend_once_per_sku_and_rate",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(rate__isnull=True, list_cost_usd__isnull=True)
                | Q(rate__isnull=False, list_cost_usd__gte=0),
                name="spend_costs_where_it_has_a_rate",
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="spend_is_of_something"),
        )

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.team} {self.version} {self.sku}"


class UsageLine(Counted, Whose):
    """The calls and tokens of somebody in a time, and what they cost by the price list.

    list_cost_usd: of what has a rate; None where nothing has. estimated_cost_usd: the part of it
    that is of estimates.
    """

    aborted_calls = models.BigIntegerField()
    ended_early_calls = models.BigIntegerField()
    cached_unknown_calls = models.BigIntegerField()
    estimated_cached_input_tokens = models.BigIntegerField(default=0)
    list_cost_usd = models.DecimalField(max_digits=30, decimal_places=16, null=True, blank=True)
    estimated_cost_usd = models.DecimalField(max_digits=30, decimal_places=16, default=0)

    class Meta:
        abstract = True


class DailyLine(UsageLine):
    """The line of a UTC day."""

    day = models.DateField()

    class Meta:
        indexes = (models.Index(fields=("team", "day"), name="daily_line_by_team"),)
        constraints = (models.UniqueConstraint(fields=("day", *WHOSE), name="daily_line_once"),)

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.team} {self.version}"


class MonthlyLine(UsageLine):
    """The line of a calendar month in UTC: the sum of its days. month: its first day."""

    month = models.DateField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("month", *WHOSE), name="monthly_line_once"),)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.team} {self.version}"


class DayTotal(Counted):
    """The sum of all lines of a UTC day: what is asked of whole days. Costs as in a line."""

    day = models.DateField(primary_key=True)
    list_cost_usd = models.DecimalField(max_digits=30, decimal_places=16, null=True, blank=True)
    estimated_cost_usd = models.DecimalField(max_digits=30, decimal_places=16, default=0)

    class Meta:
        ordering = ("day",)

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"


class DirtyDay(models.Model):
    """A day whose hours or prices changed since it was priced. A trigger on the hourly sums marks
    it in the transaction of the change.
    """

    day = models.DateField(primary_key=True)
    marked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"


class AllocatedDay(models.Model):
    """A UTC day whose machine time is shared out until `until`: its end, or when it was computed.

    Seconds are machine time: with a price, without one, and of both what nobody saw.
    unplaced_tokens: of calls to versions of which no ready replica was seen. total_usd: what all
    machine time with a price cost; a trigger holds it against the rows. The other amounts are its
    parts, by what became of the time.
    """

    day = models.DateField(primary_key=True)
    until = models.DateTimeField()
    method_id = models.CharField(max_length=32)
    method_version = models.PositiveSmallIntegerField()
    total_usd = models.DecimalField(max_digits=30, decimal_places=12)
    work_usd = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    idle_usd = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    start_usd = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    unallocated_usd = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    platform_usd = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    residual_usd = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    priced_seconds = models.DecimalField(max_digits=20, decimal_places=6)
    unpriced_seconds = models.DecimalField(max_digits=20, decimal_places=6)
    unobserved_seconds = models.DecimalField(max_digits=20, decimal_places=6)
    unplaced_tokens = models.BigIntegerField()
    has_simulated_machines = models.BooleanField()
    has_simulated_prices = models.BooleanField()
    computed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(
                    total_usd=F("work_usd")
                    + F("idle_usd")
                    + F("start_usd")
                    + F("unallocated_usd")
                    + F("platform_usd")
                    + F("residual_usd")
                ),
                name="allocated_day_is_the_sum_of_its_kinds",
            ),
        )

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} by {self.method_id}"


class Shares(models.Model):
    """Whose a part of machine time was, and what it cost, over a day or a month.

    version: as calls name it. team, cost_center: "" where it is nobody's. cost_usd: None exactly
    where the machines have no price. on_demand_usd: what the same time costs on demand; None where
    that is not listed. Tokens: those that it worked for, estimated ones and, in the input, cached
    ones too.
    """

    instance_type = models.CharField(max_length=63, blank=True, default="")
    capacity_type = models.CharField(max_length=16, blank=True, default="")
    gpu_name = models.CharField(max_length=32, blank=True, default="")
    is_priced = models.BooleanField()
    kind = models.CharField(max_length=12, choices=Kind.choices)
    basis = models.CharField(max_length=12, choices=Basis.choices, blank=True, default="")
    model = models.CharField(max_length=63, blank=True, default="")
    version = models.CharField(max_length=63, blank=True, default="")
    team = models.CharField(max_length=63, blank=True, default="")
    cost_center = models.CharField(max_length=32, blank=True, default="")
    gpu_hours = models.DecimalField(max_digits=30, decimal_places=12)
    cost_usd = models.DecimalField(max_digits=30, decimal_places=12, null=True, blank=True)
    on_demand_usd = models.DecimalField(max_digits=30, decimal_places=12, null=True, blank=True)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class Allocation(Shares):
    """A share of a day. ratio: its part of the day's time on machines of this type, capacity type
    and state of price; these sum to exactly 1.
    """

    day = models.ForeignKey(
        AllocatedDay, on_delete=models.PROTECT, related_name="rows", db_index=False
    )
    ratio = models.DecimalField(max_digits=13, decimal_places=12)

    class Meta:
        indexes = (
            models.Index(fields=("team", "day"), name="allocation_by_team"),
            models.Index(fields=("model", "day"), name="allocation_by_model"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=(
                    "day",
                    "kind",
                    "model",
                    "version",
                    "team",
                    "cost_center",
                    "instance_type",
                    "capacity_type",
                    "gpu_name",
                    "is_priced",
                    "basis",
                ),
                name="allocation_once_per_share",
            ),
            models.CheckConstraint(
                condition=Q(is_priced=True, cost_usd__gte=0)
                | Q(is_priced=False, cost_usd__isnull=True),
                name="allocation_costs_where_it_has_a_price",
            ),
            models.CheckConstraint(
                condition=Q(gpu_hours__gte=0, ratio__gte=0, ratio__lte=1),
                name="allocation_is_a_part",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=["WORK", "IDLE", "START", "UNALLOCATED", "PLATFORM", "RESIDUAL"]
                ),
                name="allocation_kind_is_known",
            ),
            models.CheckConstraint(
                condition=Q(kind="WORK") | Q(team="", cost_center=""),
                name="allocation_charges_teams_for_work",
            ),
        )

    def __str__(self) -> str:
        return f"{self.day_id} {self.kind} {self.version} {self.team}"


class MonthlyAllocation(Shares):
    """The sum of a month's shares, computed again with each of its days: what pages of whole months
    read. month: its first day. is_listed: whether on_demand_usd is known for its shares.
    """

    month = models.DateField()
    is_listed = models.BooleanField()

    class Meta:
        indexes = (models.Index(fields=("team", "month"), name="monthly_allocation_by_team"),)
        constraints = (
            models.UniqueConstraint(
                fields=(
                    "month",
                    "kind",
                    "model",
                    "version",
                    "team",
                    "cost_center",
                    "instance_type",
                    "capacity_type",
                    "gpu_name",
                    "is_priced",
                    "is_listed",
                    "basis",
                ),
                name="monthly_allocation_once_per_share",
            ),
        )

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.kind} {self.version} {self.team}"


class ChangedDay(models.Model):
    """A day whose machines, replicas or usage changed after it was shared out. Triggers mark it in
    the transaction of the change.
    """

    day = models.DateField(primary_key=True)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"
