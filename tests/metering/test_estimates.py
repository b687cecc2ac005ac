"""What is estimated of calls whose usage never came."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.fleet.metrics.counts import EngineCount, engine_hours
from apps.fleet.metrics.models import ReplicaSample
from apps.fleet.models import Replica
from apps.metering import actions
from apps.metering.estimates import with_estimates
from apps.metering.models import DirtyHour, EngineHour, HourlyUsage
from tests.factories import NOW
from tests.metering.test_actions import ingest, record

HOUR, END = NOW, NOW + timedelta(hours=1)
NONE = {"input_tokens": None, "cached_input_tokens": None, "output_tokens": None}


def estimated(**whose):
    """Return what the hour's sums estimate: calls, those of which nothing is known, tokens."""
    rows = HourlyUsage.objects.filter(hour=HOUR, **whose).values_list(
        "estimated_calls", "unmetered_calls", "estimated_input_tokens", "estimated_output_tokens"
    )
    calls, unmetered, tokens_in, tokens_out = (sum(each) for each in zip(*rows, strict=True))
    return calls, unmetered - calls, tokens_in, tokens_out


def row(version="m-v1", model="m", unmetered=0, tokens_in=0, tokens_out=0, **more):
    return {
        "model": model, "version": version, "unmetered_calls": unmetered,
        "input_tokens": tokens_in, "output_tokens": tokens_out, "cached_input_tokens": 0,
        "cached_unknown_calls": 0, "embedding_input_tokens": 0, "rerank_requests": 0,
        "gate_calls": 0, "gate_input_tokens": 0, "gate_output_tokens": 0,
    } | more  # fmt: skip


def figures(rows):
    return [
        (r["estimated_calls"], r["estimated_input_tokens"], r["estimated_output_tokens"])
        for r in rows
    ]


class TestWithEstimates:
    def test_shares_what_the_engine_counted_beyond_the_metered_calls(self):
        rows = [row(unmetered=1, tokens_in=100, tokens_out=10), row(unmetered=2, tokens_in=50)]
        counts = {"m-v1": EngineCount(450, 100, is_whole=True)}
        assert figures(with_estimates(rows, counts, {"m": 2048})) == [(1, 100, 30), (2, 200, 60)]

    def test_tells_what_was_computed_from_what_was_cached(self):
        rows = [row(unmetered=2, tokens_in=100, cached_input_tokens=40), row(unmetered=1)]
        count = EngineCount(460, 90, True, cached_prompt_tokens=160, further_answers=0)
        found = with_estimates(rows, {"m-v1": count}, {"m": 2048})
        # computed 300, of which 60 are metered; cached 160, of which 40 are
        assert [
            (r["estimated_input_tokens"], r["estimated_cached_input_tokens"]) for r in found
        ] == [(2 * (80 + 40), 2 * 40), (80 + 40, 40)]

    def test_takes_first_what_the_gate_saw_pass(self):
        by_gate = {"gate_calls": 1, "gate_input_tokens": 60, "gate_output_tokens": 20}
        rows = [row(unmetered=3, tokens_in=100, tokens_out=10, **by_gate), row(unmetered=1)]
        count = EngineCount(460, 90, True, cached_prompt_tokens=160, further_answers=0)
        found = with_estimates(rows, {"m-v1": count}, {"m": 2048})
        # read 460: 100 metered, 60 by the gate; written 90: 10 and 20. The rest among three calls
        assert figures(found) == [(3, 2 * 100 + 60, 2 * 20 + 20), (1, 100, 20)]
        assert not any(r["estimated_cached_input_tokens"] for r in found), "nobody tells them apart"
        assert not any(name in r for name in by_gate for r in found)

    def test_keeps_what_the_gate_saw_where_no_engine_was_watched(self):
        by_gate = {"gate_calls": 2, "gate_input_tokens": 7, "gate_output_tokens": 5}
        rows = [row(unmetered=3, **by_gate), row("m-v2", unmetered=1)]
        assert figures(with_estimates(rows, {}, {"m": 2048})) == [(2, 7, 5), (0, 0, 0)]

    @pytest.mark.parametrize("further", [4, None])
    def test_takes_no_prompt_that_was_read_again_for_one_of_a_call(self, further):
        """A call with n = 5 tells its prompt once; the engine counts it five times."""
        rows = [row(unmetered=1, tokens_in=100), row()]
        count = EngineCount(550, 90, True, cached_prompt_tokens=400, further_answers=further)
        found = with_estimates(rows, {"m-v1": count}, {"m": 2048})[0]
        assert (found["estimated_input_tokens"], found["estimated_cached_input_tokens"]) == (50, 0)

    @pytest.mark.parametrize(
        "unknown", [{"cached_unknown_calls": 1}, {"embedding_input_tokens": 5}]
    )
    def test_tells_nothing_apart_where_a_call_did_not(self, unknown):
        rows = [row(unmetered=1, tokens_in=100, **unknown)]
        count = EngineCount(550, 90, True, cached_prompt_tokens=400, further_answers=0)
        found = with_estimates(rows, {"m-v1": count}, {"m": 2048})[0]
        assert (found["estimated_input_tokens"], found["estimated_cached_input_tokens"]) == (450, 0)

    def test_gives_a_call_no_more_than_the_context_of_both(self):
        count = EngineCount(9000, 0, True, cached_prompt_tokens=8000, further_answers=0)
        found = with_estimates([row(unmetered=1)], {"m-v1": count}, {"m": 2048})[0]
        assert (found["estimated_input_tokens"], found["estimated_cached_input_tokens"]) == (
            2048,
            1048,
        )

    def test_estimates_nothing_of_a_version_that_reranked(self):
        rows = [row(unmetered=1), row(rerank_requests=1)]
        counts = {"m-v1": EngineCount(450, 100, is_whole=True)}
        assert figures(with_estimates(rows, counts, {"m": 2048})) == [(0, 0, 0), (0, 0, 0)]

    def test_keeps_versions_apart(self):
        rows = [row(unmetered=1), row("m-v2", unmetered=1), row("x-v1", "x", unmetered=1)]
        counts = {
            "m-v1": EngineCount(10, 1, is_whole=True),
            "m-v2": EngineCount(20, 2, is_whole=True),
        }
        found = figures(with_estimates(rows, counts, {"m": 2048, "x": 99}))
        assert found == [(1, 10, 1), (1, 20, 2), (0, 0, 0)]

    def test_leaves_unknown_what_was_not_watched_for_the_whole_hour(self):
        counts = {"m-v1": EngineCount(450, 100, is_whole=False)}
        assert figures(with_estimates([row(unmetered=1)], counts, {"m": 2048})) == [(0, 0, 0)]

    def test_knows_that_nothing_was_used(self):
        counts = {"m-v1": EngineCount(90, 10, is_whole=True)}
        rows = [row(unmetered=3, tokens_in=100, tokens_out=10)]
        assert figures(with_estimates(rows, counts, {"m": 2048})) == [(3, 0, 0)]

    def test_gives_no_call_more_than_the_models_context(self):
        counts = {"m-v1": EngineCount(90_000, 4097, is_whole=True)}
        rows = [row(unmetered=2)]
        assert figures(with_estimates(rows, counts, {"m": 2048})) == [(2, 4096, 4096)]

    def test_estimates_nothing_where_every_call_told_its_usage(self):
        counts = {"m-v1": EngineCount(450, 100, is_whole=True)}
        assert figures(with_estimates([row(tokens_in=1)], counts, {"m": 2048})) == [(0, 0, 0)]


