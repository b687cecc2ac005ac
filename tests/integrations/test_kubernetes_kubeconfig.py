"""Kubeconfigs of somebody else's clusters: exec plugins, token files, CA files, proxies, and what
is refused.
"""

import base64
import json
import logging
import os
import ssl
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from traceback import format_exception

import pytest
import trustme
import yaml

from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes import config, connection, credentials
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.connection import connection_from_kubeconfig
from apps.integrations.kubernetes.credentials import Plugin, command_of
from apps.integrations.kubernetes.types import Kind

V1 = "client.authentication.k8s.io/v1"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
# Counts its calls in a file, keeps what it was told beside it, and answers with a token that says
# which call it was.
PLUGIN = """
import json, os, pathlib, sys
count = pathlib.Path(sys.argv[1])
calls = int(count.read_text() or 0) + 1 if count.exists() else 1
count.write_text(str(calls))
count.with_suffix(".info").write_text(os.environ["KUBERNETES_EXEC_INFO"])
status = {"token": f"{os.environ.get('PREFIX', 'token')}-{calls}"}
if len(sys.argv) > 2:
    status["expirationTimestamp"] = sys.argv[2]
version = "client.authentication.k8s.io/v1"
print(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))
"""


class Door:
    """An API server that lets in whoever holds a token of `accepted`, or shows a certificate whose
    name is in it; `seen` keeps each token or name and path, `headers` each call's.
    """

    def __init__(self, authority=None):
        self.accepted, self.seen, self.headers = set(), [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
                who = token or outer.shown_by(self.connection)
                outer.seen.append((who, self.path))
                outer.headers.append(dict(self.headers))
                status, body = (200, b'{"items": []}') if who in outer.accepted else (401, b"{}")
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if authority is not None:
            context, scheme = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "https"
            authority.issue_cert("127.0.0.1").configure_cert(context)
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_OPTIONAL
            # each thread shakes hands itself: who leaves meanwhile must not hold up the server
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.address = f"{scheme}://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @staticmethod
    def shown_by(connection):
        """Return the name in the certificate that a client showed."""
        shown = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
        return shown["subjectAltName"][0][1] if shown else ""

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def door():
    found = Door()
    yield found
    found.close()


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def tls_door(authority):
    found = Door(authority)
    yield found
    found.close()


def inline(blob):
    return base64.b64encode(blob.bytes()).decode()


def written(folder, cluster, user):
    path = folder / "config"
    context = {"name": "c", "context": {"cluster": "k", "user": "u"}}
    config = {"current-context": "c", "contexts": [context]}
    config |= {
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def plugin_user(folder, *arguments, **more):
    script = folder / "plugin.py"
    script.write_text(PLUGIN)
    call = {
        "apiVersion": V1,
        "command": sys.executable,
        "args": [str(script), str(folder / "calls"), *arguments],
    }
    return {"exec": call | more}


def command(program, code):
    section = {"apiVersion": V1, "command": program, "args": ["-c", code]}
    return command_of(section, {}, Path("/tmp/config"))


@pytest.fixture
def asked(tmp_path):
    """Return how often the plugin was asked."""
    return lambda: int((tmp_path / "calls").read_text())


# Answers with the pair of a certificate and a key that lies beside it, another one at each call.
PAIRS = """
import json, pathlib, sys
count = pathlib.Path(sys.argv[1])
calls = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(calls))
status = json.loads(count.with_name(f"pair-{calls}").read_text())
version = "client.authentication.k8s.io/v1"
print(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))
"""
OPENED = []


def reader_of(path):
    OPENED.append(connection_from_kubeconfig(path))
    return KubernetesReader(lambda made=OPENED[-1]: made)


@pytest.fixture(autouse=True)
def closed():
    yield
    while OPENED:
        OPENED.pop().close()


class TestExecPlugin:
    def test_is_asked_once_and_its_token_is_kept(self, door, tmp_path, asked):
        door.accepted = {"pre-1"}
        user = plugin_user(tmp_path, env=[{"name": "PREFIX", "value": "pre"}])
        reader = reader_of(written(tmp_path, {"server": door.address}, user))
        for _ in range(3):
            assert reader.list(Kind.NODE) == []
        assert asked() == 1
        info = json.loads((tmp_path / "calls.info").read_text())
        assert info == {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}}

    def test_is_asked_again_when_the_token_is_refused_and_the_call_still_works(
        self, door, tmp_path, asked
    ):
        door.accepted = {"token-1"}
        reader = reader_of(written(tmp_path, {"server": door.address}, plugin_user(tmp_path)))
        reader.list(Kind.NODE)
        door.accepted = {"token-2"}  # revoked
        assert reader.list(Kind.NODE) == []
        assert [token for token, _ in door.seen] == ["token-1", "token-1", "token-2"]

    def test_is_not_asked_for_ever(self, door, tmp_path, asked):
        reader = reader_of(written(tmp_path, {"server": door.address}, plugin_user(tmp_path)))
        with pytest.raises(TemporaryError, match="renew"):
            reader.list(Kind.NODE)
        assert asked() == 2

    def test_is_asked_again_shortly_before_the_end(self, tmp_path, asked):
        ends = NOW + timedelta(minutes=14)
        call = plugin_user(tmp_path, ends.isoformat())["exec"]
        times = iter([ends - timedelta(seconds=61), ends - timedelta(seconds=59)])
        made = Plugin(command_of(call, {}, tmp_path / "config"), clock=lambda: next(times))
        assert [made().token for _ in range(3)] == ["token-1", "token-1", "token-2"]

    def test_learns_of_the_cluster_where_the_kubeconfig_says_so(self, door, tmp_path):
        door.accepted = {"token-1"}
        extension = {
            "name": "client.authentication.k8s.io/exec",
            "extension": {"region": "us-east-1"},
        }
        cluster = {"server": door.address, "extensions": [extension]}
        reader_of(written(tmp_path, cluster, plugin_user(tmp_path, provideClusterInfo=True))).list(
            Kind.NODE
        )
        told = json.loads((tmp_path / "calls.info").read_text())["spec"]["cluster"]
        assert told == {"server": door.address, "config": {"region": "us-east-1"}}

    def test_may_give_certificates_instead_and_a_renewed_one_is_shown(
        self, tls_door, authority, tmp_path
    ):
        for number in (1, 2):
            pair = authority.issue_cert(f"portal-{number}.example")
            (tmp_path / f"pair-{number}").write_text(
                json.dumps(
                    {
                        "clientCertificateData": pair.cert_chain_pems[0].bytes().decode(),
                        "clientKeyData": pair.private_key_pem.bytes().decode(),
                    }
                )
            )
        user = plugin_user(tmp_path)
        (tmp_path / "plugin.py").write_text(PAIRS)
        cluster = {
            "server": tls_door.address,
            "certificate-authority-data": inline(authority.cert_pem),
        }
        reader = reader_of(written(tmp_path, cluster, user))
        tls_door.accepted = {"portal-1.example"}
        assert reader.list(Kind.NODE) == reader.list(Kind.NODE) == []
        tls_door.accepted = {"portal-2.example"}  # the first one was revoked
        assert reader.list(Kind.NODE) == []
        assert [who for who, _ in tls_door.seen] == [
            "portal-1.example",
            "portal-1.example",
            "portal-1.example",
            "portal-2.example",
        ]

    def test_is_asked_once_by_threads_that_start_together(self, door, tmp_path, asked):
        door.accepted = {"token-1"}
        reader = reader_of(written(tmp_path, {"server": door.address}, plugin_user(tmp_path)))
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: reader.list(Kind.NODE), range(8))) == [[]] * 8
        assert asked() == 1

    def test_is_found_beside_the_kubeconfig_and_asked_only_when_needed(self, door, tmp_path):
        program = tmp_path / "plugin"
        program.write_text(f"#!{sys.executable}\nimport sys; sys.exit('asked too early')")
        program.chmod(0o755)
        user = {"exec": {"apiVersion": V1, "command": "./plugin"}}
        reader = reader_of(written(tmp_path, {"server": door.address}, user))
        with pytest.raises(TemporaryError, match="plugin ended with 1: asked too early"):
            reader.list(Kind.NODE)

    @pytest.mark.parametrize(
        ("program", "code", "words"),
        [
            ("aws-not-here", "", "aws-not-here is not installed here. Install the AWS CLI."),
            (
                sys.executable,
                "import sys; sys.exit('Unable to locate credentials')",
                "ended with 1: Unable to locate",
            ),
            (sys.executable, "print('hello')", "did not print an ExecCredential"),
            (sys.executable, "print('[]')", "did not print an ExecCredential"),
            (
                sys.executable,
                'print(\'{"kind": "ExecCredential", "status": {"token": "t"}}\')',
                "answered for",
            ),
            (sys.executable, "import time; time.sleep(60)", "did not answer within 1 s"),
        ],
        ids=["missing", "failing", "no json", "odd json", "another version", "slow"],
    )
    def test_says_in_words_why_there_is_no_credential(self, monkeypatch, program, code, words):
        monkeypatch.setattr(credentials, "SECONDS", 1.0)
        with pytest.raises(TemporaryError, match=words) as error:
            credentials.ask(command(program, code), "Install the AWS CLI.")
        assert error.value.retry_after == 15

    def test_keeps_tokens_out_of_errors(self):
        secret = "k8s-aws-v1." + base64.b64encode(b"x" * 60).decode()
        program = f"import sys; print('{secret}'); sys.exit('refused: {secret}')"
        with pytest.raises(TemporaryError) as error:
            credentials.ask(command(sys.executable, program))
        assert secret not in str(error.value)
        assert error.value.__context__ is None or secret not in str(error.value.__context__)


