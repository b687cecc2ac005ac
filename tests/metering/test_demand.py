"""KEDA's door: who is let in, and what counts as demand for a version that sleeps."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from django.db import OperationalError

from apps.fleet.models import Replica
from apps.integrations.engine import client as engine_client
from apps.integrations.errors import TemporaryError
from apps.metering import demand, store
from apps.metering.models import Outcome
from apps.promotions.models import Rollout
from tests.factories import NOW, create_event
from tests.promotions import factories

TOKEN = "Bearer scaling-token-of-the-tests"
URL = "/v1/scaling/models/prior-auth-extract-v1"
IDLE = demand.Demand(0, 0, 0, False)


@pytest.fixture
def live(registered_model):
    """A version that serves all callers."""
    return factories.live(registered_model, 1)


def call(outcome, *, ago, took_ms=0, version="", model="prior-auth-extract", received_ago=None):
    """Store a call that began so many seconds before NOW, and was received when it ended, or so
    many seconds before NOW.
    """
    if received_ago is None:
        received_ago = ago - took_ms / 1000
    tokens = {"input_tokens": 5, "output_tokens": 5} if outcome == Outcome.METERED else {}
    return create_event(
        event_id=uuid4(), occurred_at=NOW - timedelta(seconds=ago),
        received_at=NOW - timedelta(seconds=received_ago),
        received_via="OTLP",
        outcome=outcome, model=model, version=version, response_code=503, duration_ms=took_ms,
        **tokens,
    )  # fmt: skip


def ready_replica(**more):
    return Replica.objects.create(
        uid=str(uuid4()), name="p", namespace="models", service="prior-auth-extract-v1",
        is_ready=True,
        created_at=NOW, learned_at=NOW, **more,
    )  # fmt: skip


def wanted(live, now=NOW):
    return demand.demand_of(live.model_version, now=now)


class TestDoor:
    def test_answers_a_figure_and_what_it_is_made_of(self, client, live):
        answer = client.get(URL, headers={"Authorization": TOKEN})
        assert answer.status_code == 200
        assert answer.json() == {
            "demand": 0, "load": 0, "unanswered_calls": 0, "answered_calls": 0, "running_calls": 0,
            "rollout_open": False,
            "window_seconds": 60,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "token", ["", "Bearer ", "Bearer ingest-token-of-the-tests", "scaling-token-of-the-tests"]
    )
    def test_lets_nobody_else_in(self, client, live, token):
        answer = client.get(URL, headers={"Authorization": token})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")

    @pytest.mark.parametrize(
        "path",
        ["evals/prior-auth-extract-v1", "models/prior-auth-extract-v2", "models/x", "models/v-v1"],
    )
    def test_knows_no_other_versions(self, client, live, path):
        assert (
            client.get(f"/v1/scaling/{path}", headers={"Authorization": TOKEN}).status_code == 404
        )

    def test_says_so_while_the_database_is_away(self, client, live, monkeypatch):
        def away(**_):
            raise OperationalError

        monkeypatch.setattr(store, "wanting_calls", away)
        assert client.get(URL, headers={"Authorization": TOKEN}).status_code == 503

    def test_changes_nothing(self, client, live):
        assert client.post(URL, headers={"Authorization": TOKEN}).status_code == 405


class TestDemand:
    def test_is_nothing_where_nobody_calls(self, live):
        assert wanted(live) == IDLE

    def test_counts_calls_that_met_no_replica(self, live):
        call(Outcome.FAILED, ago=5)
        assert wanted(live) == demand.Demand(1, 0, 0, False)
        assert wanted(live).total == 1

    def test_counts_answered_calls_by_their_end(self, live):
        call(Outcome.METERED, ago=400, took_ms=380_000, version="prior-auth-extract-v1")
        call(Outcome.METERED, ago=400, took_ms=10_000, version="prior-auth-extract-v1")
        assert wanted(live) == demand.Demand(0, 1, 0, False)

    def test_counts_aborted_calls(self, live):
        call(Outcome.UNMETERED, ago=5, version="prior-auth-extract-v1")
        assert wanted(live).answered_calls == 1

    def test_counts_calls_that_a_gateway_timed_by_a_clock_that_is_behind(self, live):
        call(Outcome.FAILED, ago=95, received_ago=5)
        assert wanted(live) == demand.Demand(1, 0, 0, False)

    def test_takes_no_call_for_a_new_one_that_came_late(self, live):
        call(Outcome.FAILED, ago=155, received_ago=5)
        assert wanted(live) == IDLE

    def test_forgets_calls_after_the_window(self, live, settings):
        call(Outcome.FAILED, ago=settings.SCALING_WINDOW_SECONDS + 1)
        assert wanted(live) == IDLE

    def test_leaves_out_who_was_refused_and_other_models(self, live):
        call(Outcome.REFUSED, ago=5)
        call(Outcome.FAILED, ago=5, model="other")
        call(Outcome.METERED, ago=5, version="prior-auth-extract-v2")
        assert wanted(live) == IDLE

    def test_a_version_that_was_replaced_is_not_woken_by_its_successors_calls(self, live):
        Rollout.objects.filter(pk=live.pk).update(status="REPLACED", weight=0)
        call(Outcome.FAILED, ago=5)
        assert wanted(live) == IDLE

    def test_an_open_rollout_wants_its_version_until_it_is_over(self, registered_model):
        rollout = factories.rolled(registered_model, 1, status="PROGRESSING")
        assert (wanted(rollout).rollout_open, wanted(rollout).total) == (True, 1)

    def test_pins_its_queries(self, live, django_assert_num_queries):
        with django_assert_num_queries(4):
            wanted(live)


class TestRunningCalls:
    def answer(self, monkeypatch, answer):
        made = engine_client.EngineClient

        def with_transport(address, **_):
            return made(address, transport=httpx.MockTransport(answer))

        monkeypatch.setattr(demand, "EngineClient", with_transport)

    def test_keeps_a_version_awake_while_a_long_call_runs(self, live, monkeypatch):
        ready_replica()
        text = (
            'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_waiting{engine="0"} 1.0\n'
        )
        self.answer(monkeypatch, lambda request: httpx.Response(200, text=text))
        assert wanted(live) == demand.Demand(0, 0, 3, False)

    def test_lets_it_sleep_when_none_does(self, live, monkeypatch):
        ready_replica()
        self.answer(
            monkeypatch, lambda request: httpx.Response(200, text="vllm:num_requests_running 0\n")
        )
        assert wanted(live) == IDLE

    def test_takes_an_engine_that_does_not_tell_for_busy(self, live, monkeypatch):
        def hangs(request):
            raise httpx.ReadTimeout("")

        ready_replica()
        self.answer(monkeypatch, hangs)
        assert wanted(live).running_calls == 1

    def test_asks_nobody_where_no_replica_is_ready(self, live, monkeypatch):
        ready_replica(ended_at=NOW)
        self.answer(monkeypatch, lambda request: pytest.fail("asked"))
        assert wanted(live) == IDLE


class TestEngineFigures:
    @pytest.mark.parametrize(
        ("status", "text"),
        [(200, ""), (200, "vllm:other 1"), (500, "vllm:num_requests_running 1\n")],
    )
    def test_without_the_gauges_are_no_answer(self, status, text):
        transport = httpx.MockTransport(lambda request: httpx.Response(status, text=text))
        with pytest.raises(TemporaryError):
            engine_client.EngineClient("http://engine", transport=transport).running_calls()
