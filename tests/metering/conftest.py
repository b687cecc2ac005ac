"""What usage may name in these tests, and the stores that keep it."""

import pytest
from django.db import connection, connections

from apps.metering.stores.base import store, store_at
from tests.database import COMMON_DAYS, owner_runs
from tests.factories import ModelVersionFactory, RegisteredModelFactory, TeamFactory
from tests.metering import clickhouse

NAMES = {"prior-auth-extract": (1, 2), "clinical-summary": (1,), "other": (1,)}


@pytest.fixture
def names(db):
    """Teams, and models with versions: two of everything."""
    for slug in ("claims-review", "prior-auth", "odd"):
        TeamFactory(slug=slug)
    for name, numbers in NAMES.items():
        model = RegisteredModelFactory(name=name)
        for number in numbers:
            ModelVersionFactory(registered_model=model, number=number)


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory):
    """The address of a ClickHouse whose tables are there."""
    if not clickhouse.is_here():
        pytest.skip("ClickHouse's engine is not here: make test-clickhouse installs it")
    with clickhouse.running(tmp_path_factory.mktemp("clickhouse")) as url:
        store_at(url).make_table()
        yield url


@pytest.fixture
def in_clickhouse(clickhouse_url, db, settings, monkeypatch):
    """Usage is kept in ClickHouse, and there is none yet. What follows a commit is done at once: a
    test's own transaction has none.
    """
    monkeypatch.setattr("apps.metering.stores.clickhouse.after_commit", lambda what: what())
    settings.USAGE_STORE_URL = clickhouse_url
    if connection.in_atomic_block:  # a day is kept in one store alone
        for day in COMMON_DAYS:
            owner_runs(f"DROP TABLE metering_usageevent_{day:%Y%m%d}")
    store().client.command("TRUNCATE TABLE metering_usageevent")


@pytest.fixture(params=["Postgres", pytest.param("ClickHouse", marks=pytest.mark.clickhouse)])
def each_store(request, db):
    """Every store of usage, one after the other."""
    if request.param == "ClickHouse":
        request.getfixturevalue("in_clickhouse")
    return request.param


@pytest.fixture
def asks_store(django_assert_num_queries):
    """Assert how many queries of a block go to where calls are kept."""
    return lambda count: django_assert_num_queries(
        count, connection=connections[store().calls().db]
    )
