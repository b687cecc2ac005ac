"""What a budget says, what cannot be said, and which change lets more be spent. Pure.

The forms and the actions ask the same functions, so a bound stands here once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.access.budgets.models import (
    STRICTNESS,
    Boost,
    Budget,
    BudgetChange,
    Mode,
    Unit,
    in_unit,
)
from apps.common.money import CENT, exact
from apps.common.periods import DAY, day_words
from apps.common.zones import ZONES, day_in, start_of_day_in

HIGHEST = {Unit.USD: Decimal("9999999999.99"), Unit.TOKENS: Decimal(10) ** 15}
MOST_THRESHOLDS = 5
LONGEST_BOOST = timedelta(days=92)
ENFORCED = "Calls that it has too little left for are refused."


@dataclass(frozen=True)
class Terms:
    """What a budget says. amount: a month, in its unit. zone: one of ZONES. thresholds: per cent of
    the month's limit, ascending.
    """

    amount: Decimal
    zone: str = "UTC"
    mode: str = Mode.HARD
    thresholds: tuple[int, ...] = (80, 100)


def terms_of(row: Budget | BudgetChange) -> Terms:
    """Return what a budget says, or what a change asks for."""
    return Terms(row.amount, row.zone, row.mode, tuple(row.thresholds))


def as_data(terms: Terms) -> dict[str, object]:
    """Return terms as the audit record keeps them."""
    return {
        "amount": exact(terms.amount),
        "zone": terms.zone,
        "mode": str(terms.mode),
        "thresholds": list(terms.thresholds),
    }


def loosens(before: Terms, after: Terms) -> bool:
    """Tell whether a change lets more be spent: a higher amount, a milder mode, or another zone,
    where the month begins at another moment, so that some of what was spent falls out of it.
    """
    milder = STRICTNESS.index(Mode(after.mode)) < STRICTNESS.index(Mode(before.mode))
    return after.amount > before.amount or milder or after.zone != before.zone


def problems(terms: Terms, unit: str) -> dict[str, str]:
    """Return what is wrong with terms: the field and a sentence for each; nothing where they are
    fine.
    """
    found = {
        "amount": amount_problem(terms.amount, unit),
        "zone": "" if terms.zone in ZONES else "Choose one of the zones.",
        "mode": "" if terms.mode in Mode.values else "Choose what happens when it is spent.",
        "thresholds": _thresholds(terms.thresholds),
    }
    return {name: words for name, words in found.items() if words}


def amount_problem(amount: Decimal, unit: str) -> str:
    """Return what is wrong with an amount, or nothing."""
    if amount <= 0:
        return "It must be more than 0."
    if amount > HIGHEST[Unit(unit)]:
        return f"It can be {in_unit(HIGHEST[Unit(unit)], unit)} at most."
    if unit == Unit.TOKENS and amount != amount.to_integral_value():
        return "Give whole tokens."
    if amount != amount.quantize(CENT):
        return "Give dollars and whole cents."
    return ""


def _thresholds(thresholds: Sequence[int]) -> str:
    if not 1 <= len(thresholds) <= MOST_THRESHOLDS:
        return f"Give one to {MOST_THRESHOLDS} thresholds."
    if (
        list(thresholds) != sorted(set(thresholds))
        or not 1 <= thresholds[0] <= thresholds[-1] <= 100
    ):
        return "Give different per cents from 1 to 100, the lowest first."
    return ""


def last_day_problem(day: date, zone: str, now: datetime) -> str:
    """Return why a boost cannot end at the end of a day of the budget's zone, or nothing."""
    today = day_in(zone, now)
    if day < today:
        return f"{day_words(day)} has passed."
    latest = day_in(zone, now + LONGEST_BOOST)
    if day > latest:
        return f"A boost ends by {day_words(latest)}. Ask for a change of the budget instead."
    return ""


def end_of(day: date, zone: str) -> datetime:
    """Return when a boost ends whose last day this is."""
    return start_of_day_in(zone, day + DAY)


def mode_words(mode: str) -> str:
    """Return what happens when a budget is spent."""
    return {
        Mode.WARN: "Warns only: calls go on when it is spent.",
        Mode.SOFT: "Warns, and asks for a boost: calls go on when it is spent.",
        Mode.HARD: ENFORCED,
    }[Mode(mode)]


def limit_at(budget: Budget, boosts: Sequence[Boost], at: datetime) -> Decimal:
    """Return what may be spent in the month of a moment: the amount, and every boost of the budget
    that is in force then. boosts: approved ones that nobody ended before, of any budget, with their
    `budget` loaded (Boost.objects.active).
    """
    added = (
        boost.amount
        for boost in boosts
        if boost.budget.series == budget.series
        and boost.decided_at is not None
        and boost.decided_at <= at < boost.ends_at
    )
    return sum(added, budget.amount)