def replica(service="m-v1", ready=HOUR, ended=None, namespace="models"):
    return Replica.objects.create(
        uid=str(uuid4()), name=f"pod-{uuid4()}", namespace=namespace, service=service,
        created_at=HOUR - timedelta(days=1), learned_at=HOUR, ready_at=ready, ended_at=ended,
    )  # fmt: skip


def minutes(of, count, first=HOUR, prompt=10.0, generation=1.0, seconds=60.0, cached=None,
            further=None):  # fmt: skip
    ReplicaSample.objects.bulk_create(
        ReplicaSample(
            replica=of, minute=first + timedelta(minutes=n), samples=4, counted_seconds=seconds,
            prompt_tokens=prompt, generation_tokens=generation, cached_prompt_tokens=cached,
            further_answers=further,
        )
        for n in range(count)
    )  # fmt: skip


def counted():
    return engine_hours(namespace="models", hours=[HOUR])[HOUR]


@pytest.mark.django_db
class TestEngineCounts:
    def test_add_up_a_versions_replicas_in_the_hour(self, django_assert_num_queries):
        one, two, other = replica(), replica(ready=HOUR - timedelta(days=1)), replica("m-v2")
        for each in (one, two, other):
            minutes(each, 60)
        minutes(one, 5, first=END)
        minutes(two, 5, first=HOUR - timedelta(minutes=5))
        minutes(replica(namespace="evals"), 60)
        with django_assert_num_queries(2):
            found = counted()
        assert found == {
            "m-v1": EngineCount(1200, 120, is_whole=True),
            "m-v2": EngineCount(600, 60, is_whole=True),
        }

    def test_tell_cached_tokens_where_every_engine_that_worked_does(self):
        minutes(replica(), 60, cached=4.0, further=0.5)
        minutes(replica(), 60, cached=1.0, further=0.0)
        minutes(replica(), 60, prompt=0.0)
        minutes(replica("m-v2"), 60, cached=4.0)
        minutes(replica("m-v2"), 60)
        assert counted() == {
            "m-v1": EngineCount(1200, 180, True, cached_prompt_tokens=300, further_answers=30),
            "m-v2": EngineCount(1200, 120, True),
        }

    @pytest.mark.parametrize(("watched", "is_whole"), [(60, True), (59, True), (58, False)])
    def test_are_whole_where_at_most_ninety_seconds_are_missing(self, watched, is_whole):
        minutes(replica(), watched)
        assert counted()["m-v1"].is_whole is is_whole

    def test_expect_no_more_than_the_time_in_which_a_replica_was_ready(self):
        minutes(replica(ended=HOUR + timedelta(minutes=10)), 10)
        minutes(replica("m-v2", ready=END - timedelta(minutes=3)), 2)
        assert [count.is_whole for count in counted().values()] == [True, True]

    def test_of_one_unwatched_replica_make_the_version_unknown(self):
        minutes(replica(), 60)
        replica()
        assert counted() == {"m-v1": EngineCount(600, 60, is_whole=False)}

    def test_leave_out_what_could_not_answer_in_that_time(self):
        replica(ready=None)
        replica("m-v2", ready=END)
        replica("m-v3", ready=HOUR - timedelta(hours=2), ended=HOUR)
        assert counted() == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("names")
