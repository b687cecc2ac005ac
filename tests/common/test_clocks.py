"""Machines whose clocks differ agree on the time, by the database's."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection

from apps.common import clocks
from apps.common.leases import take_lease
from tests.factories import ModelVersionFactory

pytestmark = pytest.mark.django_db
NEAR = timedelta(seconds=5)  # what a slow machine takes to answer


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(clocks, "_known", clocks._Known())


@pytest.fixture
def machine(monkeypatch):
    """A machine; calling it sets its clock apart from everybody else's by some seconds."""

    def set_apart(seconds):
        monkeypatch.setattr(
            clocks.timezone, "now", lambda: datetime.now(UTC) + timedelta(seconds=seconds)
        )
        monkeypatch.setattr(clocks, "_known", clocks._Known())

    return set_apart


@pytest.mark.parametrize("seconds", [-90, 0, 90])
def test_a_clock_that_is_wrong_tells_the_databases_time(machine, seconds):
    machine(seconds)
    assert abs(clocks.now() - datetime.now(UTC)) < NEAR


def test_two_machines_agree_whose_lease_it_is(machine, settings):
    settings.RECONCILE_LEASE_SECONDS = 60
    machine(-90)
    row = ModelVersionFactory(next_check_at=clocks.now() - NEAR)
    assert take_lease(row, now=clocks.now())
    machine(90)  # by its own clock the lease is over since two minutes
    assert not take_lease(row, now=clocks.now())


def test_the_database_is_asked_once_a_minute(machine, django_assert_num_queries, monkeypatch):
    machine(90)
    with django_assert_num_queries(1):
        [clocks.now() for _ in range(100)]
    ticks = clocks.time.monotonic() + clocks.ASK_EVERY_SECONDS + 1
    monkeypatch.setattr(clocks.time, "monotonic", lambda: ticks)
    with django_assert_num_queries(1):
        [clocks.now() for _ in range(100)]


def test_what_it_said_last_holds_while_it_is_away(machine, monkeypatch):
    machine(90)
    clocks.now()
    clocks._known.asked_at = None

    def away():
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        assert abs(clocks.now() - datetime.now(UTC)) < NEAR


def test_other_threads_open_no_connection(machine):
    machine(90)
    told = []
    thread = threading.Thread(target=lambda: told.append(clocks.now()))
    thread.start()
    thread.join()
    assert abs(told[0] - datetime.now(UTC) - timedelta(seconds=90)) < NEAR
    clocks.now()
    thread = threading.Thread(target=lambda: told.append(clocks.now()))
    thread.start()
    thread.join()
    assert abs(told[1] - datetime.now(UTC)) < NEAR
