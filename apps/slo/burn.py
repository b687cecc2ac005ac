"""What calls say of an objective: how much of its error budget is left, and how fast that burns.
Pure.

Every objective is a share of calls: those that were answered, or whose first token or whole answer
came within a time. "p95 within 800 ms" is "95 % of the calls within 800 ms", so that a budget and
burn rates are defined for it as they are for availability. What nobody measured is neither good
nor bad: it is counted beside, and never makes a share better.

A burn rate of 1 uses up the budget in exactly the objective's window. Rules look at a long and a
short window together: the long one so that a few bad calls wake nobody, the short one so that the
alarm ends soon after the trouble.

Source: Google, The Site Reliability Workbook, chapter 5, "Alerting on SLOs", section 6
("Multiwindow, Multi-Burn-Rate Alerts", table 5-8): page at 14.4 times over 1 h and 5 min, page at
6 times over 6 h and 30 min, ticket at 1 time over 3 d and 6 h.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db.models import TextChoices

from apps.metering.met.queries import Met

# of measured calls in the rule's long window; of fewer, one call that failed would be an alarm
# (the workbook's chapter 5, "Low-Traffic Services and Error Budget Alerting")
ENOUGH = 20


class Kind(TextChoices):
    """What an objective is about."""

    AVAILABILITY = "AVAILABILITY", "Availability"
    TTFT = "TTFT", "Time to first token"
    DURATION = "DURATION", "End to end"


class Level(TextChoices):
    """What is done about a budget that burns."""

    PAGE = "PAGE", "Page"
    TICKET = "TICKET", "Ticket"


class Health(TextChoices):
    """How an objective stands, the worst first."""

    PAGE = "PAGE", "Burns fast"
    TICKET = "TICKET", "Burns"
    SPENT = "SPENT", "Budget spent"
    HEALTHY = "HEALTHY", "Healthy"
    UNKNOWN = "UNKNOWN", "Not measured"


@dataclass(frozen=True)
class Window:
    """A time that burn rates look back over. key: its name in rows and files."""

    key: str
    words: str
    length: timedelta


FIVE_MINUTES = Window("5m", "5 min", timedelta(minutes=5))
HALF_AN_HOUR = Window("30m", "30 min", timedelta(minutes=30))
ONE_HOUR = Window("1h", "1 h", timedelta(hours=1))
SIX_HOURS = Window("6h", "6 h", timedelta(hours=6))
THREE_DAYS = Window("3d", "3 d", timedelta(days=3))
WINDOWS = (FIVE_MINUTES, HALF_AN_HOUR, ONE_HOUR, SIX_HOURS, THREE_DAYS)


@dataclass(frozen=True)
class Rule:
    """Alarm where the budget burns this many times too fast over both windows."""

    level: Level
    factor: float
    long: Window
    short: Window

    @property
    def words(self) -> str:
        """Return it for people: "14.4 times over 1 h and 5 min"."""
        times = "1 time" if self.factor == 1 else f"{self.factor:g} times"
        return f"{times} over {self.long.words} and {self.short.words}"


RULES = (
    Rule(Level.PAGE, 14.4, ONE_HOUR, FIVE_MINUTES),
    Rule(Level.PAGE, 6.0, SIX_HOURS, HALF_AN_HOUR),
    Rule(Level.TICKET, 1.0, THREE_DAYS, SIX_HOURS),
)


@dataclass(frozen=True)
class Counts:
    """Calls that met an objective, that missed it, and of which nobody can tell."""

    good: int = 0
    bad: int = 0
    unknown: int = 0

    @property
    def measured(self) -> int:
        """Return how many calls say something."""
        return self.good + self.bad

    @property
    def good_share(self) -> float | None:
        """Return the share of measured calls that met it; None where none was measured."""
        return self.good / self.measured if self.measured else None


NONE = Counts()


def counts_of(met: Met | None, kind: str, threshold_ms: int | None) -> Counts:
    """Return what callers met, as an objective sees it. met: None where nobody called."""
    if met is None:
        return NONE
    if kind == Kind.AVAILABILITY:
        return Counts(met.completed, met.failed, met.undecided)
    if threshold_ms is None:
        raise ValueError(f"an objective of {kind} has a threshold")
    if kind == Kind.TTFT:
        good = met.ttft_within[threshold_ms]
        return Counts(good, met.ttft_timed - good, met.ttft_untimed)
    good = met.duration_within[threshold_ms]
    return Counts(good, met.duration_timed - good, met.duration_untimed)


def burn_rate(counts: Counts, target: Decimal) -> float | None:
    """Return how many times too fast the budget burns: 0 where no call missed the objective, 1
    where it lasts for its window exactly. None where no call was measured. target: above 0, below
    1.
    """
    if not counts.measured:
        return None
    return float(Decimal(counts.bad) / counts.measured / (1 - target))


def budget_left(counts: Counts, target: Decimal) -> float | None:
    """Return the share of the error budget that is left: 1 where no call missed the objective, 0
    where it is spent, below 0 where it is overspent. The budget is that of the calls so far. None
    where no call was measured.
    """
    burnt = burn_rate(counts, target)
    return None if burnt is None else 1 - burnt


def firing(windows: Mapping[str, Counts], target: Decimal) -> Rule | None:
    """Return the first rule that both of its windows break, or None. windows: key → counts."""
    for rule in RULES:
        long, short = windows.get(rule.long.key, NONE), windows.get(rule.short.key, NONE)
        rates = (burn_rate(long, target), burn_rate(short, target))
        is_broken = all(rate is not None and rate >= rule.factor for rate in rates)
        if is_broken and long.measured >= ENOUGH:
            return rule
    return None


def health_of(whole: Counts, windows: Mapping[str, Counts], target: Decimal) -> Health:
    """Return how an objective stands. whole: the counts of its own window."""
    rule = firing(windows, target)
    if rule is not None:
        return Health(rule.level.value)
    left = budget_left(whole, target)
    if left is None:
        return Health.UNKNOWN
    return Health.SPENT if left <= 0 else Health.HEALTHY
