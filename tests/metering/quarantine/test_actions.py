"""What is kept apart, and what becomes of it."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.catalog.models import RegisteredModel
from apps.common.errors import NotPermitted
from apps.metering import actions as usage
from apps.metering.access_log import read_entry
from apps.metering.models import DirtyHour, HourlyUsage
from apps.metering.quarantine import actions
from apps.metering.quarantine.models import QuarantinedRecord
from tests.database import as_owner
from tests.factories import NOW, TeamFactory, UserFactory, stored_calls
from tests.metering.test_access_log import CALL
from tests.trail import AuditAway, trail

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
HOUR = NOW
LATER = NOW + timedelta(days=1)


def call(**changes):
    return CALL | {"x-request-id": str(uuid4())} | changes


def ingest(*calls, via="OTLP", now=NOW):
    return usage.ingest_usage(entries=[read_entry(one) for one in calls], via=via, now=now)


def kept():
    return QuarantinedRecord.objects.order_by("team", "pk")


@pytest.fixture
def finance():
    return UserFactory(username="fin", with_roles=[Role.FINANCE])


class TestKeeping:
    def test_stores_the_reason_and_the_known_keys_and_counts_nothing(self):
        odd = call(team="nobody", messages="what somebody asked", user_id="00u1")
        came = ingest(odd, call())
        assert (came.stored, dict(came.quarantined)) == (1, {"TEAM": 1})
        row = kept().get()
        assert (row.doubt, row.detail, row.status) == ("TEAM", "team names no team", "WAITING")
        assert (row.team, row.model, str(row.event_id)) == (
            "nobody", "prior-auth-extract", odd["x-request-id"],
        )  # fmt: skip
        assert (row.received_at, row.received_via) == (NOW, "OTLP")
        assert row.values["gen_ai.usage.input_tokens"] == "120"
        assert row.values["user_id"] == "00u1"
        assert "somebody" not in str(row.values) and "a.key.of.a.newer.gateway" not in row.values

    def test_keeps_a_record_once_by_whichever_way_it_comes(self):
        odd = call(team="nobody", **{"gen_ai.latency.ttft_ms": 12.0, "route_name": None})
        by_otlp = {key: "-" if value is None else str(value) for key, value in odd.items()}
        by_otlp["gen_ai.latency.ttft_ms"] = "12"
        ingest(odd, odd, via="FILE")
        ingest(by_otlp)
        ingest(call(team="nobody"))
        assert kept().count() == 2

    def test_keeps_two_lines_apart_that_have_no_key_at_all(self):
        from apps.metering.follow import read_lines

        entries = read_lines([b"half a line", b"another half", b"half a line"])
        usage.ingest_usage(entries=entries, via="FILE", now=NOW)
        assert kept().count() == 2
        assert set(kept().values_list("detail", flat=True)) == {"a line is not JSON"}

    def test_keeps_the_id_of_another_call_with_other_counts(self):
        first = call()
        ingest(first)
        other = first | {"gen_ai.usage.output_tokens": 3000}
        assert dict(ingest(other).quarantined) == {"OTHER_COUNTS": 1}
        assert dict(ingest(first, first | {"team": "prior-auth"}).quarantined) == {
            "OTHER_COUNTS": 1
        }
        assert stored_calls().get().output_tokens == 30

    def test_of_two_with_one_id_in_a_batch_the_first_counts(self):
        first = call()
        came = ingest(first, first | {"gen_ai.usage.output_tokens": 31}, first)
        assert (came.stored, dict(came.quarantined)) == (1, {"OTHER_COUNTS": 1})
        assert stored_calls().get().output_tokens == 30

    def test_stops_no_hour_and_makes_no_month_negative(self):
        absurd = [
            call(**{"gen_ai.usage.output_tokens": 2**53 - 1}),
            call(**{"gen_ai.usage.output_tokens": 10**18}),
            call(**{"gen_ai.usage.input_tokens": -1}),
            call(**{"gen_ai.usage.cached_input_tokens": 121}),
            call(start_time="9998-01-01T00:00:00Z"),
            call(start_time="2023-01-01T00:00:00Z"),
        ]
        came = ingest(*absurd, call())
        assert (came.stored, came.quarantined) == (1, {"ABSURD": 4, "FUTURE": 1, "TOO_OLD": 1})
        usage.roll_up_dirty_hours(now=NOW)
        assert HourlyUsage.objects.get().output_tokens == 30


class TestReplaying:
    def test_counts_what_is_known_by_now_in_the_hour_of_the_call(self, finance, enqueued):
        ingest(call(team="late"), call(team="later"))
        ingest(call(team="late"), via="FILE", now=LATER)
        team = TeamFactory(slug="late")
        with enqueued() as asked:
            found = QuarantinedRecord.objects.all()
            assert actions.replay_records(records=found, actor=finance, now=LATER) == 2
        assert asked.count(("metering.roll_up_dirty_hours", {})) >= 1
        events = stored_calls().order_by("received_at")
        assert [(e.team, e.received_at, e.received_via) for e in events] == [
            (team.slug, NOW, "OTLP"), (team.slug, LATER, "FILE"),
        ]  # fmt: skip
        assert list(DirtyHour.objects.values_list("hour", flat=True)) == [HOUR]
        states = kept().values_list("team", "status", "resolved_at", "resolved_by")
        assert sorted(states) == [
            ("late", "REPLAYED", LATER, finance.pk), ("late", "REPLAYED", LATER, finance.pk),
            ("later", "WAITING", None, None),
        ]  # fmt: skip
        done = AuditEvent.objects.filter(action="usage.replayed")
        assert {(e.actor, e.data["team"], e.data["doubt"]) for e in done} == {
            ("fin", "late", "TEAM")
        }
        assert done.count() == 2

    def test_says_what_is_wrong_today_where_it_still_is(self, finance):
        ingest(call(team="late", **{"gen_ai.request.model": "new"}))
        TeamFactory(slug="late")
        found = QuarantinedRecord.objects.all()
        assert actions.replay_records(records=found, actor=finance, now=LATER) == 0
        row = kept().get()
        assert (row.status, row.doubt, row.resolved_at) == ("WAITING", "MODEL", None)
        assert row.detail == "gen_ai.request.model names no model of the catalog"
        assert not AuditEvent.objects.filter(action="usage.replayed").exists()

    def test_judges_the_time_by_when_it_was_received(self, finance):
        ingest(call(start_time="2026-11-02T11:00:00Z"))
        found = QuarantinedRecord.objects.all()
        assert actions.replay_records(records=found, actor=finance, now=LATER) == 0

    def test_of_a_call_that_was_counted_meanwhile_counts_it_once(self, finance):
        late = call(team="late")
        ingest(late)
        TeamFactory(slug="late")
        ingest(late, via="FILE")
        actions.replay_records(records=QuarantinedRecord.objects.all(), actor=finance, now=LATER)
        assert (stored_calls().count(), kept().get().status) == (1, "REPLAYED")

    def test_takes_the_oldest_first_and_so_many_at_once(self, finance, monkeypatch):
        for step, team in enumerate(("third", "first", "second")):
            ingest(call(team=team), now=NOW + timedelta(minutes=(step + 2) % 3))
            TeamFactory(slug=team)
        monkeypatch.setattr(actions, "MOST_AT_ONCE", 2)
        found = QuarantinedRecord.objects.all()
        assert actions.replay_records(records=found, actor=finance, now=LATER) == 2
        assert kept().get(status="WAITING").team == "third"
        assert actions.replay_records(records=found, actor=finance, now=LATER) == 1

    def test_says_in_the_record_which_call_it_was(self, finance):
        first, second = call(team="late"), call(team="late")
        ingest(first, second)
        TeamFactory(slug="late")
        actions.replay_records(records=kept(), actor=finance, now=LATER)
        for row in kept():
            about = {
                "doubt": "TEAM",
                "event_id": str(row.event_id),
                "team": "late",
                "model": "prior-auth-extract",
            }
            assert trail(row) == [("usage.replayed", "fin", about)]
            assert (row.status, row.resolved_by, row.resolution) == ("REPLAYED", finance, "")

    def test_does_not_happen_without_its_record(self, finance, audit_away):
        ingest(call(team="late"))
        TeamFactory(slug="late")
        with audit_away(), pytest.raises(AuditAway):
            actions.replay_records(records=kept(), actor=finance, now=LATER)
        assert (kept().get().status, stored_calls().count()) == ("WAITING", 0)

    def test_by_itself_leaves_to_people_what_was_doubted_for_its_counts(self, finance):
        ingest(call(**{"gen_ai.usage.input_tokens": 3000}))
        with as_owner():
            RegisteredModel.objects.update(context_length=4096)
        assert actions.replay_waiting(now=LATER) == 0
        assert actions.replay_records(records=kept(), actor=finance, now=LATER) == 1

    def test_by_itself_leaves_alone_what_was_left_out(self, finance):
        ingest(call(team="late"), call(team="late"))
        left, waiting = kept()
        actions.leave_out(item=left, actor=finance, reason="A test.", now=NOW)
        TeamFactory(slug="late")
        assert actions.replay_waiting(now=LATER) == 1
        assert stored_calls().get().event_id == waiting.event_id

    def test_leaves_alone_what_was_resolved(self, finance):
        ingest(call(team="late"))
        actions.leave_out(item=kept().get(), actor=finance, reason="A test.", now=NOW)
        TeamFactory(slug="late")
        found = QuarantinedRecord.objects.all()
        assert actions.replay_records(records=found, actor=finance, now=LATER) == 0
        assert not stored_calls().exists()

    @pytest.mark.parametrize("role", [Role.AUDITOR, Role.TEAM_LEAD, Role.MODEL_OWNER])
    def test_is_for_those_who_look_after_usage(self, role):
        ingest(call(team="late"))
        TeamFactory(slug="late")
        person = UserFactory(with_roles=[role])
        with pytest.raises(NotPermitted):
            actions.replay_records(records=kept(), actor=person, now=NOW)
        with pytest.raises(NotPermitted):
            actions.leave_out(item=kept().get(), actor=person, reason="No.", now=NOW)
        assert kept().get().status == "WAITING"

    def test_happens_by_itself_for_names_that_became_known(self):
        ingest(call(team="late"), call(**{"gen_ai.usage.cached_input_tokens": 500}))
        TeamFactory(slug="late")
        assert actions.replay_waiting(now=LATER) == 1
        assert kept().get(team="late").resolved_by is None
        assert AuditEvent.objects.get(action="usage.replayed").actor == (
            "system:metering.replay_waiting"
        )
        assert kept().get(doubt="ABSURD").status == "WAITING"


class TestLeavingOut:
    def test_is_decided_once_with_a_reason(self, finance):
        ingest(call(team="nobody"), call(team="odd", model="x"))
        item = kept().get()
        actions.leave_out(item=item, actor=finance, reason="A load test.", now=LATER)
        assert (item.status, item.resolved_at, item.resolution) == (
            "LEFT_OUT", LATER, "A load test.",
        )  # fmt: skip
        event = AuditEvent.objects.get(action="usage.left_out")
        assert (event.actor, event.data["reason"], event.data["team"], event.target_id) == (
            "fin", "A load test.", "nobody", str(item.pk),
        )  # fmt: skip
        with pytest.raises(actions.AlreadyResolved):
            actions.leave_out(item=item, actor=finance, reason="Again.", now=LATER)

    def test_is_of_one_record_alone(self, finance):
        odd = call(team="nobody", start_time="yesterday")
        ingest(odd, call(team="nobody"))
        item, other = kept().order_by("-doubt")
        actions.leave_out(item=item, actor=finance, reason="A load test.", now=LATER)
        about = {
            "doubt": "UNREADABLE",
            "event_id": "",
            "team": "nobody",
            "model": "prior-auth-extract",
        }
        assert trail(item) == [("usage.left_out", "fin", about | {"reason": "A load test."})]
        assert item.resolved_by == finance
        other.refresh_from_db()
        assert (other.status, other.resolved_at, trail(other)) == ("WAITING", None, [])

    def test_does_not_happen_without_its_record(self, finance, audit_away):
        ingest(call(team="nobody"))
        with audit_away(), pytest.raises(AuditAway):
            actions.leave_out(item=kept().get(), actor=finance, reason="A test.", now=LATER)
        assert kept().get().status == "WAITING"

    def test_is_final_in_the_database_too(self, finance):
        ingest(call(team="nobody"))
        actions.leave_out(item=kept().get(), actor=finance, reason="A test.", now=NOW)
        for change in ({"status": "WAITING", "resolved_at": None}, {"resolution": "Other."}):
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                QuarantinedRecord.objects.update(**change)
