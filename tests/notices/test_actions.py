"""Telling people: once each, and by e-mail as they chose."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit.models import AuditEvent
from apps.notices.actions import choose, mark_read, no_longer
from apps.notices.models import ByEmail, Call, Choice, Kind, Letter, Notice, Webhook
from tests.factories import NOW, UserFactory
from tests.notices.samples import LATER, person, say, webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return person("alice")


@pytest.fixture
def bob():
    return person("bob")


class TestTell:
    def test_gives_each_person_a_line_and_those_who_want_it_at_once_an_email(self, alice, bob):
        Choice.objects.create(user=bob, kind="WAITS", by_email="DIGEST", changed_at=NOW)
        Choice.objects.create(user=alice, kind="GRANT", by_email="NEVER", changed_at=NOW)
        told = say(alice, bob)
        assert {(one.user, one.title, one.path, one.told_at) for one in told} == {
            (alice, "Review extract-v2 for production", "/promotions/1/", NOW),
            (bob, "Review extract-v2 for production", "/promotions/1/", NOW),
        }
        assert dict(Notice.objects.values_list("user__username", "by_email")) == {
            "alice": ByEmail.NOW,
            "bob": ByEmail.DIGEST,
        }
        (letter,) = Letter.objects.all()
        assert (letter.user, letter.status, letter.next_check_at) == (alice, "WAITING", NOW)
        assert [one.user for one in letter.notices.all()] == [alice]

    def test_tells_nothing_twice(self, alice, bob):
        say(alice)
        assert [one.user for one in say(alice, bob, now=LATER)] == [bob]
        assert len(say(alice, bob, key="promotion:2:waits", now=LATER)) == 2
        assert Notice.objects.count() == 4
        assert Letter.objects.count() == 4

    def test_gives_the_accounts_of_one_person_one_notice(self, alice, bob):
        other = UserFactory(username="alice-adm", person=alice.person)
        (notice,) = say(other, alice)
        assert notice.user == alice, "the account with an address"
        assert say(other, now=LATER) == []
        assert list(Notice.objects.of(alice)) == [notice]
        assert not Notice.objects.of(bob).exists()
        assert not Notice.objects.of(other).exists(), "a link shows nothing of the other account"

    def test_knows_an_account_that_was_linked_afterwards(self, alice):
        other = UserFactory(username="alice-adm", email="adm@meridian.test")
        say(other)
        type(other).objects.filter(pk=other.pk).update(person=alice.person)
        assert say(alice, now=LATER) == []

    def test_lets_the_later_choice_of_two_accounts_hold(self, alice):
        other = UserFactory(username="alice-adm", person=alice.person)
        Choice.objects.create(user=alice, kind="WAITS", by_email="NOW", changed_at=NOW)
        Choice.objects.create(user=other, kind="WAITS", by_email="NEVER", changed_at=LATER)
        assert [one.by_email for one in say(alice)] == [ByEmail.NEVER]

    def test_tells_somebody_without_an_address_in_the_bell(self):
        (notice,) = say(UserFactory(username="nomail"), urgent=True)
        assert (notice.by_email, notice.letter) == (ByEmail.NEVER, None)

    @pytest.mark.parametrize(
        ("chosen", "comes"), [("NOW", "NOW"), ("DIGEST", "NOW"), ("NEVER", "NEVER")]
    )
    def test_sends_what_is_urgent_at_once_to_whoever_wants_email_at_all(self, alice, chosen, comes):
        Choice.objects.create(user=alice, kind="BUDGET", by_email=chosen, changed_at=NOW)
        (notice,) = say(alice, kind=Kind.BUDGET, urgent=True)
        assert (notice.is_urgent, notice.by_email) == (True, comes)

    def test_sends_nothing_out_to_somebody_who_has_not_signed_in_for_long(self, alice, bob):
        for one in (alice, bob):
            Webhook.objects.create(user=one, url="https://x.test", kinds=["WAITS"], created_at=NOW)
        bob.last_login = NOW + timedelta(days=1)
        bob.save(update_fields=["last_login"])
        told = say(alice, bob, now=NOW + timedelta(days=91))
        assert {one.user: one.by_email for one in told} == {alice: "NEVER", bob: "NOW"}
        assert [call.webhook.user for call in Call.objects.all()] == [bob]

    def test_leaves_out_who_may_not_sign_in_any_more(self, alice):
        assert say(UserFactory(is_active=False)) == []
        assert say() == []

    def test_makes_one_line_of_the_title(self, alice):
        (notice,) = say(alice, title="Budget of  " + "x" * 300 + "\nis spent")
        assert notice.title == ("Budget of " + "x" * 190)

    @pytest.mark.parametrize("path", ["https://elsewhere.test/", "//elsewhere.test/", "home"])
    def test_leads_nowhere_but_into_the_portal(self, alice, path):
        with pytest.raises(IntegrityError, match="leads_within"), transaction.atomic():
            say(alice, path=path)

    def test_is_called_at_the_persons_webhooks_for_this_kind(self, alice, bob):
        mine = {"user": alice, "url": "https://hooks.meridian.test/1", "created_at": NOW}
        wanted = Webhook.objects.create(**mine, kinds=["BUDGET", "WAITS"])
        Webhook.objects.create(**mine, kinds=["BUDGET"])
        Webhook.objects.create(**mine, kinds=["WAITS"], stopped_at=NOW)
        Webhook.objects.create(**mine, kinds=["WAITS"], removed_at=NOW)
        theirs = Webhook.objects.create(**mine | {"user": bob}, kinds=["WAITS"])
        say(alice, bob)
        calls = {(call.webhook, call.notice.user, call.status) for call in Call.objects.all()}
        assert calls == {(wanted, alice, "WAITING"), (theirs, bob, "WAITING")}

    def test_is_called_at_no_webhook_of_another_account_of_the_person(self, alice):
        other = UserFactory(username="alice-adm", person=alice.person)
        webhook(other)
        say(alice)
        assert not Call.objects.exists()

    def test_takes_as_many_queries_for_many_people_as_for_two(self):
        def count(number):
            people = [UserFactory(email=f"p{number}-{n}@meridian.test") for n in range(number)]
            with CaptureQueriesContext(
                connection,
            ) as found:
                say(*people, key=f"key {number}")
            return len(found)

        assert count(2) == count(20)


class TestNoLonger:
    def test_takes_it_from_those_who_have_not_read_it(self, alice, bob):
        say(alice, bob)
        say(bob, key="promotion:2:waits")
        Notice.objects.filter(user=alice).update(read_at=NOW)
        assert no_longer(key="promotion:1:waits", now=LATER) == 1
        read = Notice.objects.order_by("user__username", "key").values_list("read_at", flat=True)
        assert list(read) == [NOW, LATER, None]


class TestMarkRead:
    def test_marks_what_is_the_readers_alone(self, alice, bob):
        say(alice, bob)
        say(alice, key="promotion:2:waits")
        other = UserFactory(username="alice-adm", person=alice.person)
        asked = Notice.objects.filter(key="promotion:1:waits")
        assert mark_read(asked, reader=other, now=LATER) == 0
        assert mark_read(asked, reader=alice, now=LATER) == 1
        assert mark_read(asked, reader=alice, now=LATER) == 0
        read = Notice.objects.order_by("user__username", "key").values_list("read_at", flat=True)
        assert list(read) == [LATER, None, None]


class TestChoose:
    def test_keeps_what_was_chosen_and_records_what_changed(self, alice, bob):
        assert choose(user=alice, choices={"WAITS": "NEVER", "BUDGET": "DIGEST"}, now=NOW)
        assert {one.user: one.by_email for one in say(alice, bob)} == {alice: "NEVER", bob: "NOW"}
        event = AuditEvent.objects.get()
        assert (event.action, event.actor) == ("notices.chosen", "alice")
        assert event.data == {"before": {"WAITS": "NOW"}, "after": {"WAITS": "NEVER"}}

    def test_records_nothing_where_nothing_changes(self, alice):
        assert not choose(user=alice, choices={"WAITS": "NOW"}, now=NOW)
        assert not AuditEvent.objects.exists()

    @pytest.mark.parametrize("choices", [{"WAITS": "LOUD"}, {"OTHER": "NOW"}])
    def test_refuses_what_there_is_not(self, alice, choices):
        with pytest.raises(ValueError, match="is not a valid"):
            choose(user=alice, choices=choices, now=NOW)
