"""Letters and calls as a worker sends them: again where it may, and not twice."""

from datetime import timedelta

import pytest

from apps.audit.models import AuditEvent
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.webhooks.client import Gone
from apps.notices.models import Call, Kind, Letter, Notice, Webhook
from apps.notices.reconcile import GAPS, send_call, send_letter
from apps.notices.signing import headers_of, secret_of
from deploy.local.doubles.mail.hooks import problem_of
from tests.factories import NOW, UserFactory
from tests.notices.samples import LATER, PORTAL, person, say, webhook

pytestmark = pytest.mark.django_db
KEY = "the portal's own"


class Mail:
    """A mail server that takes everything, or answers with one error."""

    def __init__(self, error=None):
        self.error, self.sent = error, []

    def send(self, *, to, subject, text, headers):
        if self.error:
            raise self.error
        self.sent.append((to, subject, text, headers))


class Receiver:
    """A webhook's receiver that takes everything, or answers with one error."""

    def __init__(self, error=None):
        self.error, self.came = error, []

    def post(self, url, *, body, headers):
        self.came.append((url, body, headers))
        if self.error:
            raise self.error
        return 202


def send(letter, mail, now=NOW):
    letter.refresh_from_db()
    return send_letter(letter=letter, mail=mail, portal=PORTAL, now=now)


def post(call, receiver, now=NOW):
    call = Call.objects.select_related("webhook__user", "notice").get(pk=call.pk)
    return send_call(call=call, client=receiver, portal=PORTAL, key=KEY, now=now)


@pytest.fixture
def alice():
    return person("alice")


class TestSendLetter:
    def test_sends_it_once_to_the_person(self, alice):
        mail = Mail()
        (notice,), _ = say(alice), say(person("bob"), key="promotion:2:waits")
        assert send(notice.letter, mail)
        assert not send(notice.letter, mail, LATER)
        ((to, subject, text, headers),) = mail.sent
        assert (to, subject) == (
            "alice@meridian.test", "[Quartermaster production] Review extract-v2 for production"
        )  # fmt: skip
        assert f"https://portal.meridian.test/notices/{notice.pk}/" in text
        assert headers["Message-ID"] == f"<{notice.letter_id}@portal.meridian.test>"
        notice.letter.refresh_from_db()
        assert (notice.letter.status, notice.letter.sent_at) == ("SENT", NOW)
        assert notice.letter.sent_to == "alice@meridian.test"
        assert Letter.objects.filter(status="WAITING").count() == 1

    def test_is_tried_again_and_ends_after_a_day(self, alice):
        (notice,) = say(alice)
        away = Mail(TemporaryError("The mail server cannot be reached."))
        send(notice.letter, away)
        notice.letter.refresh_from_db()
        assert (notice.letter.status, notice.letter.next_check_at) == (
            "WAITING", NOW + timedelta(seconds=4)
        )  # fmt: skip
        assert "Trying again" in notice.letter.message
        send(notice.letter, away, NOW + timedelta(hours=25))
        notice.letter.refresh_from_db()
        assert (notice.letter.status, notice.letter.reason) == ("FAILED", "AWAY")
        assert notice.letter.next_check_at is None

    def test_fails_where_the_server_refuses_it(self, alice):
        (notice,) = say(alice)
        send(notice.letter, Mail(PermanentError("The mail server does not take it (550).")))
        notice.letter.refresh_from_db()
        assert (notice.letter.status, notice.letter.message) == (
            "FAILED", "The mail server does not take it (550)."
        )  # fmt: skip

    def test_fails_where_the_address_is_gone(self, alice):
        (notice,) = say(alice)
        type(alice).objects.update(email="")
        mail = Mail()
        send(notice.letter, mail)
        notice.letter.refresh_from_db()
        assert (notice.letter.status, mail.sent) == ("FAILED", [])

    def test_drops_what_was_read_before(self, alice):
        (notice,) = say(alice)
        Notice.objects.update(read_at=NOW)
        mail = Mail()
        send(notice.letter, mail)
        notice.letter.refresh_from_db()
        assert (notice.letter.status, mail.sent) == ("DROPPED", [])


