"""From the database to S3 and away: nothing is lost, nothing stays that is over, holds win."""

import time
from datetime import timedelta

import boto3
import pytest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.common.periods import DAY
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore
from apps.prompts.erasures.actions import approve_erasure, ask_erasure
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.holds.actions import approve_release, ask_release, place_hold
from apps.prompts.models import DataKey, Place, PromptPack, PromptRecord, PromptText
from apps.prompts.reading.opening import Unreadable, open_record
from apps.prompts.storage import actions, reconcile
from tests.factories import create_event
from tests.integrations import versitygw
from tests.prompts.samples import ANSWER, AT, REQUEST, WRAPPER, member, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="session")
def prompts_bucket(s3_server):
    store = RegistryStore(bucket="prompt-record", name="bucket of prompts")
    versitygw.make_bucket(store)
    return store


def soon(seconds=86_400):
    """Return an end that S3 can lock an object until: whole seconds."""
    return timezone.now().replace(microsecond=0) + timedelta(seconds=seconds)


def move(bucket, now=None):
    return reconcile.move_and_remove(bucket=bucket, now=now or timezone.now())


def opened(record, bucket):
    record = PromptRecord.objects.get(pk=record.pk)
    found = open_record(record, wrapper=WRAPPER, bucket=lambda: bucket)
    return (found.request, found.answer)


class TestMakePacks:
    def test_gathers_what_ends_together_and_leaves_what_is_under_way(self):
        end, other = soon(), soon() + DAY
        one, two = stored(retained_until=end), stored(retained_until=end)
        third = stored(retained_until=other)
        fresh = stored(retained_until=end, at=timezone.now())
        PromptRecord.objects.filter(pk=fresh.pk).update(outcome="OPEN")
        assert actions.make_packs(now=timezone.now()) == 2
        assert actions.make_packs(now=timezone.now()) == 0
        packs = {pack.retained_until: set(pack.records.all()) for pack in PromptPack.objects.all()}
        assert packs == {end: {one, two}, other: {third}}

    def test_waits_for_more_where_few_came_just_now(self):
        stored(at=timezone.now())
        assert actions.make_packs(now=timezone.now()) == 0
        assert actions.make_packs(now=timezone.now() + timedelta(minutes=11)) == 1


class TestMove:
    def test_moves_ciphertext_and_the_record_still_opens(self, prompts_bucket):
        end = soon()
        records = [stored(retained_until=end), stored(member(), retained_until=end)]
        assert move(prompts_bucket) == 1
        assert move(prompts_bucket) == 0
        pack = PromptPack.objects.get()
        kept = prompts_bucket.head(pack.object_key)
        assert (pack.status, kept.locked_until) == ("STORED", end)
        body = b"".join(prompts_bucket.read(pack.object_key))
        assert b"Jane" not in body and b"claims-review" not in body
        assert not any(bytes(text.ciphertext) for text in PromptText.objects.all())
        for record in records:
            assert opened(record, prompts_bucket) == (REQUEST, ANSWER)
            assert PromptRecord.objects.get(pk=record.pk).place == Place.S3
        event = AuditEvent.objects.get(action="prompts.moved")
        assert event.data["records"] == 2 and event.data["sha256"] == pack.sha256

    def test_takes_what_a_worker_wrote_that_died_before_it_said_so(
        self, prompts_bucket, monkeypatch
    ):
        record = stored(retained_until=soon())
        died = monkeypatch.context()
        with died as patch:
            patch.setattr(actions, "record_stored", _dies)
            with pytest.raises(KeyboardInterrupt):
                move(prompts_bucket)
        assert move(prompts_bucket, timezone.now() + timedelta(minutes=10)) == 1
        assert opened(record, prompts_bucket) == (REQUEST, ANSWER)
        assert len(prompts_bucket.list_keys(f"prompts/{record.retained_until:%Y/%m/%d}/")) >= 1

    def test_keeps_everything_while_s3_is_away_and_says_why(self, monkeypatch):
        record = stored(retained_until=soon())
        nowhere = RegistryStore(bucket="prompt-record", name="bucket of prompts")
        monkeypatch.setattr(nowhere, "put_new", _away)
        move(nowhere)
        pack = PromptPack.objects.get()
        assert (pack.status, pack.reason) == ("WAITING", "WAITING")
        assert opened(record, nowhere) == (REQUEST, ANSWER)

    def test_learns_which_version_answered(self, prompts_bucket):
        end = soon()
        known, unknown = stored(retained_until=end), stored(retained_until=end)
        create_event(
            event_id=known.call_id, occurred_at=known.at, received_at=known.at, received_via="OTLP",
            outcome="METERED", team=known.team, model=known.model, version="extract-v7",
            response_code=200, input_tokens=3, cached_input_tokens=0, output_tokens=4,
        )  # fmt: skip
        move(prompts_bucket)
        assert PromptRecord.objects.get(pk=known.pk).version == "extract-v7"
        assert PromptRecord.objects.get(pk=unknown.pk).version == ""


