"""What pages and incidents say of objectives. Formats, never decides."""

from datetime import datetime, timedelta
from decimal import Decimal

from apps.common.badges import Badge
from apps.common.counts import counted
from apps.slo.burn import Health, Kind
from apps.slo.models import Objective, Standing, TermsOf

LATE = timedelta(minutes=10)  # it is worked out every minute
NOT_MEASURED = "not measured"
BADGES = {
    Health.PAGE: Badge("bad", "triangle-alert", "Burns fast"),
    Health.TICKET: Badge("warn", "triangle-alert", "Burns"),
    Health.SPENT: Badge("warn", "circle-x", "Budget spent"),
    Health.HEALTHY: Badge("ok", "", "Healthy"),
    Health.UNKNOWN: Badge("idle", "", "Not measured"),
}
WHAT = {
    Kind.AVAILABILITY: "of calls answered",
    Kind.TTFT: "of first tokens within",
    Kind.DURATION: "of answers complete within",
}


def time_words(ms: int) -> str:
    """Return a threshold: "800 ms", "1.2 s", "2 min"."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1_000:g} s"
    return f"{ms / 60_000:g} min"


def percent_words(percent: Decimal) -> str:
    """Return a share with the digits that it has: "99.5 %"."""
    return f"{percent.normalize():f} %"


def promise(kind: str, terms: TermsOf) -> str:
    """Return what is promised: "95 % of first tokens within 800 ms"."""
    within = f" {time_words(terms.threshold_ms)}" if terms.threshold_ms is not None else ""
    return f"{percent_words(terms.target_percent)} {WHAT[Kind(kind)]}{within}"


def window_words(terms: TermsOf) -> str:
    """Return over which time: "28 days", "calendar month"."""
    return counted(terms.window_days, "day") if terms.window_days else "calendar month"


def left_words(left: float | None) -> str:
    """Return how much of a budget is left: "62 % left", "overspent by 50 %"."""
    if left is None:
        return NOT_MEASURED
    percent = round(100 * left)
    if percent < 0:
        return f"overspent by {-percent:,} %"
    if percent == 0 and left > 0:
        return "less than 1 % left"
    return f"{percent} % left"


def burn_words(rate: float | None) -> str:
    """Return a burn rate: "2.4 ×"."""
    if rate is None:
        return NOT_MEASURED
    return f"{rate:,.1f} ×" if rate < 100 else f"{rate:,.0f} ×"


def is_late(standing: Standing | None, now: datetime) -> bool:
    """Tell whether nobody has worked out for some minutes how it stands."""
    return standing is None or now - standing.until > LATE


def badge(standing: Standing | None, now: datetime) -> Badge:
    """Return how an objective stands; what is out of date says so instead."""
    if standing is None:
        return Badge("idle", "clock", "Not measured yet")
    found = BADGES[Health(standing.health)]
    if is_late(standing, now):
        return Badge("idle", "clock", "Out of date", title=f"Was: {found.words.lower()}")
    return found


def calls_words(standing: Standing) -> str:
    """Return what the figures rest on: "72,000 calls measured, 40 not"."""
    words = f"{counted(standing.good + standing.bad, 'call')} measured"
    return f"{words}, {standing.unknown:,} not" if standing.unknown else words


def burning_words(objective: Objective, standing: Standing) -> str:
    """Return that a budget burns, as an incident says it. Without figures that change with every
    look: those are on its page.
    """
    how = "fast" if standing.health == Health.PAGE else "slowly"
    return f"the error budget of “{promise(objective.kind, objective)}” burns {how}"
