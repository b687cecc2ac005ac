"""The right to erasure: after it nothing opens, a receipt says what was done, and holds win."""

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import AuditEvent
from apps.common.canonical import digest_of
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.envelope import NotOpened
from apps.common.errors import NotPermitted
from apps.prompts.erasures import actions
from apps.prompts.erasures.actions import BadErasure, IsHeld
from apps.prompts.holds.actions import place_hold
from apps.prompts.models import DataKey, Place, PromptRecord, PromptText
from tests.factories import NOW
from tests.prompts.samples import AT, REQUEST, member, opened, stored

pytestmark = pytest.mark.django_db


def ask(ada, name="M-100-42"):
    return actions.ask_erasure(
        kind="MEMBER", name=name, justification="The member asked for it.", requester=ada, now=NOW
    )


def approve(erasure, who):
    return actions.approve_erasure(erasure=erasure, approver=who, reason="Lawful.", now=NOW)


@pytest.fixture
def records():
    """Two months of the member, another member, and a call that names nobody."""
    return [
        stored(member()),
        stored(member(), at=AT.replace(month=10)),
        stored(member("M-2")),
        stored(),
    ]


class TestAskErasure:
    def test_keeps_no_name(self, ada):
        erasure = ask(ada)
        assert erasure.token == member().token
        assert "M-100-42" not in str(AuditEvent.objects.get(action="erasure.requested").data)

    def test_takes_no_reason_that_says_the_name(self, ada):
        for words in ("M-100-42 asked for it.", "Asked for by \uff2d-100-42."):
            with pytest.raises(BadErasure, match="says the name"):
                actions.ask_erasure(
                    kind="MEMBER", name=" m-100-42", justification=words, requester=ada, now=NOW
                )
        assert ask(ada, "M")  # a letter stands in every sentence

    def test_is_an_auditors_once_and_for_somebody(self, ada, anton, carol):
        with pytest.raises(NotPermitted):
            ask(carol)
        with pytest.raises(BadErasure):
            ask(ada, " ")
        ask(ada)
        with pytest.raises(BadErasure, match="waits"):
            ask(anton, "m-100-42 ")
        ask(anton, "M-2")


class TestApproveErasure:
    def test_leaves_nothing_of_the_member_that_opens(self, ada, carol, records):
        before = [bytes(key.wrapped) for key in DataKey.objects.filter(token=member().token)]
        approve(ask(ada), carol)
        for text in PromptText.objects.filter(record__in=records[:2]):
            assert bytes(text.ciphertext) == b""
            with pytest.raises((NotOpened, ValueError)):
                opened(text)
        assert all(before) and not any(
            bytes(key.wrapped) for key in DataKey.objects.filter(token=member().token)
        )
        assert {one.place for one in PromptRecord.objects.filter(pk__in=[r.pk for r in records[:2]])
                } == {Place.ERASED}  # fmt: skip
        for record in records[2:]:
            assert opened(record.texts.get(phase="REQUEST")) == REQUEST

    def test_says_what_was_done_and_what_is_left(self, ada, carol, records, settings):
        settings.PROMPT_BACKUP_DAYS = 35
        erasure = approve(ask(ada), carol)
        receipt = erasure.receipt
        assert [key["month"] for key in receipt["keys_destroyed"]] == ["2026-10", "2026-11"]
        assert [key["records"] for key in receipt["keys_destroyed"]] == [1, 1]
        assert receipt["records"] == {
            "unreadable": 2, "ciphertext_overwritten_in_the_database": 2,
            "ciphertext_left_in_s3": 0,
        }  # fmt: skip
        assert receipt["not_reached"] == {
            "sent_without_a_member_or_case": 1, "hashed_with_another_secret": 0,
        }  # fmt: skip
        assert receipt["left"]["wrapped_keys_in_backups_until"] > receipt["decided"]["at"]
        assert receipt["subject"]["token"] == member().token
        assert erasure.receipt_digest == digest_of(receipt)
        event = AuditEvent.objects.get(action="erasure.done")
        assert event.data["receipt"] == erasure.receipt_digest and event.data["records"] == 2

    def test_says_that_backups_are_unknown_and_names_of_another_secret(
        self, ada, carol, records, settings
    ):
        settings.PROMPT_SUBJECT_KEY = "another"
        receipt = approve(ask(ada), carol).receipt
        assert receipt["left"]["wrapped_keys_in_backups_until"] == "unknown"
        assert receipt["keys_destroyed"] == []
        assert receipt["not_reached"]["hashed_with_another_secret"] == 3

    def test_is_refused_by_a_hold_which_it_names_and_goes_on_waiting(self, ada, carol, records):
        place_hold(scope="CALL", name=str(records[0].call_id), matter="2026-17", actor=ada, now=NOW)
        erasure = ask(ada)
        with pytest.raises(IsHeld, match="2026-17"):
            approve(erasure, carol)
        erasure.refresh_from_db()
        assert erasure.status == "PENDING"
        assert opened(records[1].texts.get(phase="REQUEST")) == REQUEST
        assert DataKey.objects.filter(destroyed_at=None).count() == 4
        other = ask(ada, "M-2")
        assert approve(other, carol).status == "APPROVED"

    def test_takes_another_person_once(self, ada, anton, carol, charlie):
        erasure = ask(ada)
        with pytest.raises(NotOnesOwn):
            approve(erasure, ada)
        with pytest.raises(NotPermitted):
            approve(erasure, charlie)
        approve(erasure, anton)
        with pytest.raises(AlreadyDecided):
            approve(erasure, carol)

    def test_writes_nothing_without_its_event(self, ada, carol, records, audit_away):
        from tests.trail import AuditAway

        erasure = ask(ada)
        with audit_away(), pytest.raises(AuditAway):
            approve(erasure, carol)
        assert DataKey.objects.filter(destroyed_at=None).count() == 4

    def test_rejecting_and_withdrawing_erase_nothing(self, ada, carol, records):
        actions.reject_erasure(erasure=ask(ada), approver=carol, reason="No claim.", now=NOW)
        actions.withdraw_erasure(erasure=ask(ada), actor=ada, now=NOW)
        assert opened(records[0].texts.get(phase="REQUEST")) == REQUEST


class TestDatabase:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"wrapped": b"another"}, "never changes"),
            ({"destroyed_at": NOW}, "never changes|data_key_destroyed"),
        ],
    )
    def test_keys_never_change_but_to_be_destroyed(self, records, change, words):
        with pytest.raises(IntegrityError, match=words), transaction.atomic():
            DataKey.objects.update(**change)

    def test_destroyed_keys_and_erased_records_never_come_back(self, ada, carol, records):
        approve(ask(ada), carol)
        gone = DataKey.objects.exclude(destroyed_at=None)
        with pytest.raises(IntegrityError, match="stays destroyed"), transaction.atomic():
            gone.update(wrapped=b"x", destroyed_at=None)
        with pytest.raises(IntegrityError, match="never comes back"), transaction.atomic():
            PromptRecord.objects.filter(place="ERASED").update(place="S3")
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            PromptText.objects.update(ciphertext=b"x")