class TestRecordEngineHours:
    def test_keeps_an_hour_once_and_sums_its_calls_with_it(self, enqueued):
        version = "prior-auth-extract-v1"
        minutes(replica(version), 60, prompt=10.0, generation=2.0)
        left = {"outcome": "UNMETERED", "unmetered_because": "CLIENT_LEFT", **NONE}
        ingest(record(), record(**left), record(team="prior-auth", **left))
        actions.roll_up_dirty_hours(now=END)
        assert estimated() == (0, 2, 0, 0)

        late = END + timedelta(minutes=5)
        with enqueued() as asked:
            assert actions.record_engine_hours(now=late - timedelta(seconds=1)) == 0
        assert asked == []
        with enqueued() as asked:
            assert actions.record_engine_hours(now=late) == 1
        assert asked == [("metering.roll_up_dirty_hours", {})]
        assert actions.record_engine_hours(now=late + timedelta(minutes=5)) == 0
        kept = EngineHour.objects.get()
        assert (kept.hour, kept.version, kept.prompt_tokens, kept.generation_tokens) == (
            HOUR, version, 600, 120,
        )  # fmt: skip
        assert list(DirtyHour.objects.values_list("hour", flat=True)) == [HOUR]
        actions.roll_up_dirty_hours(now=late)
        # 600 prompt tokens less 120 metered ones, 120 generated less 30, for two calls
        assert estimated() == (2, 0, 480, 90)
        assert estimated(team="prior-auth") == (1, 0, 240, 45)

    def test_still_estimates_an_hour_whose_minutes_are_gone(self):
        minutes(replica("prior-auth-extract-v1"), 60)
        actions.record_engine_hours(now=END + actions.MINUTES_ARE_IN)
        ReplicaSample.objects.all().delete()
        ingest(record(outcome="UNMETERED", unmetered_because="CLIENT_LEFT", **NONE))
        actions.roll_up_dirty_hours(now=END + timedelta(days=40))
        assert HourlyUsage.objects.get().estimated_input_tokens == 600

    def test_keeps_each_hour_apart_with_a_few_queries(self, django_assert_num_queries):
        first = replica("prior-auth-extract-v1", ready=HOUR - timedelta(hours=1))
        second = replica("m-v2", ended=END)
        minutes(first, 60, first=HOUR - timedelta(hours=1), prompt=3.0)
        minutes(first, 60, prompt=1.0)
        minutes(second, 60, prompt=2.0)
        with django_assert_num_queries(7):
            assert actions.record_engine_hours(now=END + actions.MINUTES_ARE_IN) == 3
        kept = EngineHour.objects.values_list("hour", "version", "prompt_tokens", "is_whole")
        assert set(kept) == {
            (HOUR - timedelta(hours=1), "prior-auth-extract-v1", 180, True),
            (HOUR, "prior-auth-extract-v1", 60, True),
            (HOUR, "m-v2", 120, True),
        }

    def test_reads_what_it_missed_for_a_day_and_no_longer(self):
        minutes(replica("prior-auth-extract-v1", ended=END), 60)
        late = END + timedelta(hours=23, minutes=5)
        assert actions.record_engine_hours(now=late + timedelta(hours=1)) == 0
        assert actions.record_engine_hours(now=late) == 1
