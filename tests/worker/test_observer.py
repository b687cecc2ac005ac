"""The observer's process: one leads, and trouble with the database begins a new term."""

import psycopg
import pytest
from django.db import OperationalError, connection

from worker.processes import observer

pytestmark = pytest.mark.django_db


class Term:
    """Stands for the observer of one term; its first step meets a database that is gone."""

    made: list["Term"] = []

    def __init__(self, _: object) -> None:
        self.stopped = False
        Term.made.append(self)

    def start(self) -> None:
        return

    def step(self) -> None:
        raise OperationalError

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture(autouse=True)
def terms(monkeypatch):
    monkeypatch.setattr(observer, "Observer", Term)
    Term.made = []
    yield Term.made
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


class TestLead:
    def test_follows_nothing_while_another_process_leads(self, terms):
        facts = connection.get_connection_params()
        known = {
            name: facts[name]
            for name in ("dbname", "user", "password", "host", "port")
            if facts.get(name)
        }
        with psycopg.connect(**known) as other:
            other.execute("SELECT pg_advisory_lock(%s)", [observer.LEADER_LOCK])
            observer._lead()
            assert terms == []

    def test_stops_its_threads_when_the_database_goes_away(self, terms):
        with pytest.raises(OperationalError):
            observer._lead()
        assert [term.stopped for term in terms] == [True]
