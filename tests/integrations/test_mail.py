"""E-mail over SMTP, to the mail server of the local stack."""

import pytest
from aiosmtpd.controller import Controller

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.mail.client import MailClient, NotConfigured
from deploy.local.doubles.mail.inbox import Inbox, Taker
from deploy.local.stack.ports import free_port


@pytest.fixture
def inbox(tmp_path, settings):
    inbox = Inbox(tmp_path / "mail")
    server = Controller(Taker(inbox), "127.0.0.1", free_port())
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    yield inbox
    server.stop()


def send(**more):
    client = MailClient(sender="Quartermaster <q@meridian.test>", is_configured=True)
    asked = {"to": "alice@meridian.test", "subject": "Budget – spent", "text": "Hello\n"}
    client.send(**asked | more, headers={"Message-ID": "<1@meridian.test>"})


class TestSend:
    def test_reaches_the_persons_mailbox_as_it_was_written(self, inbox):
        send()
        send(to="bob@meridian.test")
        (mail,) = inbox.all(to="Alice@meridian.test")
        assert (mail.to, mail.subject) == (("alice@meridian.test",), "Budget – spent")
        assert mail.text.strip() == "Hello"
        headers = dict(mail.headers)
        assert headers["From"] == "Quartermaster <q@meridian.test>"
        assert headers["Message-ID"] == "<1@meridian.test>"
        assert inbox.one(mail.name) == mail
        assert len(inbox.all()) == 2

    def test_is_tried_again_where_the_server_is_busy(self, inbox):
        inbox.answer = "451 Busy, try again later"
        with pytest.raises(TemporaryError, match="cannot take it now"):
            send()
        assert inbox.all() == []

    def test_stops_where_the_server_refuses(self, inbox):
        inbox.answer = "550 No such mailbox here"
        with pytest.raises(PermanentError, match="does not take it"):
            send()

    @pytest.mark.parametrize(
        "to", ["a@b@meridian.test", "a@meridian.test\nBcc: b@meridian.test", "a@[1.2.3.4"]
    )
    def test_stops_where_the_sign_in_tells_no_address(self, inbox, to):
        with pytest.raises(PermanentError, match="none for e-mail"):
            send(to=to)
        assert inbox.all() == []

    def test_is_tried_again_where_there_is_no_server(self, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
        with pytest.raises(TemporaryError, match="cannot be reached"):
            send()

    def test_says_that_no_server_is_configured(self):
        client = MailClient(sender="q@meridian.test", is_configured=False)
        with pytest.raises(NotConfigured, match="not configured"):
            client.send(to="alice@meridian.test", subject="x", text="x", headers={})
