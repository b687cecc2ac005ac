"""What is told to ClickHouse, and what its address means. Its real engine is asked in
tests/metering (make test-clickhouse).
"""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import OperationalError, connections

from apps.integrations.clickhouse.backend import connection_of
from apps.integrations.clickhouse.client import ClickHouseClient, Server, filled, literal
from apps.metering.models import UsageEvent
from deploy.local.stack.ports import free_port

AT = datetime(2026, 11, 2, 9, 0, 0, 5, tzinfo=UTC)


class TestServer:
    def test_is_what_an_address_says(self):
        found = Server.of("clickhouse://finn:p%40ss@click:9000/usage?secure=true")
        assert found == Server("click", 9000, "finn", "p@ss", "usage", True)

    @pytest.mark.parametrize(("more", "port"), [("", 8123), ("?secure=true", 8443)])
    def test_has_the_usual_port_user_and_database(self, more, port):
        found = Server.of(f"clickhouse://click{more}")
        assert (found.port, found.user, found.password, found.database) == (
            port, "default", "", "default",
        )  # fmt: skip


class TestLiteral:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (None, "NULL"),
            (True, "true"),
            (7, "7"),
            (0.5, "0.5"),
            (Decimal("0.10"), "0.10"),
            ("it's a \\", "'it\\'s a \\\\'"),
            (date(2026, 11, 2), "toDate('2026-11-02')"),
            (AT, "toDateTime64('2026-11-02 09:00:00.000005', 6, 'UTC')"),
            (["a", 1], "('a', 1)"),
            (UUID(int=1), "toUUID('00000000-0000-0000-0000-000000000001')"),
        ],
    )
    def test_is_of_the_values_own_type(self, value, written):
        assert literal(value) == written

    def test_is_the_moment_in_utc_whatever_its_zone(self):
        assert literal(AT.astimezone(timezone(timedelta(hours=5)))) == literal(AT)

    def test_refuses_what_it_does_not_know(self):
        with pytest.raises(TypeError, match="dict is no value"):
            literal({})


class TestFilled:
    def test_puts_values_where_they_belong(self):
        assert filled("a = %s AND b LIKE '%%' AND c = %s", [1, "x%s"]) == (
            "a = 1 AND b LIKE '%' AND c = 'x%s'"
        )

    def test_leaves_a_statement_without_values_alone(self):
        assert filled("SELECT '100%s'", None) == "SELECT '100%s'"


@pytest.mark.django_db
def test_a_server_that_is_away_is_told_as_a_database_that_is_away():
    client = ClickHouseClient(Server.of(f"clickhouse://127.0.0.1:{free_port()}"))
    with pytest.raises(OperationalError, match="ClickHouse is away"):
        client.command("SELECT 1")
    rows = UsageEvent.objects.using(connection_of(client, "away"))
    with pytest.raises(OperationalError):
        list(rows)


def test_a_process_that_was_forked_opens_connections_of_its_own(monkeypatch):
    opened = []

    class Answering:
        def command(self, sql):
            opened[-1].append(sql)

    def get_client(**_):
        opened.append([])
        return Answering()

    monkeypatch.setattr("clickhouse_connect.get_client", get_client)
    client = ClickHouseClient(Server.of("clickhouse://click"))
    client.command("one")
    client.command("two")
    monkeypatch.setattr("os.getpid", lambda: 0)
    client.command("three")
    assert opened == [["one", "two"], ["three"]]


def test_each_client_is_known_under_its_alias_once():
    one, other = (ClickHouseClient(Server.of(f"clickhouse://{name}")) for name in "ab")
    assert connection_of(one, "either") == "either"
    known = connections["either"]
    connection_of(one, "either")
    assert connections["either"] is known
    connection_of(other, "either")
    assert connections["either"] is not known
