"""What a session keeps, when it ends, and that sessions that have ended leave the table."""

import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection

from apps.accounts import sessions
from apps.accounts.claims import Problem
from apps.integrations.oidc.client import GrantRefused
from tests.accounts.test_actions import MAYA
from tests.factories import NOW, TeamFactory, UserFactory
from worker.celery import app
from worker.schedule import SCHEDULE

pytestmark = pytest.mark.django_db


class TestClearEnded:
    def test_removes_only_sessions_that_have_ended(self):
        Session.objects.create(session_key="ended", session_data="", expire_date=NOW)
        Session.objects.create(
            session_key="running", session_data="", expire_date=NOW + timedelta(seconds=1)
        )
        assert sessions.clear_ended(now=NOW) == 1
        assert list(Session.objects.values_list("session_key", flat=True)) == ["running"]


AT = 1_800_000_000


@pytest.fixture
def user():
    return UserFactory()


@pytest.fixture
def session(user):
    """A session that began at AT."""
    made = SessionBase()
    sessions.begin(made, user=user, identity=MAYA, auth_time=AT - 7, acr="mfa", now=AT + 0.9)
    return made


class TestBegin:
    def test_starts_the_clocks_and_keeps_what_the_sign_in_said(self, session, user):
        assert dict(session.items()) == {
            "started_at": AT,
            "seen_at": AT,
            "auth_time": AT - 7,
            "acr": "mfa",
            "team_id": user.team_id,
            "facts": {"groups": ["qm-team-leads"], "problems": []},
        }

    def test_keeps_100_groups_and_the_problems_and_makes_up_no_time_where_none_was_said(self, user):
        made = SessionBase()
        problems = (Problem("team_missing", "No team.", "Ask."), Problem("b", "What.", "Do."))
        many = replace(MAYA, groups=tuple(f"g{n}" for n in range(120)), problems=problems)
        sessions.begin(made, user=user, identity=many, auth_time="yesterday", acr=1, now=AT)
        assert (made["auth_time"], made["acr"]) == (None, "")
        assert made["facts"]["groups"] == [f"g{n}" for n in range(100)]
        assert made["facts"]["problems"] == [
            {"code": "team_missing", "what": "No team.", "todo": "Ask."},
            {"code": "b", "what": "What.", "todo": "Do."},
        ]


class TestExpiry:
    @pytest.fixture(autouse=True)
    def _limits(self, settings):
        settings.SESSION_COOKIE_AGE, settings.SESSION_IDLE_SECONDS = 1000, 100

    def test_is_after_too_long_or_after_too_long_away(self, session, user):
        assert sessions.expiry(session, user, now=AT + 100) == ""
        assert sessions.expiry(session, user, now=AT + 101) == "idle"
        session["seen_at"] = AT + 1000
        assert sessions.expiry(session, user, now=AT + 1000) == ""
        assert sessions.expiry(session, user, now=AT + 1001) == "too_long"

    def test_is_at_once_in_another_team(self, session, user):
        user.team = TeamFactory()
        assert sessions.expiry(session, user, now=AT) == "other_team"

    def test_leaves_a_session_without_a_sign_in_alone(self, user):
        assert sessions.expiry(SessionBase(), user, now=AT) == ""
        sessions.note_activity(empty := SessionBase(), now=AT)
        assert not list(empty.keys())

    @pytest.mark.parametrize(("idle", "every"), [(100, 25), (3600, 60)])
    def test_notes_presence_once_in_a_while(self, session, settings, idle, every):
        settings.SESSION_IDLE_SECONDS = idle
        sessions.note_activity(session, now=AT + every - 1)
        assert session["seen_at"] == AT
        sessions.note_activity(session, now=AT + every)
        assert session["seen_at"] == AT + every


class TestKeepTokens:
    ANSWER = {"access_token": "a1", "refresh_token": "r1", "id_token": "i1", "expires_in": 60}

    def test_keeps_the_old_ones_that_a_renewal_does_not_replace(self):
        session = SessionBase()
        sessions.keep_tokens(session, self.ANSWER, now=AT)
        assert sessions.stored_tokens(session) == {
            "access_token": "a1", "refresh_token": "r1", "id_token": "i1", "expires_at": AT + 60
        }  # fmt: skip
        sessions.keep_tokens(session, {"access_token": "a2", "refresh_token": "r2"}, now=AT)
        assert sessions.stored_tokens(session) == {
            "access_token": "a2", "refresh_token": "r2", "id_token": "i1", "expires_at": AT + 300
        }  # fmt: skip

    def test_are_not_to_be_read_without_the_key_they_were_kept_with(self, settings):
        session = SessionBase()
        assert sessions.stored_tokens(session) == {}
        sessions.keep_tokens(session, self.ANSWER, now=AT)
        settings.SECRET_KEY = "another"
        assert sessions.stored_tokens(session) == {}


