"""What the gate keeps: sealed, durable where it must be, and never under a destroyed key."""

import asyncio
import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.catalog.models import DataClass
from apps.common.envelope import FileWrapper, NotOpened
from apps.integrations.errors import TemporaryError
from apps.prompts.capture.keyring import KeyRing
from apps.prompts.capture.link import Away, Link
from apps.prompts.capture.terms import Terms
from apps.prompts.models import DataKey, LostPrompts, Phase, Place, PromptRecord, PromptText
from apps.prompts.rules.queries import Ruling
from apps.prompts.rules.rules import Rules
from apps.prompts.storage import actions
from tests.prompts.samples import (
    ANSWER,
    AT,
    REQUEST,
    WRAPPER,
    _in_its_own_connection,
    both,
    half,
    keep,
    member,
    opened,
    recorder,
    stored,
)


def terms(mode="REQUIRED", **models):
    """Return terms that keep every class in one way, for 30 days."""
    ruling = Ruling(Rules(mode, 30, models), None)
    return Terms({one: ruling for one in DataClass}, {}, {})


@pytest.mark.usefixtures("committed")
class TestKeep:
    def test_keeps_both_halves_sealed_under_one_key(self):
        calls = [both(), both(team="prior-auth"), both(subject=member())]
        keep(*[one for pair in calls for one in pair], terms=terms())
        assert PromptRecord.objects.count() == 3 and DataKey.objects.count() == 3
        for request, answer in calls:
            record = PromptRecord.objects.get(call_id=request.call_id)
            assert (record.outcome, record.place) == ("ANSWERED", "POSTGRES")
            assert record.retained_until == AT.replace(hour=0, minute=0) + timedelta(days=31)
            assert (record.request_bytes, record.answer_bytes) == (len(REQUEST), len(ANSWER))
            assert record.person.startswith("p-") and "sub-1" not in record.person
            texts = {text.phase: opened(text) for text in record.texts.all()}
            assert texts == {"REQUEST": request.text, "ANSWER": answer.text}

    def test_nothing_of_the_text_or_the_member_is_in_the_database(self):
        keep(*both(subject=member()), terms=terms())
        with connection.cursor() as cursor:
            for table in ("promptrecord", "prompttext", "datakey"):
                cursor.execute(f"SELECT to_jsonb(t)::text FROM prompts_{table} t")  # noqa: S608
                said = str(cursor.fetchall())
                for told in ("Jane", "4a616e65", "Approved", "M-100-42"):
                    assert told not in said

    def test_a_request_id_sent_twice_is_two_records(self):
        call = uuid4()
        keep(half(call_id=call), half(call_id=call, at=AT + timedelta(seconds=1)), terms=terms())
        assert PromptRecord.objects.filter(call_id=call).count() == 2

    def test_keeps_refused_calls_with_the_verdict_and_adds_what_the_answer_found(self):
        found = {"rule": "no-ssn", "detector": "US_SSN", "does": "block", "phase": "request",
                 "where": "messages[0].content"}  # fmt: skip
        request, answer = both(findings=[found])
        other = {**found, "rule": "leak", "phase": "answer"}
        keep(request, half(Phase.ANSWER, call_id=request.call_id, findings=[other]), terms=terms())
        record = PromptRecord.objects.get()
        assert record.rules_hit == ["leak", "no-ssn"]
        assert record.verdict["request"] == {"rules": "sha256:r", "findings": [found]}
        assert record.verdict["answer"]["findings"] == [other]

    def test_keeps_nothing_where_it_is_off_even_in_the_index(self):
        only = terms("OFF", other="REQUIRED")
        keep(*both(), *both(model="other"), terms=only)
        assert [record.model for record in PromptRecord.objects.all()] == ["other"]

    def test_months_have_keys_of_their_own(self):
        keep(half(), half(at=AT + timedelta(days=40)), half(at=AT), terms=terms())
        assert sorted(f"{key.month:%m}" for key in DataKey.objects.all()) == ["11", "12"]

    def test_many_at_once_share_commits_and_one_key(self):
        class Counting(FileWrapper):
            made = 0

            def make_key(self, bound):
                Counting.made += 1
                return super().make_key(bound)

        async def run():
            async with recorder(terms(), Counting(b"w" * 32, "tests")) as made:
                await asyncio.gather(*(made.keep(half()) for _ in range(300)))
                return made._writer.commits

        commits = asyncio.run(run())
        assert PromptRecord.objects.count() == 300
        assert commits < 20 and Counting.made == 1 and DataKey.objects.count() == 1

    def test_both_halves_of_many_calls_at_once_are_kept_in_their_order(self):
        calls = [both() for _ in range(30)]

        async def run():
            async with recorder(terms()) as made:
                halves = (made.keep(one) for pair in calls for one in pair)
                await asyncio.gather(made.keep(half()), *halves)
                return made._writer.commits

        assert asyncio.run(run()) < 8
        answered = PromptRecord.objects.filter(outcome="ANSWERED", answer_bytes=len(ANSWER))
        assert answered.filter(request_bytes=len(REQUEST)).count() == 30
        assert PromptText.objects.count() == 61

    def test_a_long_text_is_kept_as_it_is(self):
        text = bytes(range(256)) * 2000
        keep(half(text=text), terms=terms())
        assert opened(PromptText.objects.get()) == text

    def test_two_gates_come_to_the_same_key(self):
        async def run():
            async with recorder(terms()) as one, recorder(terms()) as other:
                await asyncio.gather(*(gate.keep(half()) for gate in (one, other) * 20))

        asyncio.run(run())
        assert DataKey.objects.count() == 1 and PromptRecord.objects.count() == 40
        assert {opened(text) for text in PromptText.objects.all()} == {REQUEST}


