"""What the gateway's gate holds and counts of calls: the most that a call under way may use, what
a call used, and the counters that both are added up in.

The gate writes all three in one transaction (apps/gateway/purse). The rows of calls are the facts;
a counter is their sum, kept beside them so that a call is decided by a few rows:

    reserved = what open reservations hold in its window
    used = the ledger's sum + settled calls that are not in that sum

The second is made true again every half minute (apps/chargeback/budgets/counters.py), because the
ledger learns of calls, prices and corrections that no gate sees.
"""

from datetime import UTC, datetime

from django.db import models
from django.db.models import F, Q

# Money as the ledger has it: a price has ten decimals, and is for a million.
USD_DIGITS, USD_PLACES = 30, 16
MOST_DIGITS = 36  # room for every token of a budget too
# the window of what has none
ALWAYS_FROM, ALWAYS_TO = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Kind(models.TextChoices):
    """What a counter counts."""

    USD = "USD", "US dollars of a month"
    TOKENS = "TOKENS", "Tokens of a month"
    MINUTE = "MINUTE", "Tokens of a minute"
    CALLS = "CALLS", "Calls under way"


OF_BUDGETS = (Kind.USD, Kind.TOKENS)


class Counter(models.Model):
    """What is reserved and used of one scope in [starts_at, ends_at). A call counts in every one
    whose scope and window it lies in, whatever the gate that let it through knew of limits.

    The scope is that of a budget: a cost center, a team, or a team and a model; "" for any. The
    windows of one scope overlap where its budget got another zone. is_ready: what was used before
    the row was made is in it; until then no call is decided by it.
    """

    kind = models.CharField(max_length=6, choices=Kind.choices)
    cost_center = models.CharField(max_length=32, blank=True, default="")
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=40, blank=True, default="")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reserved = models.DecimalField(max_digits=MOST_DIGITS, decimal_places=USD_PLACES, default=0)
    used = models.DecimalField(max_digits=MOST_DIGITS, decimal_places=USD_PLACES, default=0)
    is_ready = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("cost_center", "team", "model", "kind", "starts_at"),
                name="counter_once_per_scope_and_window",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="counter_ends_after_it_begins"
            ),
        )

    def __str__(self) -> str:
        scope = " for ".join(part for part in (self.cost_center, self.team, self.model) if part)
        return f"{self.get_kind_display()}, {scope}, from {self.starts_at:%Y-%m-%d %H:%M}"


class Held(models.Model):
    """A call by the names that budgets match: what it may use, or has used, at most or exactly.

    usd: by the price list; None where nothing of it has a price, which is not 0.
    """

    cost_center = models.CharField(max_length=32, blank=True, default="")
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=40, blank=True, default="")
    usd = models.DecimalField(
        max_digits=USD_DIGITS, decimal_places=USD_PLACES, null=True, blank=True
    )
    tokens = models.BigIntegerField()

    class Meta:
        abstract = True


class BudgetReservation(Held):
    """The most that a call under way may use. The gate writes it before the call goes on, moves its
    expiry while the call lasts, and deletes it when the call is settled. One that expires was left
    by a gate that died. minute_tokens: what it holds of the tokens of its minute.
    """

    call_id = models.UUIDField(primary_key=True)
    reserved_at = models.DateTimeField()  # the call's own moment: its months and its minute
    expires_at = models.DateTimeField()
    minute_tokens = models.BigIntegerField(default=0)

    class Meta:
        indexes = (models.Index(fields=("expires_at",), name="budget_reservation_expiry"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(tokens__gte=0)
                & Q(minute_tokens__gte=0)
                & (Q(usd__isnull=True) | Q(usd__gte=0)),
                name="budget_reservation_not_negative",
            ),
        )

    def __str__(self) -> str:
        return str(self.call_id)


class SettledCall(Held):
    """What a call used, as the gate that let it through counted it. operation, basis, completeness:
    words of the ledger's (apps/metering), which takes a call in from here where no line of the
    access log tells of it.

    summed_at: when the ledger's sum of its hour took it in, set in the transaction that made that
    sum. Until then it is counted beside the sum, afterwards in it, and never twice. What was only
    estimated stays beside it: no sum of what was metered has that.
    """

    call_id = models.UUIDField(primary_key=True)  # the usage event's own id
    occurred_at = models.DateTimeField()
    settled_at = models.DateTimeField()
    summed_at = models.DateTimeField(null=True, blank=True)
    operation = models.CharField(max_length=10, blank=True, default="")
    basis = models.CharField(max_length=10, blank=True, default="")
    completeness = models.CharField(max_length=12, blank=True, default="")
    input_tokens = models.BigIntegerField(null=True, blank=True)
    cached_input_tokens = models.BigIntegerField(null=True, blank=True)
    output_tokens = models.BigIntegerField(null=True, blank=True)

    class Meta:
        indexes = (
            models.Index(
                fields=("occurred_at",),
                name="settled_call_not_summed",
                condition=Q(summed_at__isnull=True),
            ),
            models.Index(
                fields=("summed_at",),
                name="settled_call_summed",
                condition=Q(summed_at__isnull=False),
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(tokens__gte=0) & (Q(usd__isnull=True) | Q(usd__gte=0)),
                name="settled_call_not_negative",
            ),
        )

    def __str__(self) -> str:
        return str(self.call_id)
