"""The product behind a real PgBouncer in transaction mode, over TLS: what must be of one session
goes past it, and nothing else is left in one.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from django.conf import settings as ours
from django.db import OperationalError, close_old_connections, connection, transaction
from psycopg.conninfo import conninfo_to_dict

from apps.accounts import sessions
from apps.accounts.models import Team
from apps.integrations.postgres import direct
from apps.oversight.safeguards import states
from deploy.local.cluster.pki import Authority
from portal.database import check_role, keep_limits
from tests import failover
from tests.delivery import pgbouncer
from tests.factories import TeamFactory
from worker.processes.leader import Lock, is_leader

pytestmark = [
    pytest.mark.delivery,
    pytest.mark.skipif(bool(pgbouncer.missing()), reason=pgbouncer.missing()),
]
SERVERS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
AND usename = current_user AND pid <> pg_backend_pid() AND application_name <> 'aside'
"""


@pytest.fixture(scope="module")
def pooler(tmp_path_factory, django_db_setup):
    facts = connection.get_connection_params()
    authority = Authority(tmp_path_factory.mktemp("authority"))
    folder = tmp_path_factory.mktemp("pgbouncer")
    with pgbouncer.running(
        folder, authority.server("pooler"), server=str(facts["host"]),
        server_port=int(facts.get("port") or 5432), user=str(facts["user"]), password="first",
    ) as found:  # fmt: skip
        found.authority = authority
        yield found


@pytest.fixture
def pooled(pooler, committed, monkeypatch, settings, tmp_path):
    """Lead Django's connections of this test through the pooler, with a password in a file; what
    is direct stays so.
    """
    file = tmp_path / "password"
    file.write_text("first")
    settings.DATABASE_DIRECT = dict(connection.settings_dict)
    connection.close()
    options = {
        "connect_timeout": 5, "is_pooled": True, "sslmode": "verify-full",
        "sslrootcert": str(pooler.authority.pair.certificate), "password_file": str(file),
    }  # fmt: skip
    changed = {"HOST": "localhost", "PORT": str(pooler.port), "OPTIONS": options}
    for name, value in changed.items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    pooler.take(connection.settings_dict["USER"], "first")
    keep_limits()
    failover.cut()  # sessions of the server that began before
    yield file
    connection.close()
    with psycopg.connect(direct.address(seconds=5), autocommit=True) as own:
        name = psycopg.sql.Identifier(connection.settings_dict["NAME"])
        reset = "ALTER ROLE CURRENT_USER IN DATABASE {} RESET ALL"
        own.execute(psycopg.sql.SQL(reset).format(name))
        own.execute(failover.CUT)


def ask(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchone()[0]


def in_threads(number, work):
    def run(each):
        try:
            return work(each)
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(run, range(number)))


class TestSessions:
    def test_what_asks_for_settings_of_its_session_is_turned_away(self, pooled):
        params = connection.get_connection_params()
        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
            psycopg.connect(**params, options="-c statement_timeout=30000")

    def test_many_clients_share_two_connections_and_see_nothing_of_each_other(self, pooled):
        def work(each):
            for round_ in range(5):
                with transaction.atomic():
                    TeamFactory(slug=f"team-{each}-{round_}")
                    with connection.cursor() as cursor:
                        cursor.execute("SET LOCAL statement_timeout = '7s'")
                    mine = Team.objects.filter(slug__startswith=f"team-{each}-").order_by("pk")
                    with closing(mine.iterator(chunk_size=1)) as rows:
                        assert len(list(rows)) == round_ + 1
                assert ask("SHOW statement_timeout") == "30s"
                assert ask("SHOW lock_timeout") == "10s"
            return [team.slug for team in mine.iterator(chunk_size=1)]

        found = in_threads(12, work)
        assert found == [[f"team-{each}-{n}" for n in range(5)] for each in range(12)]
        with psycopg.connect(
            direct.address(seconds=5), application_name="aside", autocommit=True
        ) as own:
            assert own.execute(SERVERS).fetchone() == (pgbouncer.AT_ONCE,)

    def test_no_statement_is_prepared_and_no_cursor_left(self, pooled):
        for _ in range(8):
            list(Team.objects.filter(slug="none").iterator())
        assert ask("SELECT count(*) FROM pg_prepared_statements") == 0
        assert ask("SELECT count(*) FROM pg_cursors") == 0

    def test_the_check_warns_where_the_limits_are_not_the_roles(self, pooled):
        assert [one.id for one in check_role(databases=["default"])] == []
        with psycopg.connect(direct.address(seconds=5), autocommit=True) as own:
            name = psycopg.sql.Identifier(connection.settings_dict["NAME"])
            reset = "ALTER ROLE CURRENT_USER IN DATABASE {} RESET lock_timeout"
            own.execute(psycopg.sql.SQL(reset).format(name))
        failover.cut()
        connection.close()
        assert [one.id for one in check_role(databases=["default"])] == ["portal.W002"]


