"""What the pages of budgets show: facts in words, the line of a month. Pure but for addresses."""

from datetime import date
from decimal import Decimal

from django.urls import reverse

from apps.access.budgets import terms as rules
from apps.access.budgets.models import Boost, Budget, BudgetChange, Unit, in_unit
from apps.access.budgets.terms import terms_of
from apps.chargeback.budgets import words
from apps.chargeback.budgets.queries import Standing
from apps.common.charts import TOKENS, USD, Limit, LineChart, Number, Series
from apps.common.decisions import decided_facts
from apps.common.periods import DAY, day_words, next_month
from apps.common.zones import ZONES, month_in

Facts = list[tuple[str, object]]


def crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the way to a page of budgets."""
    return [
        ("Chargeback", reverse("chargeback:month")),
        ("Budgets", reverse("chargeback:budget_list")),
        *rest,
    ]


def facts(budget: Budget) -> Facts:
    """Return what a budget says."""
    found: Facts = [
        ("A month", in_unit(budget.amount, budget.unit)),
        ("Counts", budget.get_unit_display()),
        ("When it is spent", rules.mode_words(budget.mode)),
        ("Tells people at", ", ".join(f"{each} %" for each in budget.thresholds)),
        ("Months of", ZONES.get(budget.zone, budget.zone)),
        ("In force since", f"{budget.active_from:%d %b %Y %H:%M} UTC"),
    ]
    if budget.active_to:
        found.append(("Ends", f"{budget.active_to:%d %b %Y %H:%M} UTC"))
    found += [("Set by", str(budget.set_by)), ("Why", budget.reason)]
    if budget.ended_by:
        found.append(("Ended by", f"{budget.ended_by}: {budget.end_reason}"))
    if budget.grant_id:
        url = reverse("access:grant_detail", args=[budget.grant_id])
        found.append(("Came with", {"text": "the team's grant of the model", "url": url}))
    return found


def change_facts(request: BudgetChange) -> Facts:
    """Return what a change asks for: only what differs, before and after."""
    if request.ends:
        return [("Asks for", "the end of the budget: afterwards it limits nothing")]
    before, after = terms_of(request.budget), terms_of(request)
    unit = request.budget.unit
    rows = (
        ("A month", in_unit(before.amount, unit), in_unit(after.amount, unit)),
        ("When it is spent", request.budget.get_mode_display(), request.get_mode_display()),
        ("Tells people at", _percents(before.thresholds), _percents(after.thresholds)),
        ("Months of", ZONES.get(before.zone, before.zone), ZONES.get(after.zone, after.zone)),
    )
    return [(label, f"{old} → {new}") for label, old, new in rows if old != new]


def _percents(thresholds: tuple[int, ...]) -> str:
    return ", ".join(f"{each} %" for each in thresholds)


def boost_facts(boost: Boost) -> Facts:
    """Return what a boost asks for."""
    zone = ZONES.get(boost.budget.zone, boost.budget.zone)
    return [
        ("Adds to each month", in_unit(boost.amount, boost.budget.unit)),
        ("Until", f"the end of {day_words(boost.last_day)}, {zone}"),
    ]


def decision_facts(asked: BudgetChange | Boost) -> Facts:
    """Return who asked and who decided."""
    return [
        ("Asked by", str(asked.requested_by)),
        ("Why", asked.justification),
        *decided_facts(asked),
    ]


def month_facts(standing: Standing | None) -> Facts:
    """Return how the budget's month goes on, for whoever decides; nothing where it has ended."""
    if standing is None:
        return []
    return [
        ("The month comes to", words.outlook_words(standing)),
        ("It runs out", words.run_out_words(standing)),
    ]


def burn_chart(standing: Standing) -> LineChart:
    """Return the line of a budget's month: spent so far, the even pace, what is to come, and the
    limit. A day's figure is what was spent when it ended; today's is what is spent by now.
    """
    left, today = standing.balance, standing.today
    first = month_in(left.budget.zone, left.start)
    days = [first + DAY * at for at in range((next_month(first) - first).days)]
    even = [left.limit * (at + 1) / len(days) for at in range(len(days))]
    low, high = _to_come(standing, days)
    middle = [
        None if one is None or other is None else (one + other) / 2
        for one, other in zip(low, high, strict=True)
    ]
    limit = in_unit(left.limit, left.budget.unit)
    return LineChart(
        name="burn",
        title=f"Spent in {words.month_words(left)}",
        unit=USD if left.budget.unit == Unit.USD else TOKENS,
        at=days,
        series=(
            Series("Spent", _spent(standing, days), hue=0),
            Series("Even pace", even, hue=7, dashed=True),
            Series(
                "Forecast", middle, hue=1, dashed=True, band=(low, high),
                band_words="least to most",
            ),
        ),
        limit=Limit(left.limit, f"limit {limit}"),
        newest=in_unit(left.spent, left.budget.unit),
        note=f"{today:%d %b} is not over yet. What calls under way hold is not in it.",
    )  # fmt: skip


def _spent(standing: Standing, days: list[date]) -> list[Number | None]:
    """Return what was spent when each day ended; None for days to come."""
    found: list[Number | None] = []
    spent = Decimal(0)
    for day in days:
        spent += standing.spent_by_day.get(day, Decimal(0))
        found.append(spent if day <= standing.today else None)
    return found


def _to_come(
    standing: Standing, days: list[date]
) -> tuple[list[Decimal | None], list[Decimal | None]]:
    """Return the least and the most that will have been spent when each day ends; None for days
    that are over, and where nobody knows.
    """
    outlook = standing.outlook
    known = {day: (low, high) for day, low, high in outlook.days} if outlook else {}
    bounds = [known.get(day, (None, None)) for day in days]
    return [low for low, _ in bounds], [high for _, high in bounds]
