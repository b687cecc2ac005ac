"""The addresses of the database and the broker: what is wrong in one stops start-up with its name,
and nothing of a password is told.
"""

from dataclasses import astuple

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.env import env_file_of, env_secret
from portal.stores import check_same, env_broker, env_database

URL = "postgresql://portal:s%40cret@db.example.com:6432/quartermaster"


@pytest.fixture
def cafile(tmp_path):
    path = tmp_path / "rds.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    return path


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in ("DB", "DB_PASSWORD", "BROKER", "BROKER_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def database(monkeypatch, url, login="password", **others):
    for name, value in {"DB": url, **others}.items():
        monkeypatch.setenv(name, str(value))
    return env_database("DB", beside="DB_PASSWORD", login=login, options={"options": "-c x=1"})


class TestEnvSecret:
    def test_is_in_the_variable_or_in_the_file_that_another_names(self, monkeypatch, tmp_path):
        monkeypatch.setenv("DB", "here")
        assert (env_secret("DB"), env_file_of("DB")) == ("here", "")
        monkeypatch.delenv("DB")
        (tmp_path / "file").write_text("there\n")
        monkeypatch.setenv("DB_FILE", str(tmp_path / "file"))
        assert (env_secret("DB"), env_file_of("DB")) == ("there", str(tmp_path / "file"))

    def test_is_not_in_both(self, monkeypatch, tmp_path):
        monkeypatch.setenv("DB", "here")
        monkeypatch.setenv("DB_FILE", str(tmp_path / "file"))
        with pytest.raises(ImproperlyConfigured, match="DB and DB_FILE are both set"):
            env_secret("DB")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "DB_FILE cannot be read: No such file"),
            (b"", "DB_FILE names an empty file"),
            (b" \n", "DB_FILE names an empty file"),
            (b"\xff\xfe", "DB_FILE cannot be read: it is no text"),
        ],
    )
    def test_a_file_without_one_stops_start_up(self, monkeypatch, tmp_path, content, words):
        if content is not None:
            (tmp_path / "file").write_bytes(content)
        monkeypatch.setenv("DB_FILE", str(tmp_path / "file"))
        with pytest.raises(ImproperlyConfigured, match=words):
            env_secret("DB", "default")


class TestEnvDatabase:
    def test_reads_an_address_in_djangos_words(self, monkeypatch, cafile):
        found = database(monkeypatch, f"{URL}?sslmode=verify-full&sslrootcert={cafile}")
        assert found == {
            "NAME": "quartermaster", "USER": "portal", "PASSWORD": "s@cret",
            "HOST": "db.example.com", "PORT": "6432",
            "OPTIONS": {"connect_timeout": 5, "options": "-c x=1", "sslmode": "verify-full",
                        "sslrootcert": str(cafile)},
        }  # fmt: skip

    def test_reads_a_socket_and_none_at_all(self, monkeypatch):
        found = database(monkeypatch, "postgresql://portal@/quartermaster?host=/run/postgres")
        assert (found["HOST"], found["PASSWORD"], found["PORT"]) == ("/run/postgres", "", "")
        assert "host" not in found["OPTIONS"]
        monkeypatch.delenv("DB")
        assert env_database("DB", "", beside="DB_PASSWORD", options={}) == {}
        with pytest.raises(ImproperlyConfigured, match="DB is not set"):
            env_database("DB", beside="DB_PASSWORD", options={})

    def test_names_the_file_of_a_password_that_is_read_again(self, monkeypatch, tmp_path):
        (tmp_path / "password").write_text("first\n")
        file = tmp_path / "password"
        found = database(monkeypatch, "postgresql://portal@db/q", DB_PASSWORD_FILE=file)
        assert (found["PASSWORD"], found["OPTIONS"]["password_file"]) == ("first", str(file))

    def test_names_the_file_of_an_address_with_a_password(self, monkeypatch, tmp_path):
        (tmp_path / "url").write_text(URL)
        monkeypatch.setenv("DB_FILE", str(tmp_path / "url"))
        found = env_database("DB", beside="DB_PASSWORD", options={})
        assert found["OPTIONS"]["address_file"] == str(tmp_path / "url")
        (tmp_path / "url").write_text("postgresql://portal@db/q")
        (tmp_path / "password").write_text("its own")
        monkeypatch.setenv("DB_PASSWORD_FILE", str(tmp_path / "password"))
        found = env_database("DB", beside="DB_PASSWORD", options={})
        assert "address_file" not in found["OPTIONS"]
        assert found["OPTIONS"]["password_file"] == str(tmp_path / "password")

    def test_a_token_of_iam_takes_the_place_of_a_password(self, monkeypatch, cafile):
        safe = f"{URL}?sslmode=verify-full&sslrootcert={cafile}"
        found = database(monkeypatch, safe, login="iam", DB_PASSWORD="unused")
        assert (found["PASSWORD"], found["OPTIONS"]["iam"]) == ("", True)

    @pytest.mark.parametrize("mode", ["", "?sslmode=require"])
    def test_a_token_is_shown_to_the_database_alone(self, monkeypatch, mode):
        with pytest.raises(ImproperlyConfigured, match="DB: DATABASE_LOGIN=iam needs sslmode=ver"):
            database(monkeypatch, URL + mode, login="iam")

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            (f"{URL}?sslmod=verify-full", "DB: nothing is known of the parameter sslmod; there "),
            (f"{URL}?sslmode=verify", "DB: sslmode must be one of disable, "),
            (f"{URL}?sslmode=verify-full", "DB: sslmode=verify-full needs sslrootcert"),
            (f"{URL}?sslrootcert=/nowhere", "DB: there is no file /nowhere, which sslrootcert"),
            ("mysql://db/q", "DB must start with one of postgres, postgresql"),
            ("postgresql://portal:s@cret@db:port/q", "DB is no address"),
        ],
    )
    def test_anything_else_stops_start_up_without_telling_it(self, monkeypatch, url, words):
        with pytest.raises(ImproperlyConfigured, match=words) as stopped:
            database(monkeypatch, url)
        assert "cret" not in str(stopped.value)

    def test_two_passwords_are_one_too_many(self, monkeypatch):
        with pytest.raises(ImproperlyConfigured, match="DB has a password, and DB_PASSWORD is"):
            database(monkeypatch, URL, DB_PASSWORD="another")