def _dies(**_):
    raise KeyboardInterrupt


def _away(*_, **__):
    raise TemporaryError("S3 cannot be reached.")


class TestErasedInS3:
    def test_leaves_ciphertext_that_nothing_opens(self, prompts_bucket, ada, carol):
        end = soon()
        mine, other = stored(member(), retained_until=end), stored(retained_until=end)
        move(prompts_bucket)
        erasure = ask_erasure(
            kind="MEMBER", name="M-100-42", justification="Asked for.", requester=ada,
            now=timezone.now(),
        )  # fmt: skip
        receipt = approve_erasure(
            erasure=erasure, approver=carol, reason="Lawful.", now=timezone.now()
        ).receipt
        pack = PromptPack.objects.get()
        assert receipt["records"]["ciphertext_left_in_s3"] == 1
        assert [one["key"] for one in receipt["left"]["objects"]] == [pack.object_key]
        with pytest.raises(Unreadable, match="was destroyed"):
            opened(mine, prompts_bucket)
        assert opened(other, prompts_bucket) == (REQUEST, ANSWER)

    def test_what_is_erased_while_it_moves_stays_erased(
        self, prompts_bucket, ada, carol, monkeypatch
    ):
        mine = stored(member(), retained_until=soon())
        put = prompts_bucket.put_new

        def erases_meanwhile(*given, **named):
            put(*given, **named)
            erasure = ask_erasure(
                kind="MEMBER", name="M-100-42", justification="Asked for.", requester=ada,
                now=timezone.now(),
            )  # fmt: skip
            approve_erasure(erasure=erasure, approver=carol, reason="So.", now=timezone.now())

        monkeypatch.setattr(prompts_bucket, "put_new", erases_meanwhile)
        move(prompts_bucket)
        left = ErasureRequest.objects.get().receipt["left"]
        pack = PromptPack.objects.get()
        assert [one["key"] for one in left["objects_being_written"]] == [f"{pack.key_prefix}*"]
        assert pack.object_key.startswith(pack.key_prefix) and left["objects"] == []
        record = PromptRecord.objects.get(pk=mine.pk)
        assert record.place == Place.ERASED
        with pytest.raises(Unreadable):
            opened(mine, prompts_bucket)


