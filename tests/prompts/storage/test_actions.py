"""What becomes of records and keys, row by row: when they move, when they go, and what says so."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.prompts.erasures.actions import approve_erasure, ask_erasure
from apps.prompts.holds.actions import place_hold
from apps.prompts.models import DataKey, Place, PromptPack, PromptRecord, PromptText
from apps.prompts.rules.models import RetentionRevision
from apps.prompts.storage import actions
from apps.prompts.storage.packing import Packed
from apps.prompts.subjects import SubjectKind
from tests.database import as_owner
from tests.prompts.samples import ANSWER, AT, REQUEST, member, others_wait, stored
from tests.trail import trail

pytestmark = pytest.mark.django_db
LEAST, MINUTE, HOUR, DAY = (
    timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1),
)  # fmt: skip
END = AT + 30 * DAY
SIZE = len(REQUEST) + len(ANSWER)
Status = PromptPack.Status


def packs():
    """Return each pack's records, oldest pack first."""
    return [set(pack.records.all()) for pack in PromptPack.objects.order_by("id")]


def a_pack(*records, retained_until=END, **changes):
    """Return a pack of these records."""
    made = PromptPack.objects.create(made_at=AT, retained_until=retained_until, next_check_at=AT)
    PromptRecord.objects.filter(pk__in=[record.pk for record in records]).update(pack=made)
    if changes:
        PromptPack.objects.filter(pk=made.pk).update(**changes)
        made.refresh_from_db()
    return made


IN_S3 = {"status": Status.STORED, "object_key": "prompts/a", "version_id": "v1", "sha256": "0" * 64,
         "stored_at": AT, "next_check_at": None}  # fmt: skip


class TestMakePacks:
    def test_waits_ten_minutes_for_others_of_the_same_end(self):
        first, second = stored(retained_until=END), stored(retained_until=END + DAY, at=AT + MINUTE)
        due = AT + 10 * MINUTE
        assert actions.make_packs(now=due) == 0
        assert actions.make_packs(now=due + LEAST) == 1
        assert packs() == [{first}]
        pack = PromptPack.objects.get()
        assert (pack.status, pack.made_at, pack.next_check_at) == (
            "WAITING", due + LEAST, due + LEAST,
        )  # fmt: skip
        assert pack.retained_until == END
        assert actions.make_packs(now=due + MINUTE + LEAST) == 1
        assert packs() == [{first}, {second}]

    def test_does_not_wait_where_they_are_enough(self, monkeypatch):
        monkeypatch.setattr(actions, "ENOUGH", 2)
        one = stored(retained_until=END)
        stored(retained_until=END + DAY)
        assert actions.make_packs(now=AT) == 0
        other = stored(retained_until=END)
        assert actions.make_packs(now=AT) == 1
        assert packs() == [{one, other}]

    def test_expects_an_answer_for_an_hour(self):
        silent, other = stored(outcome="OPEN"), stored(outcome="OPEN", at=AT + MINUTE)
        assert actions.make_packs(now=AT + HOUR) == 0
        assert actions.make_packs(now=AT + HOUR + LEAST) == 1
        assert packs() == [{silent}] and other.retained_until != silent.retained_until

    def test_leaves_what_is_over_erased_or_in_a_pack_already(self, ada, carol):
        packed, erased = stored(retained_until=END), stored(member(), retained_until=END)
        a_pack(packed)
        erasure = ask_erasure(kind="MEMBER", name="M-100-42", justification="x", requester=ada,
                              now=AT)  # fmt: skip
        approve_erasure(erasure=erasure, approver=carol, reason="So.", now=AT)
        left = stored(retained_until=END)
        assert actions.make_packs(now=END) == 0
        assert actions.make_packs(now=END - LEAST) == 1
        assert packs() == [{packed}, {left}]
        assert PromptRecord.objects.get(pk=erased.pk).pack is None

    def test_takes_the_oldest_first_and_no_more_than_fit(self, monkeypatch):
        newest, oldest, middle = (stored(at=AT + n * MINUTE, retained_until=END) for n in (2, 0, 1))
        now = AT + HOUR
        monkeypatch.setattr(actions, "MOST_IN_PACK", 2)
        assert actions.make_packs(now=now) == 1
        assert packs() == [{oldest, middle}]
        assert actions.make_packs(now=now) == 1
        assert packs() == [{oldest, middle}, {newest}]

    @pytest.mark.parametrize(
        ("most", "counts"),
        [(SIZE - 1, [1, 1, 1]), (2 * SIZE - 1, [1, 1, 1]), (2 * SIZE, [2, 1]), (3 * SIZE, [3])],
    )
    def test_are_as_large_as_an_object_may_be(self, monkeypatch, most, counts):
        monkeypatch.setattr(actions, "MOST_BYTES", most)
        for number in range(3):
            stored(at=AT + number * MINUTE, retained_until=END)
        for _ in counts:
            assert actions.make_packs(now=AT + HOUR) == 1
        assert actions.make_packs(now=AT + HOUR) == 0
        assert [len(pack) for pack in packs()] == counts


