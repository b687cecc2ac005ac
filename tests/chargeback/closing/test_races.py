"""A close and a price at the same moment: one after the other."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection, transaction

from apps.chargeback.periods import hold_months


@pytest.mark.usefixtures("committed")
def test_months_are_held_by_one_transaction_at_a_time():
    holds, may_end = Event(), Event()

    def first():
        try:
            with transaction.atomic():
                hold_months()
                holds.set()
                assert may_end.wait(20)
        finally:
            connection.close()

    def second():
        try:
            with transaction.atomic():
                hold_months()
                return may_end.is_set()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(first)
        assert holds.wait(20)
        other = threads.submit(second)
        with pytest.raises(TimeoutError):
            other.result(0.5)
        may_end.set()
        assert other.result(20) is True
        one.result(20)