class TestCheckSame:
    def test_two_addresses_lead_to_one_database_as_one_role(self):
        here = {"NAME": "quartermaster", "USER": "portal"}
        check_same({}, here)
        check_same(here | {"HOST": "other"}, here)
        for changed in ({"NAME": "other"}, {"USER": "owner"}):
            with pytest.raises(ImproperlyConfigured, match="same database and role"):
                check_same(here | changed, here)


class TestEnvBroker:
    def broker(self, monkeypatch, url, **others):
        for name, value in {"BROKER": url, **others}.items():
            monkeypatch.setenv(name, str(value))
        return astuple(env_broker("BROKER", beside="BROKER_PASSWORD"))

    def test_leaves_an_address_without_login_as_it_is(self, monkeypatch):
        plain, celery, login = self.broker(monkeypatch, "redis://cache:6379/0")
        assert plain == celery == "redis://cache:6379/0"
        assert not any(login.values())

    def test_takes_the_login_out_of_the_address(self, monkeypatch, cafile):
        url = f"rediss://portal:s%40cret@cache:6379/1?cafile={cafile}"
        plain, celery, login = self.broker(monkeypatch, url)
        assert plain == "rediss://cache:6379/1"
        assert login == {
            "user": "portal", "password": "s@cret", "address_file": "", "password_file": "",
        }  # fmt: skip
        assert "cret" not in celery
        for part in ("ssl_cert_reqs=required", "ssl_check_hostname=true", "rds.pem", "Login"):
            assert part in celery

    def test_names_the_file_of_a_password_that_is_read_again(self, monkeypatch, tmp_path):
        (tmp_path / "password").write_text("first\n")
        file = tmp_path / "password"
        _, _, login = self.broker(
            monkeypatch, "rediss://portal@cache:6379/1", BROKER_PASSWORD_FILE=file
        )
        assert (login["user"], login["password_file"]) == ("portal", str(file))
        assert login["address_file"] == ""

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("rediss://cache?ssl_cert_reqs=none", "nothing is known of the parameter ssl_cert_re"),
            ("rediss://cache?cafile=/nowhere", "cafile must name a file"),
            ("redis://cache?cafile=/etc/hostname", "cafile must name a file, at a rediss://"),
            ("memcached://cache", "BROKER must start with one of redis, rediss"),
        ],
    )
    def test_anything_else_stops_start_up(self, monkeypatch, url, words):
        with pytest.raises(ImproperlyConfigured, match=words):
            self.broker(monkeypatch, url)
