"""Whole days of a cluster, watched through outages, restarts and forgotten versions: what the
intervals say is true.

The truth is known (tests/fleet/day.py), so each claim is compared with it: its intervals cover its
paid time without an overlap or a hole, what nobody saw is marked and no longer than the time in
which nobody looked, each price is the one of that time, and the reasons are those of the events.
"""

import random
from datetime import datetime
from decimal import Decimal

import pytest

from apps.fleet.models import NodeClaim, NodeInterval
from apps.fleet.observer import FEEDS, Feed, Observer
from apps.integrations.kubernetes.watch import Changed
from tests.fleet.day import DAY, EVENTS_KEPT, Life, World, dark, heard, invent
from tests.fleet.objects import START, at

pytestmark = pytest.mark.django_db
WATCHED = [feed for feed in FEEDS if feed.name in ("nodeclaims", "events/default", "events/models")]
LATE = 1.5  # seconds that a message is on its way
SOON = 12.0  # seconds: a change is learned at once, or by a list within seconds
SEEDS = range(3)


class Clock:
    """What the observer's clock shows."""

    def __init__(self) -> None:
        self.second = 0.0

    def __call__(self) -> datetime:
        return at(self.second)


class Reader(Observer):
    """An observer that is told, instead of reading."""

    def _read(self, feed: Feed) -> None:
        return


def observe(world: World, dice: random.Random) -> None:
    """Let observers watch the day, one after another, each killed with what it had not written
    yet.
    """
    begins, ends = (
        [0.0, *(up for _, up in world.restarts)],
        [*(down for down, _ in world.restarts), DAY],
    )
    for begin, end in zip(begins, ends, strict=True):
        one_term(world, begin, end, dice)


def one_term(world: World, begin: float, end: float, dice: random.Random) -> None:
    clock = Clock()
    clock.second = begin
    observer = Reader(lambda: None, feeds=WATCHED, clock=clock)  # type: ignore[arg-type,return-value]
    observer.start()
    messages = sorted(
        (each for feed in WATCHED for each in heard(world, feed, begin, end, dice)),
        key=lambda each: each[0],
    )
    old: list[Changed] = []
    for second, feed, message in messages:
        if second - clock.second > 15:  # the last beat before it
            clock.second = second - dice.uniform(0, 15)
            observer.step(wait=0)
        clock.second = second
        observer.put(feed, message, at(second))
        if isinstance(message, Changed) and not message.gone and feed.model is NodeClaim:
            old.append(message)
            if dice.random() < 0.2:  # a state that came before, once more
                observer.put(feed, dice.choice(old), at(second))
        if dice.random() < 0.8:
            observer.step(wait=0)
    if end < DAY:  # the last beat before it was killed
        clock.second = max(clock.second, end - dice.uniform(0, 15))
    observer.step(wait=0)


def inside(second: float, zones: list[tuple[float, float]]) -> tuple[float, float] | None:
    return next((zone for zone in zones if zone[0] <= second <= zone[1]), None)


def second_of(moment: datetime) -> float:
    return (moment - START).total_seconds()


def check(life: Life, zones: list[tuple[float, float]]) -> None:
    """Compare what is written about one claim with the truth."""
    claim = NodeClaim.objects.filter(uid=life.uid).first()
    if claim is None:
        assert life.ended is not None and unseen(life.created, life.ended, zones), (
            f"{life} was never seen"
        )
        assert life.launched is None or not is_told(life, zones), f"{life} is told by an event"
        return
    spans = list(claim.intervals.all())
    assert (claim.launch_reason, claim.end_reason) == (life.why_launched, life.why_ended), life
    if life.launched is None:
        assert spans == [], life
        return
    assert spans, life
    for before, after in zip(spans, spans[1:], strict=False):
        assert before.ended_at == after.started_at, life
    assert [span.observed for span in spans[:-1]] == [True] * (len(spans) - 1), life
    if claim.launched_at is not None:
        assert second_of(claim.launched_at) == second_of(spans[0].started_at) == life.launched, life
    else:  # nobody saw it launched, nor does an event say when
        assert len(spans) == 1 and not spans[0].observed and not life.is_launch_told, life
    check_end(life, claim, spans, zones)
    for span in spans:
        check_price(life, span, zones)


