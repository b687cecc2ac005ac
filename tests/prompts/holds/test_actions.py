"""Legal holds: placed by one, lifted by two, stronger than time and requests."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from apps.prompts.holds import actions
from apps.prompts.holds.actions import BadHold
from apps.prompts.holds.models import HoldRelease, LegalHold
from apps.prompts.holds.queries import free, held, holds_over
from apps.prompts.models import DataKey, PromptRecord, PromptText
from apps.prompts.subjects import SubjectKind, named_subject
from tests.factories import NOW, TeamFactory
from tests.prompts.samples import member, others_wait, stored
from tests.trail import trail

pytestmark = pytest.mark.django_db
OVER = timezone.now() - timedelta(days=1)
LATER = NOW + timedelta(days=1)


def place(ada, scope="MEMBER", name="M-100-42"):
    return actions.place_hold(scope=scope, name=name, matter="2026-17", actor=ada, now=NOW)


def ask(hold, who):
    return actions.ask_release(hold=hold, justification="Settled.", requester=who, now=NOW)


def facts(hold):
    """Return what each event of a hold says of it."""
    return {
        "hold": str(hold.pk), "scope": "MEMBER", "value": member().token, "matter": "2026-17"
    }  # fmt: skip


class TestPlaceHold:
    def test_keeps_no_name(self, ada):
        hold = place(ada)
        assert hold.value == member().token and "100" not in str(hold)
        event = AuditEvent.objects.get(action="legal_hold.placed")
        assert "M-100-42" not in str(event.data) and event.data["matter"] == "2026-17"
        assert trail(hold) == [("legal_hold.placed", "ada", facts(hold))]
        assert (hold.secret, hold.placed_by, hold.placed_at) == (member().secret, ada, NOW)

    def test_lets_nobody_erase_or_remove_until_it_is_committed(self, ada):
        assert not others_wait()
        place(ada)
        assert others_wait()

    def test_refuses_what_covers_nothing(self, ada):
        TeamFactory(slug="claims-review")
        for scope, name in (("TEAM", "nobody"), ("CALL", "x"), ("MEMBER", " ")):
            with pytest.raises(BadHold):
                place(ada, scope, name)
        with pytest.raises(BadHold, match="says the name"):
            actions.place_hold(
                scope="CASE", name="c-17-x", matter="About C-17-X", actor=ada, now=NOW
            )
        assert place(ada, "TEAM", "claims-review").covers == "team claims-review"
        # what no member's or case's name is may stand in the matter
        actions.place_hold(
            scope="TEAM", name="claims-review", matter="All of claims-review", actor=ada, now=NOW
        )

    @pytest.mark.parametrize("who", ["carol", "charlie"])
    def test_is_an_auditors(self, request, who):
        with pytest.raises(NotPermitted):
            place(request.getfixturevalue(who))


class TestWhatIsHeld:
    @pytest.fixture
    def records(self):
        TeamFactory(slug="prior-auth")
        return {
            "member": stored(member(), retained_until=OVER),
            "other": stored(member("M-2"), retained_until=OVER),
            "case": stored(named_subject(SubjectKind.CASE, "C-1"), retained_until=OVER),
            "team": stored(team="prior-auth", retained_until=OVER),
            "call": stored(retained_until=OVER),
        }

    @pytest.mark.parametrize("scope", ["MEMBER", "CASE", "TEAM", "CALL"])
    def test_is_what_it_covers_for_queries_and_for_the_database_alike(self, ada, records, scope):
        names = {"MEMBER": "m-100-42", "CASE": "C-1", "TEAM": "prior-auth",
                 "CALL": str(records["call"].call_id)}  # fmt: skip
        hold = place(ada, scope, names[scope])
        mine = records[scope.lower()]
        everything = PromptRecord.objects.all()
        assert [record.pk for record in held(everything)] == [mine.pk]
        assert free(everything).count() == 4
        assert holds_over([mine.data_key]) == [hold]
        PromptText.objects.all().delete()
        with pytest.raises(IntegrityError, match="legal hold covers this"), transaction.atomic():
            PromptRecord.objects.filter(pk=mine.pk).delete()
        free(everything).delete()
        assert PromptRecord.objects.get() == mine

    def test_is_no_key_that_anybody_destroys(self, ada, records):
        place(ada)
        key = DataKey.objects.filter(pk=records["member"].data_key_id)
        with pytest.raises(IntegrityError, match="legal hold covers"), transaction.atomic():
            key.update(wrapped=b"", destroyed_at=NOW)

    def test_stays_until_its_time_is_over_without_a_hold_too(self):
        record = stored()
        record.texts.all().delete()
        with pytest.raises(IntegrityError, match="until its time is over"), transaction.atomic():
            PromptRecord.objects.filter(pk=record.pk).delete()


class TestRelease:
    def test_takes_two_people(self, ada, anton, carol):
        hold, other = place(ada), place(ada, "CALL", str(uuid4()))
        release = ask(hold, ada)
        with pytest.raises(BadHold, match="already"):
            ask(hold, anton)
        with pytest.raises(NotOnesOwn):
            actions.approve_release(release=release, approver=ada, reason="So.", now=NOW)
        actions.approve_release(release=release, approver=carol, reason="Settled.", now=NOW)
        assert list(LegalHold.objects.standing()) == [other]
        assert AuditEvent.objects.get(action="legal_hold.lifted").data["asked_by"] == "ada"
        with pytest.raises(BadHold, match="lifted already"):
            ask(LegalHold.objects.get(pk=hold.pk), ada)

    def test_is_told_by_an_event_of_each_step(self, ada, anton, carol):
        hold = place(ada)
        ends = {
            "rejected": lambda release: actions.reject_release(
                release=release, approver=anton, reason="No.", now=LATER
            ),
            "withdrawn": lambda release: actions.withdraw_release(
                release=release, actor=ada, now=LATER
            ),
            "lifted": lambda release: actions.approve_release(
                release=release, approver=carol, reason="Settled.", now=LATER
            ),
        }
        found = {name: end(ask(hold, ada)) for name, end in ends.items()}
        said = {
            "rejected": ("legal_hold.release_rejected", "anton", {"reason": "No."}),
            "withdrawn": ("legal_hold.release_withdrawn", "ada", {}),
            "lifted": ("legal_hold.lifted", "carol", {"reason": "Settled.", "asked_by": "ada"}),
        }
        asked = ("legal_hold.release_requested", "ada", facts(hold) | {"justification": "Settled."})
        for name, (action, who, data) in said.items():
            assert trail(found[name]) == [asked, (action, who, facts(hold) | data)]
        assert {
            name: (one.status, one.decided_by, one.decided_at, one.decision_reason)
            for name, one in found.items()
        } == {
            "rejected": ("REJECTED", anton, LATER, "No."),
            "withdrawn": ("WITHDRAWN", ada, LATER, ""),
            "lifted": ("APPROVED", carol, LATER, "Settled."),
        }  # fmt: skip
        hold.refresh_from_db()
        assert hold.lifted_at == LATER

    def test_is_asked_for_by_auditors_and_decided_once_by_those_who_may(
        self, ada, anton, carol, charlie
    ):
        hold, other = place(ada), place(ada, "CALL", str(uuid4()))
        for who in (carol, charlie):
            with pytest.raises(NotPermitted):
                ask(hold, who)
        first, second = ask(hold, ada), ask(other, anton)
        decide = {"reason": "So.", "now": NOW}
        for who, refusal in ((charlie, NotPermitted), (ada, NotOnesOwn)):
            with pytest.raises(refusal):
                actions.approve_release(release=first, approver=who, **decide)
            with pytest.raises(refusal):
                actions.reject_release(release=first, approver=who, **decide)
        for who in (ada, carol):
            with pytest.raises(NotPermitted):
                actions.withdraw_release(release=second, actor=who, now=NOW)
        actions.approve_release(release=first, approver=anton, **decide)
        actions.reject_release(release=second, approver=ada, **decide)
        for release in (first, second):
            with pytest.raises(AlreadyDecided):
                actions.reject_release(release=release, approver=carol, **decide)
            with pytest.raises(AlreadyDecided):
                actions.approve_release(release=release, approver=carol, **decide)
        assert list(LegalHold.objects.standing()) == [other]
        assert {release.status for release in HoldRelease.objects.all()} == {
            "APPROVED", "REJECTED",
        }  # fmt: skip

    def test_leaves_it_where_it_is_rejected_or_withdrawn(self, ada, anton):
        hold = place(ada)
        actions.reject_release(release=ask(hold, ada), approver=anton, reason="No.", now=NOW)
        actions.withdraw_release(release=ask(hold, ada), actor=ada, now=NOW)
        assert LegalHold.objects.standing().count() == 1

    def test_nobody_lifts_one_past_the_database(self, ada):
        place(ada)
        with pytest.raises(IntegrityError, match="two people"), transaction.atomic():
            LegalHold.objects.update(lifted_at=NOW)
