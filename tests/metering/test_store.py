"""Reads over raw events."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from apps.accounts.models import Role
from apps.metering.access_log import read_record
from apps.metering.models import DirtyHour
from apps.metering.quarantine.models import QuarantinedRecord
from apps.metering.screening import Known
from apps.metering.store import (
    calls_by_version,
    calls_over_time,
    calls_visible_to,
    counts_of,
    hour_sums,
    hours_waiting,
    in_quarantine,
    known,
    latest_call_at,
    sees_calls_of,
    wanting_calls,
)
from tests.factories import NOW, TeamFactory, UserFactory, create_event
from tests.metering.test_access_log import CALL

READ = read_record(CALL)
# ClickHouse sorts UUIDs by their second half first
ORDERS = {"Postgres": lambda pk: pk.int, "ClickHouse": lambda pk: divmod(pk.int, 1 << 64)[::-1]}
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("each_store")]


def call(version="m-v2", **more):
    values = {
        "event_id": uuid4(), "occurred_at": NOW, "received_at": NOW, "received_via": "OTLP",
        "outcome": "METERED",
        "model": "m", "version": version, "response_code": 200, "input_tokens": 10,
        "output_tokens": 20,
        "duration_ms": 1000, "ttft_ms": 100.0,
    }  # fmt: skip
    return create_event(**values | more)


class TestCallsByVersion:
    def test_tells_what_callers_of_each_version_met_since_a_moment(self, asks_store):
        for step in range(20):
            call(ttft_ms=100.0 + step)
        call(
            outcome="FAILED", response_code=503, input_tokens=None, output_tokens=None, ttft_ms=None
        )
        call("m-v1", ttft_ms=None, duration_ms=2000)
        call("m-v1", outcome="REFUSED", response_code=429)
        call("", outcome="FAILED", response_code=503)
        call(occurred_at=NOW - timedelta(seconds=1))
        call(model="other", version="other-v1")
        call("m-v1", outcome="UNMETERED", output_tokens=0, duration_ms=500, ttft_ms=None)
        call("m-v1", outcome="METERED", output_tokens=5, duration_ms=0, ttft_ms=None)
        call("m-v3", output_tokens=1, duration_ms=1)
        with asks_store(1):
            found = calls_by_version("m", NOW)
        assert set(found) == {"m-v1", "m-v2", "m-v3"}
        assert found["m-v3"].tokens_per_second == pytest.approx(1000.0)
        assert (found["m-v2"].calls, found["m-v2"].failed, found["m-v2"].timed) == (21, 1, 20)
        assert found["m-v2"].ttft_p95_ms == pytest.approx(118.05)
        assert found["m-v2"].tokens_per_second == pytest.approx(20.0)
        assert (found["m-v1"].calls, found["m-v1"].ttft_p95_ms) == (3, None)
        assert found["m-v1"].tokens_per_second == pytest.approx(10.0)


class TestCallsOverTime:
    def test_tells_them_step_by_step_for_each_version(self, asks_store):
        quarter = timedelta(minutes=15)
        start = NOW.replace(minute=0, second=0, microsecond=0)
        for minutes, ttft in ((0, 100.0), (14, 300.0), (15, 500.0), (45, 700.0)):
            call(occurred_at=start + timedelta(minutes=minutes), ttft_ms=ttft)
        call("m-v1", occurred_at=start, outcome="FAILED", response_code=503, ttft_ms=None)
        call("m-v1", occurred_at=start, outcome="REFUSED", response_code=429)
        call("other-v1", model="other", occurred_at=start)
        call(occurred_at=start - timedelta(seconds=1))
        with asks_store(1):
            found = calls_over_time("m", start=start, end=start + 3 * quarter, step=quarter)
        assert set(found) == {"m-v1", "m-v2"}
        assert list(sorted(found["m-v2"])) == [start, start + quarter]
        assert found["m-v2"][start].ttft_p95_ms == pytest.approx(290.0)
        assert found["m-v2"][start + quarter].calls == 1
        assert (found["m-v1"][start].calls, found["m-v1"][start].failed) == (1, 1)


class TestCountsOf:
    def test_are_those_of_the_ones_stored_under_the_same_day(self, asks_store):
        one, other = call(team="a"), call("m-v1", cached_input_tokens=3, operation="EMBEDDING")
        last = call("m-v1", occurred_at=NOW - timedelta(days=1), output_tokens=1)
        call()
        call(event_id=last.event_id, output_tokens=7)
        asked = [
            replace(READ, event_id=event_id, occurred_at=at + timedelta(hours=2))
            for event_id, at in (
                (one.event_id, NOW),
                (last.event_id, NOW - timedelta(days=1)),
                (uuid4(), NOW),
                (other.event_id, NOW),
            )
        ]
        with asks_store(2):
            found = counts_of(asked)
        assert found == {
            one.event_id: ("METERED", "a", "", "m", "m-v2", "", 10, None, 20),
            other.event_id: ("METERED", "", "", "m", "m-v1", "EMBEDDING", 10, 3, 20),
            last.event_id: ("METERED", "", "", "m", "m-v1", "", 10, None, 1),
        }


class TestKnown:
    def test_tells_which_names_there_are(self, names, django_assert_num_queries):
        with django_assert_num_queries(3):
            found = known(
                teams={"odd", "nobody", ""},
                models={"other", "nothing"},
                versions={"other-v1", "other-v2", "prior-auth-extract-v2", "", "-v1"},
                since=NOW,
            )
        assert found == Known(
            teams=frozenset({"odd"}),
            contexts={"other": 2048},
            versions=frozenset({"other-v1", "prior-auth-extract-v2"}),
            since=NOW,
        )


class TestHourSums:
    def test_come_in_one_order_and_count_no_tokens_as_none(self):
        nothing = {"input_tokens": None, "output_tokens": None}
        call("m-v2", outcome="FAILED", **nothing)
        call("m-v1", occurred_at=NOW + timedelta(minutes=59))
        call("m-v1", occurred_at=NOW + timedelta(hours=1))
        first, second = hour_sums([NOW])
        assert (first["version"], first["metered_calls"], first["output_tokens"]) == ("m-v1", 1, 20)
        assert (second["version"], second["failed_calls"], second["output_tokens"]) == (
            "m-v2",
            1,
            0,
        )
        assert second["cached_input_tokens"] == 0

    def test_count_what_is_not_complete_by_what_is_missing(self):
        nothing = {"outcome": "UNMETERED", "input_tokens": None, "output_tokens": None}
        for because in ("CLIENT_LEFT", "CLIENT_LEFT", "NO_USAGE_TOLD", "ENGINE_BROKE_OFF"):
            call("", unmetered_because=because, **nothing)
        call("", cached_input_tokens=None)
        call("", cached_input_tokens=0)
        call("", outcome="FAILED", response_code=503)
        (found,) = hour_sums([NOW])
        counted = ("unmetered", "aborted", "ended_early", "cached_unknown", "metered", "failed")
        assert {name: found[f"{name}_calls"] for name in counted} == {
            "unmetered": 4, "aborted": 2, "ended_early": 1, "cached_unknown": 1, "metered": 2,
            "failed": 1,
        }  # fmt: skip

    def test_count_refused_calls_by_their_code_too(self):
        for code in (401, 401, 403, 404, 429, 429, 429, 413):
            call("", outcome="REFUSED", response_code=code)
        call("", outcome="FAILED", response_code=429)
        call("", outcome="REFUSED", response_code=401, occurred_at=NOW + timedelta(hours=1))
        (found,) = hour_sums([NOW])
        codes = {code: found[f"refused_{code}_calls"] for code in (401, 403, 404, 429)}
        assert (codes, found["refused_calls"]) == ({401: 2, 403: 1, 404: 1, 429: 3}, 8)


class TestLatestCallOfMonth:
    def test_is_of_all_calls_or_of_those_within_bounds(self):
        for hours in (0, 1, 5):
            call(occurred_at=NOW + timedelta(hours=hours))
        assert latest_call_at() == NOW + timedelta(hours=5)
        end = NOW + timedelta(hours=5)
        assert latest_call_at(start=NOW, end=end) == NOW + timedelta(hours=1)
        assert latest_call_at(end=NOW + timedelta(hours=1)) == NOW
        assert latest_call_at(start=end) == end
        assert latest_call_at(start=end + timedelta(microseconds=1)) is None
        assert latest_call_at(start=NOW - timedelta(hours=1), end=NOW) is None


class TestSeesCallsOf:
    def test_agrees_with_the_list_of_calls(self):
        team = TeamFactory(slug="claims-review")
        mine = call(team=team.slug)
        people = [UserFactory(team=team, with_roles=roles) for roles in ([], [Role.DEVELOPER])]
        people += [UserFactory(with_roles=[role]) for role in (Role.FINANCE, Role.TEAM_LEAD)]
        seen = [sees_calls_of(person, team.slug) for person in people]
        assert seen == [calls_visible_to(person).contains(mine) for person in people]
        assert seen == [False, True, True, False]


class TestCallsVisibleTo:
    @pytest.fixture
    def team(self):
        return TeamFactory(slug="claims-review")

    @pytest.fixture
    def calls(self, team):
        """Two calls of the team, the newer first, and one of another team between them."""
        old = call(team=team.slug)
        other = call(team="prior-auth", occurred_at=NOW + timedelta(seconds=1))
        return call(team=team.slug, occurred_at=NOW + timedelta(seconds=2)), other, old

    @pytest.mark.parametrize("role", [Role.FINANCE, Role.PLATFORM_ENGINEER, Role.AUDITOR])
    def test_are_all_for_those_who_oversee(self, calls, role):
        assert list(calls_visible_to(UserFactory(team=None, with_roles=[role]))) == list(calls)

    def test_are_the_teams_own_for_its_people(self, calls, team):
        lead = UserFactory(team=team, with_roles=[Role.TEAM_LEAD])
        assert list(calls_visible_to(lead)) == [calls[0], calls[2]]

    def test_are_none_for_a_person_without_a_role_or_a_team(self, calls, team):
        call(team="")
        for person in (
            UserFactory(team=team),
            UserFactory(team=None, with_roles=[Role.TEAM_LEAD]),
        ):
            assert list(calls_visible_to(person)) == []

    def test_keep_one_order_where_two_began_at_once(self, team, each_store):
        ids = {call(team=team.slug).pk for _ in range(5)}
        lead = UserFactory(team=team, with_roles=[Role.TEAM_LEAD])
        found = [c.pk for c in calls_visible_to(lead)]
        assert found == sorted(ids, key=ORDERS[each_store], reverse=True)


class TestWantingCalls:
    def test_count_what_ended_since_then_for_this_version(self):
        took, known = {"duration_ms": 60_000}, {"received_at": NOW - timedelta(milliseconds=1)}
        call("m-v2", occurred_at=NOW - timedelta(seconds=60), **took)
        call("m-v2", occurred_at=NOW - timedelta(seconds=61), **took, **known)
        call("m-v2", occurred_at=NOW, duration_ms=None, outcome="UNMETERED")
        call("m-v2", occurred_at=NOW - timedelta(milliseconds=1), duration_ms=None, **known)
        call("m-v2", outcome="FAILED", response_code=503)
        call("m-v2", outcome="REFUSED", response_code=429)
        call("m-v1")
        call("m-v1", outcome="FAILED", response_code=503)
        call("", outcome="FAILED", response_code=503)
        call("", outcome="REFUSED", response_code=403)
        call("", model="other", outcome="FAILED", response_code=503)
        ask = {"model": "m", "version": "m-v2", "since": NOW}
        assert wanting_calls(**ask, unanswered_too=False) == {"answered": 2, "unanswered": 1}
        assert wanting_calls(**ask, unanswered_too=True) == {"answered": 2, "unanswered": 2}

    def test_know_a_call_as_long_as_the_gateway_lets_it_be(self):
        longest = timedelta(minutes=15)
        call("m-v2", occurred_at=NOW - longest, duration_ms=longest.total_seconds() * 1000)
        # one that cannot be: it is not looked for among all that ever were
        longer = longest + timedelta(milliseconds=1)
        call("m-v2", occurred_at=NOW - longer, duration_ms=longer.total_seconds() * 1000)
        found = wanting_calls(model="m", version="m-v2", since=NOW, unanswered_too=False)
        assert found == {"answered": 1, "unanswered": 0}


class TestLatestCallAt:
    def test_is_when_the_newest_call_began(self):
        assert latest_call_at() is None
        for seconds in (5, 9, 2):
            call(occurred_at=NOW + timedelta(seconds=seconds))
        assert latest_call_at() == NOW + timedelta(seconds=9)


class TestHoursWaiting:
    def test_counts_the_hours_from_the_first_to_before_the_last(self):
        hours = [NOW + timedelta(hours=step) for step in range(4)]
        for hour in hours:
            DirtyHour.objects.create(hour=hour, marked_at=NOW)
        assert hours_waiting(hours[0], hours[3]) == 3
        assert hours_waiting(hours[1], hours[2]) == 1
        assert hours_waiting(hours[3] + timedelta(hours=1), hours[3] + timedelta(hours=9)) == 0


class TestInQuarantine:
    START, END = NOW, NOW + timedelta(hours=2)

    def doubt(self, occurred_at, received_at=NOW - timedelta(days=9), **more):
        values = {"team": "claims-review", "doubt": "TEAM", "detail": "x", "received_via": "OTLP"}
        return QuarantinedRecord.objects.create(
            fingerprint=uuid4().hex, occurred_at=occurred_at, received_at=received_at,
            **values | more,
        )  # fmt: skip

    @pytest.mark.parametrize("told", [True, False])
    def test_counts_by_the_calls_start_or_else_by_when_it_came(self, told):
        second = timedelta(microseconds=1)
        for at in (self.START - second, self.START, self.END - second, self.END):
            if told:
                self.doubt(at)
            else:
                self.doubt(None, at)
        assert in_quarantine(self.START, self.END) == 2
        assert in_quarantine(self.START, self.END - second) == 1

    def test_leaves_out_what_came_then_but_began_another_time(self):
        self.doubt(self.START - timedelta(days=1), self.START)
        assert in_quarantine(self.START, self.END) == 0

    def test_is_of_one_team_or_of_all_and_of_what_still_waits(self):
        for team in ("claims-review", "claims-review", "prior-auth", ""):
            self.doubt(self.START, team=team)
        self.doubt(self.START, status="REPLAYED", resolved_at=NOW)
        assert in_quarantine(self.START, self.END) == 4
        assert in_quarantine(self.START, self.END, team="claims-review") == 2
        assert in_quarantine(self.START, self.END, team="nobody") == 0
