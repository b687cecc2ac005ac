"""A term of each long-lived process: what it lets go of when it ends."""

import pytest
from django.db import OperationalError
from django.utils import timezone

from worker.processes import leader, observer, registry, scraper, sealer, usage_follower


class Term:
    """Stands for what a process does in one term; its second step meets a database that is gone."""

    made: list["Term"] = []

    def __init__(self, source: object) -> None:
        self.source, self.steps, self.let_go = source, 0, False
        Term.made.append(self)

    def start(self) -> None:
        return

    def step(self, **_: object) -> None:
        self.steps += 1
        if self.steps == 2:
            raise OperationalError

    def stop(self) -> None:
        self.let_go = True

    close = stop


@pytest.fixture(autouse=True)
def terms(monkeypatch):
    monkeypatch.setattr(observer, "Observer", Term)
    monkeypatch.setattr(scraper, "Scraper", Term)
    monkeypatch.setattr(usage_follower, "Follower", Term)
    for process in (sealer, usage_follower):  # no database is here to ask what time it is
        monkeypatch.setattr(process, "now", timezone.now)
    for process in (scraper, usage_follower):
        monkeypatch.setattr(process.time, "sleep", lambda seconds: None)
    Term.made = []
    return Term.made


class TestFollowTheCluster:
    def test_stops_its_threads_when_the_database_goes_away(self, terms):
        with pytest.raises(OperationalError):
            observer.follow()
        assert [(term.steps, term.let_go) for term in terms] == [(2, True)]


class TestMeasure:
    def test_begins_each_term_with_nothing(self, terms):
        for _ in range(2):
            with pytest.raises(OperationalError):
                scraper.measure("a source")
        assert [(term.source, term.steps) for term in terms] == [("a source", 2)] * 2


class TestKeep:
    def test_keeps_the_record_until_the_database_goes_away(self, monkeypatch):
        turns = []

        class Keeper:
            def turn(self, *, now):
                turns.append(now)
                if len(turns) == 3:
                    raise OperationalError

        monkeypatch.setattr(sealer.time, "sleep", lambda seconds: None)
        with pytest.raises(OperationalError):
            sealer.keep(Keeper())
        assert len(turns) == 3


class TestKeepTheRegistry:
    def test_rests_only_where_nothing_is_due(self):
        done, rested = [True, True, False, True], []

        class Keeper:
            def turn(self):
                if not done:
                    raise OperationalError
                return done.pop(0)

        with pytest.raises(OperationalError):
            registry.keep(Keeper(), rested.append)
        assert rested == [registry.LOOK_SECONDS]

    def test_begins_again_when_the_database_was_away(self):
        class Over(Exception):
            pass

        terms, rested = [], []

        def term():
            terms.append(1)
            raise Over if len(terms) == 3 else OperationalError

        with pytest.raises(Over):
            leader.endure(term, rested.append)
        assert (len(terms), rested) == (3, [leader.TRY_AGAIN_SECONDS] * 2)


class TestFollowTheLog:
    def test_closes_the_file_when_the_database_goes_away(self, terms):
        with pytest.raises(OperationalError):
            usage_follower.follow("/var/log/usage.json")
        assert [(term.source, term.let_go) for term in terms] == [("/var/log/usage.json", True)]
