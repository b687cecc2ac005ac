"""The machines of a company's year and the replicas on them, as the cluster would have told of
them. Pure: the same for the same company.

A shift's machine is launched because its pod waits for a GPU, and goes when the shift is over. A
machine that serves day and night is replaced every Monday at midnight. Spot machines are taken back
now and then, and replaced; while none can be bought, the night begins late, on demand.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.common.periods import DAY, HOUR, day_of, start_of_day
from apps.fleet import prices
from apps.manifests.capacity import ON_DEMAND, SPOT
from portal.sample.calls import short_hours
from portal.sample.catalog import Model, Shift
from portal.sample.company import Company

WEEK = 7 * DAY
AHEAD = timedelta(minutes=9)  # a shift's machine is asked for before its first call
CLAIMED = timedelta(seconds=2)  # after the pod that waits for it
LINGERS = timedelta(minutes=5)  # until an idle pod is taken away
EMPTY = timedelta(minutes=2)  # until its empty machine is
TAKEN_BACK = 0.05  # of the nights of a Spot machine
# of the on-demand price, before each week's own swing
OF_ON_DEMAND = Decimal("0.42")
ZONES = ("us-east-1a", "us-east-1b", "us-east-1d")
SPOT_BASIS = f"{prices.SIMULATED}: the sample's Spot price"
PLATFORM_TYPE, PLATFORM_USD = "m7i.xlarge", Decimal("0.2016")
RECLAIMED = "AWS took the Spot machine back"
EMPTIED = "Karpenter removed it: Empty"
EXPIRED = "Karpenter removed it: Expired"
OVER = "The sample year ends"


@dataclass(frozen=True)
class Pod:
    """A replica on a machine. version: its number. Times are aware UTC."""

    name: str
    model: str
    version: str
    gpus: int
    created_at: datetime
    scheduled_at: datetime
    pulled_at: datetime
    loaded_at: datetime
    started_at: datetime
    ready_at: datetime
    ended_at: datetime

    @property
    def service(self) -> str:
        """Return the version as calls carry it."""
        return f"{self.model}-v{self.version}"


@dataclass(frozen=True)
class Machine:
    """A machine with its replica; None on the platform's own. gpus: 0 on these."""

    name: str
    pool: str
    instance_type: str
    gpus: int
    zone: str
    capacity_type: str
    usd_per_hour: Decimal
    price_basis: str
    created_at: datetime
    launched_at: datetime
    registered_at: datetime
    initialized_at: datetime
    ended_at: datetime
    end_reason: str
    pod: Pod | None

    @property
    def node_name(self) -> str:
        """Return the name of its node."""
        return f"{self.name}.sample"


@dataclass(frozen=True)
class _Stay:
    """What a machine is wanted for: [from_at, to_at), and why it goes then."""

    from_at: datetime
    to_at: datetime
    capacity_type: str
    end_reason: str


def machines(company: Company, monday: date) -> Iterator[Machine]:
    """Yield the machines whose reason begins in the week of a Monday, within the year."""
    week = max(start_of_day(monday), company.start), start_of_day(monday + WEEK)
    if week[0] >= min(week[1], company.until):
        return
    for place in range(2):
        rng = random.Random(f"{company.seed}/{monday}/platform/{place}")  # noqa: S311 (no secret)
        stay = _Stay(*week, ON_DEMAND, EXPIRED)
        yield from _within(company, _machine(f"platform-{monday:%y%m%d}-{place}", None, stay, rng))
    for model in company.models:
        for place, shift in enumerate(model.shifts):
            for copy in range(shift.replicas):
                name = f"{model.name}-{place}{copy}-{monday:%y%m%d}"
                rng = random.Random(f"{company.seed}/{name}")  # noqa: S311 (no secret)
                for number, stay in enumerate(_stays(company, shift, week, rng)):
                    day = day_of(stay.from_at + AHEAD + HOUR)
                    made = _machine(f"{name}-{number}", (model, shift), stay, rng)
                    yield from _within(company, _with_pod(company, made, model, stay, day, rng))


def mondays(company: Company) -> list[date]:
    """Return the Mondays of the weeks of a company's year, oldest first."""
    first = company.first_day - company.first_day.weekday() * DAY
    count = (company.days[-1] - first).days // 7 + 1
    return [first + place * WEEK for place in range(count)]


