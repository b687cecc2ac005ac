"""Follows the cluster and writes what it sees: one thread per feed reads, this process's main
thread writes.

Threads only turn objects into small readings and put them, with the time they were learned, on one
queue; the main thread writes them in the order they came. While nothing happens everything sleeps.
After any trouble with the database the whole observer is made anew and begins with lists, from
which every row can be made right.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from apps.fleet import actions, sightings
from apps.fleet.actions import Sight, Tracked
from apps.fleet.models import Node, NodeClaim, NodePool, Observation, Replica
from apps.integrations.kubernetes.connection import Connection
from apps.integrations.kubernetes.types import Kind, Manifest
from apps.integrations.kubernetes.watch import Changed, Listed, Lost, Message, Opened, watch
from apps.manifests.names import EVALS, MODELS

BEAT = timedelta(seconds=15)  # how often "seen until" is written while all is quiet
# what a stream brings this soon after it opened may have happened before
CATCH_UP = timedelta(seconds=5)
# after a list, every claim that it held or that came about then is written
SETTLED = timedelta(minutes=2)
# for so long, what events tell of claims that came and went before it is asked for
RECALLED = timedelta(minutes=2)
EVENTS_KEPT = timedelta(days=30)
INBOX = 1000
BATCH = 200
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feed:
    """One kind, in one namespace or in all. model: where its rows go; None for events."""

    kind: Kind
    read: Callable[[Manifest], Any]
    model: Tracked | None
    namespace: str | None = None

    @property
    def name(self) -> str:
        """Return the feed's name among the observations."""
        return "/".join(part for part in (self.kind.value.plural, self.namespace) if part)

    @property
    def scope(self) -> dict[str, Any]:
        """Return which rows a list of this feed is all of."""
        return {"namespace": self.namespace} if self.namespace else {}


# Events about nodes, claims and pools are kept in `default`: they have no namespace of their own.
FEEDS = (
    Feed(Kind.NODE_POOL, sightings.node_pool, NodePool),
    Feed(Kind.NODE_CLAIM, sightings.node_claim, NodeClaim),
    Feed(Kind.NODE, sightings.node, Node),
    Feed(Kind.POD, sightings.replica, Replica, MODELS),
    Feed(Kind.POD, sightings.replica, Replica, EVALS),
    Feed(Kind.EVENT, sightings.event, None, "default"),
    Feed(Kind.EVENT, sightings.event, None, MODELS),
    Feed(Kind.EVENT, sightings.event, None, EVALS),
)


@dataclass
class Watched:
    """How far a feed is seen. last_at: until when; heard_at: the last message; before_at: last_at
    before the stream.
    """

    last_at: datetime | None = None
    heard_at: datetime | None = None
    before_at: datetime | None = None
    opened_at: datetime | None = None
    error: str = ""

    def note(self, message: Message[Any], at: datetime) -> None:
        """Take a message as a sign of life. A broken stream was alive until then, a silent one
        until it spoke.
        """
        if isinstance(message, Lost):
            if self.opened_at is not None:
                self.last_at = self.heard_at if message.silent else at
            self.error, self.opened_at = message.message, None
            return
        if isinstance(message, Opened):
            self.before_at = self.last_at if self.opened_at is None else at
            self.opened_at, self.error = at, ""
        self.last_at = self.heard_at = at

    def seen_until(self, at: datetime) -> datetime:
        """Return until when the feed was watched before something that was learned at `at`."""
        if self.opened_at is None:
            return self.last_at or at
        return at if at - self.opened_at > CATCH_UP else self.before_at or at


