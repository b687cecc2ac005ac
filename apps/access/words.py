"""What pages say of expected work, of what was used, and of what is asked for beside both. Pure:
figures in, words out.
"""

from decimal import Decimal

from apps.access.models import AccessRequest, ServiceClass, Terms
from apps.access.work import (
    BUSIEST,
    DAYS_PER_MONTH,
    Estimate,
    Needs,
    Use,
    estimate_of,
    seen_of_data,
    use_of_data,
)
from apps.common.counts import counted
from apps.common.money import about_usd, usd
from apps.common.periods import day_of, day_words

Row = tuple[str, object]
NOT_TOLD = "Not told: the request names no expected work."
MUCH_MORE, FAR_MORE = 3, 100  # times what the work needs


CLASSES = {
    ServiceClass.INTERACTIVE: "interactive: somebody waits for each answer",
    ServiceClass.BATCH: "batch: answers may wait, and an engine that schedules by priority takes "
    "interactive calls first",
}


def terms_rows(terms: Terms) -> list[Row]:
    """Return of which class a team's calls are, and how many of them may be under way."""
    return [
        ("Class of the calls", CLASSES[ServiceClass(terms.service_class)]),
        ("Calls at once", at_once_words(terms.calls_at_once)),
    ]


def at_once_words(calls: int | None) -> str:
    """Return how many calls may be under way."""
    if calls is None:
        return "any number"
    return f"{calls:,} at most: one more is refused until another has ended"


def estimate_rows(estimate: Estimate) -> list[Row]:
    """Return what expected work comes to, line by line."""
    needs, page = estimate.needs, estimate.page
    rows: list[Row] = [("Expected work", estimate.work.words)]
    rows.append(
        ("A page takes", page.words if page else "not known: nothing is measured or stated")
    )
    if needs:
        tokens = f"{needs.input_tokens_a_month:,} read and {needs.output_tokens_a_month:,} written"
        rows += [("Tokens a month", tokens), ("Tokens a minute", needs_words(needs))]
    rows.append(("Price", _price_words(estimate)))
    rows.append(("Cost a month", cost_words(estimate)))
    return rows


def needs_words(needs: Needs) -> str:
    """Return how many tokens a minute work needs, and how that is meant."""
    return f"{needs.tokens_per_minute:,} when it is busiest, taken as {BUSIEST} times the average"


def _price_words(estimate: Estimate) -> str:
    if not estimate.prices_words:
        return "no price is set for this model"
    return f"{estimate.prices_words} / M tokens, on {day_words(day_of(estimate.seen_at))}"


def cost_words(estimate: Estimate) -> str:
    """Return what expected work costs a month, or why nobody knows."""
    if estimate.needs is None:
        return "not known, as the tokens of a page are not"
    if estimate.monthly_usd is None:
        return (
            "not known: no price" if not estimate.prices else "not known: some of it has no price"
        )
    return f"{about_usd(estimate.monthly_usd)}, without a discount for cached tokens"


def asked_rows(request: AccessRequest) -> list[Row]:
    """Return what was expected when a request was made, beside what it asks for; one line where
    that was not told.
    """
    if request.expected is None:
        return [("Expected work", NOT_TOLD)]
    estimate = estimate_of(request.expected)
    rows = estimate_rows(estimate)
    if estimate.needs:
        rows.append(("Asked for", tokens_words(request.tokens_per_minute, estimate.needs)))
    if estimate.monthly_usd is not None:
        rows.append(("Budget asked for", budget_words(request.monthly_budget_usd, estimate)))
    return rows


def tokens_words(asked: int, needs: Needs) -> str:
    """Return how the tokens a minute that somebody asks for stand to what their work needs."""
    tokens, needed = f"{asked:,} tokens a minute", needs.tokens_per_minute
    if asked < needed:
        return f"{tokens}: fewer than the work needs, so some calls will be refused"
    if asked > MUCH_MORE * needed:
        return f"{tokens}: {_times(Decimal(asked) / needed)} what the work needs"
    return f"{tokens}: enough for the work"


def budget_words(asked: Decimal, estimate: Estimate) -> str:
    """Return how the budget that somebody asks for stands to what their work costs. monthly_usd of
    the estimate is known.
    """
    cost = estimate.monthly_usd or Decimal(0)
    if asked < cost:
        days = max(1, int(asked / cost * DAYS_PER_MONTH))
        return f"{usd(asked)} a month: spent after about {counted(days, 'day')}"
    if cost and asked > MUCH_MORE * cost:
        return f"{usd(asked)} a month: {_times(asked / cost)} what the work costs"
    return f"{usd(asked)} a month: covers the work"


def _times(ratio: Decimal) -> str:
    return f"{ratio:.1f} times" if ratio < FAR_MORE else f"more than {FAR_MORE} times"


def use_rows(use: Use) -> list[Row]:
    """Return what a grant was used for, line by line."""
    period = f"{use.since:%d %b %Y %H:%M} to {use.until:%d %b %Y %H:%M} UTC"
    if use.is_none:
        return [("Used", f"not once: no call came from {period}")]
    calls = (
        f"{use.metered_calls:,} metered · {use.unmetered_calls:,} unmetered · "
        f"{use.refused_calls:,} refused · {use.failed_calls:,} failed"
    )
    return [
        ("Period", period),
        ("Spent", " · ".join(filter(None, (usd(use.list_cost_usd), use.unpriced)))),
        ("Calls", calls),
        ("Tokens", f"{use.input_tokens:,} in · {use.output_tokens:,} out"),
    ]


def seen_rows(request: AccessRequest) -> list[Row]:
    """Return what lay before whoever decided: the cost by the prices of then, and the use until
    then; nothing where it was not kept.
    """
    if request.decision_seen is None:
        return []
    seen = seen_of_data(request.decision_seen)
    rows: list[Row] = []
    if seen.expected:
        rows = [("Cost a month", cost_words(seen.expected)), ("Price", _price_words(seen.expected))]
    return rows + (use_rows(seen.use) if seen.use else [])


def kept_use_rows(request: AccessRequest) -> list[Row]:
    """Return what the grant to be renewed was used for when that was asked; nothing where it was
    not kept.
    """
    return use_rows(use_of_data(request.use)) if request.use else []
