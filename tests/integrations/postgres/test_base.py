"""How Django connects: over TLS, with a password of the moment, through a pooler, and while the
server takes no writes.
"""

import hashlib
import hmac
import time
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.accounts.models import Team
from apps.integrations.postgres import login
from apps.integrations.postgres.base import TakesNoWrites
from deploy.local.cluster.pki import Authority
from tests.factories import TeamFactory


def ask(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def option(monkeypatch, **changed):
    options = connection.settings_dict["OPTIONS"] | changed
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()


class TestTls:
    def test_the_certificate_is_that_of_the_name_and_of_its_authority(self, behind_tls):
        with behind_tls():
            assert ask("SELECT 1") == 1
            assert connection.connection.pgconn.ssl_in_use

    def test_another_name_is_refused(self, behind_tls, monkeypatch):
        with behind_tls():
            # the address is the same; nobody has certified this name
            option(monkeypatch, hostaddr="127.0.0.1")
            monkeypatch.setitem(connection.settings_dict, "HOST", "other.example.com")
            with pytest.raises(OperationalError, match="does not match host name"):
                ask("SELECT 1")

    def test_another_authority_is_refused(self, behind_tls, monkeypatch, tmp_path):
        with behind_tls():
            other = Authority(tmp_path).pair.certificate
            option(monkeypatch, sslrootcert=str(other))
            with pytest.raises(OperationalError, match="SSL error"):
                ask("SELECT 1")

    def test_a_server_without_tls_is_refused(self, behind_tls):
        refused = pytest.raises(OperationalError, match="server does not support SSL")
        with behind_tls(has_tls=False), refused:
            ask("SELECT 1")


class TestPassword:
    def test_a_new_connection_takes_what_the_file_says_by_then(
        self, behind_tls, monkeypatch, tmp_path
    ):
        file = tmp_path / "password"
        file.write_text("first secret\n")
        with behind_tls(asks_for_passwords=True) as front:
            option(monkeypatch, password_file=str(file))
            ask("SELECT 1")
            file.write_text("second: 'secret'")
            ask("SELECT 1")  # the connection that there is goes on
            connection.close()
            ask("SELECT 1")
        assert front.passwords == ["first secret", "second: 'secret'"]

    def test_an_address_in_a_file_rotates_too(self, behind_tls, monkeypatch, tmp_path):
        file = tmp_path / "address"
        with behind_tls(asks_for_passwords=True) as front:
            option(monkeypatch, address_file=str(file))
            for password in ("one", "t%40wo"):
                file.write_text(f"postgresql://portal:{password}@db.example.com/quartermaster\n")
                connection.close()
                ask("SELECT 1")
        assert front.passwords == ["one", "t@wo"]

    def test_a_file_that_went_is_a_database_that_is_away(self, monkeypatch, behind_tls):
        with behind_tls():
            option(monkeypatch, password_file="/nowhere/password")  # noqa: S106
            with pytest.raises(OperationalError, match="password cannot be read"):
                ask("SELECT 1")


class TestIam:
    """Tokens of RDS: SigV4 over the name, the port and the user, as AWS documents it."""

    @pytest.fixture
    def signing(self, monkeypatch):
        login._signer.cache_clear()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
        monkeypatch.setenv("AWS_REGION", "us-west-2")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        yield "wJalrXUtnFEMI/K7MDENG"
        login._signer.cache_clear()

    def test_each_connection_shows_a_token_of_its_own_that_the_server_can_verify(
        self, signing, behind_tls, monkeypatch
    ):
        with behind_tls(asks_for_passwords=True) as front:
            user = connection.settings_dict["USER"]
            option(monkeypatch, iam=True)
            ask("SELECT 1")
            time.sleep(1.1)  # tokens tell the second in which they were signed
            connection.close()
            ask("SELECT 1")
            first, second = front.passwords
        assert first != second
        for token in (first, second):
            where = verified(token, secret=signing)
            assert where == {
                "host": f"localhost:{front.port}", "user": user, "region": "us-west-2",
                "seconds": "900",
            }  # fmt: skip

    def test_a_verifier_with_another_secret_takes_none(self, signing):
        token = login.iam_token(host="db.example.com", port=5432, user="portal")
        assert verified(token, secret=signing)["host"] == "db.example.com:5432"
        with pytest.raises(AssertionError):
            verified(token, secret="another")  # noqa: S106
        with pytest.raises(AssertionError):
            verified(token.replace("DBUser=portal", "DBUser=owner"), secret=signing)

    def test_without_keys_the_database_is_away(self, signing, monkeypatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        with pytest.raises(OperationalError, match="AWS gives no token for the database"):
            login.iam_token(host="db.example.com", port=5432, user="portal")


def verified(token, *, secret):
    """Return whom a token is for, as the service verifies it: the signature is computed anew."""
    address = urlsplit(f"https://{token}")
    asked = dict(parse_qsl(address.query, strict_parsing=True))
    signature = asked.pop("X-Amz-Signature")
    canonical = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(asked.items())
    )
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{canonical}\nhost:{address.netloc}\n\nhost\n{nothing}"
    _, day, region, service, end = asked["X-Amz-Credential"].split("/")
    hashed = hashlib.sha256(request.encode()).hexdigest()
    scope = f"{day}/{region}/{service}/{end}"
    text = f"AWS4-HMAC-SHA256\n{asked['X-Amz-Date']}\n{scope}\n{hashed}"
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, end, text):
        key = hmac.digest(key, part.encode(), "sha256")
    assert key.hex() == signature
    assert (service, asked["Action"]) == ("rds-db", "connect")
    return {
        "host": address.netloc, "user": asked["DBUser"], "region": region,
        "seconds": asked["X-Amz-Expires"],
    }  # fmt: skip