class TestSecrets:
    def test_stay_out_of_the_log_and_off_the_disk(self, door, tmp_path, caplog, monkeypatch):
        # the client quiets this one's parent where somebody sets its debug
        caplog.set_level(logging.DEBUG, logger="urllib3.connectionpool")
        caplog.set_level(logging.DEBUG)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        users = [
            {"token": "canary-fixed"},
            plugin_user(tmp_path, env=[{"name": "PREFIX", "value": "canary-given"}]),
        ]
        for user in users:
            with pytest.raises(TemporaryError) as error:
                reader_of(written(tmp_path, {"server": door.address}, user)).list(Kind.NODE)
            assert "canary" not in "".join(format_exception(error.value))
        assert [token for token, _ in door.seen] == [
            "canary-fixed",
            "canary-given-1",
            "canary-given-2",
        ]
        assert "/api/v1/nodes" in caplog.text
        assert "canary" not in caplog.text
        assert list(scratch.iterdir()) == []


class TestRead:
    def test_takes_a_token_from_a_file_that_rotates(self, door, tmp_path):
        door.accepted = {"a", "b"}
        (tmp_path / "token").write_text("a\n")
        reader = reader_of(written(tmp_path, {"server": door.address}, {"tokenFile": "token"}))
        reader.list(Kind.NODE)
        (tmp_path / "token").write_text("b\n")
        reader.list(Kind.NODE)
        assert [token for token, _ in door.seen] == ["a", "b"]
        (tmp_path / "token").unlink()
        with pytest.raises(TemporaryError, match="token cannot be read"):
            reader.list(Kind.NODE)

    def test_trusts_the_authority_of_a_file_beside_it_and_nobody_else(
        self, tls_door, authority, tmp_path
    ):
        tls_door.accepted = {"t"}
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        cluster = {"server": tls_door.address, "certificate-authority": "ca.crt"}
        assert reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE) == []
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
        with pytest.raises(TemporaryError, match="cannot be reached"):
            reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE)

    @pytest.mark.parametrize("is_inline", [True, False], ids=["inline", "files beside it"])
    def test_shows_a_client_certificate_and_leaves_no_key_behind(
        self, tls_door, authority, tmp_path, monkeypatch, is_inline
    ):
        tls_door.accepted = {"portal.example"}
        pair = authority.issue_cert("portal.example")
        parts = {"client-certificate": pair.cert_chain_pems[0], "client-key": pair.private_key_pem}
        cluster = {
            "server": tls_door.address,
            "certificate-authority-data": inline(authority.cert_pem),
        }
        if is_inline:
            user = {f"{name}-data": inline(blob) for name, blob in parts.items()}
        else:
            user = {name: f"{name}.pem" for name in parts}
            for name, blob in parts.items():
                blob.write_to_path(tmp_path / f"{name}.pem")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        for _ in range(2):  # the second reading meets what the package remembers of the first
            assert reader_of(written(tmp_path, cluster, user)).list(Kind.NODE) == []
        assert tls_door.seen == [("portal.example", "/api/v1/nodes")] * 2
        assert list(scratch.iterdir()) == []

    def test_trusts_nobody_by_default_that_the_machine_does_not(self, tls_door, tmp_path):
        tls_door.accepted = {"t"}
        cluster = {"server": tls_door.address, "certificate-authority-data": ""}
        with pytest.raises(TemporaryError, match="cannot be reached"):
            reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE)
        assert tls_door.seen == []

    def test_takes_an_authority_by_file_beside_empty_data(self, tls_door, authority, tmp_path):
        tls_door.accepted = {"t"}
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        cluster = {
            "server": tls_door.address,
            "certificate-authority": "ca.crt",
            "certificate-authority-data": "",
        }
        assert reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE) == []

    def test_takes_a_tokens_file_before_a_token(self, door, tmp_path):
        door.accepted = {"of-the-file"}
        (tmp_path / "token").write_text("of-the-file\n")
        user = {"token": "fixed", "tokenFile": "token"}
        assert reader_of(written(tmp_path, {"server": door.address}, user)).list(Kind.NODE) == []

    def test_calls_a_server_below_a_path(self, door, tmp_path):
        door.accepted = {"t"}
        cluster = {"server": f"{door.address}/k8s/clusters/c-1/"}
        reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE)
        assert door.seen == [("t", "/k8s/clusters/c-1/api/v1/nodes")]

    def test_keeps_a_token_that_cannot_be_sent_out_of_the_error(self, door, tmp_path):
        user = {"token": "secret\ncanary"}
        with pytest.raises(TemporaryError, match="no token can hold") as error:
            reader_of(written(tmp_path, {"server": door.address}, user)).list(Kind.NODE)
        assert "canary" not in "".join(format_exception(error.value))
        assert door.seen == []

    def test_takes_a_certificate_that_was_renewed_beside_it(self, tmp_path, settings):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        cluster = {"server": "https://cluster.invalid", "certificate-authority": "ca.crt"}
        settings.KUBECONFIG = str(written(tmp_path, cluster, {"token": "t"}))
        first = connection.connection_from_settings()
        assert connection.connection_from_settings() is first
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
        os.utime(tmp_path / "ca.crt", ns=(1, 1))
        OPENED.extend((first, connection.connection_from_settings()))
        assert OPENED[-1] is not first

    def test_is_read_once_by_threads_that_start_together(self, authority, tmp_path, settings):
        cluster = {"server": "https://x.invalid", "certificate-authority-data": inline(
            authority.cert_pem
        )}  # fmt: skip
        settings.KUBECONFIG = str(written(tmp_path, cluster, {"token": "t"}))
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: connection.connection_from_settings(), range(8)))
        OPENED.extend(found)
        assert len(found) == 1

    def test_goes_through_the_proxy_that_it_names(self, door, tmp_path):
        door.accepted = {"t"}
        cluster = {"server": "http://cluster.invalid", "proxy-url": door.address}
        assert reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE) == []
        assert door.seen == [("t", "http://cluster.invalid/api/v1/nodes")]

    def test_says_its_name_to_the_proxy_that_asks_for_it(self, door, tmp_path):
        door.accepted = {"t"}
        proxy = door.address.replace("//", "//portal:p%40ss@")
        cluster = {"server": "http://cluster.invalid", "proxy-url": proxy}
        reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE)
        named = base64.b64encode(b"portal:p@ss").decode()
        assert door.headers[0]["proxy-authorization"] == f"Basic {named}"

    def test_goes_through_no_proxy_that_it_does_not_name(self, door, tmp_path, monkeypatch):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        door.accepted = {"t"}
        reader_of(written(tmp_path, {"server": door.address}, {"token": "t"})).list(Kind.NODE)
        assert door.seen == [("t", "/api/v1/nodes")]

    def test_goes_through_its_proxy_whatever_the_environment_leaves_out(
        self, door, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("no_proxy", "*")
        door.accepted = {"t"}
        cluster = {"server": "http://cluster.invalid", "proxy-url": door.address}
        reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE)
        assert door.seen == [("t", "http://cluster.invalid/api/v1/nodes")]

    @pytest.mark.parametrize(
        ("cluster", "user", "words"),
        [
            (
                {"insecure-skip-tls-verify": True},
                {},
                "insecure-skip-tls-verify, which is not supported. Anybody",
            ),
            ({"tls-server-name": "other"}, {}, "tls-server-name"),
            ({"proxy-url": "socks5://127.0.0.1:1"}, {}, "proxy-url"),
            ({"certificate-authority": "nowhere"}, {}, "File does not exist"),
            (
                {"certificate-authority-data": "bm90IHBlbQ=="},
                {},
                "certificate in it cannot be read",
            ),
            ({}, {"username": "admin", "password": "hunter2"}, "username"),
            ({}, {"auth-provider": {"name": "gcp"}}, "auth-provider"),
            ({}, {"as": "system:admin"}, "as, which is not supported"),
            ({}, {"as-groups": ["system:masters"]}, "as-groups, which is not supported"),
            ({}, {"client-certificate-data": "bm90IHBlbQ=="}, "certificate in it cannot be read"),
            ({}, {"client-key-data": "%"}, "certificate in it"),
            (
                {},
                {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "aws"}},
                "must name",
            ),
            ({}, {"exec": "aws eks get-token"}, "not described as it should be"),
            (
                {},
                {"exec": {"apiVersion": V1, "command": "aws", "env": [{"value": "a"}]}},
                "not described as it should be",
            ),
            (
                {},
                {"exec": {"apiVersion": V1, "command": "aws", "interactiveMode": "Always"}},
                "wants a terminal",
            ),
        ],
    )
    def test_refuses_what_it_would_have_to_ignore(self, tmp_path, cluster, user, words):
        with pytest.raises(TemporaryError, match=words) as error:
            config.from_kubeconfig(
                written(tmp_path, {"server": "https://127.0.0.1:1"} | cluster, user)
            )
        assert "hunter2" not in str(error.value)


