"""How budgets are said and shown: what is left, how it goes on, when it runs out. Pure."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apps.access.budgets.models import Mode, Unit, in_unit
from apps.access.budgets.terms import ENFORCED
from apps.chargeback.budgets.limits import Balance
from apps.chargeback.budgets.queries import Standing
from apps.chargeback.forecast import NEEDS_WEEKS, ran_out_on
from apps.chargeback.rating import unpriced_words as no_price_words
from apps.common.badges import Badge
from apps.common.money import about_range_usd
from apps.common.periods import day_words
from apps.common.zones import ZONES, month_in

MODES = {
    Mode.WARN: Badge("neutral", "", "Warns"),
    Mode.SOFT: Badge("neutral", "", "Warns and asks"),
    Mode.HARD: Badge("neutral", "", "Refuses calls", title=ENFORCED),
}
ENDED = Badge("idle", "", "Ended")


@dataclass(frozen=True)
class Meter:
    """A budget's month in a bar: what is used, what calls under way hold, what the month comes to
    at most; and in words. url: the budget's page.
    """

    label: str
    text: str
    note: str
    tone: str
    url: str
    used: Decimal
    flight: Decimal
    limit: Decimal
    forecast: Decimal | None


def meter(left: Balance, forecast: Decimal | None = None) -> Meter:
    """Return the bar of a budget's month."""
    budget = left.budget
    return Meter(
        label=month_words(left),
        text=f"{in_unit(left.used, budget.unit)} of {in_unit(left.limit, budget.unit)}",
        note=unpriced_words(left),
        tone=tone(left),
        url=budget.get_absolute_url(),
        used=left.spent + left.settled,
        flight=left.reserved,
        limit=left.limit,
        forecast=forecast,
    )


def tone(left: Balance) -> str:
    """Return how a budget stands: bad where it is spent, warn from its lowest threshold on."""
    if left.available <= 0:
        return "bad"
    return "warn" if left.reached() else "busy"


def month_words(left: Balance) -> str:
    """Return which month it is, of which zone: "November 2026, UTC"."""
    zone = left.budget.zone
    return f"{month_in(zone, left.start):%B %Y}, {ZONES.get(zone, zone)}"


def unpriced_words(left: Balance) -> str:
    """Return what a budget in USD does not know; "" where it knows all."""
    words = no_price_words(left.unpriced_tokens, left.unpriced_requests)
    if not words or left.budget.unit != Unit.USD:
        return ""
    return f"{words}: what that costs is not in it."


def state_badge(standing: Standing) -> Badge:
    """Return how a budget's month stands."""
    left = standing.balance
    if left.available <= 0:
        return Badge("bad", "", "Spent")
    if reached := left.reached():
        return Badge("warn", "", f"{reached[-1]} % reached")
    return Badge("ok", "", "Within budget")


def outlook_words(standing: Standing) -> str:
    """Return what the whole month comes to: "about $1,240 to $1,410"."""
    found = standing.outlook
    if found is None:
        return NEEDS_WEEKS
    if standing.budget.unit == Unit.USD:
        return about_range_usd(found.low, found.high)
    low, high = (f"{_rounded(value):,.0f}" for value in (found.low, found.high))
    return f"about {high} tokens" if low == high else f"about {low} to {high} tokens"


def _rounded(tokens: Decimal) -> Decimal:
    """Return an estimate of tokens with the three digits that it deserves."""
    return round(tokens, min(0, 2 - tokens.adjusted())) if tokens else tokens


def run_out_days(standing: Standing) -> tuple[date | None, date | None]:
    """Return the first and the last day on which a budget may be spent; the same day twice where it
    was spent; None: not in this month, or not known.
    """
    left = standing.balance
    if left.available <= 0:
        spent = ran_out_on(
            standing.spent_by_day,
            left.limit,
            first=month_in(left.budget.zone, left.start),
            today=standing.today,
        )
        return spent or standing.today, spent or standing.today
    return standing.outlook.runs_out(left.limit) if standing.outlook else (None, None)


def run_out_words(standing: Standing) -> str:
    """Return when a budget runs out: "between 18 and 22 Nov 2026"."""
    earliest, latest = run_out_days(standing)
    if standing.balance.available <= 0 and earliest:
        return f"spent since {day_words(earliest)}"
    if standing.outlook is None:
        return "not known: too few days of use"
    if earliest is None:
        return "lasts the month"
    if latest is None:
        return f"perhaps from {day_words(earliest)} on"
    if earliest == latest:
        return f"on about {day_words(earliest)}"
    return f"between {earliest.day} and {day_words(latest)}"


def figures(standing: Standing) -> dict[str, str]:
    """Return the figures at the top of a budget's page, in words."""
    left, unit = standing.balance, standing.budget.unit
    held = [
        f"{in_unit(amount, unit)} {what}"
        for amount, what in (
            (left.reserved, "held by calls under way"),
            (left.settled, "settled and not in the ledger’s sums"),
        )
        if amount
    ]
    return {
        "left": in_unit(left.available, unit),
        "left_note": f"of {in_unit(left.limit, unit)} in {month_words(left)}",
        "used": in_unit(left.used, unit),
        "used_note": " · ".join([f"{left.percent} %", *held]),
        "boosted": f"{in_unit(left.boosted, unit)} of the limit by boosts" if left.boosted else "",
        "outlook": outlook_words(standing),
        "runs_out": run_out_words(standing),
    }
