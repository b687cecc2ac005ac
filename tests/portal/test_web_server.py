"""The portal behind its real web server, spoken to over bare sockets: bodies without a length, and
a provider that hangs.
"""

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from apps.metering.otlp import MOST_RECORDS
from deploy.local.stack.ports import free_port
from deploy.local.stack.product import web_command
from tests.accounts.slow_idp import running, signing_key
from tests.metering.test_ingest import TOKEN, framed

START_SECONDS = 60.0


@pytest.fixture(scope="module")
def idp():
    with running() as provider:
        yield provider


@pytest.fixture(scope="module")
def port(idp, tmp_path_factory):
    """The port of a portal whose provider is `idp`. Nothing here may write to its database."""
    env = os.environ | {"OIDC_ISSUER": idp.url}
    found = free_port()
    log = (tmp_path_factory.mktemp("web") / "log").open("wb")
    child = subprocess.Popen(
        web_command(sys.executable, found), env=env, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        until = time.monotonic() + START_SECONDS
        while not _healthy(found) and time.monotonic() < until:
            time.sleep(0.2)
        assert _healthy(found)
        yield found
    finally:
        child.terminate()
        child.wait(20)
        log.close()


def _healthy(port):
    try:
        return _ask(port, "GET", "/healthz")[0] == 200
    except OSError:
        return False


def _ask(port, method, path, body=None, **headers):
    """Return status, headers and body of an answer."""
    there = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        there.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = there.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        there.close()


def _chunked(port, path, body, **headers):
    """POST a body in chunks over a socket of one's own; return status, headers and body."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Transfer-Encoding: chunked"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as there:
        there.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        # who is refused by the head alone may be answered, and hung up on, before the body is sent
        with suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(body), 1000):
                piece = body[start : start + 1000]
                there.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            there.sendall(b"0\r\n\r\n")
        answer = http.client.HTTPResponse(there)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def _too_many(size=0):
    """Return a batch of one record too many, each of `size` bytes: it is counted to its end, and
    nothing of it is stored.
    """
    return framed(*[bytes(size)] * (MOST_RECORDS + 1))


class TestBodies:
    HEADERS = {"Authorization": TOKEN, "Content_Type": "application/x-protobuf"}

    def test_in_chunks_are_refused_at_the_door_for_usage(self, port):
        status, headers, said = _chunked(port, "/v1/logs", _too_many(), **self.HEADERS)
        assert (status, headers["Content-Type"]) == (411, "text/plain; charset=utf-8")
        assert b"Content-Length" in said

    def test_with_a_length_are_read_there(self, port):
        status, _, said = _ask(port, "POST", "/v1/logs", _too_many(), **self.HEADERS)
        assert (status, said) == (413, b"A batch may hold 20000 records at most.")
        packed = gzip.compress(_too_many())
        status, _, said = _ask(
            port, "POST", "/v1/logs", packed, Content_Encoding="gzip", **self.HEADERS
        )
        assert (status, said) == (413, b"A batch may hold 20000 records at most.")

    def test_in_chunks_are_refused_at_the_api_with_a_problem(self, port):
        status, headers, body = _chunked(
            port, "/api/v1/models", b'{"name": "x"}', Content_Type="application/json"
        )
        assert (status, headers["Content-Type"]) == (411, "application/problem+json")
        problem = json.loads(body)
        assert problem["code"] == "length_required"
        assert problem["request_id"] == headers["X-Request-Id"]

    def test_of_more_than_django_would_take_reach_the_door_for_usage(self, port):
        """Django's own limit for a body is lower than this door's."""
        big = _too_many(1100)
        assert len(big) > 20 * 1024 * 1024
        status, _, said = _ask(port, "POST", "/v1/logs", big, **self.HEADERS)
        assert (status, said) == (413, b"A batch may hold 20000 records at most.")


class TestAProviderThatHangs:
    def test_leaves_health_alone_and_known_keys_good(self, port, idp):
        known, unknown = signing_key("known"), signing_key("unknown")
        idp.keys = [known]

        def me(key):
            began = time.monotonic()
            token = f"Bearer {idp.token(key, groups=[])}"  # 403: verified, and nobody we know
            status, headers, body = _ask(port, "GET", "/api/v1/me", Authorization=token)
            return status, headers, json.loads(body), time.monotonic() - began

        assert me(known)[0] == 403
        time.sleep(10.1)  # the keys were read a moment ago: until then nobody asks for them again
        idp.hangs = True
        asked = len(idp.asked)
        began = time.monotonic()
        slowest = 0.0
        with ThreadPoolExecutor(10) as strangers:
            answers = [strangers.submit(me, unknown) for _ in range(10)]
            while not all(answer.done() for answer in answers):
                at = time.monotonic()
                assert _ask(port, "GET", "/healthz")[0] == 200
                slowest = max(slowest, time.monotonic() - at)
                assert me(known)[0] == 403
        assert time.monotonic() - began < 8
        assert slowest < 2
        for status, headers, problem, _ in (answer.result() for answer in answers):
            assert (status, problem["code"]) == (503, "identity_provider_unavailable")
            assert headers["Content-Type"] == "application/problem+json"
            assert int(headers["Retry-After"]) >= 1
        assert len(idp.asked) == asked + 1
