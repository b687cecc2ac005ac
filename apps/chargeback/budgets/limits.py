"""What is left of a budget, and whether a call may go on. Pure.

    available = limit − ledger's sum − open reservations − settled calls that are not in that sum

A call must pass every budget that it counts against: its cost center's, its team's, its team's for
the model, in money and in tokens. Money that nobody knows, because tokens have no price, is told
beside the rest and never counted as nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from apps.access.budgets.models import Boost, Budget, Mode, Unit
from apps.access.budgets.terms import limit_at
from apps.common.zones import month_bounds_in, month_in

Scope = tuple[str, str, str]  # cost center, team, model; "" for any


@dataclass(frozen=True)
class Use:
    """What a team used, or holds, of a model. usd: of what has a price; unpriced_tokens: how many
    of the tokens have none; unpriced_requests: how many rerank requests.
    """

    cost_center: str
    team: str
    model: str
    usd: Decimal
    tokens: int
    unpriced_tokens: int = 0
    unpriced_requests: int = 0

    @property
    def scopes(self) -> list[Scope]:
        """Return the scopes of the budgets that it counts against."""
        found = [(self.cost_center, "", "")] if self.cost_center else []
        if self.team:
            found.append(("", self.team, ""))
            if self.model:
                found.append(("", self.team, self.model))
        return found


@dataclass(frozen=True)
class Amount:
    """A sum of uses, as Use has them."""

    usd: Decimal = Decimal(0)
    tokens: int = 0
    unpriced_tokens: int = 0
    unpriced_requests: int = 0

    def __add__(self, other: "Amount | Use") -> "Amount":
        return Amount(
            self.usd + other.usd,
            self.tokens + other.tokens,
            self.unpriced_tokens + other.unpriced_tokens,
            self.unpriced_requests + other.unpriced_requests,
        )

    def of(self, unit: str) -> Decimal:
        """Return what counts against a budget of this unit."""
        return self.usd if unit == Unit.USD else Decimal(self.tokens)


NOTHING = Amount()


def scope_of(budget: Budget) -> Scope:
    """Return the scope of a budget."""
    return (
        budget.cost_center.code if budget.cost_center else "",
        budget.team.slug if budget.team else "",
        budget.registered_model.name if budget.registered_model else "",
    )


def add_up(uses: Iterable[Use]) -> dict[Scope, Amount]:
    """Return scope → the sum of what counts against a budget of that scope."""
    sums: dict[Scope, Amount] = {}
    for use in uses:
        for scope in use.scopes:
            sums[scope] = sums.get(scope, NOTHING) + use
    return sums


@dataclass(frozen=True)
class Balance:
    """A budget's month [start, end) at a moment. limit, spent, reserved, settled: in its unit.

    boosted: how much of the limit boosts add. unpriced_tokens, unpriced_requests: what was used or
    is held and has no price; a budget in USD does not know what it costs.
    """

    budget: Budget
    start: datetime
    end: datetime
    limit: Decimal
    boosted: Decimal
    spent: Decimal
    reserved: Decimal
    settled: Decimal
    unpriced_tokens: int
    unpriced_requests: int = 0

    @property
    def used(self) -> Decimal:
        """Return what counts against the limit."""
        return self.spent + self.reserved + self.settled

    @property
    def available(self) -> Decimal:
        """Return what is left; below 0 where more was used than the limit."""
        return self.limit - self.used

    @property
    def percent(self) -> int:
        """Return how many whole per cent of the limit are used."""
        return int(100 * self.used / self.limit)

    def reached(self, more: Decimal = Decimal(0)) -> tuple[int, ...]:
        """Return the thresholds that are reached, with `more` used beside what is."""
        used = 100 * (self.used + more)
        return tuple(each for each in self.budget.thresholds if used >= self.limit * each)


def balance(
    budget: Budget,
    *,
    boosts: Sequence[Boost],
    spent: Mapping[Scope, Amount],
    reserved: Mapping[Scope, Amount],
    settled: Mapping[Scope, Amount],
    at: datetime,
) -> Balance:
    """Return what is left of a budget in the month of a moment.

    spent, reserved, settled: of that month in the budget's zone, by scope (add_up). boosts:
    approved ones, of any budget.
    """
    start, end = month_bounds_in(budget.zone, month_in(budget.zone, at))
    scope, limit = scope_of(budget), limit_at(budget, boosts, at)
    parts = [sums.get(scope, NOTHING) for sums in (spent, reserved, settled)]
    amounts = [part.of(budget.unit) for part in parts]
    return Balance(
        budget=budget,
        start=start,
        end=end,
        limit=limit,
        boosted=limit - budget.amount,
        spent=amounts[0],
        reserved=amounts[1],
        settled=amounts[2],
        unpriced_tokens=sum(part.unpriced_tokens for part in parts),
        unpriced_requests=sum(part.unpriced_requests for part in parts),
    )


class Verdict(StrEnum):
    """What is said of a call."""

    PASS = "PASS"  # noqa: S105 - no password
    WARN = "WARN"
    REFUSE = "REFUSE"


@dataclass(frozen=True)
class Decision:
    """Whether a call may go on. refused_by: the budgets that have too little left, the one that
    begins anew last first. warned: budget → the thresholds reached with the call. unknown: budgets
    in USD that cannot tell what the call costs.
    """

    verdict: Verdict
    refused_by: tuple[Balance, ...]
    warned: tuple[tuple[Balance, tuple[int, ...]], ...]
    unknown: tuple[Balance, ...]


def decide(balances: Sequence[Balance], *, usd: Decimal | None, tokens: int) -> Decision:
    """Return whether a call may go on that uses so much at most; every budget must pass.

    balances: of all budgets that the call counts against. usd: None where its tokens have no price:
    then a budget in USD refuses it only where nothing is left. Only budgets that refuse calls
    refuse; the others warn.
    """
    refused, warned, unknown = [], [], []
    for each in balances:
        wanted = usd if each.budget.unit == Unit.USD else Decimal(tokens)
        if wanted is None:
            unknown.append(each)
        is_over = each.available <= 0 if wanted is None else wanted > each.available
        if each.budget.mode == Mode.HARD and is_over:
            refused.append(each)
        if reached := each.reached(wanted or Decimal(0)):
            warned.append((each, reached))
    refused.sort(key=lambda each: each.end, reverse=True)
    verdict = Verdict.REFUSE if refused else Verdict.WARN if warned else Verdict.PASS
    return Decision(verdict, tuple(refused), tuple(warned), tuple(unknown))