class TestWhatGoesPastIt:
    def test_a_persons_token_is_renewed_by_one_at_a_time(self, pooled):
        inside, most = [], []

        def work(_):
            with sessions._one_at_a_time("abc"):
                inside.append(1)
                most.append(len(inside))
                assert Team.objects.count() == 0  # by the pooler meanwhile
                inside.pop()

        in_threads(6, work)
        assert most == [1] * 6

    def test_a_leaders_lock_lives_as_long_as_its_connection(self, pooled, monkeypatch):
        through = dict(connection.settings_dict)
        direct.use_for_this_process()
        assert "is_pooled" not in connection.settings_dict["OPTIONS"]
        assert is_leader(Lock.OBSERVER)
        lock = "SELECT pg_try_advisory_lock(%s)"
        with psycopg.connect(direct.address(seconds=5), autocommit=True) as other:
            assert other.execute(lock, [Lock.OBSERVER.value]).fetchone() == (False,)
            connection.close()
            assert other.execute(
                "SELECT pg_advisory_lock(%s) IS NOT NULL", [Lock.OBSERVER.value]
            ).fetchone() == (True,)
        connection.settings_dict.update(through)

    def test_the_gate_has_sessions_of_its_own(self, pooled):
        where = conninfo_to_dict(direct.address(seconds=2))
        assert where["host"] == ours.DATABASE_DIRECT["HOST"]
        with psycopg.connect(direct.address(seconds=2)) as own:
            assert own.execute("SHOW statement_timeout").fetchone() == ("1800ms",)


class TestSafeguards:
    def test_do_not_call_encrypted_what_is_so_on_one_side_alone(self, pooled):
        assert ask("SELECT 1") == 1
        assert connection.connection.pgconn.ssl_in_use
        assert states._database_is_encrypted() is False  # the pooler's own side is not


class TestLogin:
    def test_a_password_that_rotates_is_taken_by_the_next_connection(self, pooled, pooler):
        assert ask("SELECT 1") == 1
        pooler.take(connection.settings_dict["USER"], "second")
        assert ask("SELECT 2") == 2  # the connection that there is goes on
        connection.close()
        with pytest.raises(OperationalError, match="(?i)authentication failed"):
            ask("SELECT 3")
        pooled.write_text("second\n")
        assert ask("SELECT 4") == 4


class TestFailover:
    def test_a_request_after_the_cut_finds_the_successor(self, pooled):
        assert ask("SELECT 1") == 1
        with failover.begins():
            close_old_connections()
            assert ask("SHOW transaction_read_only") == "on"
            with pytest.raises(OperationalError), transaction.atomic():
                TeamFactory(slug="refused")
            connection.close()
        connection.close()
        TeamFactory(slug="taken")
        assert [team.slug for team in Team.objects.all()] == ["taken"]
