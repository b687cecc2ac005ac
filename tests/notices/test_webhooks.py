"""People's own webhooks: who may add one, where, and what becomes of it."""

import pytest

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.common.errors import NotPermitted
from apps.integrations.webhooks.addresses import Allowed
from apps.notices import webhooks
from apps.notices.models import Call, Notice, Webhook
from tests.factories import NOW
from tests.notices.samples import LATER, person, say, webhook

pytestmark = pytest.mark.django_db
URL = "https://hooks.meridian.test/secret-path"
ALLOWED = Allowed(hosts=("hooks.meridian.test",))


@pytest.fixture
def alice():
    return person("alice", with_roles=[Role.REVIEWER])


@pytest.fixture
def bob():
    return person("bob", with_roles=[Role.REVIEWER])


def add(user, url=URL, kinds=("BUDGET", "WAITS"), allowed=ALLOWED):
    return webhooks.add_webhook(user=user, url=url, kinds=kinds, allowed=allowed, now=NOW)


def events():
    return [(one.action, one.data) for one in AuditEvent.objects.order_by("occurred_at", "pk")]


class TestAddWebhook:
    def test_keeps_it_and_records_its_host_alone(self, alice):
        added = add(alice)
        assert (added.user, added.url, added.kinds) == (alice, URL, ["WAITS", "BUDGET"])
        data = {"host": "hooks.meridian.test", "kinds": ["WAITS", "BUDGET"]}
        assert events() == [("webhook.added", data)]

    def test_is_for_people_with_a_role(self):
        with pytest.raises(NotPermitted):
            add(person("nobody"))

    @pytest.mark.parametrize(
        ("url", "kinds", "words"), [
            ("https://elsewhere.test/", ["WAITS"], "may not be at elsewhere.test"),
            ("http://hooks.meridian.test/", ["WAITS"], "https"),
            (URL, [], "at least one kind"),
            (URL, ["WAITS", "OTHER"], "at least one kind"),
        ]
    )  # fmt: skip
    def test_refuses_what_cannot_be(self, alice, url, kinds, words):
        with pytest.raises(webhooks.CannotAdd, match=words):
            add(alice, url, kinds)
        assert not Webhook.objects.exists()
        assert events() == []

    def test_takes_no_address_twice_and_three_at_most_of_an_account(self, alice, bob):
        add(alice)
        with pytest.raises(webhooks.CannotAdd, match="already"):
            add(alice)
        second, _ = add(alice, f"{URL}/2"), add(alice, f"{URL}/3")
        with pytest.raises(webhooks.CannotAdd, match="the most"):
            add(alice, f"{URL}/4")
        webhooks.remove_webhook(webhook=second, actor=alice, now=LATER)
        add(alice, f"{URL}/4")
        add(bob)


class TestChange:
    @pytest.mark.parametrize("change", [
        lambda one, by: webhooks.change_kinds(webhook=one, kinds=["MONTH"], actor=by, now=NOW),
        lambda one, actor: webhooks.renew_secret(webhook=one, actor=actor, now=LATER),
        lambda one, actor: webhooks.remove_webhook(webhook=one, actor=actor, now=LATER),
        lambda one, actor: webhooks.try_out(webhook=one, actor=actor, now=LATER),
    ])  # fmt: skip
    def test_is_its_owners_alone(self, alice, bob, change):
        hook = add(alice)
        before = Webhook.objects.values().get()
        with pytest.raises(NotPermitted):
            change(hook, bob)
        assert (Webhook.objects.values().get(), len(events())) == (before, 1)
        change(hook, alice)

    def test_has_other_kinds_posted(self, alice):
        hook = add(alice)
        webhooks.change_kinds(webhook=hook, kinds=["GRANT"], actor=alice, now=LATER)
        webhooks.change_kinds(webhook=hook, kinds=["GRANT"], actor=alice, now=LATER)
        host = {"host": "hooks.meridian.test"}
        after = {"before": ["WAITS", "BUDGET"], "after": ["GRANT"]}
        assert events()[1:] == [("webhook.changed", host | after)]

    def test_gives_a_new_secret(self, alice):
        hook = webhooks.renew_secret(webhook=add(alice), actor=alice, now=LATER)
        assert (hook.secret_number, hook.secret_changed_at) == (2, LATER)
        assert events()[1:] == [("webhook.renewed", {"host": hook.host, "number": 2})]

    def test_removes_it_for_good(self, alice):
        hook = webhooks.remove_webhook(webhook=add(alice), actor=alice, now=LATER)
        assert not Webhook.objects.of(alice).exists()
        with pytest.raises(webhooks.WrongState, match="removed"):
            webhooks.renew_secret(webhook=hook, actor=alice, now=LATER)

    def test_starts_again_what_was_stopped(self, alice):
        hook = webhook(alice, failures=5, stopped_at=NOW)
        webhooks.start_again(webhook=hook, actor=alice, now=LATER)
        assert (hook.stopped_at, hook.failures) == (None, 0)
        assert events() == [("webhook.started", {"host": hook.host})]
        with pytest.raises(webhooks.WrongState, match="not stopped"):
            webhooks.start_again(webhook=hook, actor=alice, now=LATER)


class TestTryOut:
    def test_posts_a_notice_whatever_its_kinds_are(self, alice):
        hook, other = add(alice), webhook(alice, url=f"{URL}/2")
        webhooks.try_out(webhook=hook, actor=alice, now=LATER)
        call = Call.objects.get()
        assert (call.webhook, call.notice.user, call.next_check_at) == (hook, alice, LATER)
        assert not other.calls.exists()
        assert Notice.objects.get().title == "You tried your webhook at hooks.meridian.test"

    def test_does_not_where_it_is_stopped(self, alice):
        with pytest.raises(webhooks.WrongState, match="stopped"):
            webhooks.try_out(webhook=webhook(alice, stopped_at=NOW), actor=alice, now=LATER)


class TestSendAgain:
    def test_posts_a_failed_one_with_all_its_tries(self, alice, bob):
        hook = webhook(alice)
        say(alice)
        Call.objects.update(status="FAILED", attempts=7, reason="AWAY", next_check_at=None)
        call = Call.objects.get()
        with pytest.raises(NotPermitted):
            webhooks.send_again(call=call, actor=bob, now=LATER)
        webhooks.send_again(call=call, actor=alice, now=LATER)
        call.refresh_from_db()
        assert (call.status, call.attempts, call.next_check_at) == ("WAITING", 0, LATER)
        assert events() == [("webhook.call_retried", {"host": hook.host, "call": str(call.pk)})]
        with pytest.raises(webhooks.WrongState, match="failed"):
            webhooks.send_again(call=call, actor=alice, now=LATER)
        Call.objects.update(status="FAILED")
        Webhook.objects.update(stopped_at=NOW)
        call = Call.objects.select_related("webhook").get()
        with pytest.raises(webhooks.WrongState, match="stopped"):
            webhooks.send_again(call=call, actor=alice, now=LATER)
