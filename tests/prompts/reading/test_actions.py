"""Who may read, and what happens before anybody does."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.common.errors import NotPermitted
from apps.common.sign_ins import FreshSignInNeeded
from apps.notices.models import Notice
from apps.prompts.models import PromptText
from apps.prompts.reading import actions
from apps.prompts.reading.actions import BadReader, may_read
from apps.prompts.reading.models import NamedReader, Reading
from apps.prompts.reading.opening import Unreadable, open_record
from tests.factories import NOW, TeamFactory, UserFactory
from tests.prompts.samples import ANSWER, REQUEST, WRAPPER, stored
from tests.trail import trail

pytestmark = pytest.mark.django_db


def read(record, who, now=NOW):
    return actions.read_record(record=record, reader=who, reason="Complaint 17.", now=now)


def name(carol, ada, days=7):
    return actions.name_reader(reader=carol, days=days, reason="Review.", actor=ada, now=NOW)


class TestReadRecord:
    def test_is_an_event_and_tells_the_teams_leads(self, ada, charlie):
        other = UserFactory(
            username="dora", team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD]
        )
        record = stored()
        reading = read(record, ada)
        assert (reading.call_id, reading.team) == (record.call_id, "claims-review")
        event = AuditEvent.objects.get(action="prompt.read")
        assert event.data["reason"] == "Complaint 17." and event.actor == "ada"
        assert trail(reading) == [
            ("prompt.read", "ada", {
                "record": str(record.pk), "call": str(record.call_id), "team": "claims-review",
                "model": "extract", "reason": "Complaint 17.",
            }),
        ]  # fmt: skip
        assert (reading.record_id, reading.model, reading.reader, reading.reason, reading.read_at) \
            == (record.pk, "extract", ada, "Complaint 17.", NOW)  # fmt: skip
        told = Notice.objects.get()
        assert told.user == charlie and told.kind == "PROMPT" and other != charlie
        assert str(record.call_id) in told.title and "Complaint" not in told.title
        assert told.path == f"/gateway/why/?request_id={record.call_id}"

    def test_tells_others_who_oversee_where_the_team_has_no_lead(self, ada, anton, carol):
        read(stored(), ada)
        assert {notice.user for notice in Notice.objects.all()} == {anton, carol}
        assert {notice.path for notice in Notice.objects.all()} == {"/prompts/readers/"}

    @pytest.mark.parametrize("who", ["alice", "carol", "charlie"])
    def test_is_for_auditors_and_named_reviewers(self, request, who):
        with pytest.raises(NotPermitted, match="whom one named"):
            read(stored(), request.getfixturevalue(who))
        assert not Reading.objects.exists()

    def test_wants_a_recent_sign_in(self, ada, stale_by_default):
        with pytest.raises(FreshSignInNeeded):
            read(stored(), ada)

    def test_notes_nothing_without_its_event(self, ada, audit_away):
        from tests.trail import AuditAway

        record = stored()
        with audit_away(), pytest.raises(AuditAway):
            read(record, ada)
        assert not Reading.objects.exists()


class TestNamedReaders:
    def test_read_from_then_until_their_day(self, ada, carol):
        assert not may_read(carol, NOW)
        named = name(carol, ada)
        assert may_read(carol, NOW) and not may_read(carol, NOW + timedelta(days=7))
        read(stored(), carol)
        actions.end_reader(named=named, reason="Done.", actor=ada, now=NOW + timedelta(days=1))
        assert not may_read(carol, NOW + timedelta(days=1))
        with pytest.raises(BadReader, match="over already"):
            actions.end_reader(named=named, reason="x", actor=ada, now=NOW + timedelta(days=1))
        assert trail(named) == [
            ("prompt_reader.named", "ada", {"reader": "carol", "days": 7, "reason": "Review."}),
            ("prompt_reader.ended", "ada", {"reader": "carol", "reason": "Done."}),
        ]
        assert (named.active_from, named.active_to) == (NOW, NOW + timedelta(days=1))

    def test_read_to_the_last_microsecond_and_end_by_themselves_or_each_alone(
        self, ada, anton, carol
    ):
        dora = UserFactory(username="dora", with_roles=[Role.REVIEWER])
        first, second = name(carol, ada, 90), name(dora, anton, 1)
        end, least = NOW + timedelta(days=90), timedelta(microseconds=1)
        assert may_read(carol, end - least) and not may_read(carol, end)
        assert not may_read(carol, NOW - least)
        actions.end_reader(named=first, reason="Done.", actor=anton, now=NOW + least)
        assert may_read(dora, NOW + least) and not may_read(carol, NOW + least)
        with pytest.raises(BadReader, match="over already"):
            actions.end_reader(named=second, reason="x", actor=ada, now=NOW + timedelta(days=1))
        second.refresh_from_db()
        assert second.active_to == NOW + timedelta(days=1)

    def test_are_ended_by_auditors_and_named_by_those_who_just_signed_in(
        self, ada, carol, charlie, request
    ):
        named = name(carol, ada)
        for who in (carol, charlie):
            with pytest.raises(NotPermitted):
                actions.end_reader(named=named, reason="x", actor=who, now=NOW)
        assert may_read(carol, NOW)
        request.getfixturevalue("stale_by_default")
        with pytest.raises(FreshSignInNeeded):
            name(carol, ada)
        assert NamedReader.objects.count() == 1

    def test_are_reviewers_whom_another_person_names_for_a_while(self, ada, anton, carol, charlie):
        with pytest.raises(NotPermitted):
            name(carol, carol)
        for who, days in ((ada, 7), (charlie, 7), (carol, 0), (carol, 91)):
            with pytest.raises(BadReader):
                name(who, ada, days)
        assert not NamedReader.objects.exists()

    def test_lose_it_with_their_role(self, ada, carol):
        name(carol, ada)
        carol.role_bindings.all().delete()
        carol.remember_roles([])
        assert not may_read(carol, NOW)

    def test_are_never_named_for_longer_past_the_database(self, ada, carol):
        name(carol, ada)
        with pytest.raises(IntegrityError, match="named anew"), transaction.atomic():
            NamedReader.objects.update(active_to=NOW + timedelta(days=400))


class TestOpenRecord:
    def opened(self, record):
        return open_record(record, wrapper=WRAPPER, bucket=lambda: None)

    def test_gives_both_halves(self):
        found = self.opened(stored())
        assert (found.request, found.answer) == (REQUEST, ANSWER)
        assert "Jane" not in repr(found)

    def test_says_which_half_was_not_kept(self):
        record = stored()
        record.texts.filter(phase="ANSWER").delete()
        assert self.opened(record).answer is None

    def test_opens_no_text_in_anothers_place(self):
        one, other = stored(), stored()
        PromptText.objects.filter(record=other, phase="REQUEST").delete()
        swapped = one.texts.get(phase="REQUEST")
        other.texts.create(
            phase="REQUEST", data_key=swapped.data_key, nonce=swapped.nonce,
            ciphertext=swapped.ciphertext, size_bytes=swapped.size_bytes,
        )  # fmt: skip
        with pytest.raises(Unreadable, match="does not open"):
            self.opened(other)