class TestRemove:
    def test_removes_from_the_database_what_is_over_and_not_held(self, ada):
        over = timezone.now() - DAY
        gone, kept = stored(retained_until=over), stored(member(), retained_until=over)
        later = stored()
        place_hold(scope="MEMBER", name="M-100-42", matter="2026-17", actor=ada, now=timezone.now())
        assert actions.remove_from_database(now=timezone.now()) == 1
        assert actions.remove_from_database(now=timezone.now()) == 0
        assert set(PromptRecord.objects.all()) == {kept, later}
        assert not PromptText.objects.filter(record=gone.pk).exists()
        event = AuditEvent.objects.get(action="prompts.removed")
        assert event.data == {"data_class": "PHI", "records": 1, "from": "database"}

    def test_removes_an_object_after_its_lock_and_never_before(self, prompts_bucket):
        record = stored(retained_until=soon(3))
        move(prompts_bucket)
        pack = PromptPack.objects.get()
        with pytest.raises(PermanentError):
            prompts_bucket.remove(pack.object_key, version_id=pack.version_id)
        move(prompts_bucket)
        assert PromptRecord.objects.filter(pk=record.pk).exists()
        time.sleep(4)
        assert move(prompts_bucket) == 1
        assert not PromptRecord.objects.exists() and not PromptText.objects.exists()
        assert prompts_bucket.head(pack.object_key) is None
        pack.refresh_from_db()
        assert pack.status == "REMOVED"
        versions = boto3.client("s3").list_object_versions(
            Bucket="prompt-record", Prefix=pack.object_key
        )
        assert not versions.get("Versions")
        assert move(prompts_bucket) == 0

    def test_keeps_an_object_of_which_a_hold_covers_one_record(self, prompts_bucket, ada, carol):
        end = soon(2)
        stored(retained_until=end)
        kept = stored(member(), retained_until=end)
        move(prompts_bucket)
        hold = place_hold(
            scope="MEMBER", name="M-100-42", matter="2026-17", actor=ada, now=timezone.now()
        )
        time.sleep(3)
        move(prompts_bucket)
        pack = PromptPack.objects.get()
        assert (pack.status, pack.reason) == ("STORED", "HELD")
        assert PromptRecord.objects.get() == kept  # the other one's time is over all the same
        assert opened(kept, prompts_bucket) == (REQUEST, ANSWER)
        until = prompts_bucket.head(pack.object_key).locked_until
        assert until > timezone.now() + timedelta(hours=5)  # nobody removes it in S3 either
        release = ask_release(
            hold=hold, justification="Settled.", requester=ada, now=timezone.now()
        )
        approve_release(release=release, approver=carol, reason="Settled.", now=timezone.now())
        move(prompts_bucket, timezone.now() + timedelta(hours=1))
        assert not PromptRecord.objects.exists()
        pack.refresh_from_db()
        assert (pack.status, pack.reason) == ("STORED", "WAITING")
        assert f"is locked until {until:%d %b %H:%M} UTC" in pack.message

    @pytest.mark.parametrize("others", [0, 1])
    def test_removes_what_a_worker_wrote_that_died_also_where_another_object_took_its_place(
        self, prompts_bucket, ada, carol, monkeypatch, others
    ):
        """One of the pack's members is erased between the worker that died and the next one."""
        end = soon(4)
        stored(member(), retained_until=end)
        kept = [stored(retained_until=end) for _ in range(others)]
        with monkeypatch.context() as patch:
            patch.setattr(actions, "record_stored", _dies)
            with pytest.raises(KeyboardInterrupt):
                move(prompts_bucket)
        erasure = ask_erasure(
            kind="MEMBER", name="M-100-42", justification="Asked for.", requester=ada,
            now=timezone.now(),
        )  # fmt: skip
        approve_erasure(erasure=erasure, approver=carol, reason="Lawful.", now=timezone.now())
        pack = PromptPack.objects.get()
        PromptPack.objects.update(next_check_at=timezone.now())
        move(prompts_bucket)
        assert len(prompts_bucket.list_keys(pack.key_prefix)) == 1 + others
        assert [opened(one, prompts_bucket) for one in kept] == [(REQUEST, ANSWER)] * others
        time.sleep(5)
        move(prompts_bucket)
        assert prompts_bucket.list_keys(pack.key_prefix) == []
        pack.refresh_from_db()
        assert (pack.status, pack.next_check_at) == ("REMOVED", None)
        assert move(prompts_bucket) == 0


class TestDestroyIdleKeys:
    def test_destroys_those_of_past_months_under_which_nothing_is_left(self):
        now = timezone.now()
        this, long_ago = now.date().replace(day=1), AT.replace(year=2025)
        gone = stored(member(), at=long_ago, retained_until=now - DAY).data_key
        kept = stored(member("M-2"), at=long_ago).data_key
        fresh = stored(member("M-3"), at=now, retained_until=now - DAY).data_key
        assert fresh.month == this
        assert actions.destroy_idle_keys(now=now) == 0
        actions.remove_from_database(now=now)
        assert actions.destroy_idle_keys(now=now) == 1
        assert actions.destroy_idle_keys(now=now) == 0
        assert set(DataKey.objects.filter(destroyed_at=None)) == {kept, fresh}
        gone.refresh_from_db()
        assert bytes(gone.wrapped) == b"" and gone.wrapped_sha256
        event = AuditEvent.objects.get(action="prompts.removed", target_type="DataKey")
        assert event.data == {"keys_destroyed": [str(gone.pk)], "records": 0}
