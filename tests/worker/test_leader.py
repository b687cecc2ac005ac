"""Terms of a long-lived process: one copy leads, and a new term begins after the database was
away.
"""

from contextlib import contextmanager

import psycopg
import pytest
from django.db import InterfaceError, connection

from worker.processes.leader import TRY_AGAIN_SECONDS, Lock, is_leader, lead


class Ended(Exception):
    """Ends a loop that has no end of its own."""


class Rounds:
    """Stands for the pauses between terms: so many, then the end."""

    def __init__(self, most: int) -> None:
        self.most, self.slept = most, []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self.most:
            raise Ended


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def lose_the_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@contextmanager
def another_copy():
    facts = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    with psycopg.connect(**{name: facts[name] for name in names if facts.get(name)}) as other:
        yield other


@pytest.fixture(autouse=True)
def own_connection(django_db_setup, django_db_blocker):
    """Give each test a connection that it may lose, and no transaction: no row is written here."""
    with django_db_blocker.unblock():
        connection.close()
        yield
        connection.close()


class TestLead:
    def test_holds_no_term_while_another_copy_leads(self):
        terms = []
        with another_copy() as other:
            other.execute("SELECT pg_advisory_lock(%s)", [Lock.SCRAPER.value])
            with pytest.raises(Ended):
                lead(Lock.SCRAPER, lambda: terms.append(backend()), Rounds(2))
        assert terms == []

    def test_leads_beside_the_leader_of_another_process(self):
        terms = []
        with another_copy() as other:
            other.execute("SELECT pg_advisory_lock(%s)", [Lock.OBSERVER.value])
            with pytest.raises(Ended):
                lead(Lock.SCRAPER, lambda: terms.append(backend()), Rounds(1))
        assert len(terms) == 1

    def test_begins_a_new_term_on_a_new_connection_when_the_database_went_away(self, caplog):
        terms = []

        def term() -> None:
            terms.append(backend())
            lose_the_database()

        pauses = Rounds(2)
        with pytest.raises(Ended):
            lead(Lock.OBSERVER, term, pauses)
        assert len(set(terms)) == 2
        assert pauses.slept == [TRY_AGAIN_SECONDS, TRY_AGAIN_SECONDS]
        assert "the database is away" in caplog.text

    def test_survives_a_connection_that_was_closed_under_it(self):
        terms = []

        def term() -> None:
            terms.append(backend())
            raise InterfaceError

        with pytest.raises(Ended):
            lead(Lock.USAGE_FOLLOWER, term, Rounds(2))
        assert len(set(terms)) == 2

    def test_gives_the_lead_up_with_the_connection(self):
        def term() -> None:
            lose_the_database()

        with another_copy() as other:
            with pytest.raises(Ended):
                lead(Lock.SCRAPER, term, Rounds(1))
            taken = other.execute("SELECT pg_try_advisory_lock(%s)", [Lock.SCRAPER.value])
            assert taken.fetchone() == (True,)
            assert not is_leader(Lock.SCRAPER)

    def test_raises_every_other_error_of_the_term(self):
        def term() -> None:
            raise ValueError("a fault of ours")

        with pytest.raises(ValueError, match="a fault of ours"):
            lead(Lock.SCRAPER, term, Rounds(1))
