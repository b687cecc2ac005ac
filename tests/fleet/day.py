"""A day of a cluster that never was: what happened, and an API server that tells of it as the real
one does.

`invent` makes the truth from a seed. `Api` answers lists and watches at any moment of that day: a
list is what is there, a stream brings every later change, is resumed or refused (410), breaks off,
or goes silent. `heard` runs the product's own `watch` against it, so that what the observer gets is
what it would have got, each message with its time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from apps.fleet.observer import Feed
from apps.integrations.errors import Expired, TemporaryError
from apps.integrations.kubernetes.connection import Silent
from apps.integrations.kubernetes.watch import SILENCE_SECONDS, Message, watch
from tests.fleet.objects import LABELS, claim, event, text

DAY = 86_400.0
EVENTS_KEPT = 3600.0  # by the API server
STREAM, BOOKMARK = (
    3000.0,
    120.0,
)  # streams are longer than they are asked for, so that a day is no hundred thousand lines
LAUNCHED = (
    "Status condition transitioned, Type: Launched, Status: Unknown -> True, Reason: Launched"
)
PRICE = "eks-node-viewer/instance-price"
MACHINES = (
    ("g6.xlarge", "us-east-1a", "spot", "0.402500"),
    ("g6.2xlarge", "us-east-1b", "on-demand", "0.977600"),
    ("p5.48xlarge", "us-east-1c", "spot", "24.1234567891"),
)
ENDS = ("empty", "underutilized", "spot", "deleted")


@dataclass
class Life:
    """The truth of one claim, in seconds of the day. prices: (from when, USD per hour). None: not
    that day.
    """

    name: str
    uid: str
    created: float
    launched: float | None = None
    ended: float | None = None
    machine: tuple[str, str, str] = ("", "", "")
    prices: list[tuple[float, str]] = field(default_factory=list)
    why_launched: str = ""
    why_ended: str = ""
    node: str = ""
    is_launch_told: bool = False  # whether an event tells when it was launched
    is_finalized: bool = False  # whether an event tells when it ended

    def price_at(self, second: float) -> str:
        """Return the price that is true at a moment."""
        return [price for since, price in self.prices if since <= second][-1]


@dataclass(frozen=True)
class Change:
    """One change in the API server. feed: the name of the feed that brings it."""

    second: float
    feed: str
    type: str
    obj: dict[str, Any]


@dataclass(frozen=True)
class Outage:
    """A time in which the API server does not answer. silent: open streams say nothing; forgets:
    410 afterwards.
    """

    begin: float
    end: float
    silent: bool
    forgets: bool


@dataclass
class World:
    """A day's truth: the claims, every change of the API's objects, and when nobody could see them.

    restarts: when the observer was killed, and when another one began.
    """

    lives: list[Life]
    changes: list[Change]
    outages: list[Outage]
    restarts: list[tuple[float, float]]


def invent(seed: int, *, claims: int = 40, longest_outage: float = 3000.0) -> World:
    """Return the day that belongs to a seed."""
    dice = random.Random(seed)  # noqa: S311 - a day that can be had again
    lives = sorted((_life(dice, number) for number in range(claims)), key=lambda life: life.created)
    _name_nodes(lives)
    changes = [change for life in lives for change in _changes(dice, life)]
    outages, at = [], 0.0
    while (at := _next(dice, at, changes)) < DAY - longest_outage:
        end = at + dice.choice((5.0, 40.0, 300.0, dice.uniform(300, longest_outage)))
        outages.append(Outage(at, end, silent=dice.random() < 0.4, forgets=dice.random() < 0.5))
        at = end
    restarts, at = [], dice.uniform(0, 20_000)
    while (at := _next(dice, at, changes)) < DAY - longest_outage:
        restarts.append((at, at + dice.choice((3.0, 20.0, 1800.0))))
        at = restarts[-1][1] + dice.uniform(0, 20_000)
    return World(lives, sorted(changes, key=lambda change: change.second), outages, restarts)


def _next(dice: random.Random, after: float, changes: list[Change]) -> float:
    """Return when the next trouble begins: at any time, or around a change, where it does the most
    harm.
    """
    at = after + dice.uniform(2000, 15_000)
    later = [change.second for change in changes if at < change.second < at + 7200]
    return dice.choice(later) + dice.uniform(-3, 3) if later and dice.random() < 0.7 else at


def _name_nodes(lives: list[Life]) -> None:
    """Give nodes their names, each again an hour after it is free, as private addresses come
    back.
    """
    taken: dict[str, float] = {}
    for life in lives:
        free = (
            name
            for number in range(len(lives))
            if taken.get(name := f"node-{number}", -DAY) + 3600 < life.created
        )
        life.node = next(free)
        taken[life.node] = life.ended or DAY


def _life(dice: random.Random, number: int) -> Life:
    created = dice.uniform(0, DAY - 600)
    life = Life(f"gpu-{number}", f"uid-{number}", created)
    life.why_launched = dice.choice(
        (f"Pod models/m-v1-{number} waited for a GPU", "Replaces a node: Underutilized")
    )
    length = dice.choice((dice.uniform(20, 120), dice.uniform(600, 7200), dice.uniform(7200, DAY)))
    life.ended = created + length if created + length < DAY else None
    life.is_finalized, life.is_launch_told = dice.random() < 0.7, dice.random() < 0.7
    if dice.random() < 0.1:
        life.ended, life.is_finalized = min(created + length, DAY - 1), False
        life.why_ended = "No machine could be bought"
        return life
    # a condition's time has whole seconds
    life.launched = float(int(created + dice.uniform(1, 15)))
    *machine, price = dice.choice(MACHINES)
    life.machine, life.prices = (machine[0], machine[1], machine[2]), [(life.launched, price)]
    if dice.random() < 0.3 and length > 600:
        life.prices.append((life.launched + dice.uniform(60, length - 60), "0.5000000001"))
    if life.ended is not None:
        words = {
            "empty": "Karpenter removed it: Empty",
            "underutilized": "Karpenter removed it: Underutilized",
        }
        life.why_ended = (words | {"spot": "AWS took the Spot machine back", "deleted": ""})[
            dice.choice(ENDS)
        ]
    return life


def _changes(dice: random.Random, life: Life) -> Iterator[Change]:
    """Yield what the API server shows of a claim, and the events about it."""
    yield from _launch_events(dice, life)
    state: dict[str, Any] = {"name": life.name, "uid": life.uid, "second": life.created}
    yield _claim(life.created, "ADDED", state)
    if life.launched is None:
        assert life.ended is not None
        yield _event(
            "InsufficientCapacityError",
            "NodeClaim",
            life.name,
            life.ended - 1,
            "no offering is available",
        )
        yield _claim(life.ended, "DELETED", state)
        return
    if life.is_launch_told:
        yield _event("Launched", "NodeClaim", life.name, life.launched, LAUNCHED)
    labels = LABELS | dict(zip(_LABELS, life.machine, strict=True)) | {PRICE: life.prices[0][1]}
    state |= {"launched": life.launched, "labels": labels}
    steps: list[tuple[float, dict[str, Any]]] = [(life.launched + dice.random(), {})]
    if dice.random() < 0.3:  # the condition first, the machine's labels a moment later
        state["labels"] = {"karpenter.sh/nodepool": "gpu-inference"}
        steps.append((steps[0][0] + 0.5, {"labels": labels}))
    for name, wait in (("registered", 6.0), ("initialized", 14.0)):
        at = float(int(life.launched + wait))
        steps.append((at + dice.random(), {name: at}))
    steps += [(since, {"labels": labels | {PRICE: price}}) for since, price in life.prices[1:]]
    end = life.ended or DAY
    for at, step in sorted(steps, key=lambda each: each[0]):
        if at < end:
            state = state | step
            yield _claim(at, "MODIFIED", state, life.node)
    if life.ended is not None:
        yield from _end(dice, life, state)


def _launch_events(dice: random.Random, life: Life) -> Iterator[Change]:
    at = life.created + dice.uniform(-1, 5)
    if life.why_launched.startswith("Pod"):
        pod = life.why_launched.split()[1].removeprefix("models/")
        promise = f"Pod should schedule on: nodeclaim/{life.name}"
        yield _event("Nominated", "Pod", pod, at, promise, feed="events/models")
    else:
        yield _event(
            "DisruptionLaunching", "NodeClaim", life.name, at, "Launching NodeClaim: Underutilized"
        )


def _end(dice: random.Random, life: Life, state: dict[str, Any]) -> Iterator[Change]:
    assert life.ended is not None
    asked = max(life.created, life.ended - dice.uniform(0, 30))
    if life.why_ended.startswith("AWS"):
        yield _event(
            "SpotInterrupted",
            "NodeClaim",
            life.name,
            asked,
            "Spot interruption warning was triggered",
        )
        if "registered" in state:
            yield _event(
                "TerminatingOnInterruption",
                "Node",
                life.node,
                asked,
                "Interruption triggered termination",
            )
    elif life.why_ended:
        reason = life.why_ended.rpartition(": ")[2]
        yield _event(
            "DisruptionTerminating",
            "NodeClaim",
            life.name,
            asked,
            f"Disrupting NodeClaim: {reason}",
        )
    state = state | {"deletionTimestamp": text(asked)}
    yield _claim(asked, "MODIFIED", state, life.node)
    yield _claim(life.ended, "DELETED", state, life.node)
    if life.is_finalized:
        yield _event("Finalized", "NodeClaim", life.name, life.ended, "Finalized")


_LABELS = (
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "karpenter.sh/capacity-type",
)


def _claim(second: float, kind: str, state: dict[str, Any], node: str = "") -> Change:
    obj = claim(**state)
    obj["status"]["nodeName"] = node if "registered" in state else ""
    return Change(second, "nodeclaims", kind, obj)


def _event(
    reason: str, kind: str, name: str, second: float, message: str, feed: str = "events/default"
) -> Change:
    about = name.replace("gpu-", "uid-") if kind == "NodeClaim" else ""
    note = event(
        reason, kind, name, second, message, uid=f"{reason}-{name}-{second:.1f}", about=about
    )
    return Change(second, feed, "ADDED", note)


class Api:
    """The API server as one feed's reader meets it. now: the reader's clock, in seconds of the
    day.
    """

    def __init__(
        self, world: World, feed: Feed, now: float, until: float, dice: random.Random
    ) -> None:
        self.now, self.until, self._dice, self._outages = now, until, dice, world.outages
        self._log = [
            (number, change)
            for number, change in enumerate(world.changes, start=1)
            if change.feed == feed.name
        ]
        self._whole = len(world.changes)
        self._seconds = [change.second for change in world.changes]

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def json(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """Answer a list: what is there now."""
        self._answering()
        self.now += self._dice.uniform(0.01, 0.5)
        present: dict[str, dict[str, Any]] = {}
        for number, change in self._log:
            uid = change.obj["metadata"]["uid"]
            if change.second > self.now:
                break
            if (
                change.type == "DELETED"
                or change.second < self.now - EVENTS_KEPT
                and change.feed != "nodeclaims"
            ):
                present.pop(uid, None)
            else:
                present[uid] = _at(change.obj, number)
        return {
            "metadata": {"resourceVersion": str(self._version())},
            "items": list(present.values()),
        }

    @contextmanager
    def changes(
        self, path: str, query: dict[str, str], *, silence: float
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """Answer a watch from a version on."""
        self._answering()
        since = int(query["resourceVersion"])
        lost = [outage for outage in self._outages if outage.forgets and outage.end <= self.now]
        if any(since < self._version(outage.end) for outage in lost):
            raise Expired("too old resource version")
        yield self._stream(since, silence)

    def _stream(self, since: int, silence: float) -> Iterator[dict[str, Any]]:
        ends, heard = self.now + STREAM, self.now
        away = next((outage for outage in self._outages if outage.begin >= self.now), None)
        news = [(number, change) for number, change in self._log if number > since]
        while True:
            number, change = news[0] if news else (0, None)
            comes = max(self.now, change.second + self._dice.uniform(0, 1.5)) if change else DAY * 2
            beat = heard + BOOKMARK
            at = min(comes, beat, ends)
            if self.until <= min(at, away.begin if away else at):
                self.now = self.until
                return
            if away is not None and at >= away.begin:
                self._break(away, heard + silence)
            self.now = heard = at
            if at == comes and change is not None:
                news.pop(0)
                yield {"type": change.type, "object": _at(change.obj, number)}
            elif at == beat:
                bookmark = {
                    "metadata": {"resourceVersion": str(max(since, self._version(self.now - 2)))}
                }
                yield {"type": "BOOKMARK", "object": bookmark}
            else:
                return

    def _break(self, away: Outage, silent_until: float) -> None:
        if not away.silent:
            self.now = away.begin
            raise TemporaryError("reset by peer")
        self.now = max(silent_until, away.begin)
        raise Silent("nothing came")

    def _answering(self) -> None:
        if any(outage.begin <= self.now < outage.end for outage in self._outages):
            self.now += 1.0
            raise TemporaryError("The cluster cannot be reached.")

    def _version(self, second: float | None = None) -> int:
        """Return the newest version at a moment: versions are the changes' numbers."""
        moment = self.now if second is None else second
        return sum(1 for each in self._seconds if each <= moment)


def _at(obj: dict[str, Any], version: int) -> dict[str, Any]:
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": str(version)}}


def heard(
    world: World, feed: Feed, begin: float, until: float, dice: random.Random
) -> Iterator[tuple[float, Feed, Message[Any]]]:
    """Yield what a feed's reader hears between two moments, with the time of each message."""
    api = Api(world, feed, begin, until, dice)
    reader = watch(
        lambda: api, feed.kind, feed.read, namespace=feed.namespace,
        stopped=lambda: api.now >= until, sleep=api.sleep,
    )  # fmt: skip
    for message in reader:
        if api.now >= until:
            return
        yield api.now, feed, message


def dark(world: World) -> list[tuple[float, float]]:
    """Return the times in which the observer may have seen nothing: what is between is seen within
    seconds.
    """
    reconnecting = 100.0  # a version that is forgotten costs a second pause
    away = [
        (outage.begin - BOOKMARK, max(outage.end, outage.begin + SILENCE_SECONDS) + reconnecting)
        for outage in world.outages
    ]
    return sorted([*away, *((down - BOOKMARK, up + 5) for down, up in world.restarts)])
