"""Closing months: who asked for it with which checks, who closed, what was known of the machines
then, and the statements that were issued. A statement never changes; what is known later becomes a
correction in a later month.
"""

from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.roles import CLOSES_MONTHS, SEES_ALL_MONEY
from apps.common import decisions
from apps.common.ids import ordered_id
from apps.common.leases import Reconciled


class MonthCloseQuerySet(models.QuerySet["MonthClose"]):
    """Closes, newest month first."""

    def pending(self) -> "MonthCloseQuerySet":
        """Return those that wait for a decision."""
        return self.filter(status=MonthClose.Status.PENDING)

    def to_decide(self, user: User) -> models.QuerySet["MonthClose"]:
        """Return those that wait for this person: finance, but never who asked."""
        return decisions.waiting_for(
            self.pending(), user, is_decider=user.has_role(*CLOSES_MONTHS)
        ).select_related("requested_by")

    def closed(self) -> "MonthCloseQuerySet":
        """Return those that closed their month."""
        return self.filter(status=MonthClose.Status.CLOSED)


class MonthClose(models.Model):
    """A month that somebody of finance asks to close, and somebody else closes.

    checklist: [{key, title, state, words, accepted}] as the person who asked saw it. digest: of the
    statements as they were previewed; a decision over other ones is refused.
    """

    class Status(models.TextChoices):
        """What became of it."""

        PENDING = "PENDING", "Waits for a decision"
        CLOSED = "CLOSED", "Closed"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    month = models.DateField()  # its first day
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    checklist = models.JSONField()
    digest = models.CharField(max_length=71)  # "sha256:<hex>"
    list_usd = models.DecimalField(max_digits=16, decimal_places=2)
    cost_usd = models.DecimalField(max_digits=16, decimal_places=2)
    justification = models.TextField()
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True, default="")

    objects = MonthCloseQuerySet.as_manager()

    class Meta:
        ordering = ("-month", "-requested_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("month",), condition=Q(status="CLOSED"), name="month_closed_once"
            ),
            models.UniqueConstraint(
                fields=("month",), condition=Q(status="PENDING"), name="month_close_one_pending"
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True)
                | Q(status="WITHDRAWN")
                | ~Q(decided_by=F("requested_by")),
                name="month_close_not_decided_by_requester",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", decided_at__isnull=True, decided_by__isnull=True)
                | (~Q(status="PENDING") & Q(decided_at__isnull=False, decided_by__isnull=False)),
                name="month_close_decided_by_somebody",
            ),
        )

    def __str__(self) -> str:
        return f"close of {self.month:%B %Y}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("chargeback:month_close_detail", args=[self.pk])


class ClosedMachine(models.Model):
    """What the ledger said of a machine when its month was closed. Immutable.

    A bill that is restated later is held against it: what the ledger has come to say of the same
    machine since is charged by the ledger. hours: of machine time; usd: of those with a price.
    """

    close = models.ForeignKey(
        MonthClose, on_delete=models.PROTECT, related_name="machines", db_index=False
    )
    resource = models.CharField(max_length=255)
    hours = models.DecimalField(max_digits=30, decimal_places=12)
    usd = models.DecimalField(max_digits=30, decimal_places=12)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("close", "resource"), name="closed_machine_once"),
        )

    def __str__(self) -> str:
        return f"{self.resource} in {self.close}"


class StatementQuerySet(models.QuerySet["Statement"]):
    """Statements, in the order of their numbers."""

    def visible_to(self, user: User) -> "StatementQuerySet":
        """Return all statements for those who see all money; nothing for others."""
        return self if user.has_role(*SEES_ALL_MONEY) else self.none()


class Statement(models.Model):
    """What one cost center owes for a month, by the price list, with what it really cost beside it.
    Immutable.

    cost_center: "" for what is nobody's: idle and unallocated machines, the platform. content: the
    canonical facts, of which digest is made; lines are the same for queries.
    """

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    close = models.ForeignKey(MonthClose, on_delete=models.PROTECT, related_name="statements")
    number = models.CharField(max_length=16, unique=True)  # 2026-11-001, without a gap
    cost_center = models.CharField(max_length=32, blank=True, default="")
    list_usd = models.DecimalField(max_digits=16, decimal_places=2)
    cost_usd = models.DecimalField(max_digits=16, decimal_places=2)
    content = models.JSONField()
    digest = models.CharField(max_length=71)
    issued_at = models.DateTimeField()

    objects = StatementQuerySet.as_manager()

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(
                fields=("close", "cost_center"), name="statement_one_per_cost_center"
            ),
        )

    def __str__(self) -> str:
        return f"statement {self.number}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("chargeback:statement_detail", args=[self.number])


class StatementLine(models.Model):
    """One line of a statement. Immutable.

    usage_month: of what is charged; another than the statement's in a correction. item: a SKU, the
    kind of a share of the machines' cost, or BILL for what a restated bill changes. exact_usd: not
    rounded. amount_usd: in whole cents; the lines of a month sum to its total.
    is_estimated: of calls that did not tell their usage.
    """

    class Basis(models.TextChoices):
        """What an amount is by."""

        LIST = "LIST", "Price list"
        COST = "COST", "Machine cost"

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    basis = models.CharField(max_length=4, choices=Basis.choices)
    usage_month = models.DateField()
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=63, blank=True, default="")
    version = models.CharField(max_length=63, blank=True, default="")
    item = models.CharField(max_length=16)
    rate = models.ForeignKey(
        "chargeback.Rate", null=True, on_delete=models.PROTECT, related_name="+"
    )
    is_estimated = models.BooleanField(default=False)
    quantity = models.DecimalField(max_digits=30, decimal_places=12)
    exact_usd = models.DecimalField(max_digits=30, decimal_places=16)
    amount_usd = models.DecimalField(max_digits=16, decimal_places=2)

    class Meta:
        ordering = ("statement", "position")
        indexes = (models.Index(fields=("usage_month",), name="statement_line_by_usage_month"),)
        constraints = (
            models.UniqueConstraint(
                fields=("statement", "position"), name="statement_line_once_per_position"
            ),
        )

    def __str__(self) -> str:
        return f"{self.statement_id} {self.position}"


class StatementDocument(Reconciled):
    """A statement as a PDF, made after its close and kept in the archive. Once it is made, nothing
    of it changes.

    sha256, size_bytes: of the file, "" and None until it is made; reason, message: what stands in
    its way.
    """

    class Status(models.TextChoices):
        """Where it stands."""

        WAITING = "WAITING", "Being made"
        MADE = "MADE", "Made"
        FAILED = "FAILED", "Failed"

    statement = models.OneToOneField(Statement, on_delete=models.PROTECT, related_name="document")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    asked_at = models.DateTimeField()
    object_key = models.CharField(max_length=200, blank=True, default="")
    version_id = models.CharField(max_length=200, blank=True, default="")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    made_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("asked_at", "pk")
        constraints = (
            models.CheckConstraint(
                condition=Q(
                    status="MADE",
                    size_bytes__gt=0,
                    made_at__isnull=False,
                    sha256__regex=r"^[0-9a-f]{64}$",
                )
                & ~Q(object_key="")
                | (~Q(status="MADE") & Q(sha256="", size_bytes=None, made_at=None, object_key="")),
                name="statement_document_made_tells_its_file",
            ),
        )

    def __str__(self) -> str:
        return f"document of {self.statement}"
