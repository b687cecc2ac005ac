"""Kubeconfigs of somebody else's clusters: exec plugins, token files, CA files, proxies, and what
is refused.
"""

import base64
import json
import os
import ssl
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import trustme
import yaml

from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes import client, exec_plugin, kubeconfig
from apps.integrations.kubernetes.client import KubernetesReader, connection_from_kubeconfig
from apps.integrations.kubernetes.exec_plugin import Command, ExecPlugin
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
    """An API server that lets in whoever holds a token of `accepted`; `seen` keeps each token and
    path.
    """

    def __init__(self, authority=None):
        self.accepted, self.seen = set(), []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
                outer.seen.append((token, self.path))
                status, body = (200, b'{"items": []}') if token in outer.accepted else (401, b"{}")
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if authority is not None:
            context, scheme = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "https"
            authority.issue_cert("127.0.0.1").configure_cert(context)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"{scheme}://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def door():
    found = Door()
    yield found
    found.close()


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


@pytest.fixture
def asked(tmp_path):
    """Return how often the plugin was asked."""
    return lambda: int((tmp_path / "calls").read_text())


OPENED = []


def reader_of(path):
    OPENED.append(connection_from_kubeconfig(path))
    return KubernetesReader(lambda made=OPENED[-1]: made)


@pytest.fixture(autouse=True)
def closed():
    yield
    while OPENED:
        OPENED.pop().http.close()


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
        made = ExecPlugin(Command(call["command"], tuple(call["args"])), clock=lambda: next(times))
        assert [made.credential().token for _ in range(3)] == ["token-1", "token-1", "token-2"]

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

    def test_may_give_a_certificate_instead(self, tmp_path):
        authority = trustme.CA()
        pair = authority.issue_cert("portal.example")
        certificate, key = (
            pair.cert_chain_pems[0].bytes().decode(),
            pair.private_key_pem.bytes().decode(),
        )
        context, loaded = ssl.create_default_context(), []
        context.load_cert_chain = lambda path: loaded.append(Path(path).read_text())
        status = {"clientCertificateData": certificate, "clientKeyData": key}
        answer = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})
        made = ExecPlugin(
            Command(sys.executable, ("-c", f"print({answer!r})")), ssl_context=context
        )
        request = httpx.Request("GET", "http://127.0.0.1")
        next(made.auth_flow(request))
        assert loaded == [f"{certificate}\n{key}\n"]
        assert "Authorization" not in request.headers

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
        monkeypatch.setattr(exec_plugin, "SECONDS", 1.0)
        command = Command(program, ("-c", code), install_hint="Install the AWS CLI.")
        with pytest.raises(TemporaryError, match=words) as error:
            exec_plugin.ask(command)
        assert error.value.retry_after == 15

    def test_keeps_tokens_out_of_errors(self):
        secret = "k8s-aws-v1." + base64.b64encode(b"x" * 60).decode()
        program = f"import sys; print('{secret}'); sys.exit('refused: {secret}')"
        with pytest.raises(TemporaryError) as error:
            exec_plugin.ask(Command(sys.executable, ("-c", program)))
        assert secret not in str(error.value)
        assert error.value.__context__ is None or secret not in str(error.value.__context__)


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

    def test_trusts_the_authority_of_a_file_beside_it_and_nobody_else(self, tmp_path):
        authority, door = trustme.CA(), None
        try:
            door = Door(authority)
            door.accepted = {"t"}
            authority.cert_pem.write_to_path(tmp_path / "ca.crt")
            cluster = {"server": door.address, "certificate-authority": "ca.crt"}
            assert reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE) == []
            trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
            with pytest.raises(TemporaryError, match="cannot be reached"):
                reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE)
        finally:
            if door:
                door.close()

    def test_takes_a_certificate_that_was_renewed_beside_it(self, tmp_path, settings):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        cluster = {"server": "https://cluster.invalid", "certificate-authority": "ca.crt"}
        settings.KUBECONFIG = str(written(tmp_path, cluster, {"token": "t"}))
        first = client.connection_from_settings()
        assert client.connection_from_settings() is first
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
        os.utime(tmp_path / "ca.crt", ns=(1, 1))
        OPENED.extend((first, client.connection_from_settings()))
        assert OPENED[-1] is not first

    def test_goes_through_the_proxy_that_it_names(self, door, tmp_path):
        door.accepted = {"t"}
        cluster = {"server": "http://cluster.invalid", "proxy-url": door.address}
        assert reader_of(written(tmp_path, cluster, {"token": "t"})).list(Kind.NODE) == []
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
            ({"certificate-authority": "nowhere"}, {}, "No such file"),
            (
                {"certificate-authority-data": "bm90IHBlbQ=="},
                {},
                "certificate in it cannot be read",
            ),
            ({}, {"username": "admin", "password": "hunter2"}, "username"),
            ({}, {"auth-provider": {"name": "gcp"}}, "auth-provider"),
            ({}, {"as": "system:admin"}, "as, which is not supported"),
            (
                {},
                {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "aws"}},
                "must name",
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
            kubeconfig.read(written(tmp_path, {"server": "https://127.0.0.1:1"} | cluster, user))
        assert "hunter2" not in str(error.value)


class TestInCluster:
    def test_reads_the_rotating_token_of_its_pod_at_each_call(self, tmp_path, monkeypatch):
        monkeypatch.setattr(client, "POD_FILES", tmp_path)
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
        (tmp_path / "token").write_text("first\n")
        connection = client.connection_in_cluster()
        try:
            assert connection.headers() == {"Authorization": "Bearer first"}
            (tmp_path / "token").write_text("second\n")
            assert connection.headers() == {"Authorization": "Bearer second"}
        finally:
            connection.http.close()

    def test_says_that_there_is_no_credential_outside_a_pod(self, tmp_path, monkeypatch):
        monkeypatch.setattr(client, "POD_FILES", tmp_path)
        with pytest.raises(TemporaryError, match="KUBECONFIG is not set and this is not a pod"):
            client.connection_in_cluster()
