"""The page that holds the engines' counts against the gateway's."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from apps.accounts.models import Role
from apps.chargeback.reconciliation.compare import State
from apps.chargeback.reconciliation.queries import days
from apps.common.periods import month_bounds
from apps.metering.gate.models import CountDifference
from apps.metering.models import EngineHour
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory, UserFactory

URL = "/chargeback/reconciliation/"
FIRST = datetime(2026, 11, 2, tzinfo=UTC)
NOVEMBER = month_bounds(date(2026, 11, 1))
pytestmark = pytest.mark.django_db


def engine(hour, prompt, generation, version="m-v1", *, is_whole=True):
    EngineHour.objects.create(
        hour=hour, version=version, prompt_tokens=prompt, generation_tokens=generation,
        is_whole=is_whole, recorded_at=hour,
    )  # fmt: skip


def used(hour, tokens_in, tokens_out, version="m-v1", **more):
    figures = {"input_tokens": tokens_in, "output_tokens": tokens_out, "cached_input_tokens": 0}
    use(hour, model=version.rpartition("-v")[0], version=version, **figures | more)


@pytest.fixture
def models():
    RegisteredModelFactory(name="m", context_length=100)
    RegisteredModelFactory(name="other", context_length=100)


@pytest.mark.usefixtures("models")
class TestDays:
    def test_hold_each_versions_watched_hours_against_its_calls(self, django_assert_num_queries):
        next_hour, next_day = FIRST + timedelta(hours=1), FIRST + timedelta(days=1)
        engine(FIRST, 1000, 100)
        engine(next_hour, 500, 50)
        engine(FIRST, 70, 7, "other-v1")
        engine(next_day, 9, 9)
        used(FIRST, 600, 60)
        used(FIRST, 300, 40, team="prior-auth", estimated_input_tokens=100)
        used(next_hour, 500, 50)
        used(FIRST, 70, 7, "other-v1")
        with django_assert_num_queries(2):
            found = days(*NOVEMBER)
        assert [(day.day, day.version) for day in found] == [
            (date(2026, 11, 3), "m-v1"), (date(2026, 11, 2), "m-v1"),
            (date(2026, 11, 2), "other-v1"),
        ]  # fmt: skip
        mine = found[1]
        assert (mine.input.engine, mine.input.metered, mine.input.estimated) == (1500, 1400, 100)
        assert (mine.output.engine, mine.output.metered) == (150, 150)
        assert (mine.watched_hours, mine.context, mine.state) == (2, 100, State.MATCHES)
        assert (found[2].input.engine, found[2].input.metered) == (70, 70)

    def test_leave_out_and_tell_what_was_not_watched(self):
        engine(FIRST, 1000, 100, is_whole=False)
        used(FIRST, 900, 90)
        used(FIRST + timedelta(hours=2), 30, 3)
        (day,) = days(*NOVEMBER)
        assert (day.watched_hours, day.unwatched_hours, day.unwatched_tokens) == (0, 2, 1023)
        assert (day.input.engine, day.input.metered, day.state) == (0, 0, State.UNKNOWN)

    def test_tell_of_what_an_engine_counted_and_nobody_called(self):
        engine(FIRST, 50_000, 900)
        (day,) = days(*NOVEMBER)
        assert (day.state, day.unexplained) == (State.UNEXPLAINED, 50_900)

    def test_are_those_of_the_month(self):
        for moment in (NOVEMBER[0] - timedelta(hours=1), NOVEMBER[1]):
            engine(moment, 10, 1)
            used(moment, 10, 1)
        used(FIRST, 10, 1, "")
        assert days(*NOVEMBER) == []


@pytest.mark.usefixtures("models")
class TestPage:
    @pytest.fixture
    def finance(self, client):
        client.force_login(UserFactory(with_roles=[Role.FINANCE]))
        return client

    def test_says_how_much_is_unexplained_and_what_it_may_be(self, finance):
        engine(FIRST, 50_000, 900)
        used(FIRST, 10_000, 900)
        said = " ".join(finance.get(URL, {"month": "2026-11"}).content.decode().split())
        assert "40,000" in said and "on 1 of 1 day of a version" in said
        assert "calls straight to a pod" in said

    def test_is_also_a_file(self, finance):
        engine(FIRST, 50_000, 900)
        answer = finance.get(URL, {"month": "2026-11", "format": "csv"})
        (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert (row["version"], row["state"], row["input__engine"]) == (
            "m-v1", "UNEXPLAINED", "50000",
        )  # fmt: skip

    def test_lists_the_calls_of_which_log_and_gate_tell_different_figures(self, finance):
        for at, counts in ((FIRST, "LOG"), (FIRST + timedelta(hours=1), "GATE"),
                           (FIRST + timedelta(days=40), "LOG")):  # fmt: skip
            CountDifference.objects.create(
                event_id=uuid4(), occurred_at=at, noted_at=at, team="t", model="m", version="",
                counts=counts, log_input_tokens=70, log_output_tokens=7, gate_input_tokens=70,
                gate_output_tokens=9,
            )  # fmt: skip
        said = finance.get(URL, {"month": "2026-11"}).content.decode()
        assert "Access log and gate" in said
        assert "Of a whole answer the access log’s figures count" in " ".join(said.split())
        asked = {"month": "2026-11", "difference-format": "csv"}
        answer = finance.get(URL, asked)
        rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
        assert [row["counts"] for row in rows] == ["GATE", "LOG"]
        assert {(row["log_output_tokens"], row["gate_output_tokens"]) for row in rows} == {
            ("7", "9")
        }

    def test_is_empty_in_words(self, finance):
        said = finance.get(URL, {"month": "2026-10"}).content.decode()
        assert "Nothing to compare" in said

    def test_is_not_there_for_those_who_see_one_team(self, client):
        client.force_login(UserFactory(with_roles=[Role.TEAM_LEAD]))
        assert client.get(URL).status_code == 404
