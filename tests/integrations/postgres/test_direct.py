"""The address at which the gate's event loop finds the portal's database."""

from django.db import connection
from psycopg.conninfo import conninfo_to_dict

from apps.integrations.postgres import direct


class TestAddress:
    def test_is_what_djangos_settings_say_with_how_the_server_is_trusted(self, monkeypatch):
        ours = {
            "NAME": "portal", "USER": "quartermaster_portal", "PASSWORD": "it's a 'secret'",
            "HOST": "db.example.com", "PORT": "6432",
            "OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem",
                        "connect_timeout": 5, "options": "-c statement_timeout=30000"},
        }  # fmt: skip
        for name, value in ours.items():
            monkeypatch.setitem(connection.settings_dict, name, value)
        assert conninfo_to_dict(direct.address(seconds=4)) == {
            "dbname": "portal", "user": "quartermaster_portal", "password": "it's a 'secret'",
            "host": "db.example.com", "port": "6432", "sslmode": "verify-full",
            "sslrootcert": "/etc/ca.pem", "application_name": "quartermaster-gate",
            "connect_timeout": "4", "options": "-c statement_timeout=3600 -c lock_timeout=3600",
        }  # fmt: skip

    def test_leaves_out_what_is_not_set(self, monkeypatch):
        for name in ("USER", "PASSWORD", "PORT"):
            monkeypatch.setitem(connection.settings_dict, name, "")
        found = conninfo_to_dict(direct.address(seconds=1))
        assert not {"user", "password", "port", "sslmode"} & set(found)
        # fewer than two seconds are rounded up by libpq itself, which warns of them
        assert found["connect_timeout"] == "2"