class TestRecordStored:
    def packed(self, *records):
        texts = PromptText.objects.filter(record__in=records).order_by("pk")
        return Packed(b"bytes", {text.pk: 10 + at for at, text in enumerate(texts)})

    def store(self, pack, packed, **versions):
        return actions.record_stored(
            pack=pack, packed=packed, key="prompts/a", version_id="v1", versions=versions, now=AT
        )

    def test_lets_go_of_the_ciphertext_and_says_so_once(self):
        one, other, elsewhere = stored(), stored(), stored()
        pack, packed = a_pack(one, other, attempts=3), self.packed(one, other)
        found = {one.call_id: "extract-v1", other.call_id: "", uuid4(): "extract-v2"}
        assert actions.record_stored(
            pack=pack, packed=packed, key="prompts/a", version_id="v1", versions=found, now=AT
        )
        assert (pack.status, pack.object_key, pack.version_id) == ("STORED", "prompts/a", "v1")
        assert (pack.sha256, pack.size_bytes, pack.stored_at) == (packed.sha256, 5, AT)
        assert (pack.next_check_at, pack.attempts, pack.reason) == (None, 0, "")
        texts = PromptText.objects.filter(record__in=(one, other))
        assert {text.pk: (bytes(text.ciphertext), text.offset) for text in texts} == {
            key: (b"", offset) for key, offset in packed.offsets.items()
        }
        kept = PromptText.objects.filter(record=elsewhere)
        assert all(bytes(text.ciphertext) and text.offset is None for text in kept)
        records = PromptRecord.objects.values_list("pk", "place", "version")
        assert set(records) == {
            (one.pk, "S3", "extract-v1"), (other.pk, "S3", ""), (elsewhere.pk, "POSTGRES", ""),
        }  # fmt: skip
        assert self.store(pack, packed) is False
        assert trail(pack) == [
            ("prompts.moved", "system:prompts.move_to_s3", {
                "object": "prompts/a", "version": "v1", "sha256": packed.sha256, "records": 2,
            }),
        ]  # fmt: skip

    def test_leaves_what_was_erased_meanwhile(self, ada, carol):
        erased, other = stored(member()), stored()
        pack, packed = a_pack(erased, other), self.packed(erased, other)
        erasure = ask_erasure(kind="MEMBER", name="M-100-42", justification="x", requester=ada,
                              now=AT)  # fmt: skip
        approve_erasure(erasure=erasure, approver=carol, reason="So.", now=AT)
        assert self.store(pack, packed)
        places = PromptRecord.objects.values_list("pk", "place")
        assert dict(places) == {erased.pk: Place.ERASED, other.pk: Place.S3}
        assert trail(pack)[0][2]["records"] == 1

    def test_lets_nobody_place_a_hold_until_it_is_committed(self):
        record = stored()
        pack, packed = a_pack(record), self.packed(record)
        assert not others_wait()
        self.store(pack, packed)
        assert others_wait()


