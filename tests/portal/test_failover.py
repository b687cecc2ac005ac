"""A database that hands over to another server: what pages, doors of machines, tasks and leaders
say and do, on a real one.
"""

import time
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError, close_old_connections, connection
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.session_store import SessionStore
from apps.accounts.sessions import SEEN_AT, STARTED_AT, TEAM
from apps.audit.models import Action, AuditEvent
from apps.integrations.postgres.base import TakesNoWrites
from apps.metering.models import UsageEvent
from apps.notices.models import Choice, Kind
from tests import failover
from tests.factories import (
    ModelVersionFactory,
    RegisteredModelFactory,
    TeamFactory,
    UserFactory,
)
from tests.metering.test_access_log import CALL
from tests.metering.test_ingest import TOKEN, batch, call
from tests.pages import joined
from worker.celery import app
from worker.processes.leader import Lock, lead

CHOICES = "/notices/choices/"
LOGS = {"content_type": "application/x-protobuf", "headers": {"Authorization": TOKEN}}


@pytest.fixture
def person(committed, browser):
    """Somebody who has been there for a minute: the next page notes it in the session."""
    found = UserFactory(username="alice", with_roles=[Role.TEAM_LEAD])
    browser.force_login(found)
    session = browser.session
    session[STARTED_AT] = session[SEEN_AT] = int(time.time()) - 300
    session[TEAM] = found.team_id
    session.save()
    return found


@pytest.fixture
def browser(client, monkeypatch):
    """A client whose requests begin and end as in a web server, which looks at connections then."""
    client.raise_request_exception = False
    request = client.request

    def served(**facts):
        close_old_connections()
        try:
            return request(**facts)
        finally:
            close_old_connections()

    monkeypatch.setattr(client, "request", served)
    return client


def chosen():
    """Return the form's fields with another choice for two kinds."""
    return {kind: "NEVER" if kind in Kind.values[:2] else "DIGEST" for kind in Kind.values}


class TestPages:
    def test_that_only_read_go_on(self, person, browser):
        assert browser.get("/account/").status_code == 200
        with failover.begins():
            # its connection was cut: the next request makes another, and finds it read-only
            for _ in range(2):
                assert browser.get("/account/").status_code == 200

    def test_that_write_say_that_nothing_was_saved_and_save_it_afterwards(self, person, browser):
        with failover.begins():
            answer = browser.post(CHOICES, chosen())
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
            assert "The database takes no changes right now" in joined(answer.content)
            assert "Nothing of this was saved." in joined(answer.content)
        assert not Choice.objects.exists()
        assert not AuditEvent.objects.filter(action=Action.NOTICES_CHOSEN).exists()
        assert browser.post(CHOICES, chosen()).status_code == 302
        assert AuditEvent.objects.filter(action=Action.NOTICES_CHOSEN).count() == 1

    def test_that_lost_their_connection_midway_do_not_claim_to_know(self, person, browser):
        def lose(execute, sql, params, many, context):
            if "notices_choice" in sql:
                failover.cut()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(lose):
            sent, read = browser.post(CHOICES, chosen()), browser.get(CHOICES)
        assert (sent.status_code, read.status_code) == (503, 503)
        assert "Whether what you sent was saved is not known." in joined(sent.content)
        assert "Nothing is lost." in joined(read.content)
        assert browser.get(CHOICES).status_code == 200

    def test_nobody_signs_in_to_a_session_that_is_not_kept(self, person, browser):
        with failover.begins():
            close_old_connections()
            with pytest.raises(TakesNoWrites):
                SessionStore().create()
        close_old_connections()


class TestMachines:
    def test_collectors_are_asked_to_come_again(self, committed, browser):
        TeamFactory(slug=CALL["team"])
        model = RegisteredModelFactory(name=CALL["gen_ai.request.model"])
        ModelVersionFactory(registered_model=model, number=1)
        with failover.begins():
            answer = browser.post("/v1/logs", batch(call(), call()), **LOGS)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert browser.post("/v1/logs", batch(call(), call()), **LOGS).status_code == 200
        assert UsageEvent.objects.count() == 2


class TestTasks:
    def test_fail_and_do_their_work_when_they_come_again(self, committed):
        ended = timezone.now() - timedelta(days=1)
        for key in ("one", "two"):
            Session.objects.create(session_key=key, session_data="", expire_date=ended)
        app.loader.import_default_modules()
        task = app.tasks["accounts.clear_sessions"]
        with failover.begins():
            with pytest.raises(OperationalError):  # its connection was cut
                task.apply(throw=True)
            close_old_connections()
            with pytest.raises(TakesNoWrites):
                task.apply(throw=True)
            assert Session.objects.count() == 2
        close_old_connections()
        task.apply(throw=True)
        assert Session.objects.count() == 0


class Ended(Exception):
    """Ends a loop that has no end of its own."""


class Pauses:
    """Stands for the pauses between terms: the database has handed over in the third."""

    def __init__(self, handing_over):
        self.handing_over, self.made = handing_over, 0

    def __call__(self, seconds):
        self.made += 1
        if self.made == 3:
            self.handing_over.__exit__(None, None, None)
        if self.made == 5:
            raise Ended


class TestLeaders:
    def test_begin_a_new_term_until_one_writes(self, committed):
        terms, handing_over = [], failover.begins()

        def term():
            Session.objects.filter(session_key="none").delete()
            terms.append(backend())

        connection.close()
        handing_over.__enter__()
        with pytest.raises(Ended):
            lead(Lock.SCRAPER, term, Pauses(handing_over))
        # three found a server that reads only; two wrote
        assert len(terms) == 2


def backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]