@pytest.fixture
def own_connection(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        connection.close()
        yield
        connection.close()


class TestServerThatTakesNoWrites:
    def test_is_told_from_an_error_of_ours(self, own_connection, monkeypatch):
        option(monkeypatch, options="-c default_transaction_read_only=on")
        assert Team.objects.count() >= 0
        with pytest.raises(TakesNoWrites), transaction.atomic():
            TeamFactory(slug="refused")
        assert isinstance(TakesNoWrites(), OperationalError)

    def test_is_left_for_its_successor_by_the_next_request(self, own_connection, monkeypatch):
        option(monkeypatch, options="-c default_transaction_read_only=on")
        with pytest.raises(TakesNoWrites), transaction.atomic():
            TeamFactory(slug="refused")
        # the successor: a new connection would find a server that takes writes
        old = ask("SELECT pg_backend_pid()")
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
        connection.close_if_unusable_or_obsolete()
        assert ask("SELECT pg_backend_pid()") != old
        assert ask("SHOW transaction_read_only") == "off"
        assert connection.is_usable()

    def test_a_connection_that_was_cut_is_not_usable(self, own_connection):
        with pytest.raises((OperationalError, InterfaceError)):
            ask("SELECT pg_terminate_backend(pg_backend_pid())")
        assert not connection.is_usable()
        connection.close()
        assert not connection.is_usable()


class TestBehindAPooler:
    def test_rows_come_at_once_where_no_transaction_holds_a_cursor(
        self, own_connection, monkeypatch
    ):
        option(monkeypatch, is_pooled=True, options=None)
        named = "SELECT count(*) FROM pg_cursors"
        rows = Team.objects.order_by("pk").iterator(chunk_size=1)
        list(rows)
        assert ask(named) == 0
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            cursor.execute("SELECT generate_series(1, 3)")
            assert cursor.fetchone() == (1,)
            assert ask(named) == 1
        with connection.chunked_cursor() as cursor:
            cursor.execute("SELECT generate_series(1, 3)")
            assert [cursor.fetchone(), ask(named)] == [(1,), 0]

    def test_nothing_is_set_at_the_start_of_a_connection(self, own_connection, monkeypatch):
        options = dict(connection.settings_dict["OPTIONS"])
        options.pop("options")
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", options | {"is_pooled": True})
        params = connection.get_connection_params()
        assert "options" not in params and "is_pooled" not in params
        assert params["prepare_threshold"] is None
