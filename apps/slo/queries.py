"""Objectives with how they stand, for pages: a few queries for any number of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from apps.catalog.models import RegisteredModel
from apps.common.badges import Badge
from apps.common.periods import DAY, day_of, start_of_day
from apps.common.sparklines import Sparkline
from apps.metering.met.queries import Met, met_by_day
from apps.slo import words
from apps.slo.burn import Health, burn_rate, counts_of
from apps.slo.measure import bounds_of
from apps.slo.models import Objective, Standing

TREND_DAYS = 28
_WORST = {health.value: place for place, health in enumerate(Health)}


@dataclass(frozen=True)
class Line:
    """An objective as pages show it. standing: None where nobody has worked it out yet. days: the
    burn rate of each of the last days, oldest first; None where no call was measured.
    """

    objective: Objective
    standing: Standing | None
    days: Sequence[float | None]
    now: datetime

    @property
    def model(self) -> RegisteredModel:
        """Return whose callers it is promised to."""
        return self.objective.registered_model

    @property
    def promise(self) -> str:
        """Return what is promised."""
        return words.promise(self.objective.kind, self.objective)

    @property
    def window(self) -> str:
        """Return over which time."""
        return words.window_words(self.objective)

    @property
    def badge(self) -> Badge:
        """Return how it stands."""
        return words.badge(self.standing, self.now)

    @property
    def left(self) -> str:
        """Return how much of its budget is left."""
        return words.left_words(self.standing.budget_left if self.standing else None)

    @property
    def burn(self) -> str:
        """Return how fast the budget burns now: over the last hour, or the longest time before that
        in which a call was measured.
        """
        found = self.standing
        if found is None:
            return words.NOT_MEASURED
        rates = (("1 h", found.burn_1h), ("6 h", found.burn_6h), ("3 d", found.burn_3d))
        for length, rate in rates:
            if rate is not None:
                return f"{words.burn_words(rate)} over {length}"
        return words.NOT_MEASURED

    @property
    def summary(self) -> str:
        """Return what is left and how it burns, in a line."""
        if self.standing is None or self.standing.budget_left is None:
            return words.NOT_MEASURED
        return f"{self.left}, {self.burn}"

    @property
    def calls(self) -> str:
        """Return what its figures rest on."""
        return words.calls_words(self.standing) if self.standing else words.NOT_MEASURED

    @property
    def spark(self) -> Sparkline:
        """Return its burn rates by day. The last day is the present one."""
        known = [rate for rate in self.days if rate is not None]
        said = f"Burn rate by day over {len(self.days)} days: "
        said += f"highest {words.burn_words(max(known))}" if known else words.NOT_MEASURED
        return Sparkline.of(self.days, mark=1.0, words=said)


def lines(objectives: Iterable[Objective], now: datetime) -> list[Line]:
    """Return objectives, fetched with their parts, as pages show them, in the same order. One query
    for their days.
    """
    found = list(objectives)
    if not found:
        return []
    first = day_of(now) - (TREND_DAYS - 1) * DAY
    by_model = met_by_day(
        start=start_of_day(first),
        end=now,
        bounds=bounds_of(found),
        models={one.registered_model.name for one in found},
    )
    return [
        Line(
            one,
            getattr(one, "standing", None),
            _rates(one, by_model.get(one.registered_model.name, {}), first),
            now,
        )
        for one in found
    ]


def of_models(models: Sequence[RegisteredModel], now: datetime) -> dict[int, list[Line]]:
    """Return model id → the objectives in force, the worst first; a model without one is not there.
    Two queries.
    """
    rows = Objective.objects.active().with_parts().filter(registered_model__in=models)
    found: dict[int, list[Line]] = {}
    for line in sorted(lines(rows, now), key=_worst_first):
        found.setdefault(line.objective.registered_model_id, []).append(line)
    return found


def burning(now: datetime) -> list[Objective]:
    """Return the objectives in force whose budget burns, as far as that is known lately; by model.
    One query.
    """
    rows = Objective.objects.active().with_parts()
    burns = rows.filter(standing__health__in=(Health.PAGE, Health.TICKET))
    return list(burns.filter(standing__until__gte=now - words.LATE).order_by("registered_model"))


def _worst_first(line: Line) -> tuple[int, str]:
    place = _WORST[line.standing.health] if line.standing else len(_WORST)
    return place, line.objective.kind


def _rates(one: Objective, days: Mapping[date, Met], first: date) -> list[float | None]:
    wanted = [first + timedelta(days=place) for place in range(TREND_DAYS)]
    return [
        burn_rate(counts_of(days.get(day), one.kind, one.threshold_ms), one.target)
        for day in wanted
    ]
