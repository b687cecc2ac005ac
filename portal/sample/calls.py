"""The calls of one day of a company: the same ones for the same company, day and share, whoever
asks. Pure.

Mondays are busiest, weekends and holidays quiet, and the whole grows over the years. A few calls
are refused, fail, or end without telling what they used.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from uuid import UUID

from apps.common.periods import HOUR, start_of_day
from apps.manifests.capacity import SPOT
from apps.metering.access_log import Entry, UsageRecord
from apps.metering.models import Outcome, Unmetered
from portal.sample.company import Company, Model, Team

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


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the gateway told it, and what the engine counted of it: the same, but where the
    gateway knows nothing.
    """

    record: UsageRecord
    prompt_tokens: int
    generation_tokens: int

    @property
    def entry(self) -> Entry:
        """Return it as ingest takes it."""
        record = self.record
        values = {
            "x-request-id": str(record.event_id),
            "start_time": record.occurred_at.isoformat(),
            "response_code": record.response_code,
            "team": record.team,
            "gen_ai.request.model": record.model,
            "gen_ai.request.model_override": record.version,
        }
        return Entry(values, record)


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
    model = one.model
    room = model.context - 64
    prompt = int(rng.lognormvariate(0, model.spread) * model.input_tokens)
    written = int(rng.lognormvariate(0, 0.4) * model.output_tokens) or 1
    prompt = min(max(prompt, 16), room - 16)
    written = min(written, room - prompt, 8_192)
    cached = int(prompt * model.cached * rng.uniform(0.2, 1.8)) if model.cached else 0
    cached = min(cached, prompt)
    ttft = LEAST_TTFT + (prompt - cached) * SECONDS_PER_PROMPT_TOKEN * rng.uniform(0.9, 1.6)
    seconds = ttft + written / model.tokens_per_second
    begins = one.start + timedelta(microseconds=int(rng.random() * 3_590_000_000))
    values: dict[str, object] = {
        "event_id": UUID(int=rng.getrandbits(128), version=4),
        "occurred_at": begins,
        "team": caller.slug,
        "cost_center": caller.cost_center,
        "user_id": caller.users[int(rng.random() * len(caller.users))],
        "model": model.name,
        "route": f"models/{model.name}",
    }
    place = rng.random()
    if place < REFUSED:
        return _untold(values, Outcome.REFUSED, "", 429, duration_ms=2)
    if not one.is_served:
        return _untold(values, Outcome.FAILED, one.version, 503, flags="UH", duration_ms=30)
    if place < REFUSED + FAILED:
        return _untold(values, Outcome.FAILED, one.version, 502, flags="UC", duration_ms=900)
    if place < REFUSED + FAILED + ABORTED:
        done = max(1, int(written * rng.random()))
        left = _untold(
            values,
            Outcome.UNMETERED,
            one.version,
            200,
            flags="DC",
            why=Unmetered.CLIENT_LEFT,
            duration_ms=int(1000 * (ttft + done / model.tokens_per_second)),
        )
        return Call(left.record, prompt, done)
    if place < REFUSED + FAILED + ABORTED + TOLD_NOTHING:
        told = _untold(
            values,
            Outcome.UNMETERED,
            one.version,
            200,
            why=Unmetered.NO_USAGE_TOLD,
            duration_ms=int(1000 * seconds),
        )
        return Call(told.record, prompt, written)
    record = UsageRecord(
        **values,  # type: ignore[arg-type]
        outcome=Outcome.METERED,
        version=one.version,
        response_code=200,
        response_flags="",
        input_tokens=prompt,
        cached_input_tokens=cached,
        output_tokens=written,
        duration_ms=int(1000 * seconds),
        ttft_ms=round(1000 * ttft, 1),
    )
    return Call(record, prompt, written)


def _untold(
    values: dict[str, object],
    outcome: Outcome,
    version: str,
    code: int,
    *,
    duration_ms: int,
    flags: str = "",
    why: str = "",
) -> Call:
    """Return a call of which the gateway knows no tokens."""
    record = UsageRecord(
        **values,  # type: ignore[arg-type]
        outcome=outcome,
        version=version,
        response_code=code,
        response_flags=flags,
        input_tokens=None,
        cached_input_tokens=None,
        output_tokens=None,
        duration_ms=duration_ms,
        ttft_ms=None,
        unmetered_because=why,
    )
    return Call(record, 0, 0)
