"""Meridian Health, the company of the sample year: an invented health insurer with its teams and
models, and what happens to it in the year. Pure facts; calls.py and machines.py make days of them.

The year is the thirteen months that end with the load. All times are UTC: the offices are open from
12:00 to 22:00, nights begin at 04:00.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from apps.chargeback.rating import Prices
from apps.common.periods import DAY, day_of, month_of, months_before, start_of_day
from portal.sample.catalog import MODELS, Model, token_prices
from portal.sample.people import SEED, TEAMS, Team, team_of

NAME = "Meridian Health"
MONTHS = 13


@dataclass(frozen=True)
class Company:
    """A company and its year: [first_day, until). shortage: days on which no Spot machine could be
    bought, both included. price_change: the day from which prices.later hold.
    """

    name: str
    seed: str
    first_day: date
    until: datetime
    teams: tuple[Team, ...]
    models: tuple[Model, ...]
    shortage: tuple[date, date]
    price_change: date
    later_prices: dict[str, Prices] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        """Return the year's first moment."""
        return start_of_day(self.first_day)

    @property
    def days(self) -> list[date]:
        """Return its days, oldest first; the last one may be cut short."""
        last = day_of(self.until - timedelta(microseconds=1))
        return [self.first_day + place * DAY for place in range((last - self.first_day).days + 1)]

    def version_on(self, model: Model, day: date) -> str:
        """Return the version of a model that answers on a day, as calls carry it."""
        return f"{model.name}-v{2 if self._is_later(model, day) else 1}"

    def versions_of(self, model: Model) -> list[int]:
        """Return the numbers of its versions."""
        return [1] if model.later_version_after is None else [1, 2]

    def version_change(self, model: Model) -> date | None:
        """Return the Monday from which on version 2 answers."""
        if model.later_version_after is None:
            return None
        day = self.first_day + model.later_version_after * DAY
        return day + ((7 - day.weekday()) % 7) * DAY

    def _is_later(self, model: Model, day: date) -> bool:
        change = self.version_change(model)
        return change is not None and day >= change

    def is_short_of_spot(self, day: date) -> bool:
        """Tell whether no Spot machine could be bought on a day."""
        return self.shortage[0] <= day <= self.shortage[1]


def meridian(until: datetime) -> Company:
    """Return Meridian Health with the year that ends at a moment."""
    first_day = months_before(month_of(until), MONTHS - 1)
    shortage = months_before(month_of(until), 2) + 15 * DAY
    return Company(
        name=NAME,
        seed=SEED,
        first_day=first_day,
        until=until,
        teams=TEAMS,
        models=MODELS,
        shortage=(shortage, shortage + 2 * DAY),
        price_change=months_before(month_of(until), 5),
        later_prices={"claims-triage": token_prices("8.40", "0.84", "25.20")},
    )


def enlarged(company: Company, *, teams: int, models: int) -> Company:
    """Return the same company with so many teams, each with a cost center that nine others share,
    and so many models, each called by ten of them: of the size that benches need.
    """
    many = tuple(team_of(f"team-{place:04}", f"CC-{place // 10:04}") for place in range(teams))
    return replace(
        company,
        teams=many,
        models=tuple(_copy(company, many, place) for place in range(models)),
        later_prices={},
    )


def _copy(company: Company, teams: tuple[Team, ...], place: int) -> Model:
    """Return one of the models under a name of its own, with callers of its own."""
    model = company.models[place % len(company.models)]
    callers = {teams[(place * 7 + step * 13) % len(teams)].slug: 1 + step % 3 for step in range(10)}
    return replace(model, name=f"model-{place:03}", teams=callers)
