"""Moving days of calls from Postgres into ClickHouse."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from apps.metering import days
from apps.metering.store import hour_sums
from apps.metering.stores.base import store
from apps.metering.stores.moving import days_to_move
from tests.factories import NOW, stored_calls
from tests.metering.test_actions import record
from tests.metering.test_days import insert

DAY = timedelta(days=1)


def move():
    said = StringIO()
    call_command("move_usage", stdout=said)
    return said.getvalue().splitlines()


@pytest.mark.django_db
def test_is_refused_without_an_address():
    with pytest.raises(CommandError, match="calls stay in Postgres"):
        move()


@pytest.mark.clickhouse
def test_moves_every_day_once(committed, clickhouse_url, settings):
    made = [record(NOW), record(NOW + timedelta(hours=1), output_tokens=7), record(NOW - DAY)]
    with transaction.atomic():
        insert(*made, via="FILE")
    settings.USAGE_STORE_URL = ""
    before = {call.event_id: call for call in store().calls()}
    sums = list(hour_sums([NOW]))
    settings.USAGE_STORE_URL = clickhouse_url
    store().client.command("TRUNCATE TABLE metering_usageevent")
    told = move()
    assert {"2026-11-01: 1 calls", "2026-11-02: 2 calls"} <= set(told)
    assert days_to_move() == []
    for call in stored_calls():
        was = before.pop(call.event_id)
        names = [field.attname for field in was._meta.concrete_fields]
        assert [getattr(call, name) for name in names] == [getattr(was, name) for name in names]
    assert (before, list(hour_sums([NOW]))) == ({}, sums)
    with transaction.atomic():
        assert insert(*made) == set()
    assert days.held_by(NOW.date()).calls == 2
    assert move()[-1] == "0 days moved; calls are kept in ClickHouse now."
