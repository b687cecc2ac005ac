"""What serves, of two models and two versions each: state, words, share, and what it costs."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from apps.catalog.models import RegisteredModel
from apps.fleet.costs import ColdStarts
from apps.fleet.models import NodeClaim, Observation, Replica
from apps.promotions import serving
from apps.promotions.models import Rollout
from apps.promotions.serving import State
from apps.promotions.sleep import Sleep
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)
DRAWN = set((Path(__file__).parents[2] / "static/src/icons.txt").read_text().split())


@pytest.fixture
def observed():
    """The observer saw the whole cluster just now."""
    return Observation.objects.create(feed="pods", seen_at=NOW, heard_at=NOW)


@pytest.fixture
def other():
    """Another model, whose v2 is live and well."""
    return factories.live(RegisteredModelFactory(name="other-model"), 2).registered_model


def candidate(live, number, **facts):
    """Return the rollout of the next version beside a live one, with a quarter of its callers."""
    moves = {"status": "PROGRESSING", "weight": 25, "finished_at": None}
    began = {"started_at": NOW + timedelta(minutes=1), "baseline": live.model_version}
    return factories.rolled(live.registered_model, number, **(moves | began | facts))


def changed(rollout, **facts):
    Rollout.objects.filter(pk=rollout.pk).update(**facts)


def replica(service, *, model, ready=False, took=None, engine="", provider="", uid=""):
    """Return a replica of a version; took: seconds until it was ready, after which it ended."""
    uid = uid or f"{service}-{Replica.objects.count()}"
    NodeClaim.objects.create(
        uid=uid, name=uid, node_name=uid, created_at=NOW, learned_at=NOW, provider_id=provider
    )
    began = NOW - timedelta(minutes=30)
    return Replica.objects.create(
        uid=uid, name=uid, namespace="models", service=service, model=model, node_name=uid,
        created_at=began, learned_at=NOW, is_ready=ready, engine=engine,
        ready_at=began + timedelta(seconds=took) if took else None,
        ended_at=began + timedelta(minutes=5) if took else None,
    )  # fmt: skip


def words(model, at=NOW):
    return serving.of_model(model, at).badge.words


class TestStates:
    def test_tells_each_model_its_own(self, registered_model, other, observed):
        never = RegisteredModelFactory(name="never")
        factories.live(registered_model, 7)
        found = serving.states(RegisteredModel.objects.all(), NOW)
        assert {key: (item.state, item.badge.words) for key, item in found.items()} == {
            registered_model.pk: (State.LIVE, "Live v7"),
            other.pk: (State.LIVE, "Live v2"),
            never.pk: (State.NOT_SERVING, "Not serving yet"),
        }
        assert [found[key].share for key in (registered_model.pk, never.pk)] == [100, 0]

    @pytest.mark.parametrize(
        ("facts", "state", "tone", "said"),
        [
            ({"reason": "DRIFT"}, State.DRIFTED, "bad", "v7 drifted"),
            ({"reason": "DRIFT", "observed_at": None}, State.DRIFTED, "bad", "v7 drifted"),
            ({"reason": "UNMEASURED"}, State.LIVE, "warn", "Live v7, not measured"),
            ({"unready_since": NOW, "reason": "IMAGE"}, State.NOT_READY, "bad", "v7 not ready"),
            ({"reason": "IMAGE"}, State.LIVE, "ok", "Live v7"),
            ({"reason": "AWAY"}, State.UNKNOWN, "warn", "v7, not seen since 09:00 UTC"),
            ({"observed_at": None}, State.UNKNOWN, "warn", "v7, not seen yet"),
        ],
    )
    def test_tells_what_the_last_look_found(
        self, registered_model, other, facts, state, tone, said
    ):
        changed(factories.live(registered_model, 7), message="Its words.", **facts)
        found = serving.of_model(registered_model, NOW)
        assert (found.state, found.badge.tone, found.badge.words) == (state, tone, said)
        assert found.badge.title == "Its words."
        assert words(other) == "Live v2"

    def test_does_not_know_what_nobody_looked_at_for_a_while(self, registered_model, settings):
        factories.live(registered_model, 7)
        settings.ROLLOUT_LOOK_SECONDS = 60
        assert words(registered_model, NOW + timedelta(seconds=180)) == "Live v7"
        assert (
            words(registered_model, NOW + timedelta(seconds=181)) == "v7, not seen since 09:00 UTC"
        )
        settings.ROLLOUT_LOOK_SECONDS = 10
        assert words(registered_model, NOW + timedelta(seconds=180)) == "Live v7", "at least"
        settings.ROLLOUT_LOOK_SECONDS = 600
        assert words(registered_model, NOW + timedelta(seconds=181)) == "Live v7"

    @pytest.mark.parametrize(
        ("facts", "state", "said"),
        [
            ({}, State.ROLLING_OUT, "Rolling out v8 · 25 %"),
            ({"weight": 0}, State.STARTING, "Rolling out v8 · 0 %"),
            ({"status": "PENDING", "weight": 0}, State.STARTING, "Rolling out v8 · 0 %"),
            ({"paused_at": NOW}, State.ROLLING_OUT, "v8 paused · 25 %"),
            ({"reason": "NO_TRAFFIC"}, State.ROLLING_OUT, "v8 held · 25 %"),
            ({"return_reason": "GATE"}, State.RETURNING, "Going back from v8"),
            ({"unready_since": NOW}, State.NOT_READY, "Rolling out v8 · 25 % not answered"),
            ({"reason": "AWAY"}, State.UNKNOWN, "Rolling out v8 · 25 %, not seen since 09:00 UTC"),
            ({"status": "FAILED", "weight": 0}, State.FAILED, "Rollout of v8 failed · v7 live"),
            ({"status": "ABORTED", "weight": 0}, State.LIVE, "Live v7"),
        ],
    )
    def test_tells_how_far_the_next_version_is(self, registered_model, other, facts, state, said):
        candidate(factories.live(registered_model, 7), 8, **facts)
        found = serving.of_model(registered_model, NOW)
        assert (found.state, found.badge.words) == (state, said)
        assert found.live.model_version.number == 7
        assert words(other) == "Live v2"

    def test_tells_what_callers_suffer_from_before_what_is_under_way(self, registered_model):
        live = factories.live(registered_model, 7)
        candidate(live, 8)
        changed(live, reason="DRIFT", message="Other pods.")
        found = serving.of_model(registered_model, NOW)
        assert (found.badge.words, found.share) == ("v7 drifted · 75 %", 75)
        assert found.badge.title == "Other pods. v8 is rolling out."

    def test_tells_what_answers_where_a_rollout_failed(self, registered_model, observed):
        live = factories.live(registered_model, 7, serving_class="SCALE_TO_ZERO")
        candidate(live, 8, status="FAILED", weight=10, message="No GPU.")
        found = serving.of_model(registered_model, NOW)
        assert found.badge.words == "Rollout of v8 failed · idle, wake-up not measured"
        assert (found.state, found.share, found.badge.title) == (State.FAILED, 10, "No GPU.")
        assert (found.live, found.sleep.state) == (live, "IDLE")
        changed(live, reason="DRIFT")
        assert words(registered_model) == "v7 drifted", "callers suffer from it"

    def test_tells_of_a_first_rollout_that_failed(self, registered_model):
        factories.rolled(registered_model, 7, status="FAILED", weight=0)
        found = serving.of_model(registered_model, NOW)
        assert (found.badge.words, found.live, found.sleep) == ("Rollout of v7 failed", None, None)

    def test_names_the_other_version_on_hover(self, registered_model):
        live = factories.live(registered_model, 7)
        moving = candidate(live, 8)
        title = serving.of_model(registered_model, NOW).badge.title
        assert title == "v7 answers the other callers."
        changed(moving, paused_at=NOW, message="Wait for Monday.")
        title = serving.of_model(registered_model, NOW).badge.title
        assert title == "Wait for Monday. v7 answers the other callers."

    def test_tells_that_what_served_was_taken_back(self, registered_model):
        factories.rolled(registered_model, 7, status="ABORTED")
        assert words(registered_model) == "Not serving"

    def test_tells_of_a_sleeper_what_the_observer_saw(self, registered_model, observed):
        changed(factories.live(registered_model, 7, serving_class="SCALE_TO_ZERO"))
        other = factories.live(
            RegisteredModelFactory(name="other-model"), 2, serving_class="SCALE_TO_ZERO"
        ).registered_model
        assert words(registered_model) == "Idle, wake-up not measured"
        for seconds in (30, 40, 80):
            replica("prior-auth-extract-v7", model="prior-auth-extract", took=seconds)
        replica("other-model-v2", model="other-model", took=7)
        found = serving.of_model(registered_model, NOW)
        assert (found.state, found.badge.words) == (State.IDLE, "Idle, wakes in ≈ 40 s")
        assert found.badge.title == "v7 is live."
        waking = replica("prior-auth-extract-v7", model="prior-auth-extract")
        assert words(registered_model) == "Waking, takes ≈ 40 s"
        assert words(other) == "Idle, wakes in ≈ 7 s"
        waking.is_ready = True
        waking.save(update_fields=["is_ready"])
        assert words(registered_model) == "Live v7"

    def test_marks_a_wake_up_time_of_simulated_machines_or_of_the_stand_in(
        self, registered_model, observed
    ):
        for number, made_up in ((2, {"provider": "kwok://n"}), (3, {"engine": "stand-in"})):
            model = RegisteredModelFactory(name=f"played-{number}")
            factories.live(model, number, serving_class="SCALE_TO_ZERO")
            replica(f"{model.name}-v{number}", model=model.name, took=40, **made_up)
            assert words(model) == "Idle, wakes in ≈ 40 s (simulated)"
        factories.live(registered_model, 7, serving_class="SCALE_TO_ZERO")
        real = {"provider": "aws:///us-east-1a/i-1", "engine": "vllm 0.11.0"}
        replica("prior-auth-extract-v7", model="prior-auth-extract", took=40, **real)
        assert words(registered_model) == "Idle, wakes in ≈ 40 s"

    def test_does_not_know_whether_a_sleeper_sleeps_while_the_observer_is_stale(
        self, registered_model, observed
    ):
        live = factories.live(registered_model, 7, serving_class="SCALE_TO_ZERO")
        changed(live, observed_at=LATER)
        found = serving.of_model(registered_model, LATER)
        assert found.state == State.UNKNOWN
        assert found.badge.words == "v7 asleep or awake, not seen since 09:00 UTC"
        Observation.objects.update(seen_at=LATER)
        assert serving.of_model(registered_model, LATER).state == State.IDLE

    def test_names_the_day_since_which_it_was_not_seen(self, registered_model):
        factories.live(registered_model, 7)
        assert words(registered_model, LATER) == "v7, not seen since 09:00 UTC"
        tomorrow = NOW + timedelta(days=1)
        assert words(registered_model, tomorrow) == "v7, not seen since 2 Nov 09:00 UTC"

    def test_tells_which_engine_answers(self, registered_model, other):
        changed(factories.live(registered_model, 7), engine="stand-in")
        Rollout.objects.filter(registered_model=other).update(engine="vllm 0.11.0")
        found = serving.states([registered_model, other], NOW)
        assert [found[item.pk].is_stand_in for item in (registered_model, other)] == [True, False]

    @pytest.mark.parametrize(("serving_class", "queries"), [("WARM", 2), ("SCALE_TO_ZERO", 6)])
    def test_asks_a_fixed_number_of_queries(
        self, serving_class, queries, observed, django_assert_num_queries
    ):
        for count in (1, 6):
            for _ in range(count):
                live = factories.live(RegisteredModelFactory(), 1, serving_class=serving_class)
                replica(live.model_version.name, model=live.registered_model.name, took=9)
                candidate(factories.live(RegisteredModelFactory(), 1), 2)
            models = list(RegisteredModel.objects.all())
            with django_assert_num_queries(queries):
                serving.states(models, NOW)


class TestWords:
    def test_are_there_for_each_state_that_people_choose(self):
        assert serving.STATE_WORDS.keys() == set(State)
        assert len(set(serving.STATE_WORDS.values())) == len(State)
        for said in serving.STATE_WORDS.values():
            assert re.fullmatch(r"[A-Z][a-z]+( [a-z]+)*", said)

    @pytest.mark.parametrize(
        ("facts", "said", "sign"),
        [
            ({}, "Live", "circle-check"),
            ({"reason": "DRIFT"}, "Drifted", "circle-x"),
            ({"unready_since": NOW}, "Live · not ready", "circle-x"),
            ({"observed_at": None}, "Live, not seen yet", "eye-off"),
            ({"reason": "AWAY"}, "Live, not seen since 09:00 UTC", "eye-off"),
            ({"status": "PENDING", "weight": 0}, "Starting", "circle-dot"),
            ({"status": "PROGRESSING", "weight": 0}, "Rolling out · 0 %", "circle-dot"),
            ({"status": "PROGRESSING", "weight": 25}, "Rolling out · 25 %", "circle-dot"),
            ({"status": "PROGRESSING", "weight": 25, "paused_at": NOW}, "Paused · 25 %", "pause"),
            (
                {"status": "PROGRESSING", "weight": 25, "reason": "NO_TRAFFIC"},
                "Held · 25 %",
                "pause",
            ),
            (
                {"status": "PROGRESSING", "weight": 25, "return_reason": "GATE"},
                "Going back",
                "undo-2",
            ),
            ({"status": "FAILED", "weight": 0}, "Failed", "circle-x"),
            ({"status": "REPLACED", "weight": 0}, "Replaced", "history"),
            ({"status": "ABORTED", "weight": 0}, "Aborted", "ban"),
            ({"status": "SUPERSEDED", "weight": 0}, "Superseded", "history"),
        ],
    )
    def test_tell_a_rollouts_state_with_an_icon_that_is_drawn(
        self, registered_model, other, facts, said, sign
    ):
        rollout = factories.rolled(registered_model, 7, **facts)
        found = serving.of_rollout(rollout, NOW)
        assert (found.badge.words, found.badge.sign) == (said, sign)
        assert sign in DRAWN
        assert found.rollout == rollout

    @pytest.mark.parametrize(
        ("state", "seconds", "said", "sign"),
        [
            ("IDLE", 40, "Idle, wakes in ≈ 40 s", "circle-pause"),
            ("IDLE", None, "Idle, wake-up not measured", "circle-pause"),
            ("WAKING", 40, "Waking, takes ≈ 40 s", "circle-dot"),
            ("WAKING", None, "Waking", "circle-dot"),
            ("AWAKE", 40, "Awake", "circle-check"),
        ],
    )
    def test_tell_what_a_version_that_sleeps_does(self, state, seconds, said, sign):
        took = None if seconds is None else timedelta(seconds=seconds)
        badge = serving.sleep_badge(Sleep(state, ColdStarts(1, took, None), 0, None))
        assert (badge.words, badge.sign) == (said, sign)
        assert sign in DRAWN


class TestVersionStates:
    def test_tells_each_version_its_stage_and_share(self, registered_model, other):
        live = factories.live(registered_model, 7)
        moving = candidate(live, 8)
        replaced = candidate(live, 6, status="REPLACED", weight=0)
        unproposed = factories.version(registered_model, 9)
        mine = [row.model_version for row in (live, moving, replaced)]
        theirs = other.versions.get()
        found = serving.version_states([*mine, unproposed, theirs], NOW)
        assert [
            (found[version.pk].badge.words, found[version.pk].share)
            for version in (*mine, unproposed, theirs)
        ] == [
            ("Live · 75 %", 75),
            ("Rolling out · 25 %", 25),
            ("Replaced", 0),
            ("Not serving yet", 0),
            ("Live", 100),
        ]

    def test_a_version_that_serves_again_is_live_whatever_came_before(self, registered_model):
        live = factories.live(registered_model, 7)
        facts = {"registered_model": registered_model, "model_version": live.model_version}
        facts |= {"promotion": live.promotion, "started_at": NOW + timedelta(minutes=5)}
        Rollout.objects.create(rolls_back=live, status="FAILED", moved_at=NOW, **facts)
        assert serving.of_version(live.model_version, NOW).badge.words == "Live"

    def test_asks_the_same_queries_for_many(self, registered_model, django_assert_num_queries):
        live = factories.live(registered_model, 7)
        for number in (1, 2, 3):
            candidate(live, number, status="REPLACED", weight=0)
        with django_assert_num_queries(2):
            serving.version_states([live.model_version], NOW)
        versions = list(registered_model.versions.all())
        with django_assert_num_queries(2):
            serving.version_states(versions, NOW)


class TestRolloutStates:
    def test_tells_each_rollout_its_own(self, registered_model, other):
        live = factories.live(registered_model, 7)
        failed = candidate(live, 8, status="FAILED", weight=0, message="No GPU.")
        theirs = other.rollouts.get()
        changed(live, unready_since=NOW)
        found = serving.rollout_states([live, failed, theirs], NOW)
        assert [found[row.pk].badge.words for row in (live, failed, theirs)] == [
            "Live · not ready",
            "Failed",
            "Live",
        ]
        assert found[failed.pk].badge.title == "No GPU."