class Observer:
    """One term of leadership: from lists to whatever ends it. Call `start`, then `step` again and
    again.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        feeds: Sequence[Feed] = FEEDS,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._connect, self._feeds, self._clock = connect, feeds, clock
        self._inbox: queue.Queue[tuple[Feed, Message[Any], datetime]] = queue.Queue(INBOX)
        self._stopped = threading.Event()
        self._beat_at = self._pruned_at = datetime.min.replace(tzinfo=clock().tzinfo)
        self.watched = {feed.name: Watched() for feed in feeds}

    def start(self) -> None:
        """Take up what was seen before this term, and start reading."""
        for row in Observation.objects.filter(feed__in=self.watched):
            watched = self.watched[row.feed]
            watched.last_at = watched.heard_at = row.heard_at or row.seen_at
        for feed in self._feeds:
            threading.Thread(target=self._read, args=(feed,), name=feed.name, daemon=True).start()

    def stop(self) -> None:
        """End the threads, each at its next message."""
        self._stopped.set()

    def step(self, wait: float = 5.0) -> int:
        """Write what came, waiting up to `wait` seconds for the first; return how many messages
        that were.
        """
        batch = self._take(wait)
        for feed, message, at in batch:
            self._write_or_say(feed, message, at)
        now = self._clock()
        if now - self._beat_at >= BEAT or any(
            isinstance(message, (Lost, Opened)) for _, message, _ in batch
        ):
            self._beat(now)
        if now - self._pruned_at >= timedelta(hours=1):
            actions.prune_events(before=now - EVENTS_KEPT)
            self._pruned_at = now
        return len(batch)

    def put(self, feed: Feed, message: Message[Any], at: datetime) -> None:
        """Hand a message to the writer; wait while it is behind."""
        while not self._stopped.is_set():
            try:
                self._inbox.put((feed, message, at), timeout=5)
                return
            except queue.Full:
                continue

    def _read(self, feed: Feed) -> None:
        stream = watch(
            self._connect, feed.kind, feed.read, namespace=feed.namespace,
            stopped=self._stopped.is_set,
            sleep=lambda seconds: None if self._stopped.wait(seconds) else None,
        )  # fmt: skip
        for message in stream:
            self.put(feed, message, self._clock())
            if self._stopped.is_set():
                return

    def _take(self, wait: float) -> list[tuple[Feed, Message[Any], datetime]]:
        batch = []
        try:
            batch.append(self._inbox.get(timeout=wait))
            while len(batch) < BATCH:
                batch.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _write_or_say(self, feed: Feed, message: Message[Any], at: datetime) -> None:
        """Write a message; one that no row can hold is logged and shown, and does not stop the
        others.
        """
        try:
            with transaction.atomic():
                self._write(feed, message, at)
        except (DataError, IntegrityError):
            log.exception("a reading of %s could not be written", feed.name)
            self.watched[
                feed.name
            ].error = "A reading could not be written: see the observer's log."

    def _write(self, feed: Feed, message: Message[Any], at: datetime) -> None:
        watched = self.watched[feed.name]
        seen_until = watched.seen_until(at)
        watched.note(message, at)
        if isinstance(message, Listed):
            if feed.model is None:
                actions.record_events(events=message.items, now=at)
            else:
                actions.record_listed(
                    model=feed.model,
                    seen=message.items,
                    scope=feed.scope,
                    seen_until=seen_until,
                    now=at,
                )
        if isinstance(message, Changed):
            if feed.model is None:
                actions.record_events(events=[] if message.gone else [message.item], now=at)
            elif message.gone:
                actions.record_gone(
                    model=feed.model, seen=message.item, seen_until=seen_until, now=at
                )
            else:
                actions.record_seen(model=feed.model, seen=[message.item], now=at)

    def _beat(self, now: datetime) -> None:
        """Write until when each feed is seen: now, for one whose stream is open."""
        sights = {}
        for name, watched in self.watched.items():
            if watched.opened_at is not None and self._inbox.empty():
                watched.last_at = now
            if watched.last_at is not None or watched.error:
                sights[name] = Sight(watched.last_at, watched.error, watched.heard_at)
        actions.record_observations(sights=sights)
        self._beat_at = now
        self._recall(now)

    def _recall(self, now: datetime) -> None:
        """Some time after a stream of claims began: write those that came and went before, of which
        events tell.
        """
        claims = next(
            (self.watched[feed.name] for feed in self._feeds if feed.model is NodeClaim), Watched()
        )
        opened_at = claims.opened_at
        if (
            opened_at is not None
            and self._inbox.empty()
            and SETTLED <= now - opened_at < SETTLED + RECALLED
        ):
            actions.record_never_listed(listed_at=opened_at, now=now)
