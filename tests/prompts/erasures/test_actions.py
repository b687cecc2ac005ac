"""The right to erasure: after it nothing opens, a receipt says what was done, and holds win."""

from datetime import timedelta

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
from apps.prompts.subjects import SubjectKind, named_subject
from tests.factories import NOW, TeamFactory
from tests.prompts.samples import AT, REQUEST, member, opened, others_wait, stored
from tests.trail import trail

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(days=1)


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
        data = {"kind": "MEMBER", "token": member().token,
                "justification": "The member asked for it."}  # fmt: skip
        assert trail(erasure) == [("erasure.requested", "ada", data)]
        assert (erasure.requested_by, erasure.requested_at, erasure.status) == (ada, NOW, "PENDING")

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
        keys = DataKey.objects.filter(token=member().token)
        assert [key["wrapped_sha256"] for key in receipt["keys_destroyed"]] == [
            key.wrapped_sha256 for key in keys
        ]
        assert trail(erasure)[1:] == [
            ("erasure.done", "carol", {
                "kind": "MEMBER", "token": member().token, "reason": "Lawful.", "asked_by": "ada",
                "receipt": erasure.receipt_digest, "records": 2,
                "keys_destroyed": [str(key.pk) for key in keys],
            }),
        ]  # fmt: skip
        assert (erasure.decided_by, erasure.decided_at, erasure.decision_reason) == (
            carol, NOW, "Lawful.",
        )  # fmt: skip

    def test_says_that_backups_are_unknown_and_names_of_another_secret(
        self, ada, carol, records, settings
    ):
        settings.PROMPT_SUBJECT_KEY = "another"
        receipt = approve(ask(ada), carol).receipt
        assert receipt["left"]["wrapped_keys_in_backups_until"] == "unknown"
        assert receipt["keys_destroyed"] == []
        assert receipt["not_reached"]["hashed_with_another_secret"] == 3

    def test_counts_of_the_rest_what_is_readable_and_whose_name_nobody_can_tell(
        self, ada, carol, settings
    ):
        settings.PROMPT_SUBJECT_KEY = "another"
        old = stored(member())
        settings.PROMPT_SUBJECT_KEY = ""
        mine, other, teams = stored(member()), stored(member("M-2")), [stored(), stored()]
        receipt = approve(ask(ada), carol).receipt
        assert receipt["not_reached"] == {
            "sent_without_a_member_or_case": 2, "hashed_with_another_secret": 1,
        }  # fmt: skip
        for record in (old, other, *teams):
            assert PromptRecord.objects.get(pk=record.pk).place == Place.POSTGRES
        settings.PROMPT_SUBJECT_KEY = "another"
        receipt = approve(ask(ada), carol).receipt
        assert PromptRecord.objects.get(pk=old.pk).place == Place.ERASED
        # M-2's; what was erased before is nothing that could be reached
        assert receipt["not_reached"]["hashed_with_another_secret"] == 1
        assert PromptRecord.objects.get(pk=mine.pk).place == Place.ERASED

    def test_leaves_a_case_of_the_members_name_and_takes_it_for_its_own(self, ada, carol, records):
        case = stored(named_subject(SubjectKind.CASE, "M-100-42"))
        approve(ask(ada), carol)
        assert opened(case.texts.get(phase="REQUEST")) == REQUEST
        erasure = actions.ask_erasure(
            kind="CASE", name="M-100-42", justification="Settled.", requester=ada, now=NOW
        )
        assert actions.keys_of(erasure) == [case.data_key]
        approve(erasure, carol)
        assert PromptRecord.objects.get(pk=case.pk).place == Place.ERASED
        assert trail(erasure)[-1][2]["keys_destroyed"] == [str(case.data_key_id)]

    def test_destroys_what_came_after_an_earlier_one_and_that_alone(self, ada, carol, records):
        first = approve(ask(ada), carol)
        assert actions.keys_of(first) == []
        again = stored(member())
        second = ask(ada)
        assert actions.keys_of(second) == [again.data_key]
        actions.approve_erasure(erasure=second, approver=carol, reason="Lawful.", now=LATER)
        (key,) = second.receipt["keys_destroyed"]
        assert (key["id"], key["records"]) == (str(again.data_key_id), 1)
        assert second.receipt["records"]["unreadable"] == 1
        assert trail(second)[-1][2]["records"] == 1
        destroyed = DataKey.objects.filter(token=member().token).values_list("pk", "destroyed_at")
        assert dict(destroyed) == {
            records[0].data_key_id: NOW, records[1].data_key_id: NOW, again.data_key_id: LATER,
        }  # fmt: skip

    def test_empties_a_text_by_its_key_and_by_its_record(self, ada, carol, records):
        mine, other = records[0], records[3]
        for record, whose in ((mine, other), (other, mine)):
            record.texts.filter(phase="ANSWER").delete()
            record.texts.create(
                phase="ANSWER", data_key=whose.data_key, nonce=b"n" * 12, ciphertext=b"x",
                size_bytes=1,
            )  # fmt: skip
        approve(ask(ada), carol)
        texts = PromptText.objects.filter(record__in=(mine, other))
        assert {(text.record_id, text.phase): bool(text.ciphertext) for text in texts} == {
            (mine.pk, "REQUEST"): False, (mine.pk, "ANSWER"): False,
            (other.pk, "REQUEST"): True, (other.pk, "ANSWER"): False,
        }  # fmt: skip

    def test_lets_nobody_place_a_hold_or_remove_until_it_is_committed(self, ada, carol):
        erasure = ask(ada)
        assert not others_wait()
        approve(erasure, carol)
        assert others_wait()

    @pytest.mark.parametrize("scope", ["MEMBER", "TEAM"])
    def test_names_every_hold_that_stands_in_its_way(self, ada, carol, records, scope):
        TeamFactory(slug="claims-review")
        name = {"MEMBER": "M-100-42", "TEAM": "claims-review"}[scope]
        for matter in ("2026-17", "2026-18"):
            place_hold(scope=scope, name=name, matter=matter, actor=ada, now=NOW)
        with pytest.raises(IsHeld, match=r"2026-17.*2026-18"):
            approve(ask(ada), carol)
        assert not AuditEvent.objects.filter(action="erasure.done").exists()

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
        rejected = ask(ada)
        actions.reject_erasure(erasure=rejected, approver=carol, reason="No claim.", now=LATER)
        withdrawn = ask(ada)
        actions.withdraw_erasure(erasure=withdrawn, actor=ada, now=LATER)
        assert opened(records[0].texts.get(phase="REQUEST")) == REQUEST
        facts = {"kind": "MEMBER", "token": member().token}
        assert trail(rejected)[1:] == [
            ("erasure.rejected", "carol", facts | {"reason": "No claim."})
        ]
        assert trail(withdrawn)[1:] == [("erasure.withdrawn", "ada", facts)]
        found = [
            (one.status, one.decided_by, one.decided_at, one.decision_reason, one.receipt)
            for one in (rejected, withdrawn)
        ]
        assert found == [
            ("REJECTED", carol, LATER, "No claim.", None), ("WITHDRAWN", ada, LATER, "", None),
        ]  # fmt: skip

    def test_are_rejected_by_another_and_withdrawn_by_oneself_once(
        self, ada, anton, carol, charlie
    ):
        one, other = ask(ada), ask(ada, "M-2")
        for who, refusal in ((ada, NotOnesOwn), (charlie, NotPermitted)):
            with pytest.raises(refusal):
                actions.reject_erasure(erasure=one, approver=who, reason="No.", now=NOW)
        for who in (anton, carol, charlie):
            with pytest.raises(NotPermitted):
                actions.withdraw_erasure(erasure=other, actor=who, now=NOW)
        actions.reject_erasure(erasure=one, approver=anton, reason="No.", now=NOW)
        actions.withdraw_erasure(erasure=other, actor=ada, now=NOW)
        for erasure in (one, other):
            with pytest.raises(AlreadyDecided):
                actions.reject_erasure(erasure=erasure, approver=carol, reason="No.", now=NOW)
            with pytest.raises(AlreadyDecided):
                actions.withdraw_erasure(erasure=erasure, actor=ada, now=NOW)
            assert len(trail(erasure)) == 2


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