def unseen(begin: float, end: float, zones: list[tuple[float, float]]) -> bool:
    zone = inside(begin, zones)
    return zone is not None and end <= zone[1]


def is_told(life: Life, zones: list[tuple[float, float]]) -> bool:
    """Tell whether an event of the launch was still to be had when the cluster was seen again."""
    zone = inside(life.launched or 0.0, zones)
    return (
        life.is_launch_told
        and zone is not None
        and zone[1] - (life.launched or 0.0) < EVENTS_KEPT - 300
    )


def check_end(
    life: Life, claim: NodeClaim, spans: list[NodeInterval], zones: list[tuple[float, float]]
) -> None:
    last = spans[-1]
    if life.ended is None:
        assert last.ended_at is None and last.observed, life
        return
    assert last.ended_at is not None and claim.ended_at is not None, life
    assert abs(second_of(claim.ended_at) - second_of(last.ended_at)) <= 1, life
    zone, ended = inside(life.ended, zones), second_of(last.ended_at)
    if last.observed:
        assert -1 <= ended - life.ended <= SOON, (life, spans)
    else:
        assert zone is not None, (life, spans)
        began = second_of(last.started_at)
        assert zone[0] <= began or began == life.launched, (life, spans, zone)
        assert began - LATE <= life.ended < ended + 1 <= zone[1] + 1, (life, spans, zone)
        assert not life.is_finalized or claim.launched_at is None or claim.resource_version == 0, (
            life,
            spans,
        )


def check_price(life: Life, span: NodeInterval, zones: list[tuple[float, float]]) -> None:
    begin, end = second_of(span.started_at), second_of(span.ended_at) if span.ended_at else DAY
    told = (span.instance_type, span.zone, span.capacity_type)
    if told == ("", "", "") and inside(life.launched or 0.0, zones):
        return  # nobody saw what was launched
    assert told == life.machine, (life, span)
    for step in range(1, 20):
        moment = begin + (end - begin) * step / 20
        settling = any(since <= moment <= since + SOON for since, _ in life.prices)
        if not settling and inside(moment, zones) is None:
            assert span.price_usd_per_hour == Decimal(life.price_at(moment)), (life, span, moment)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_is_told_as_it_was(seed):
    world, dice = invent(seed), random.Random(seed)  # noqa: S311 - a day that can be had again
    random.seed(seed)  # the reader's own pauses

    observe(world, dice)

    zones = joined(dark(world))
    for life in world.lives:
        check(life, zones)
    check_sum(world, zones)


def joined(zones: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return zones that touch as one."""
    found: list[tuple[float, float]] = []
    for begin, end in zones:
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def check_sum(world: World, zones: list[tuple[float, float]]) -> None:
    """The hours that the intervals sum to are the truth's: to seconds a claim, and to what is
    marked unobserved.
    """
    true = sum(
        (life.ended or DAY) - life.launched for life in world.lives if life.launched is not None
    )
    spans = [
        (second_of(span.ended_at) if span.ended_at else DAY) - second_of(span.started_at)
        for span in NodeInterval.objects.filter(observed=True)
    ]
    dark_time = sum(
        second_of(span.ended_at) - second_of(span.started_at)
        for span in NodeInterval.objects.filter(observed=False)
        if span.ended_at
    )
    missed = sum(
        life.ended - life.launched
        for life in world.lives
        if life.ended and life.launched and not NodeClaim.objects.filter(uid=life.uid).exists()
    )
    slack = SOON * len(world.lives)
    assert sum(spans) - slack <= true <= sum(spans) + dark_time + missed + slack
