"""What usage costs: rates with effective dates, and what the machines cost, shared out by the day.

Prices are per million tokens, in USD, with ten decimals. A day's allocation is computed whole from
machines, replicas and usage, never changed in place; a trigger on those tables marks the days that
have to be computed again.
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from apps.accounts.models import User
from apps.catalog.models import RegisteredModel
from apps.chargeback.method import Basis, Kind


class Rate(models.Model):
    """The price of a model's tokens over [active_from, active_to). No two at once (exclusion
    constraint).
    """

    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="rates"
    )
    input_usd_per_million = models.DecimalField(max_digits=20, decimal_places=10)
    cached_input_usd_per_million = models.DecimalField(max_digits=20, decimal_places=10)
    output_usd_per_million = models.DecimalField(max_digits=20, decimal_places=10)
    currency = models.CharField(max_length=3, default="USD")
    active_from = models.DateTimeField()
    active_to = models.DateTimeField(null=True, blank=True)
    set_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        ordering = ("-active_from",)
        constraints = (
            ExclusionConstraint(
                name="rate_one_per_model_at_a_time",
                expressions=(
                    ("registered_model", RangeOperators.EQUAL),
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
                condition=Q(active_to__isnull=True) | Q(active_to__gt=F("active_from")),
                name="rate_ends_after_it_begins",
            ),
        )

    def __str__(self) -> str:
        return f"{self.registered_model} from {self.active_from:%Y-%m-%d}"


class AllocatedDay(models.Model):
    """A UTC day whose machine time is shared out until `until`: its end, or when it was computed.

    Seconds are machine time: with a price, without one, and of both what nobody saw.
    unplaced_tokens: of calls to versions of which no ready replica was seen. total_usd: what all
    machine time with a price cost; a trigger holds it against the rows.
    """

    day = models.DateField(primary_key=True)
    until = models.DateTimeField()
    method_id = models.CharField(max_length=32)
    method_version = models.PositiveSmallIntegerField()
    total_usd = models.DecimalField(max_digits=30, decimal_places=12)
    priced_seconds = models.DecimalField(max_digits=20, decimal_places=6)
    unpriced_seconds = models.DecimalField(max_digits=20, decimal_places=6)
    unobserved_seconds = models.DecimalField(max_digits=20, decimal_places=6)
    unplaced_tokens = models.BigIntegerField()
    has_simulated_machines = models.BooleanField()
    has_simulated_prices = models.BooleanField()
    computed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} by {self.method_id}"


class Allocation(models.Model):
    """Whose a part of a day's machine time was, and what it cost.

    version: as calls name it. team, cost_center: "" where it is nobody's. cost_usd: None exactly
    where the machines have no price. on_demand_usd: what the same time costs on demand; None where
    that is not listed. ratio: its part of the day's time on machines of this type, capacity type
    and state of price; these sum to exactly 1. Tokens: those that it worked for, estimated ones
    and, in the input, cached ones too.
    """

    day = models.ForeignKey(
        AllocatedDay, on_delete=models.PROTECT, related_name="rows", db_index=False
    )
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
    ratio = models.DecimalField(max_digits=13, decimal_places=12)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)

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


class ChangedDay(models.Model):
    """A day whose machines, replicas or usage changed after it was shared out. Triggers mark it in
    the transaction of the change.
    """

    day = models.DateField(primary_key=True)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"