@pytest.fixture
def pod(tmp_path, monkeypatch, tls_door, authority):
    """Make this a pod of the door's cluster: its account's files, and the server's address."""
    host, _, port = tls_door.address.removeprefix("https://").partition(":")
    monkeypatch.setattr(config, "POD_FILES", tmp_path)
    monkeypatch.setitem(os.environ, "KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setitem(os.environ, "KUBERNETES_SERVICE_PORT", port)
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "token").write_text("first\n")
    tls_door.accepted = {"first", "second"}
    return tls_door


class TestInCluster:
    def test_reads_the_rotating_token_of_its_pod_at_each_call(self, pod, tmp_path):
        OPENED.append(connection.connection_in_cluster())
        reader = KubernetesReader(lambda: OPENED[-1])
        reader.list(Kind.NODE)
        (tmp_path / "token").write_text("second\n")
        reader.list(Kind.NODE)
        assert [token for token, _ in pod.seen] == ["first", "second"]

    def test_takes_the_authority_that_was_renewed(self, pod, tmp_path, settings):
        settings.KUBECONFIG = ""
        first = connection.connection_from_settings()
        assert connection.connection_from_settings() is first
        os.utime(tmp_path / "ca.crt", ns=(1, 1))
        OPENED.extend((first, connection.connection_from_settings()))
        assert OPENED[-1] is not first

    @pytest.mark.parametrize("lacks", ["token", "ca.crt", "address"])
    def test_says_that_there_is_no_credential_outside_a_pod(
        self, pod, tmp_path, monkeypatch, lacks
    ):
        if lacks == "address":
            monkeypatch.delitem(os.environ, "KUBERNETES_SERVICE_HOST")
        else:
            (tmp_path / lacks).unlink()
        with pytest.raises(TemporaryError, match="KUBECONFIG is not set and this is not a pod"):
            connection.connection_in_cluster()
