"""The local inbox: its pages, and a receiver that tells genuine messages from others."""

import pytest

from apps.notices.signing import headers_of
from deploy.local.doubles.mail.app import create_app
from deploy.local.doubles.mail.hooks import Hooks
from deploy.local.doubles.mail.inbox import KEPT, Inbox
from tests.factories import NOW

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RAW = "To: {0}\r\nSubject: Budget <b>spent</b>\r\n\r\nSee http://127.0.0.1:8000/notices/1/\r\n"


@pytest.fixture
def inbox(tmp_path):
    return Inbox(tmp_path / "mail")


@pytest.fixture
def hooks():
    return Hooks()


@pytest.fixture
def browser(inbox, hooks):
    return create_app(inbox, hooks).test_client()


class TestInbox:
    def test_shows_what_came_and_to_whom(self, inbox, browser):
        for to in ("alice@meridian.test", "bob@meridian.test"):
            inbox.keep([to], RAW.format(to).encode())
        page = browser.get("/?to=Alice@meridian.test").get_data(as_text=True)
        assert page.count("Budget &lt;b&gt;spent&lt;/b&gt;") == 1
        assert "bob@meridian.test" not in page
        (mail,) = browser.get("/mails.json?to=bob@meridian.test").get_json()
        page = browser.get(f"/mails/{mail['name']}").get_data(as_text=True)
        link = "http://127.0.0.1:8000/notices/1/"
        assert f'<a href="{link}">{link}</a>' in page
        assert browser.get("/mails/../../etc").status_code == 404
        assert browser.get("/mails/1").status_code == 404

    def test_plays_a_server_in_trouble(self, inbox, browser):
        browser.post("/answer", data={"answer": "451 Busy, try again later"})
        assert inbox.answer.startswith("451")
        assert browser.post("/answer", data={"answer": "999"}).status_code == 400
        inbox.keep(["alice@meridian.test"], b"Subject: x\r\n\r\n")
        browser.post("/empty")
        assert inbox.all() == []

    def test_keeps_the_newest(self, inbox, monkeypatch):
        monkeypatch.setattr("deploy.local.doubles.mail.inbox.KEPT", 3)
        for number in range(5):
            inbox.keep(["a@b.test"], f"Subject: {number}\r\n\r\n".encode())
        assert [mail.subject for mail in inbox.all()] == ["4", "3", "2"]
        assert KEPT == 500

    def test_loads_nothing_from_elsewhere(self, browser):
        policy = browser.get("/").headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")


class TestHooks:
    def post(self, browser, monkeypatch, body=b'{"a":1}', **more):
        now = NOW.timestamp() + more.pop("late", 0)
        monkeypatch.setattr("deploy.local.doubles.mail.hooks.time.time", lambda: now)
        signed = {"message_id": "7", "sent_at": NOW, "body": body, "secrets": [SECRET]} | more
        return browser.post("/hooks/alice", data=body, headers=headers_of(**signed)).status_code

    def test_take_what_is_genuine_and_in_time(self, browser, monkeypatch):
        browser.post("/hooks/", data={"name": "alice", "secret": SECRET})
        assert self.post(browser, monkeypatch) == 204
        assert self.post(browser, monkeypatch, secrets=["whsec_AAAA", SECRET]) == 204
        assert self.post(browser, monkeypatch, secrets=["whsec_AAAA"]) == 401
        assert self.post(browser, monkeypatch, late=301) == 401
        page = browser.get("/hooks/").get_data(as_text=True)
        assert page.count("The signature holds.") == 2
        assert page.count("No signature holds.") == 1

    def test_say_that_nothing_was_checked_without_a_secret(self, browser, monkeypatch):
        assert self.post(browser, monkeypatch) == 204
        assert "Not checked" in browser.get("/hooks/").get_data(as_text=True)

    def test_play_a_receiver_in_trouble(self, browser, monkeypatch):
        browser.post("/hooks/", data={"status": "410"})
        browser.post("/hooks/", data={"status": "200; rm"})
        assert self.post(browser, monkeypatch) == 410
