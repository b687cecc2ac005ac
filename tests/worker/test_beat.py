"""What a term of the clock sends: what is due, what fell due while nobody led, and nothing once the
lead is lost.
"""

from datetime import timedelta

import pytest
from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab
from django.db import OperationalError, connection

from tests.worker.test_leader import Ended, Rounds, lose_the_database
from worker.processes.beat import LOOK_SECONDS, NOBODY_LED, send
from worker.processes.leader import Lock, lead


@pytest.fixture(autouse=True)
def own_connection(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        connection.close()
        yield
        connection.close()


@pytest.fixture
def app():
    """A Celery of its own that keeps what it would send, as (name, options)."""
    made = Celery("of-the-tests", broker="memory://", set_as_current=False)
    made.conf.result_expires = None
    made.sent = []
    made.send_task = lambda name, args, kwargs, **options: made.sent.append((name, options))
    return made


def at(moment):
    return crontab(hour=moment.hour, minute=moment.minute)


class TestSend:
    def test_sends_what_is_due_with_its_options_and_waits_for_the_rest(self, app):
        app.conf.beat_schedule = {
            "often": {"task": "a.look", "schedule": 3.0, "options": {"expires": 3}},
            "seldom": {"task": "b.look", "schedule": 86_400.0},
        }
        rounds = Rounds(2)
        with pytest.raises(Ended):
            send(app, rounds)
        assert [name for name, _ in app.sent] == ["a.look"]
        assert app.sent[0][1]["expires"] == 3
        assert max(rounds.slept) <= LOOK_SECONDS

    def test_sends_once_what_fell_due_while_nobody_led_and_no_more(self, app):
        now = app.now()
        app.conf.beat_schedule = {
            "missed": {"task": "a.nightly", "schedule": at(now - timedelta(minutes=3))},
            "long-ago": {"task": "b.nightly", "schedule": at(now - 3 * NOBODY_LED)},
        }
        with pytest.raises(Ended):
            send(app, Rounds(4))
        assert [name for name, _ in app.sent] == ["a.nightly"]

    def test_goes_on_at_once_where_the_next_one_is_due_already(self, app, monkeypatch):
        app.conf.beat_schedule = {}
        monkeypatch.setattr(Scheduler, "tick", lambda _: -0.004)
        rounds = Rounds(2)
        with pytest.raises(Ended):
            send(app, rounds)
        assert rounds.slept == [0.0, 0.0]

    def test_sends_nothing_more_once_the_database_that_holds_its_lead_is_gone(self, app):
        app.conf.beat_schedule = {"often": {"task": "a.look", "schedule": 0.001}}

        def lose(_: float) -> None:
            with pytest.raises(OperationalError):
                lose_the_database()

        with pytest.raises(OperationalError):
            send(app, lose)
        assert len(app.sent) == 1

    def test_begins_a_new_term_after_that(self, app):
        app.conf.beat_schedule = {"daily": {"task": "a.look", "schedule": 60.0}}
        terms = []

        def term() -> None:
            terms.append(None)
            send(app, lambda _: lose_the_database())

        with pytest.raises(Ended):
            lead(Lock.BEAT, term, Rounds(2))
        assert len(terms) == 2
        assert [name for name, _ in app.sent] == ["a.look"] * 2