@pytest.mark.usefixtures("committed")
class TestDestroyedKeys:
    def test_nothing_is_stored_under_one_and_a_new_key_takes_its_place(self):
        async def run():
            async with recorder(terms()) as made:
                await made.keep(half(subject=member()))
                await asyncio.to_thread(destroy)
                await made.keep(half(subject=member()))
                await made.keep(half(subject=member("another")))

        asyncio.run(run())
        gone = DataKey.objects.exclude(destroyed_at=None).get()
        assert DataKey.objects.filter(token=gone.token).count() == 2
        assert gone.texts.count() == 1
        living = DataKey.objects.get(token=gone.token, destroyed_at=None)
        assert opened(living.texts.get()) == REQUEST

    def test_an_answer_to_what_was_erased_meanwhile_is_not_kept(self):
        request, answer = both(subject=member())

        async def run():
            async with recorder(terms()) as made:
                await made.keep(request)
                await asyncio.to_thread(destroy)
                await made.keep(answer)

        asyncio.run(run())
        assert [text.phase for text in PromptText.objects.all()] == ["REQUEST"]
        with pytest.raises((NotOpened, ValueError)):
            opened(PromptText.objects.get())

    def test_a_write_and_an_erasure_never_wait_for_each_other(self):
        request, answer = both(subject=member())
        locked = threading.Event()

        async def run():
            async with recorder(terms()) as made:
                await made.keep(request)
                erasing = asyncio.create_task(asyncio.to_thread(destroy_slowly, locked))
                await asyncio.to_thread(locked.wait)
                await made.keep(answer)
                await erasing

        asyncio.run(run())
        assert PromptRecord.objects.get().place == Place.ERASED
        assert [text.phase for text in PromptText.objects.all()] == ["REQUEST"]

    def test_a_key_under_which_somebody_writes_is_not_idle(self):
        long_ago, now = AT.replace(year=2025), timezone.now()
        gone = stored(member(), at=long_ago, retained_until=now - timedelta(days=1))
        actions.remove_from_database(now=now)
        locked, made = threading.Event(), []
        writing = threading.Thread(target=write_slowly, args=(gone.data_key_id, locked, made))
        writing.start()
        locked.wait(5)
        assert actions.destroy_idle_keys(now=now) == 0
        writing.join()
        assert {opened(text) for text in made[0].texts.all()} == {REQUEST, ANSWER}

    def test_a_key_leaves_the_memory_by_itself_though_nobody_calls_again(self):
        async def run():
            async with recorder(terms()) as made:
                ring = KeyRing(made.links[0], WRAPPER, seconds=0.2)
                longer = KeyRing(made.links[0], WRAPPER, seconds=600)
                for one in (ring, longer):
                    await one.get(member(), AT)
                for _ in range(100):
                    await asyncio.sleep(0.1)
                    if not len(ring):
                        break
                return len(ring), len(longer)

        assert asyncio.run(run()) == (0, 1)


def write_slowly(key, locked, made):
    """Write a record of a year ago under a key, as a gate does that has the key locked before the
    record is there.
    """
    try:
        with transaction.atomic():
            list(DataKey.objects.select_for_update().filter(pk=key))
            locked.set()
            time.sleep(0.5)
            made.append(stored(member(), at=AT.replace(year=2025)))
    finally:
        connection.close()


