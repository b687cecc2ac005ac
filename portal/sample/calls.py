"""The calls of one day of a company: the same ones for the same company, day and share, whoever
asks. Pure.

Mondays are busiest, weekends and holidays quiet, and the whole grows over the years. A few calls
are refused, fail, or end without telling what they used.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import accumulate
from uuid import UUID

from apps.common.periods import HOUR, start_of_day
from apps.manifests.capacity import SPOT
from apps.metering.access_log import Entry, UsageRecord, read_record
from portal.sample.catalog import Model
from portal.sample.company import Company
from portal.sample.people import Team

# from Monday on
OF_WEEKDAY = (1.55, 1.12, 1.04, 1.0, 0.88, 0.32, 0.26)
OF_HOLIDAY = 0.22
GROWTH_PER_DAY = 0.0009
GROWS_FROM = date(2026, 1, 1)
# of an hour of the day; hours outside a model's shifts have no calls
OF_HOUR = (
    2, 1, 1, 1, 6, 8, 8, 7, 5, 2, 3, 6, 16, 22, 24, 20, 17, 19, 21, 18, 13, 8, 5, 3,
)  # fmt: skip
REFUSED, FAILED, ABORTED, TOLD_NOTHING = 0.006, 0.003, 0.012, 0.003
SECONDS_PER_PROMPT_TOKEN = 1 / 30_000
LEAST_TTFT = 0.04
MOST_WRITTEN = 8_192


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the gateway's access log tells it, and what the engine counted of it: the same, but
    where the gateway knows nothing.
    """

    record: UsageRecord
    prompt_tokens: int
    generation_tokens: int

    @property
    def entry(self) -> Entry:
        """Return it as ingest takes it."""
        return Entry({"x-request-id": str(self.record.event_id)}, self.record)


@dataclass(frozen=True)
class _Hour:
    """What the calls of a model in an hour have in common."""

    model: Model
    version: str
    start: datetime
    is_served: bool


def calls(company: Company, day: date, *, scale: float = 1.0) -> Iterator[Call]:
    """Yield the calls of a UTC day until the company's year ends, model by model, hour by hour.

    scale: times as many calls. What one model does is independent of the others.
    """
    busy = scale * busyness(day)
    teams = {team.slug: team for team in company.teams}
    for model in company.models:
        rng = random.Random(f"{company.seed}/{day}/{model.name}")  # noqa: S311 (no secret)
        version = company.version_on(model, day)
        weights = served_hours(model, day)
        callers = [teams[slug] for slug in model.teams]
        limits = list(accumulate(model.teams.values()))
        for hour, share in weights.items():
            start = start_of_day(day) + hour * HOUR
            count = _rounded(model.calls * busy * share, rng)
            if start + HOUR > company.until:
                break
            one = _Hour(model, version, start, not _is_short(company, model, day, hour))
            for caller in rng.choices(callers, cum_weights=limits, k=count):
                yield _call(one, caller, rng)


def busyness(day: date) -> float:
    """Return how busy a day is beside a middling weekday at the beginning of 2026."""
    grown = max(0.5, 1 + GROWTH_PER_DAY * (day - GROWS_FROM).days)
    return grown * OF_WEEKDAY[day.weekday()] * (OF_HOLIDAY if is_holiday(day) else 1)


def served_hours(model: Model, day: date) -> dict[int, float]:
    """Return the hours of a day in which a model is called, each with its part of the day."""
    shifts = [shift for shift in model.shifts if day.weekday() in shift.weekdays]
    hours = sorted({h for shift in shifts for h in range(shift.first_hour, shift.last_hour)})
    total = sum(OF_HOUR[hour] for hour in hours)
    return {hour: OF_HOUR[hour] / total for hour in hours}


def is_holiday(day: date) -> bool:
    """Tell whether the company's offices are closed: the larger holidays of the United States."""
    if (day.month, day.day) in ((1, 1), (7, 4), (12, 24), (12, 25), (12, 31)):
        return True
    week = (day.day - 1) // 7
    if day.month == 11 and day.weekday() in (3, 4):  # noqa: PLR2004 - Thanksgiving and the day after
        return week == 3 if day.weekday() == 3 else (day.day - 2) // 7 == 3  # noqa: PLR2004
    is_last_monday = day.weekday() == 0 and (day + timedelta(days=7)).month != day.month
    return (day.month == 5 and is_last_monday) or (  # noqa: PLR2004
        day.month == 9 and day.weekday() == 0 and week == 0  # noqa: PLR2004
    )


