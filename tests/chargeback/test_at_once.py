"""Days that are priced while something else happens: real transactions, in threads."""

import threading
from datetime import date, timedelta

import pytest
from django.db import connection

from apps.chargeback import actions, spending
from apps.chargeback.models import DailyLine, DirtyDay, MonthlyLine
from tests.chargeback.test_queries import START, use

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST, SECOND = date(2026, 11, 1), date(2026, 11, 2)


def marked():
    return sorted(DirtyDay.objects.values_list("day", flat=True))


def in_background(job):
    """Start a job in a thread of its own, with its own connection."""

    def run():
        try:
            job()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class TestPriceDay:
    @pytest.fixture
    def halted(self, monkeypatch):
        """Let a day stop after its hours were read, until it is told to go on."""
        read, go_on = threading.Event(), threading.Event()
        compute = spending.compute_day

        def halt(day):
            compute(day)
            if day == FIRST and not read.is_set():
                read.set()
                assert go_on.wait(30)

        monkeypatch.setattr(spending, "compute_day", halt)
        return read, go_on

    def test_is_marked_again_by_an_hour_that_changes_meanwhile(self, committed, halted):
        read, go_on = halted
        use(START)
        pricing = in_background(lambda: actions.price_day(day=FIRST))
        assert read.wait(30)
        late = in_background(lambda: use(START + HOUR, team="prior-auth"))
        late.join(0.5)
        assert late.is_alive()  # it waits for the mark
        go_on.set()
        pricing.join(30)
        late.join(30)
        assert marked() == [FIRST]
        assert DailyLine.objects.count() == 1
        actions.price_due_days()
        assert MonthlyLine.objects.count() == 2

    def test_of_two_days_at_once_leaves_both_in_their_month(self, committed, halted):
        read, go_on = halted
        use(START)
        use(START + DAY)
        first = in_background(lambda: actions.price_day(day=FIRST))
        assert read.wait(30)
        second = in_background(lambda: actions.price_day(day=SECOND))
        second.join(0.5)
        go_on.set()
        first.join(30)
        second.join(30)
        assert marked() == []
        assert MonthlyLine.objects.get().metered_calls == 2
