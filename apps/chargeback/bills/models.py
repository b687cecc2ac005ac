"""The cloud's bills as they were read: each delivery of a month's bill is a row that stays, and the
one that counts has its lines.

A delivery replaces the former one of its month whole. The former one stays on record with its sums
by day and by kind; its lines go, unless its month was closed with it: then they are what later
deliveries are held against.
"""

from django.db import models
from django.db.models import Q

from apps.chargeback.bills.kinds import Kind
from apps.common.ids import ordered_id
from apps.common.leases import Reconciled


class BillFeed(Reconciled):
    """How reading the bill of a month goes; with no month, how looking for bills goes.

    source: the export's address. etag: of the manifest that was read last; seen_etag: of the one
    that is there. reason, message: why it cannot be read, and what to do; "" where all is well.
    """

    source = models.CharField(max_length=512)
    month = models.DateField(null=True, blank=True)  # its first day
    seen_etag = models.CharField(max_length=128, blank=True, default="")
    etag = models.CharField(max_length=128, blank=True, default="")
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-month", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("source", "month"), name="bill_feed_once", nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return f"bill of {self.month:%B %Y}" if self.month else f"bills at {self.source}"


class BillQuerySet(models.QuerySet["Bill"]):
    """Deliveries, newest first."""

    def current(self) -> "BillQuerySet":
        """Return those that count: no later one took their place."""
        return self.filter(replaced_at__isnull=True)


class Bill(models.Model):
    """One delivery of a month's bill. A fact, but for when another one took its place.

    billed_usd: what the lines come to; effective_usd: the same with the cost of savings plans and
    reservations where they are used, and discounts in what they are of where the bill tells net
    costs. by_day, by_kind: the effective cost as text, by "2026-11-02"
    and by Kind. covers_until: how far it tells of usage; None: of none. is_final: AWS has issued
    the invoice; until then everything is an estimate. files: [{key, size, sha256, rows}].
    """

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    month = models.DateField()  # its first day
    source = models.CharField(max_length=512)
    execution_id = models.CharField(max_length=128)
    files = models.JSONField()
    rows = models.BigIntegerField()
    covers_until = models.DateTimeField(null=True, blank=True)
    is_final = models.BooleanField()
    is_simulated = models.BooleanField()
    billed_usd = models.DecimalField(max_digits=30, decimal_places=12)
    effective_usd = models.DecimalField(max_digits=30, decimal_places=12)
    by_day = models.JSONField()
    by_kind = models.JSONField()
    read_at = models.DateTimeField()
    replaced_at = models.DateTimeField(null=True, blank=True)

    objects = BillQuerySet.as_manager()

    class Meta:
        ordering = ("-month", "-read_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("month",), condition=Q(replaced_at__isnull=True), name="bill_one_per_month"
            ),
        )

    def __str__(self) -> str:
        return f"bill of {self.month:%B %Y}"


class BillLine(models.Model):
    """Lines of a bill that are of one day, resource, usage type and line item type, added up.

    part: a bill is added up piece by piece, so a sum may be in several rows. commitment: the ARN of
    the savings plan or reservation that covers it. quantity: in the unit of the usage type, hours
    for machines. on_demand_usd: what the usage costs on demand by the public price; discount_usd:
    what the account's own discounts (EDP, private pricing) add to effective_usd, below zero; None
    where the bill does not tell.
    """

    bill = models.ForeignKey(Bill, on_delete=models.PROTECT, related_name="lines", db_index=False)
    part = models.PositiveIntegerField()
    day = models.DateField()
    account = models.CharField(max_length=32, blank=True, default="")
    resource = models.CharField(max_length=255, blank=True, default="")
    service = models.CharField(max_length=128, blank=True, default="")
    usage_type = models.CharField(max_length=255, blank=True, default="")
    line_type = models.CharField(max_length=64)
    instance_type = models.CharField(max_length=63, blank=True, default="")
    commitment = models.CharField(max_length=255, blank=True, default="")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    quantity = models.DecimalField(max_digits=30, decimal_places=12)
    billed_usd = models.DecimalField(max_digits=30, decimal_places=12)
    effective_usd = models.DecimalField(max_digits=30, decimal_places=12)
    on_demand_usd = models.DecimalField(max_digits=30, decimal_places=12, null=True, blank=True)
    discount_usd = models.DecimalField(max_digits=30, decimal_places=12, null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=(
                    "bill",
                    "day",
                    "resource",
                    "usage_type",
                    "line_type",
                    "account",
                    "service",
                    "instance_type",
                    "commitment",
                    "part",
                ),
                name="bill_line_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.resource} {self.usage_type} {self.line_type}"
