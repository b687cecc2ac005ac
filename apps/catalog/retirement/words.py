"""What pages, the API's refusals and notices say of a retirement."""

from datetime import date, datetime

from apps.catalog.retirement.models import Retirement, stays_instead
from apps.common.badges import Badge
from apps.common.periods import ZONE_NAME, day_of, day_words


def badge(retirement: Retirement) -> Badge:
    """Return the badge of a model that goes or is gone."""
    if retirement.is_retired:
        return Badge("draft", "circle-x", "Retired")
    return Badge("warn", "clock", f"Retires {day_words(retirement.last_day)}")


def instead(retirement: Retirement) -> str:
    """Return what to call instead, as a sentence that follows another; "" where nothing is."""
    found = stays_instead(retirement)
    return f" Call {found} instead." if found else ""


def sentence(retirement: Retirement, now: datetime) -> str:
    """Return what whoever calls the model has to know."""
    model, day = retirement.registered_model, day_words(retirement.last_day)
    if retirement.is_retired:
        return f"{model} was retired on {day_words(_ended_on(retirement))}.{instead(retirement)}"
    if retirement.is_overdue(now):
        return (
            f"{model} was to be called until {day}, and is retired once nobody calls it."
            f"{instead(retirement)}"
        )
    return f"{model} may be called until the end of {day}, {ZONE_NAME}.{instead(retirement)}"


def _ended_on(retirement: Retirement) -> date:
    ended = retirement.ended_at
    assert ended is not None, "what is retired has ended"  # noqa: S101 - for the type checker
    return day_of(ended)
