"""What callers met: two models, two hours, every outcome, and a count that is made anew."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction

from apps.common.periods import DAY, HOUR, hour_of
from apps.metering.actions import mark_hours, roll_up_hours
from apps.metering.met.actions import STEPS_KEPT, forget_steps
from apps.metering.met.models import BOUNDS, STEP, MetCalls
from apps.metering.met.models import HOUR as AN_HOUR
from apps.metering.met.queries import Bounds, Met, NoSuchBound, met, met_by_day
from tests.factories import NOW, create_event

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("each_store")]
BEGAN = hour_of(NOW) - HOUR
NOTHING = {"input_tokens": None, "output_tokens": None, "ttft_ms": None}
WITHIN = Bounds(frozenset({800}), frozenset({2_000}))


def call(model="m", at=BEGAN, **more):
    values = {
        "event_id": uuid4(), "occurred_at": at, "received_at": at, "received_via": "OTLP",
        "outcome": "METERED", "model": model, "version": f"{model}-v1", "response_code": 200,
        "input_tokens": 10, "output_tokens": 20, "duration_ms": 1500, "ttft_ms": 700.0,
        "operation": "CHAT",
    }  # fmt: skip
    return create_event(**values | more)


def add_up(*hours):
    mark_hours(set(hours), NOW)
    for hour in hours:
        roll_up_hours(hours=[hour], now=NOW)


def of(grain=AN_HOUR, start=BEGAN, end=BEGAN + HOUR, **more):
    return met(grain=grain, start=start, end=end, bounds=WITHIN, **more)


class TestSumUp:
    def test_counts_what_came_whole_what_failed_and_what_nobody_can_tell(self):
        call()
        call(outcome="UNMETERED", unmetered_because="NO_USAGE_TOLD", **NOTHING)
        call(outcome="FAILED", response_code=503, version="", **NOTHING)
        call(outcome="UNMETERED", unmetered_because="ENGINE_BROKE_OFF", **NOTHING)
        call(outcome="UNMETERED", unmetered_because="CLIENT_LEFT", **NOTHING)
        call(basis="COUNTED", unmetered_because="ENDED_EARLY")
        add_up(BEGAN)
        found = of()["m"]
        assert (found.completed, found.failed, found.undecided) == (2, 2, 2)

    @pytest.mark.parametrize("code", (400, 401, 402, 403, 404, 429))
    def test_leaves_out_what_was_refused(self, code):
        call(outcome="REFUSED", response_code=code, **NOTHING)
        call("other")
        add_up(BEGAN)
        assert set(of()) == {"other"}
        assert MetCalls.objects.count() == 2  # one step and one hour

    def test_counts_times_within_each_bound_and_those_that_were_not_told(self):
        call(ttft_ms=800.0, duration_ms=2_000)
        call(ttft_ms=801.0, duration_ms=2_001)
        call(ttft_ms=None, duration_ms=None)
        call(outcome="UNMETERED", unmetered_because="CLIENT_LEFT", ttft_ms=10.0, output_tokens=None)
        call(outcome="FAILED", response_code=503, **NOTHING)
        add_up(BEGAN)
        found = of()["m"]
        assert (found.ttft_timed, found.ttft_untimed) == (3, 1)
        assert found.ttft_within == {800: 2}
        # whoever left has no whole duration, and what failed is no slow answer
        assert (found.duration_timed, found.duration_untimed) == (2, 2)
        assert found.duration_within == {2_000: 1}

    @pytest.mark.parametrize("operation", ("EMBEDDING", "RERANK"))
    def test_asks_no_first_token_of_what_has_none(self, operation):
        call(operation=operation, ttft_ms=None)
        add_up(BEGAN)
        found = of()["m"]
        assert (found.ttft_timed, found.ttft_untimed, found.duration_timed) == (0, 0, 1)

    def test_keeps_five_minutes_and_hours_apart_by_model(self):
        call(at=BEGAN)
        call(at=BEGAN + timedelta(minutes=4, seconds=59))
        call(at=BEGAN + timedelta(minutes=5))
        call("other", at=BEGAN + timedelta(minutes=59))
        call(at=BEGAN - HOUR)
        add_up(BEGAN - HOUR, BEGAN)
        steps = of(STEP, BEGAN, BEGAN + timedelta(minutes=5))
        assert {name: each.completed for name, each in steps.items()} == {"m": 2}
        hours = of(start=BEGAN - HOUR)
        assert {name: each.completed for name, each in hours.items()} == {"m": 4, "other": 1}
        assert set(of(models=["other"])) == {"other"}

    def test_makes_the_counts_anew_and_never_adds_to_them(self):
        call()
        call("other", at=BEGAN - HOUR)
        add_up(BEGAN - HOUR, BEGAN)
        call()
        add_up(BEGAN)
        add_up(BEGAN)
        assert of()["m"].completed == 2
        assert of(start=BEGAN - HOUR)["other"].completed == 1

    def test_keeps_no_five_minutes_of_long_ago(self):
        old = hour_of(NOW - STEPS_KEPT) - DAY
        call(at=old)
        add_up(old)
        assert of(STEP, old, old + HOUR) == {}
        assert of(start=old, end=old + HOUR)["m"].completed == 1

    def test_tells_the_days_of_a_model(self):
        call(at=BEGAN - DAY, ttft_ms=900.0)
        call()
        call("other")
        add_up(BEGAN - DAY, BEGAN)
        start = BEGAN - 2 * DAY
        found = met_by_day(start=start, end=NOW, bounds=WITHIN, models=["m"])
        days = {day: one.ttft_within[800] for day, one in found["m"].items()}
        assert days == {(BEGAN - DAY).date(): 0, BEGAN.date(): 1}
        assert set(found) == {"m"}


class TestForgetSteps:
    def test_forgets_steps_that_are_old_and_no_hour(self):
        rows = {
            "grain": STEP, "model": "m", "completed": 1, "failed": 0, "undecided": 0,
            "ttft_timed": 0, "ttft_untimed": 0, "ttft_within": [0] * len(BOUNDS),
            "duration_timed": 0, "duration_untimed": 0, "duration_within": [0] * len(BOUNDS),
        }  # fmt: skip
        old = hour_of(NOW) - STEPS_KEPT - 2 * HOUR
        MetCalls.objects.create(**rows | {"at": old})
        MetCalls.objects.create(**rows | {"at": old, "grain": AN_HOUR})
        MetCalls.objects.create(**rows | {"at": BEGAN})
        assert forget_steps(now=NOW) == 1
        kept = set(MetCalls.objects.values_list("grain", "at"))
        assert kept == {(AN_HOUR, old), (STEP, BEGAN)}


class TestBounds:
    def test_refuses_a_time_that_nothing_is_counted_within(self):
        with pytest.raises(NoSuchBound):
            Bounds(ttft=frozenset({801}))

    def test_refuses_a_grain_that_there_is_not(self):
        with pytest.raises(ValueError, match="no grain"):
            of(60)

    def test_is_of_counts_alone_where_none_is_asked_for(self):
        call()
        add_up(BEGAN)
        found = met(grain=AN_HOUR, start=BEGAN, end=NOW, bounds=Bounds())["m"]
        assert found == Met(1, 0, 0, 1, 0, 1, 0)


class TestPlan:
    @pytest.mark.usefixtures("db")
    def test_reads_the_last_hours_of_all_models_by_an_index(self):
        """With a year of a hundred models, the six hours of a look are read by their index."""
        with transaction.atomic(), connection.cursor() as cursor:
            zeros = f"array_fill(0, ARRAY[{len(BOUNDS)}])"
            cursor.execute(
                f"""INSERT INTO metering_metcalls (grain, at, model, completed, failed, undecided,
                ttft_timed, ttft_untimed, duration_timed, duration_untimed, ttft_within,
                duration_within) SELECT 3600, now() - hour * interval '1 hour', 'm-' || model,
                1, 0, 0, 0, 0, 0, 0, {zeros}, {zeros}
                FROM generate_series(1, 1000) AS hour, generate_series(1, 50) AS model"""  # noqa: S608
            )
            cursor.execute("ANALYZE metering_metcalls")
            rows = MetCalls.objects.filter(grain=AN_HOUR, at__gte=NOW - 100 * HOUR * 24)
            recent = MetCalls.objects.extra(where=["at > now() - interval '72 hours'"])
            of_all = recent.filter(grain=AN_HOUR).explain()
            of_one = rows.filter(model="m-7").explain()
        assert "met_calls_once" in of_all
        assert "met_calls_of_model" in of_one
