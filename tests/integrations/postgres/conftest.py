"""The tests' own PostgreSQL behind TLS, with a certificate that the tests make."""

import asyncio
from contextlib import contextmanager

import pytest
from django.db import connection

from deploy.local.cluster.pki import Authority
from tests.tls_front import Front, fronted


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Whose certificates a database shows."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def behind_tls(authority, monkeypatch, django_db_setup, django_db_blocker):
    """Lead this test's connections through TLS, under a name; give the front."""

    @contextmanager
    def lead(name="localhost", *, has_tls=True, **options):
        facts = connection.get_connection_params()
        host, port = str(facts["host"]), int(facts.get("port") or 5432)

        async def real():
            if host.startswith("/"):
                return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            return await asyncio.open_connection(host, port)

        pair = authority.server("database") if has_tls else None
        front = Front(real, pair, is_postgres=True, **options)
        with fronted(front), django_db_blocker.unblock():
            connection.close()
            trust = {"sslmode": "verify-full", "sslrootcert": str(authority.pair.certificate)}
            options = connection.settings_dict["OPTIONS"] | trust
            changed = {"HOST": name, "PORT": str(front.port), "OPTIONS": options}
            for key, value in changed.items():
                monkeypatch.setitem(connection.settings_dict, key, value)
            try:
                yield front
            finally:
                connection.close()

    return lead
