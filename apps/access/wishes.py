"""What a team may ask for, and what is wrong with a wish, in our words. Pure.

The form, the API and the action ask the same function, so a bound stands here once and a person
sees everything that is wrong at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.access.models import MOST_CALLS_AT_ONCE, Grant, ServiceClass
from apps.catalog.models import DataClass, RegisteredModel
from apps.common.money import CENT
from apps.common.periods import ZONE_NAME, day_of, day_words

SENSITIVITY = [DataClass.PUBLIC, DataClass.INTERNAL, DataClass.PHI]
SHORTEST_PURPOSE, LONGEST_PURPOSE = 10, 2000  # characters
LONGEST_GRANT = timedelta(days=366)
HIGHEST_TOKENS_PER_MINUTE = 10_000_000
HIGHEST_BUDGET_USD = Decimal("9999999999.99")


@dataclass(frozen=True)
class Wish:
    """What a team asks for. tokens_per_minute: 1 to 10 million. expires_date: the grant's last day;
    it ends at the end of it. service_class: of ServiceClass. calls_at_once: 1 to 10,000, or None
    for any number.
    """

    purpose: str
    data_class: str
    tokens_per_minute: int
    monthly_budget_usd: Decimal
    expires_date: date
    service_class: str = ServiceClass.INTERACTIVE.value
    calls_at_once: int | None = None


def first_last_day(now: datetime) -> date:
    """Return the earliest day that access may end on: tomorrow."""
    return day_of(now) + timedelta(days=1)


def latest_last_day(now: datetime) -> date:
    """Return the latest day that access may end on."""
    return day_of(now + LONGEST_GRANT)


def renewal(grant: Grant, monthly_budget_usd: Decimal, now: datetime) -> Wish:
    """Return what renews a grant as it is: its purpose, data and limits, for as long again.

    grant: with its request. monthly_budget_usd: what the team may spend on the model now.
    """
    length = grant.last_day - day_of(grant.active_from)
    last_day = max(day_of(now) + length, first_last_day(now))
    return Wish(
        purpose=grant.request.purpose,
        data_class=grant.request.data_class,
        tokens_per_minute=grant.tokens_per_minute,
        monthly_budget_usd=monthly_budget_usd,
        expires_date=min(last_day, latest_last_day(now)),
        service_class=grant.service_class,
        calls_at_once=grant.calls_at_once,
    )


def problems(wish: Mapping[str, Any], model: RegisteredModel, now: datetime) -> dict[str, str]:
    """Return what is wrong with a wish: the field and a sentence for each; nothing where it is
    fine.

    wish: values by the names of Wish, of the right types; a name that is missing is not judged.
    """
    rules: dict[str, Callable[[Any], str]] = {
        "purpose": _purpose,
        "tokens_per_minute": _tokens,
        "monthly_budget_usd": _budget,
        "service_class": _service_class,
        "calls_at_once": _calls_at_once,
    }
    found = {name: rule(wish[name]) for name, rule in rules.items() if name in wish}
    if "data_class" in wish:
        found["data_class"] = _data_class(wish["data_class"], model)
    if "expires_date" in wish:
        found["expires_date"] = _last_day(wish["expires_date"], now)
    return {name: words for name, words in found.items() if words}


def _purpose(purpose: str) -> str:
    length = len(purpose.strip())
    if length < SHORTEST_PURPOSE:
        return "Say in a sentence or two what your team will do with it."
    if length > LONGEST_PURPOSE:
        return f"Say it in at most {LONGEST_PURPOSE:,} characters; this has {length:,}."
    return ""


def _data_class(data_class: str, model: RegisteredModel) -> str:
    highest = SENSITIVITY.index(DataClass(model.data_class))
    return highest_words(model) if SENSITIVITY.index(DataClass(data_class)) > highest else ""


def highest_words(model: RegisteredModel) -> str:
    """Return which data a model may see, as the form, a refusal and the owner read it."""
    label = model.get_data_class_display()
    data = "member data (PHI)" if model.data_class == DataClass.PHI else f"{label.lower()} data"
    return f"{model} is approved for {data} at most."


def _tokens(tokens: int) -> str:
    if not 1 <= tokens <= HIGHEST_TOKENS_PER_MINUTE:
        return f"Ask for 1 to {HIGHEST_TOKENS_PER_MINUTE:,} tokens per minute."
    return ""


def _budget(budget: Decimal) -> str:
    if budget <= 0:
        return "The monthly budget must be more than 0 USD."
    if budget > HIGHEST_BUDGET_USD or budget != budget.quantize(CENT):
        return "Give the monthly budget in dollars and whole cents."
    return ""


def _service_class(service_class: str) -> str:
    if service_class not in ServiceClass.values:
        return "Choose interactive or batch."
    return ""


def _calls_at_once(calls: int | None) -> str:
    if calls is not None and not 1 <= calls <= MOST_CALLS_AT_ONCE:
        return f"Ask for 1 to {MOST_CALLS_AT_ONCE:,} calls at once, or for any number."
    return ""


def _last_day(day: date, now: datetime) -> str:
    if day < day_of(now):
        return f"{day_words(day)} has passed. Access must end after today."
    first, latest = first_last_day(now), latest_last_day(now)
    if not first <= day <= latest:
        return (
            "Access must end after today and within a year: from "
            f"{day_words(first)} to {day_words(latest)}, {ZONE_NAME}."
        )
    return ""
