"""What machines cost by somebody else's word than their own label: AWS's prices as they were told,
contracts with their dates, and how asking AWS goes.
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from apps.accounts.models import User
from apps.fleet.words import capacity_type


class NodePrice(models.Model):
    """A price that AWS told, in force from a moment until the next one of the same machine. A fact.

    zone: of Spot prices; a list price holds for its region.
    """

    class Source(models.TextChoices):
        LIST = "LIST", "AWS price list"
        SPOT = "SPOT", "Spot price history"

    source = models.CharField(max_length=4, choices=Source.choices)
    instance_type = models.CharField(max_length=63)
    region = models.CharField(max_length=32)
    zone = models.CharField(max_length=63, blank=True, default="")
    usd_per_hour = models.DecimalField(max_digits=20, decimal_places=10)
    active_from = models.DateTimeField()
    learned_at = models.DateTimeField()

    class Meta:
        ordering = ("active_from", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("source", "instance_type", "region", "zone", "active_from"),
                name="node_price_once_per_moment",
            ),
            models.CheckConstraint(condition=Q(usd_per_hour__gt=0), name="node_price_is_a_price"),
            models.CheckConstraint(
                condition=Q(source="LIST", zone="") | (Q(source="SPOT") & ~Q(zone="")),
                name="node_price_of_a_zone_where_it_is_spot",
            ),
        )

    def __str__(self) -> str:
        return f"{self.instance_type} in {self.zone or self.region}"


class PriceOverride(models.Model):
    """What a contract says that a kind of machine costs over [active_from, active_to): by the hour,
    or as a discount on AWS's list price. No two at once (exclusion constraint).
    """

    instance_type = models.CharField(max_length=63)
    capacity_type = models.CharField(max_length=16)
    region = models.CharField(max_length=32)
    usd_per_hour = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    discount_percent = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    active_from = models.DateTimeField()
    active_to = models.DateTimeField(null=True, blank=True)
    reason = models.TextField()
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        ordering = ("-active_from", "-id")
        constraints = (
            ExclusionConstraint(
                name="price_override_one_per_machine_at_a_time",
                expressions=(
                    ("instance_type", RangeOperators.EQUAL),
                    ("capacity_type", RangeOperators.EQUAL),
                    ("region", RangeOperators.EQUAL),
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
                name="price_override_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(usd_per_hour__gte=0, discount_percent__isnull=True)
                | Q(usd_per_hour__isnull=True, discount_percent__gt=0, discount_percent__lte=100),
                name="price_override_is_a_price_or_a_discount",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="price_override_says_why"),
        )

    def __str__(self) -> str:
        bought = capacity_type(self.capacity_type).lower()
        return f"{self.instance_type} ({bought}) in {self.region}"


class PriceFeed(models.Model):
    """How asking AWS for one kind of price goes. name: "LIST g6.xlarge us-east-1", "SPOT
    us-east-1". told_until: how far it has told; error: why not further.
    """

    name = models.CharField(max_length=128, primary_key=True)
    tried_at = models.DateTimeField()
    told_until = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, default="")

    def __str__(self) -> str:
        return self.name