def short_hours(shift_first_hour: int) -> tuple[int, int]:
    """Return the hours [first, last) of a shift in which nothing served while no Spot machine could
    be bought: then machines were bought on demand.
    """
    return shift_first_hour, shift_first_hour + 2


def _is_short(company: Company, model: Model, day: date, hour: int) -> bool:
    if not company.is_short_of_spot(day):
        return False
    first = [shift.first_hour for shift in model.shifts if shift.capacity_type == SPOT]
    return any(low <= hour < high for low, high in map(short_hours, first))


def _rounded(number: float, rng: random.Random) -> int:
    """Return a whole number near it, on the average it."""
    return int(number * rng.uniform(0.7, 1.3) + rng.random())


def _call(one: _Hour, caller: Team, rng: random.Random) -> Call:
    """Return one call: mostly one that was answered."""
    asked = _Asked.of(one.model, rng)
    values: dict[str, object] = {
        "x-request-id": str(UUID(int=rng.getrandbits(128), version=4)),
        "start_time": (one.start + _within_the_hour(rng)).isoformat(),
        "path": one.model.path,
        "team": caller.slug,
        "cost_center": caller.cost_center,
        "user_id": caller.users[int(rng.random() * len(caller.users))],
        "gen_ai.request.model": one.model.name,
        "route_name": f"models/{one.model.name}",
    }
    place = rng.random()
    if place < REFUSED:
        return _read(values | {"response_code": 429, "duration": 2})
    values["gen_ai.request.model_override"] = one.version
    if not one.is_served:
        return _read(values | {"response_code": 503, "response_flags": "UH", "duration": 30})
    if place < REFUSED + FAILED:
        return _read(values | {"response_code": 502, "response_flags": "UC", "duration": 900})
    values |= {"response_code": 200, "duration": asked.milliseconds}
    if place < REFUSED + FAILED + ABORTED:
        left = asked.left_early(rng)
        told = {"response_flags": "DC", "duration": left.milliseconds}
        return _read(values | told, left.prompt, left.written)
    values["response_code_details"] = "via_upstream"
    if place >= REFUSED + FAILED + ABORTED + TOLD_NOTHING:
        values |= asked.usage
    return _read(values, asked.prompt, asked.written)


def _within_the_hour(rng: random.Random) -> timedelta:
    return timedelta(microseconds=int(rng.random() * 3_590_000_000))


@dataclass(frozen=True)
class _Asked:
    """What a call asks for, in tokens, and how long it takes. cached: of the prompt."""

    prompt: int
    cached: int
    written: int
    ttft: float
    tokens_per_second: int

    @classmethod
    def of(cls, model: Model, rng: random.Random) -> "_Asked":
        """Return a call of a model within its context."""
        room = model.context - 64
        prompt = int(rng.lognormvariate(0, model.spread) * model.input_tokens)
        prompt = min(max(prompt, 16), room - 16)
        written = int(rng.lognormvariate(0, 0.4) * model.output_tokens)
        cached = min(int(prompt * model.cached * rng.uniform(0.2, 1.8)), prompt)
        ttft = LEAST_TTFT + (prompt - cached) * SECONDS_PER_PROMPT_TOKEN * rng.uniform(0.9, 1.6)
        written = min(max(written, 1), room - prompt, MOST_WRITTEN) if model.writes else 0
        return cls(prompt, cached, written, ttft, model.tokens_per_second)

    @property
    def milliseconds(self) -> int:
        """Return how long the gateway sees it."""
        return int(1000 * (self.ttft + self.written / self.tokens_per_second))

    @property
    def usage(self) -> dict[str, object]:
        """Return what the gateway tells of it."""
        return {
            "gen_ai.usage.input_tokens": self.prompt,
            "gen_ai.usage.cached_input_tokens": self.cached,
            "gen_ai.usage.output_tokens": self.written,
            "gen_ai.latency.ttft_ms": round(1000 * self.ttft, 1),
        }

    def left_early(self, rng: random.Random) -> "_Asked":
        """Return it as it was when its client left."""
        return replace(self, written=int(self.written * rng.random()) or self.written)


def _read(values: dict[str, object], prompt: int = 0, written: int = 0) -> Call:
    record = read_record(values)
    if record is None:
        raise ValueError("the sample made a call that is no usage")
    return Call(record, prompt, written)