def destroy_slowly(locked):
    """Destroy every key as an erasure does that a gate meets between its first lock and its end."""
    try:
        with transaction.atomic():
            keys = list(DataKey.objects.select_for_update().filter(destroyed_at=None))
            locked.set()
            time.sleep(0.5)
            PromptText.objects.update(ciphertext=b"")
            PromptRecord.objects.update(place=Place.ERASED)
            DataKey.objects.filter(pk__in=[key.pk for key in keys]).update(
                wrapped=b"", destroyed_at=timezone.now()
            )
    finally:
        connection.close()


def destroy():
    """Destroy every key as an erasure does."""
    try:
        PromptText.objects.update(ciphertext=b"")
        PromptRecord.objects.update(place=Place.ERASED)
        DataKey.objects.filter(destroyed_at=None).update(wrapped=b"", destroyed_at=timezone.now())
    finally:
        connection.close()


class TestAway:
    """Where it must be kept, nothing passes; where it need not be, calls go on and losses show."""

    def test_refuses_what_nobody_knows_the_rules_of(self, committed):
        async def run():
            async with recorder(terms()) as made:
                made._terms = None
                await made.keep(half())

        with pytest.raises(Away, match="not known yet"):
            asyncio.run(run())

    def test_refuses_without_the_database(self):
        nowhere = "host=127.0.0.1 port=1"

        async def run():
            async with recorder(terms()) as made:
                made._writer._link = Link(lambda: nowhere)
                made._ring._link = Link(lambda: nowhere)
                await made.keep(half())

        with pytest.raises(Away, match="database does not answer"):
            asyncio.run(run())

    def test_refuses_without_the_key_service_and_goes_on_when_it_is_back(self, committed):
        class Failing(FileWrapper):
            is_away = True

            def make_key(self, bound):
                if self.is_away:
                    raise TemporaryError("Vault cannot be reached: no prompt, no key.")
                return super().make_key(bound)

        async def run():
            async with recorder(terms(), wrapper := Failing(b"w" * 32, "tests")) as made:
                with pytest.raises(Away, match="key service"):
                    await made.keep(half())
                wrapper.is_away = False
                await made.keep(half())

        asyncio.run(run())
        assert PromptRecord.objects.count() == 1

    def test_keeps_what_need_not_be_kept_once_the_key_service_is_back(self, committed, monkeypatch):
        monkeypatch.setattr("apps.prompts.capture.recorder.PAUSE_SECONDS", 0.05)

        class Failing(FileWrapper):
            left = 2

            def make_key(self, bound):
                if self.left:
                    self.left -= 1
                    raise TemporaryError("away")
                return super().make_key(bound)

        keep(half(), half(), terms=terms("BEST_EFFORT"), wrapper=Failing(b"w" * 32, "tests"))
        assert PromptRecord.objects.count() == 2

    def test_counts_and_names_what_is_lost_and_lets_calls_pass(self, committed, caplog):
        async def run():
            async with recorder(terms("BEST_EFFORT"), most=2) as made:
                for _ in range(5):
                    await made.keep(half())
            await asyncio.to_thread(_in_its_own_connection, made, AT)
            await asyncio.to_thread(_in_its_own_connection, made, AT)

        asyncio.run(run())
        lost = LostPrompts.objects.get()
        assert (lost.count, lost.because, lost.data_class) == (3, "QUEUE_FULL", "PHI")
        assert PromptRecord.objects.count() == 2
        assert "was not kept: QUEUE_FULL" in caplog.text and "Jane" not in caplog.text

    def test_what_the_database_refuses_harms_no_other_call(self, committed):
        async def run():
            async with recorder(terms()) as made:
                done = await asyncio.gather(
                    *(made.keep(one) for one in (half(), half(model="x\0y"), half(team="t" * 64))),
                    made.keep(half()), return_exceptions=True,
                )  # fmt: skip
            return [type(one).__name__ for one in done]

        assert asyncio.run(run()) == ["NoneType", "NotStored", "NotStored", "NoneType"]
        assert PromptRecord.objects.count() == 2


class TestTerms:
    def test_takes_the_grants_class_then_the_models_then_the_strictest(self, committed):
        rulings = {one: Ruling(Rules("REQUIRED", 30), None) for one in DataClass}
        known = Terms(rulings, {"a": "PUBLIC", "b": "INTERNAL"}, {("t", "a"): "PHI"})
        assert known.keep_of("t", "a").data_class == "PHI"
        assert known.keep_of("u", "a").data_class == "PUBLIC"
        assert known.keep_of("t", "b").data_class == "INTERNAL"
        assert known.keep_of("t", "unknown").data_class == "PHI"

    def test_ships_with_rules_that_keep_member_data_always(self, committed):
        keep(half())
        assert PromptRecord.objects.get().data_class == "PHI"