def _stays(
    company: Company, shift: Shift, week: tuple[datetime, datetime], rng: random.Random
) -> Iterator[_Stay]:
    """Yield the stays of one of a shift's machines in a week."""
    if shift.is_always:
        yield _Stay(*week, shift.capacity_type, EXPIRED)
        return
    day = day_of(week[0])
    while start_of_day(day) < week[1]:
        if day.weekday() in shift.weekdays:
            yield from _day_stays(company, shift, day, rng)
        day += DAY


def _day_stays(company: Company, shift: Shift, day: date, rng: random.Random) -> Iterator[_Stay]:
    start = start_of_day(day)
    begins, ends = start + shift.first_hour * HOUR - AHEAD, start + shift.last_hour * HOUR + LINGERS
    taken_back, moment = rng.random() < TAKEN_BACK, rng.uniform(0.3, 0.8)
    if shift.capacity_type == SPOT and company.is_short_of_spot(day):
        late = start + short_hours(shift.first_hour)[1] * HOUR - AHEAD
        yield _Stay(late, ends, ON_DEMAND, EMPTIED)
    elif shift.capacity_type == SPOT and taken_back:
        cut = begins + (ends - begins) * moment
        cut = cut.replace(second=0, microsecond=0)
        yield _Stay(begins, cut, SPOT, RECLAIMED)
        yield _Stay(cut, ends, SPOT, EMPTIED)
    else:
        yield _Stay(begins, ends, shift.capacity_type, EMPTIED)


def _machine(
    name: str, use: tuple[Model, Shift] | None, stay: _Stay, rng: random.Random
) -> Machine:
    kind = use[1].instance_type if use else PLATFORM_TYPE
    listed = prices.instance_type(kind)
    usd = listed.usd_per_hour if listed and listed.usd_per_hour else PLATFORM_USD
    is_spot = stay.capacity_type == SPOT
    if is_spot:
        swing = Decimal(round(rng.uniform(-0.06, 0.09), 4))
        usd = (usd * (OF_ON_DEMAND + swing)).quantize(Decimal("0.0001"))
    asked = stay.from_at + CLAIMED
    launched = asked + _seconds(rng, 20, 45)
    registered = launched + _seconds(rng, 25, 50)
    return Machine(
        name=f"sample-{name}",
        pool=f"{'spot' if is_spot else 'on-demand'}-gpu" if use else "platform",
        instance_type=kind,
        gpus=listed.gpus if listed else 0,
        zone=rng.choice(ZONES),
        capacity_type=stay.capacity_type,
        usd_per_hour=usd,
        price_basis=SPOT_BASIS if is_spot else prices.BASIS,
        created_at=asked,
        launched_at=launched,
        registered_at=registered,
        initialized_at=registered + _seconds(rng, 8, 20),
        ended_at=stay.to_at + (timedelta(0) if stay.end_reason == RECLAIMED else EMPTY),
        end_reason=stay.end_reason,
        pod=None,
    )


def _with_pod(
    company: Company, machine: Machine, model: Model, stay: _Stay, day: date, rng: random.Random
) -> Machine:
    """Return a machine with the replica that it was launched for."""
    scheduled = machine.initialized_at + _seconds(rng, 1, 4)
    pulled = scheduled + _seconds(rng, 20, 70)
    loaded = pulled + _seconds(rng, 15, 60)
    started = loaded + _seconds(rng, 2, 6)
    version = company.version_on(model, day).rpartition("-v")[2]
    pod = Pod(
        name=f"{model.name}-v{version}-predictor-{machine.name.rpartition('-')[2]}-"
        f"{rng.getrandbits(20):05x}",
        model=model.name,
        version=version,
        gpus=machine.gpus,
        created_at=stay.from_at,
        scheduled_at=scheduled,
        pulled_at=pulled,
        loaded_at=loaded,
        started_at=started,
        ready_at=started + _seconds(rng, 60, 140),
        ended_at=stay.to_at,
    )
    return replace(machine, pod=pod)


def _within(company: Company, machine: Machine) -> Iterator[Machine]:
    """Yield a machine cut off at the year's end; nothing where it was not up before it."""
    pod, until = machine.pod, company.until
    if machine.initialized_at >= until or (pod and pod.ready_at >= min(until, pod.ended_at)):
        return
    if machine.ended_at > until:
        machine = replace(machine, ended_at=until, end_reason=OVER)
    if pod and pod.ended_at > until:
        machine = replace(machine, pod=replace(pod, ended_at=until))
    yield machine


def _seconds(rng: random.Random, least: int, most: int) -> timedelta:
    return timedelta(seconds=rng.randint(least, most))
