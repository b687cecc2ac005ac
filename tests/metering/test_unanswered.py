"""Calls that got no answer: by why, over time, and who met it."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from apps.common.periods import DAY, HOUR, hour_of
from apps.metering import actions
from apps.metering.models import DirtyHour, HourlyUsage, Outcome
from apps.metering.store import hour_sums
from apps.metering.unanswered import BY_KEY, REASONS, Asked, Line, lines, over_time
from tests.database import as_owner
from tests.factories import NOW, create_event

pytestmark = pytest.mark.django_db
START = hour_of(NOW)


def call(code, outcome="REFUSED", at=NOW, team="claims-review", model="extract"):
    create_event(
        event_id=uuid4(), occurred_at=at, received_at=NOW, received_via="OTLP", outcome=outcome,
        team=team, model=model, response_code=code,
    )  # fmt: skip


def add_up(*hours):
    DirtyHour.objects.bulk_create(DirtyHour(hour=hour, marked_at=NOW) for hour in hours)
    assert actions.roll_up_hours(hours=hours, now=NOW) == len(hours)


def keys(counts):
    return {reason.key: calls for reason, calls in counts.items()}


@pytest.fixture
def calls():
    """Two teams, two models, two hours; answered calls among them."""
    for code in (402, 402, 400, 413, 429, 409):
        call(code)
    for code in (503, 502, 500):
        call(code, "FAILED")
    call(200, "UNMETERED")
    call(402, at=NOW + HOUR)
    call(403, team="prior-auth")
    call(404, team="prior-auth", model="other", at=NOW + HOUR)
    call(401, team="", model="")
    add_up(START, START + HOUR)


class TestHourSums:
    def test_count_each_code_once(self, calls):
        rows = list(hour_sums([START]))
        mine = next(row for row in rows if row["team"] == "claims-review")
        apart = {reason.key: mine[f"{reason.outcome.lower()}_{reason.code}_calls"]
                 for reason in REASONS if reason.code}  # fmt: skip
        assert {key: count for key, count in apart.items() if count} == {
            "402": 2, "400": 1, "413": 1, "429": 1, "503": 1, "502": 1,
        }  # fmt: skip
        assert (mine["refused_calls"], mine["failed_calls"]) == (6, 3)


class TestOverTime:
    def test_counts_by_reason_and_hour(self, calls, django_assert_num_queries):
        asked = Asked(START, START + 2 * HOUR)
        with django_assert_num_queries(1):
            found = over_time(asked, HOUR)
        assert {at: keys(counts) for at, counts in found.items()} == {
            START: {"401": 1, "402": 2, "400": 1, "413": 1, "429": 1, "403": 1, "refused": 1,
                    "503": 1, "502": 1, "failed": 1},
            START + HOUR: {"402": 1, "404": 1},
        }  # fmt: skip

    def test_counts_by_day_and_knows_no_other_step(self, calls):
        day = START.replace(hour=0)
        found = over_time(Asked(day, day + DAY), DAY)
        assert list(found) == [day]
        assert sum(found[day].values()) == 13
        with pytest.raises(ValueError, match="no step"):
            over_time(Asked(day, day + DAY), timedelta(minutes=5))

    def test_counts_one_team_and_one_model_alone(self, calls):
        asked = Asked(START, START + 2 * HOUR, team="prior-auth")
        assert {at: keys(counts) for at, counts in over_time(asked, HOUR).items()} == {
            START: {"403": 1}, START + HOUR: {"404": 1},
        }  # fmt: skip
        of_model = Asked(START, START + 2 * HOUR, team="prior-auth", model="other")
        assert list(over_time(of_model, HOUR)) == [START + HOUR]
        assert over_time(Asked(START, START + 2 * HOUR, team="nobody"), HOUR) == {}

    def test_ends_before_its_end(self, calls):
        assert list(over_time(Asked(START, START + HOUR), HOUR)) == [START]


class TestLines:
    def test_name_who_met_what_the_most_first(self, calls, django_assert_num_queries):
        with django_assert_num_queries(1):
            found = lines(Asked(START, START + 2 * HOUR))
        assert found[0] == Line("claims-review", "extract", BY_KEY["402"], 3)
        others = {(line.team, line.model, line.reason.key) for line in found[1:]}
        assert {("prior-auth", "extract", "403"), ("prior-auth", "other", "404"),
                ("", "", "401")} < others  # fmt: skip
        assert all(line.calls == 1 for line in found[1:])

    def test_tell_a_code_that_was_not_counted_apart_with_the_others(self, calls):
        with as_owner():
            HourlyUsage.objects.filter(hour=START).update(refused_402_calls=0)
        found = lines(Asked(START, START + HOUR, team="claims-review"))
        assert {line.reason.key: line.calls for line in found}["refused"] == 3


class TestReasons:
    def test_have_a_column_each(self):
        columns = {field.name for field in HourlyUsage._meta.fields}
        named = {f"{reason.outcome.lower()}_{reason.code}_calls" for reason in REASONS
                 if reason.code}  # fmt: skip
        assert named < columns
        assert {reason.outcome for reason in REASONS} == {Outcome.REFUSED, Outcome.FAILED}


class TestPlan:
    ROWS = """
    INSERT INTO metering_hourlyusage (hour, cost_center, team, model, version, metered_calls,
      unmetered_calls, refused_calls, failed_calls, input_tokens, cached_input_tokens,
      output_tokens, rolled_up_at, refused_400_calls, refused_401_calls, refused_402_calls,
      refused_403_calls, refused_404_calls, refused_413_calls, refused_429_calls, failed_502_calls,
      failed_503_calls, aborted_calls, ended_early_calls, cached_unknown_calls, estimated_calls,
      estimated_input_tokens, estimated_cached_input_tokens, estimated_output_tokens,
      embedding_input_tokens, rerank_requests, counted_calls)
    SELECT %s::timestamptz + hour * interval '1 hour', 'CC', 'team-' || team,
      'model-' || team %% 50,
      'v', 9, 0, CASE WHEN (team + hour) %% 40 = 0 THEN 3 ELSE 0 END, 0, 1, 0, 1, now(),
      0, 0, 0, 0, 0, 0, CASE WHEN (team + hour) %% 40 = 0 THEN 3 ELSE 0 END, 0, 0,
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM generate_series(0, 1439) AS hour, generate_series(1, 150) AS team
    """

    def test_reads_the_hours_in_which_something_was_refused_alone(self):
        """Sixty days of 150 teams, 216,000 hourly sums; thirty of them are asked for."""
        with connection.cursor() as cursor:
            cursor.execute(self.ROWS, [START])
            cursor.execute("ANALYZE metering_hourlyusage")
        asked = Asked(START + 30 * DAY, START + 60 * DAY)
        for rows in (asked, Asked(asked.start, asked.end, model="model-7")):
            assert "hourly_usage_unanswered" in rows.hours.explain()
        found = lines(asked)
        assert sum(line.calls for line in found) == 30 * 24 * 150 // 40 * 3
        assert {line.reason.key for line in found} == {"429"}