class TestRenewal:
    """Of a token that is about to end, by two requests of one browser session."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """The provider, which gives a new pair of tokens for each refresh token once."""
        found = []

        def request_tokens(**more):
            found.append(more)
            number = len(found) + 1
            return {"access_token": f"a{number}", "refresh_token": f"r{number}", "expires_in": 600}

        monkeypatch.setattr(sessions, "request_tokens", request_tokens)
        return found

    @pytest.fixture
    def requests(self):
        """Two requests that read the session before either renewed it."""
        store = SessionStore()
        sessions.keep_tokens(store, TestKeepTokens.ANSWER | {"expires_in": 30}, now=time.time())
        store.create()
        return [SimpleNamespace(session=SessionStore(store.session_key)) for _ in range(2)]

    def test_uses_a_refresh_token_once(self, requests, asked, settings):
        for request in requests:
            assert sessions.stored_tokens(request.session)["access_token"] == "a1"
        assert [sessions.gateway_token(request) for request in requests] == ["a2", "a2"]
        assert asked == [
            {
                "grant_type": "refresh_token",
                "refresh_token": "r1",
                "resource": settings.OIDC_GATEWAY_AUDIENCE,
            }
        ]
        kept = sessions.stored_tokens(SessionStore(requests[0].session.session_key))
        assert (kept["access_token"], kept["refresh_token"]) == ("a2", "r2")
        assert sessions.stored_tokens(requests[1].session) == kept

    def test_is_not_asked_for_long_before_the_end(self, asked):
        session = SessionBase()
        sessions.keep_tokens(session, TestKeepTokens.ANSWER | {"expires_in": 160}, now=time.time())
        assert sessions.gateway_token(SimpleNamespace(session=session)) == "a1"
        assert asked == []

    @pytest.mark.parametrize(("left", "token"), [(150, "a2"), (150.5, "a1")])
    def test_is_asked_for_in_the_last_minute_by_any_clock(self, asked, monkeypatch, left, token):
        store = SessionStore()
        sessions.keep_tokens(store, TestKeepTokens.ANSWER | {"expires_in": left}, now=AT)
        store.create()
        monkeypatch.setattr(sessions, "time", SimpleNamespace(time=lambda: AT))
        assert sessions.gateway_token(SimpleNamespace(session=store)) == token
        assert len(asked) == (token == "a2")

    def test_that_is_refused_means_to_sign_in_again(self, requests, monkeypatch):
        def refuse(**_):
            raise GrantRefused("invalid_grant")

        monkeypatch.setattr(sessions, "request_tokens", refuse)
        assert sessions.gateway_token(requests[0]) is None

    def test_is_of_no_session_that_ended_meanwhile(self, requests, asked):
        first, second = requests
        assert sessions.stored_tokens(second.session)["access_token"] == "a1"
        first.session.flush()
        assert sessions.gateway_token(second) is None
        assert asked == []

    def test_holds_up_nobody_else(self, requests, asked, monkeypatch):
        names = []

        @contextmanager
        def noted(name):
            names.append(name)
            yield

        other = SessionStore()
        sessions.keep_tokens(other, TestKeepTokens.ANSWER | {"expires_in": 1}, now=time.time())
        other.create()
        monkeypatch.setattr(sessions, "_one_at_a_time", noted)
        for session in (requests[0].session, other):
            sessions.gateway_token(SimpleNamespace(session=session))
        assert names == [requests[0].session.session_key, other.session_key]

    def test_needs_a_refresh_token(self, asked):
        session = SessionBase()
        sessions.keep_tokens(session, {"access_token": "a1", "expires_in": 1}, now=time.time())
        assert sessions.gateway_token(SimpleNamespace(session=session)) is None
        assert asked == []

    def test_is_one_at_a_time_under_every_name(self):
        held = (
            "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
        for name in "abcdefgh":
            with sessions._one_at_a_time(name), connection.cursor() as cursor:
                cursor.execute(held)
                assert cursor.fetchone() == (1,)
            with sessions._one_at_a_time(name):  # it was given back
                pass


def test_every_periodic_task_is_one_that_the_worker_knows():
    app.loader.import_default_modules()
    assert {line["task"] for line in SCHEDULE.values()} <= set(app.tasks)
