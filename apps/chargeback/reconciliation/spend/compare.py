"""The price-list ledger beside the hours that it is made of, priced anew, and what each difference
is. Pure.

Both use the same hours and rates, at two times: a difference is a change that the workers have not
taken in, or it is unexplained. There is no tolerance, for nothing is rounded.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import TextChoices

NOTHING = Decimal(0)


class State(TextChoices):
    """How a day of a model ends up."""

    MATCHES = "MATCHES", "Matches"
    WAITING = "WAITING", "Waits to be priced"
    UNPRICED = "UNPRICED", "No price"
    UNEXPLAINED = "UNEXPLAINED", "Unexplained"


@dataclass(frozen=True)
class Side:
    """What a model's use of a day costs. usd: of what has a rate; None: nothing has. unpriced: how
    much of it has none, in the units of its SKUs.
    """

    usd: Decimal | None
    unpriced: Decimal

    @property
    def known_usd(self) -> Decimal:
        """Return what is known of it."""
        return self.usd or NOTHING


@dataclass(frozen=True)
class Day:
    """One UTC day of a model. ledger: as it was priced; hours: its hours, priced now. is_marked:
    something of the day changed since, and the workers price it anew.
    """

    day: date
    model: str
    ledger: Side
    hours: Side
    is_marked: bool

    @property
    def difference_usd(self) -> Decimal:
        """Return how much more the hours come to; negative: less."""
        return self.hours.known_usd - self.ledger.known_usd

    @property
    def unexplained_usd(self) -> Decimal:
        """Return what of the difference has no name."""
        return NOTHING if self.is_marked else self.difference_usd

    @property
    def state(self) -> State:
        """Return whether both sides agree, or why not."""
        differs = self.difference_usd or self.hours.unpriced != self.ledger.unpriced
        if differs:
            return State.WAITING if self.is_marked else State.UNEXPLAINED
        return State.UNPRICED if self.hours.unpriced else State.MATCHES

    @property
    def words(self) -> str:
        """Return what the difference is; "" where there is none."""
        if self.state == State.WAITING:
            return "Hours or prices of the day changed; it is priced anew within a minute."
        if self.state == State.UNEXPLAINED:
            return "The day was priced from other hours or at other prices than there are."
        if self.state == State.UNPRICED:
            return f"{self.hours.unpriced:,.0f} units have no price on either side."
        return ""


@dataclass(frozen=True)
class Summary:
    """What the days of a month come to. unexplained_usd: without signs."""

    days: int
    ledger_usd: Decimal
    hours_usd: Decimal
    unexplained_usd: Decimal
    unexplained_days: int
    waiting_days: int


def summary(found: list[Day]) -> Summary:
    """Return what the days come to."""
    states = [day.state for day in found]
    return Summary(
        days=len(found),
        ledger_usd=sum((day.ledger.known_usd for day in found), NOTHING),
        hours_usd=sum((day.hours.known_usd for day in found), NOTHING),
        unexplained_usd=sum((abs(day.unexplained_usd) for day in found), NOTHING),
        unexplained_days=states.count(State.UNEXPLAINED),
        waiting_days=states.count(State.WAITING),
    )