class TestGivenUpPacks:
    def test_have_no_records_and_are_looked_at_again_at_their_end(self):
        one, other = stored(), stored()
        pack, beside = a_pack(one, reason="WAITING", message="Later."), a_pack(other)
        actions.give_up_pack(pack=pack, now=AT)
        pack.refresh_from_db()
        assert (pack.status, pack.next_check_at) == ("WAITING", END)
        assert (pack.reason, pack.message) == ("", "")
        assert packs() == [set(), {other}]
        beside.refresh_from_db()
        assert beside.next_check_at == AT

    def test_leave_one_that_is_stored_where_it_is(self):
        pack = a_pack(stored(), **IN_S3)
        actions.give_up_pack(pack=pack, now=AT)
        actions.record_given_up(pack=pack, now=AT)
        pack.refresh_from_db()
        assert (pack.status, pack.next_check_at, pack.removed_at) == ("STORED", None, None)

    def test_are_gone_once_nothing_of_them_is_in_s3(self):
        pack = a_pack(reason="WAITING", message="Later.")
        actions.record_given_up(pack=pack, now=AT + DAY)
        pack.refresh_from_db()
        assert (pack.status, pack.removed_at, pack.next_check_at) == ("REMOVED", AT + DAY, None)
        assert (pack.reason, pack.message) == ("", "")


class TestRemoveFromDatabase:
    def test_is_told_by_an_event_of_each_data_class(self):
        now = timezone.now()
        for _ in range(3):
            stored(retained_until=now - DAY)
        records = list(PromptRecord.objects.all())
        with as_owner():
            PromptRecord.objects.filter(pk=records[0].pk).update(data_class="INTERNAL")
        assert actions.remove_from_database(now=now) == 3
        assert not PromptRecord.objects.exists() and not PromptText.objects.exists()
        for data_class, count in (("INTERNAL", 1), ("PHI", 2)):
            revision = RetentionRevision.objects.get(data_class=data_class)
            data = {"data_class": data_class, "records": count, "from": "database"}
            assert trail(revision) == [("prompts.removed", "system:prompts.remove_expired", data)]

    def test_takes_what_ended_by_then_and_lies_in_no_pack(self):
        now = timezone.now()
        end = now - HOUR
        due, young = stored(retained_until=end), stored(retained_until=end + LEAST)
        packed = stored(retained_until=end)
        a_pack(packed, retained_until=end)
        assert actions.remove_from_database(now=end) == 1
        assert set(PromptRecord.objects.all()) == {young, packed} and due not in packs()[0]
        assert actions.remove_from_database(now=end) == 0
        assert AuditEvent.objects.filter(action="prompts.removed").count() == 1

    def test_takes_the_oldest_first_where_there_are_many(self, monkeypatch):
        monkeypatch.setattr(actions, "REMOVED_AT_ONCE", 1)
        now = timezone.now()
        late, early = stored(retained_until=now - HOUR), stored(retained_until=now - DAY)
        assert actions.remove_from_database(now=now) == 1
        assert PromptRecord.objects.get() == late != early

    def test_lets_nobody_place_a_hold_until_it_is_committed(self):
        assert not others_wait()
        actions.remove_from_database(now=timezone.now())
        assert others_wait()


