"""The scraper's process: one leads, and trouble with the database begins a new term."""

import psycopg
import pytest
from django.db import OperationalError, connection

from worker.processes import scraper

pytestmark = pytest.mark.django_db


class Term:
    """Stands for one term; its first step meets a database that is gone."""

    made = 0

    def __init__(self, _: object) -> None:
        Term.made += 1

    def step(self) -> None:
        raise OperationalError


@pytest.fixture(autouse=True)
def terms(monkeypatch):
    monkeypatch.setattr(scraper, "Scraper", Term)
    Term.made = 0
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


class TestLead:
    def test_measures_nothing_while_another_process_leads(self):
        facts = connection.get_connection_params()
        known = {
            name: facts[name]
            for name in ("dbname", "user", "password", "host", "port")
            if facts.get(name)
        }
        with psycopg.connect(**known) as other:
            other.execute("SELECT pg_advisory_lock(%s)", [scraper.LEADER_LOCK])
            scraper._lead(None)
            assert Term.made == 0

    def test_ends_its_term_when_the_database_goes_away(self):
        with pytest.raises(OperationalError):
            scraper._lead(None)
        assert Term.made == 1
