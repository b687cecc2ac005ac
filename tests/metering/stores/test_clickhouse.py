"""Two stores that know nothing of each other's transactions: what is cut off between them counts
once, or not yet.
"""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, transaction

from apps.metering import actions, days
from apps.metering.access_log import Entry
from apps.metering.models import CallKey, DirtyHour, HourlyUsage
from apps.metering.store import hour_sums
from apps.metering.stores.base import store
from tests.factories import NOW, stored_calls
from tests.metering.archive.test_guards import DAY, verified
from tests.metering.test_actions import record
from tests.metering.test_days import insert

pytestmark = pytest.mark.clickhouse
LATER = NOW + timedelta(hours=3)
# stores the calls of NOW, and dies once ClickHouse has them
KILLED = """
import os, signal
import django
django.setup()
from apps.metering import actions
from apps.metering.stores.clickhouse import ClickHouse
from tests.metering.stores.test_clickhouse import LATER, entries
was = ClickHouse._store
def dies(self, columns, rows):
    was(self, columns, rows)
    os.kill(os.getpid(), signal.SIGKILL)
ClickHouse._store = dies
actions.ingest_usage(entries=entries(), via="OTLP", now=LATER)
"""


def entries():
    """Return the same two calls each time, of two hours."""
    ids = ("5b0c5d1e-0000-4000-8000-00000000000a", "5b0c5d1e-0000-4000-8000-00000000000b")
    times = (NOW, NOW + timedelta(hours=1))
    found = [replace(record(at), event_id=UUID(one)) for one, at in zip(ids, times, strict=True)]
    return [Entry({}, each, "", "") for each in found]


def in_table():
    """Return how many calls ClickHouse holds, those included that count nowhere."""
    return store().calls().count()


def insert_again(columns, rows):
    """Put rows into ClickHouse alone, as a restore that was cut off leaves them."""
    store().client.insert("metering_usageevent", columns, rows)


def killed():
    """Let another process store `entries`, and die before it commits."""
    name, host = (connection.settings_dict[key] for key in ("NAME", "HOST"))
    role = connection.settings_dict["USER"]
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{role}@/{name}?host={host}",
        "USAGE_STORE_URL": settings.USAGE_STORE_URL,
    }
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def _names(committed, in_clickhouse, names):
    """Names that calls may have, committed, with usage in ClickHouse."""


@pytest.mark.usefixtures("_names")
class TestAProcessThatDiesBetweenTheTwo:
    def test_leaves_calls_that_count_nowhere(self):
        killed()
        assert (in_table(), CallKey.objects.count(), DirtyHour.objects.count()) == (2, 0, 0)
        assert list(hour_sums([NOW])) == []
        with transaction.atomic():
            insert(record(NOW))
        (found,) = hour_sums([NOW])
        assert (in_table(), found["metered_calls"], stored_calls().count()) == (3, 1, 1)

    def test_has_its_batch_counted_once_when_it_comes_again(self):
        killed()
        for _ in range(2):
            came = actions.ingest_usage(entries=entries(), via="OTLP", now=LATER)
        assert (came.stored, came.quarantined.total(), in_table()) == (0, 0, 2)
        assert actions.roll_up_dirty_hours(now=LATER) == 2
        assert list(HourlyUsage.objects.values_list("metered_calls", flat=True)) == [1, 1]

    def test_has_its_batch_counted_as_it_comes_again(self):
        killed()
        other = [replace(each, record=replace(each.record, output_tokens=7)) for each in entries()]
        assert actions.ingest_usage(entries=other, via="OTLP", now=LATER).stored == 2
        assert {found["output_tokens"] for found in list(hour_sums([NOW]))} == {7}


@pytest.mark.usefixtures("_names")
class TestTwoAtOnce:
    def test_store_an_id_once(self):
        days.make_days({DAY})
        came = []

        def store_all():
            with transaction.atomic():
                came.append(actions.ingest_usage(entries=entries(), via="OTLP", now=LATER).stored)
            connection.close()

        threads = [threading.Thread(target=store_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (sorted(came), in_table(), CallKey.objects.count()) == ([0, 0, 0, 2], 2, 2)


@pytest.mark.django_db
@pytest.mark.usefixtures("in_clickhouse", "names")
class TestADropThatIsCutOff:
    def test_leaves_calls_that_count_nowhere_and_are_brought_back_once(self, monkeypatch):
        made = [record(NOW), record(NOW + timedelta(hours=2))]
        insert(*made)
        row = verified()
        columns = ("event_id", "occurred_at", "received_at", "received_via", "outcome",
                   "response_code", "input_tokens", "output_tokens")  # fmt: skip
        rows = list(days.rows_of(DAY, columns, 10))
        with monkeypatch.context() as patch:
            patch.setattr("apps.metering.stores.clickhouse.after_commit", lambda what: None)
            assert days.drop_day(DAY, now=LATER)
        row.refresh_from_db()
        assert (row.status, in_table(), list(hour_sums([NOW]))) == ("DROPPED", 2, [])
        assert list(days.rows_of(DAY, columns, 10)) == []
        with transaction.atomic():
            store().forget_dropped()
            assert in_table() == 0
        insert_again(columns, rows)
        assert days.restore_day(DAY, columns, rows[:1], now=LATER) == 1
        assert (in_table(), stored_calls().get().event_id) == (1, made[0].event_id)


@pytest.mark.django_db
@pytest.mark.usefixtures("in_clickhouse")
class TestMakeTable:
    def test_adds_what_an_older_table_lacks_and_changes_nothing_else(self):
        insert(record(NOW, output_tokens=30))
        client = store().client
        client.command("ALTER TABLE metering_usageevent DROP CONSTRAINT team_fits")
        client.command("ALTER TABLE metering_usageevent DROP COLUMN ttft_ms")
        for _ in range(2):
            store().make_table()
        (found,) = store().calls()
        assert (found.output_tokens, found.ttft_ms, found.completeness) == (30, None, "COMPLETE")
        names = {row[0] for row in client.rows(
            "SELECT name FROM system.columns WHERE table = 'metering_usageevent'")[1]}  # fmt: skip
        assert {"event_id", "completeness", "ttft_ms"} <= names