class TestDestroyIdleKeys:
    @staticmethod
    def key(month, whose="m-1"):
        """Return a key under which there is nothing."""
        return DataKey.objects.create(
            kind=SubjectKind.MEMBER, token=whose, month=date(2026, month, 1), created_at=AT,
            wrapped=b"w", wrapped_by="tests", wrapped_sha256="0" * 64,
        )  # fmt: skip

    @staticmethod
    def living():
        return set(DataKey.objects.filter(destroyed_at=None))

    def test_leaves_a_month_for_a_day_after_its_end(self):
        september, october, november = self.key(9), self.key(10), self.key(11)
        begins = datetime(2026, 11, 2, tzinfo=UTC)
        assert actions.destroy_idle_keys(now=begins - LEAST) == 1
        assert self.living() == {october, november}
        assert actions.destroy_idle_keys(now=begins) == 1
        assert self.living() == {november}
        assert actions.destroy_idle_keys(now=datetime(2026, 12, 1, 23, 59, tzinfo=UTC)) == 0
        assert actions.destroy_idle_keys(now=datetime(2026, 12, 2, tzinfo=UTC)) == 1
        september.refresh_from_db()
        assert (bytes(september.wrapped), september.destroyed_at) == (b"", begins - LEAST)

    def test_leaves_a_key_under_which_a_text_of_another_record_lies(self):
        key = self.key(9)
        record = stored()
        record.texts.filter(phase="ANSWER").delete()
        record.texts.create(
            phase="ANSWER", data_key=key, nonce=b"n" * 12, ciphertext=b"x", size_bytes=1
        )
        assert actions.destroy_idle_keys(now=AT) == 0
        record.texts.filter(phase="ANSWER").delete()
        assert actions.destroy_idle_keys(now=AT) == 1

    def test_names_all_that_it_destroyed_in_one_event_and_takes_some_at_a_time(self, monkeypatch):
        monkeypatch.setattr(actions, "KEYS_AT_ONCE", 2)
        keys = {str(self.key(9, whose=name).pk) for name in ("m-1", "m-2", "m-3")}
        assert [actions.destroy_idle_keys(now=AT) for _ in range(3)] == [2, 1, 0]
        events = AuditEvent.objects.filter(action="prompts.removed", target_type="DataKey")
        assert sorted(len(event.data["keys_destroyed"]) for event in events) == [1, 2]
        assert {key for event in events for key in event.data["keys_destroyed"]} == keys
        assert {(event.actor, event.data["records"]) for event in events} == {
            ("system:prompts.remove_expired", 0)
        }


class TestAskDueRemovals:
    def test_asks_for_what_is_stored_and_over_once(self):
        due = a_pack(**IN_S3, attempts=4)
        young = a_pack(**IN_S3, retained_until=END + LEAST)
        waiting = a_pack(next_check_at=None)
        asked = a_pack(**IN_S3 | {"next_check_at": END + DAY})
        assert actions.ask_due_removals(now=END - LEAST) == 0
        assert actions.ask_due_removals(now=END) == 1
        assert actions.ask_due_removals(now=END) == 0
        due.refresh_from_db()
        assert (due.next_check_at, due.attempts) == (END, 0)
        for pack, at in ((young, None), (waiting, None), (asked, END + DAY)):
            pack.refresh_from_db()
            assert pack.next_check_at == at


class TestBeginRemoval:
    def test_removes_what_no_hold_covers_and_waits_with_the_rest(self, ada):
        now = timezone.now()
        over = {"retained_until": now - DAY}
        gone, other, kept = stored(**over), stored(**over), stored(member(), **over)
        pack = a_pack(gone, other, kept, retained_until=now - DAY, **IN_S3)
        place_hold(scope="MEMBER", name="M-100-42", matter="2026-17", actor=ada, now=now)
        beside = stored(retained_until=now - DAY)
        assert actions.begin_removal(pack=pack, now=now) is False
        assert set(PromptRecord.objects.all()) == {kept, beside}
        assert set(PromptText.objects.values_list("record", flat=True)) == {kept.pk, beside.pk}
        pack.refresh_from_db()
        assert (pack.reason, pack.message) == ("HELD", "A legal hold covers it.")
        assert (pack.next_check_at, pack.observed_at) == (now + HOUR, now)
        about = {"object": "prompts/a", "version": "v1", "sha256": "0" * 64}
        event = ("prompts.removed", "system:prompts.remove_expired",
                 about | {"records": 2, "from": "S3"})  # fmt: skip
        assert trail(pack) == [event]
        assert actions.begin_removal(pack=pack, now=now) is False
        assert trail(pack) == [event]  # nothing more went

    def test_removes_all_where_nothing_is_held(self):
        now = timezone.now()
        stored(retained_until=now - DAY)
        mine = stored(retained_until=now - DAY)
        pack = a_pack(mine, retained_until=now - DAY, **IN_S3)
        assert not others_wait()
        assert actions.begin_removal(pack=pack, now=now) is True
        assert others_wait()
        assert PromptRecord.objects.count() == 1 and packs() == [set()]
        actions.record_removed(pack=pack, now=now)
        pack.refresh_from_db()
        assert (pack.status, pack.removed_at, pack.next_check_at) == ("REMOVED", now, None)