class TestSendCall:
    def test_posts_the_notice_signed_and_once(self, alice):
        hook = webhook(alice)
        (notice,) = say(alice, urgent=True)
        call, receiver = Call.objects.get(), Receiver()
        assert post(call, receiver)
        assert not post(call, receiver, LATER)
        ((url, body, headers),) = receiver.came
        assert url == hook.url
        assert headers["webhook-id"] == str(call.pk)
        assert problem_of(headers, body, secret_of(hook, 1, KEY), NOW.timestamp()) == ""
        assert problem_of(headers, body + b" ", secret_of(hook, 1, KEY), NOW.timestamp())
        assert problem_of(headers, body, secret_of(hook, 2, KEY), NOW.timestamp())
        assert body.startswith(b'{"data":{"environment":"production","id":"')
        assert f"/notices/{notice.pk}/".encode() in body
        call.refresh_from_db()
        assert (call.status, call.status_code, call.sent_at) == ("SENT", 202, NOW)

    def test_signs_with_the_former_secret_too_for_a_day(self, alice):
        hook = webhook(alice, secret_number=2, secret_changed_at=NOW - timedelta(hours=23))
        say(alice)
        receiver = Receiver()
        post(Call.objects.get(), receiver)
        ((_, body, headers),) = receiver.came
        for number in (1, 2):
            assert not problem_of(headers, body, secret_of(hook, number, KEY), NOW.timestamp())
        Webhook.objects.update(secret_changed_at=NOW - timedelta(hours=25))
        say(alice, key="another")
        post(Call.objects.get(status="WAITING"), receiver)
        _, body, headers = receiver.came[1]
        assert problem_of(headers, body, secret_of(hook, 1, KEY), NOW.timestamp())

    def test_is_tried_again_some_times_and_then_failed(self, alice):
        hook = webhook(alice)
        say(alice)
        call, receiver = Call.objects.get(), Receiver(TemporaryError("The receiver is away."))
        now, gaps = NOW, []
        while post(call, receiver, now):
            call.refresh_from_db()
            if call.next_check_at is None:
                break
            gaps.append(call.next_check_at - now)
            now = call.next_check_at
        assert tuple(gaps) == GAPS
        assert (call.status, call.reason, len(receiver.came)) == ("FAILED", "AWAY", 7)
        hook.refresh_from_db()
        assert (hook.failures, hook.stopped_at) == (1, None)

    def test_stops_the_webhook_after_five_that_failed_in_a_row(self, alice):
        hook, other = webhook(alice), webhook(person("bob"))
        receiver = Receiver(PermanentError("The receiver refused (404)."))
        for number in range(5):
            say(alice, key=f"key {number}")
            post(Call.objects.get(status="WAITING"), receiver)
        hook.refresh_from_db()
        other.refresh_from_db()
        assert (hook.failures, hook.stopped_at, other.stopped_at) == (5, NOW, None)
        event = AuditEvent.objects.get()
        assert (event.action, event.actor) == ("webhook.stopped", "system:notices.send_call")
        assert event.data["host"] == "hooks.meridian.test"
        assert "secret-path" not in str(event.data)
        assert Notice.objects.filter(user=alice, kind=Kind.DELIVERY).count() == 1
        say(alice, key="later")
        assert Call.objects.count() == 5

    def test_stops_the_webhook_at_once_where_the_receiver_wants_no_more(self, alice):
        hook = webhook(alice)
        say(alice)
        post(Call.objects.get(), Receiver(Gone("The receiver wants no more of them (410).")))
        hook.refresh_from_db()
        assert hook.stopped_at == NOW

    def test_forgets_earlier_failures_once_one_is_taken(self, alice):
        hook = webhook(alice, failures=4)
        say(alice)
        post(Call.objects.get(), Receiver())
        hook.refresh_from_db()
        assert hook.failures == 0

    @pytest.mark.parametrize("what", ["removed_at", "stopped_at"])
    def test_posts_nothing_to_one_that_is_stopped_or_removed(self, alice, what):
        webhook(alice)
        say(alice)
        Webhook.objects.update(**{what: NOW})
        call, receiver = Call.objects.get(), Receiver()
        post(call, receiver)
        call.refresh_from_db()
        assert (call.status, call.reason, receiver.came) == ("FAILED", "STOPPED", [])


def test_a_receiver_elsewhere_agrees_with_the_signature():
    """The example of Standard Webhooks' own documentation."""

    headers = headers_of(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        sent_at=NOW.fromtimestamp(1614265330, tz=NOW.tzinfo),
        body=b'{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_nobody_else_is_told(alice):
    webhook(alice)
    say(UserFactory(username="stranger"))
    assert not Call.objects.exists()
