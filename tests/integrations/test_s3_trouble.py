"""S3 that answers oddly, through the real SDK: what is tried again, what is believed."""

import hashlib
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.catalog.verification import reading
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore
from apps.integrations.s3.types import UploadedPart

BODY = bytes(range(256)) * 8192  # 2 MiB
ERROR = (
    b'<?xml version="1.0"?><Error><Code>%s</Code><Message>odd</Message>'
    b"<RequestId>1</RequestId></Error>"
)


class Odd:
    """What the server does. cuts: after how many bytes each GET breaks off; answers: status and
    error code of the next calls, before anything else.
    """

    def __init__(self):
        self.cuts, self.answers, self.asked = [], [], []


@contextmanager
def serving(odd):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            odd.asked.append(("GET", self.headers.get("Range", "")))
            if odd.answers:
                return self.refuse(*odd.answers.pop(0))
            first = int(re.match(r"bytes=(\d+)-", self.headers["Range"])[1])
            rest = BODY[first:]
            self.send_response(206)
            self.send_header("Content-Length", str(len(rest)))
            self.send_header("Content-Range", f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
            self.end_headers()
            cut = odd.cuts.pop(0) if odd.cuts else len(rest)
            self.wfile.write(rest[:cut])
            if cut < len(rest):
                self.close_connection = True

        def do_POST(self):
            odd.asked.append(("POST", self.path))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.refuse(*odd.answers.pop(0))

        def refuse(self, status, code):
            body = ERROR % code.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def odd():
    return Odd()


@pytest.fixture
def store(odd, monkeypatch):
    # the SDK's own retries wait longer than a test should
    monkeypatch.setattr("apps.integrations.s3.client.ATTEMPTS", 1)
    monkeypatch.setattr(reading, "PAUSE_SECONDS", 0.0)
    with serving(odd) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        yield RegistryStore(bucket="models")


def complete(store):
    store.complete_upload("m/v1/a", "upload", [UploadedPart(1, '"e"', 5)])


class TestReading:
    def test_goes_on_where_it_was_cut_at_99_percent(self, store, odd):
        odd.cuts = [int(len(BODY) * 0.99)]
        read = b"".join(reading.stream(store, "m/v1/a"))
        assert hashlib.sha256(read).digest() == hashlib.sha256(BODY).digest()
        assert len(odd.asked) == 2
        assert int(odd.asked[1][1].removeprefix("bytes=")[:-1]) > len(BODY) * 0.4

    def test_waits_for_one_who_says_slow_down(self, store, odd):
        odd.answers = [(503, "SlowDown")]
        assert b"".join(reading.stream(store, "m/v1/a")) == BODY

    def test_gives_up_on_one_who_says_nothing_else(self, store, odd):
        odd.answers = [(503, "SlowDown")] * 10
        with pytest.raises(TemporaryError, match="busy"):
            list(reading.stream(store, "m/v1/a"))

    def test_does_not_try_again_what_is_refused(self, store, odd):
        odd.answers = [(403, "AccessDenied")]
        with pytest.raises(PermanentError, match="AccessDenied"):
            list(reading.stream(store, "m/v1/a"))
        assert len(odd.asked) == 1


class TestCompletingAnUpload:
    @pytest.mark.parametrize(
        ("status", "code"), [(200, "InternalError"), (200, "SlowDown"), (503, "SlowDown")]
    )
    def test_200_with_an_error_in_its_body_is_no_success(self, store, odd, status, code):
        odd.answers = [(status, code)]
        with pytest.raises(TemporaryError):
            complete(store)

    def test_200_with_a_refusal_in_its_body_is_a_refusal(self, store, odd):
        odd.answers = [(200, "InvalidPart")]
        with pytest.raises((PermanentError, TemporaryError)):
            complete(store)
