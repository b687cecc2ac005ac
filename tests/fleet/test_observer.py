"""From messages to rows: what a lost watch, a restart and a silent stream mean. And once with a
server and threads.
"""

from datetime import UTC, datetime, timedelta

import pytest

from apps.fleet import sightings
from apps.fleet.models import ClusterEvent, NodeClaim, NodeInterval, Observation
from apps.fleet.observer import Feed, Observer, Watched
from apps.integrations.kubernetes.types import Kind
from apps.integrations.kubernetes.watch import Alive, Changed, Listed, Lost, Opened
from tests.fleet.objects import at, claim, event
from tests.integrations.api_double import ApiDouble, listed, stream

CLAIMS = Feed(Kind.NODE_CLAIM, sightings.node_claim, NodeClaim)
EVENTS = Feed(Kind.EVENT, sightings.event, None, "default")
WHOLE = sightings.node_claim(claim(version=3, launched=4, registered=9, initialized=12))


class TestWatched:
    @pytest.mark.parametrize(
        ("messages", "moment", "expected"),
        [
            ([], 10, 10),
            ([(Listed([]), 0), (Opened(), 1)], 100, 100),
            ([(Listed([]), 0), (Opened(), 1), (Lost("broken"), 50)], 200, 50),
            ([(Listed([]), 0), (Opened(), 1), (Lost("broken"), 50), (Lost("away"), 80)], 200, 50),
            (
                [(Listed([]), 0), (Opened(), 1), (Alive(), 40), (Lost("silent", silent=True), 170)],
                200,
                40,
            ),
            ([(Listed([]), 0), (Opened(), 1), (Lost("broken"), 50), (Opened(), 190)], 191, 50),
            ([(Listed([]), 0), (Opened(), 1), (Lost("broken"), 50), (Opened(), 190)], 200, 200),
            ([(Listed([]), 0), (Opened(), 1), (Opened(), 120)], 121, 120),
        ],
        ids=[
            "new",
            "open",
            "broken",
            "still away",
            "silent",
            "catching up",
            "caught up",
            "renewed",
        ],
    )
    def test_knows_until_when_the_cluster_was_seen(self, messages, moment, expected):
        watched = Watched()
        for message, second in messages:
            watched.note(message, at(second))
        assert watched.seen_until(at(moment)) == at(expected)


class Clock:
    def __init__(self) -> None:
        self.second = 0.0

    def __call__(self) -> datetime:
        return at(self.second)


@pytest.fixture
def observer(db):
    made = Observer(lambda: None, feeds=(CLAIMS, EVENTS), clock=Clock())

    def tell(feed, message, second):
        made._clock.second = second
        made.put(feed, message, at(second))
        made.step(wait=0)

    made.tell = tell
    return made


class TestObserver:
    def test_writes_a_claims_life_while_it_watches(self, observer):
        observer.tell(CLAIMS, Listed([]), 0)
        observer.tell(CLAIMS, Opened(), 1)
        observer.tell(CLAIMS, Changed(WHOLE), 13)
        observer.tell(CLAIMS, Changed(WHOLE, gone=True), 300)
        assert NodeInterval.objects.values_list("started_at", "ended_at", "observed").get() == (
            at(4),
            at(300),
            True,
        )

    def test_calls_the_time_after_a_lost_watch_unobserved(self, observer):
        observer.tell(CLAIMS, Listed([WHOLE]), 13)
        observer.tell(CLAIMS, Opened(), 14)
        observer.tell(CLAIMS, Lost("away"), 100)
        observer.tell(CLAIMS, Lost("away"), 400)
        observer.tell(CLAIMS, Listed([]), 700)
        found = list(NodeInterval.objects.values_list("started_at", "ended_at", "observed"))
        assert found == [(at(4), at(100), True), (at(100), at(700), False)]

    def test_learns_a_deletion_that_comes_with_a_resumed_watch(self, observer):
        observer.tell(CLAIMS, Listed([WHOLE]), 13)
        observer.tell(CLAIMS, Opened(), 14)
        observer.tell(CLAIMS, Lost("away"), 100)
        finalized = sightings.event(event("Finalized", "NodeClaim", "gpu-abc", 300))
        observer.tell(EVENTS, Listed([finalized]), 699)
        observer.tell(CLAIMS, Opened(), 700)
        observer.tell(CLAIMS, Changed(WHOLE, gone=True), 701)
        assert NodeInterval.objects.values_list("ended_at", "observed").get() == (at(300), True)

    def test_says_until_when_each_feed_was_seen_and_why_not_further(self, observer):
        observer.tell(CLAIMS, Listed([]), 0)
        observer.tell(CLAIMS, Opened(), 1)
        observer._clock.second = 60
        observer.step(wait=0)
        assert Observation.objects.get(feed="nodeclaims").seen_at == at(60)
        observer.tell(CLAIMS, Lost("The cluster cannot be reached."), 70)
        observer._clock.second = 500
        observer.step(wait=0)
        row = Observation.objects.get(feed="nodeclaims")
        assert (row.seen_at, row.error) == (at(70), "The cluster cannot be reached.")

    def test_a_new_one_goes_on_from_what_the_last_one_saw(self, observer):
        observer.tell(CLAIMS, Listed([WHOLE]), 13)
        observer.tell(CLAIMS, Opened(), 14)
        after = Observer(lambda: None, feeds=(), clock=Clock())
        after.watched, after._feeds = {"nodeclaims": Watched()}, ()
        after.start()
        after._write(CLAIMS, Listed([]), at(900))
        found = list(NodeInterval.objects.values_list("ended_at", "observed"))
        assert found == [(at(14), True), (at(900), False)]

    def test_a_new_one_trusts_no_silence_of_the_last_one(self, observer):
        """A stream that says nothing may be dead: what is sure to have been seen ends with its last
        message.
        """
        observer.tell(CLAIMS, Listed([WHOLE]), 13)
        observer.tell(CLAIMS, Opened(), 14)
        observer._clock.second = 100
        observer.step(wait=0)
        assert Observation.objects.get(feed="nodeclaims").seen_at == at(100)
        after = Observer(lambda: None, feeds=(), clock=Clock())
        after.watched = {"nodeclaims": Watched()}
        after.start()
        after._write(CLAIMS, Listed([]), at(110))
        found = list(NodeInterval.objects.values_list("ended_at", "observed"))
        assert found == [(at(14), True), (at(110), False)]

    def test_goes_on_after_a_reading_that_no_row_can_hold(self, observer):
        odd = sightings.node_claim(claim(uid="odd", name="x" * 300))
        observer.tell(CLAIMS, Listed([odd]), 13)
        observer.tell(CLAIMS, Changed(WHOLE), 14)
        assert NodeClaim.objects.get().name == "gpu-abc"


@pytest.mark.django_db
class TestThreads:
    def test_read_from_a_server_and_the_step_writes(self):
        api = ApiDouble()
        api.answers = [
            listed(5, claim(version=3, launched=4)),
            stream(("ADDED", claim(name="gpu-def", uid="claim-2", version=6, launched=8))),
        ]
        observer = Observer(api.connection, feeds=(CLAIMS,))
        try:
            observer.start()
            deadline = datetime.now(UTC) + timedelta(seconds=20)
            while NodeClaim.objects.count() < 2 and datetime.now(UTC) < deadline:
                observer.step(wait=0.2)
            assert set(NodeClaim.objects.values_list("name", flat=True)) == {"gpu-abc", "gpu-def"}
            assert ClusterEvent.objects.count() == 0
        finally:
            observer.stop()
            api.close()
