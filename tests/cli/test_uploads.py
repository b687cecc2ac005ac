"""Sending a file's parts: how much of it is held at once."""

import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.cli import folder, uploads
from apps.cli.names import VersionName
from apps.cli.progress import Progress
from apps.cli.storage import Storage
from apps.cli.uploads import AT_ONCE, Sender
from apps.common.model_manifest import PART_SIZE


class Taker(BaseHTTPRequestHandler):
    """Takes parts and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        self.send_response(200)
        self.send_header("ETag", "tag")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def taker():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class Leaves:
    """A portal that gives leave for everything, and says that what it gave leave for is there."""

    def __init__(self, url):
        self.url, self.there = url, []

    def send(self, path, body=None, *, repeatable):
        if path.endswith("/received"):
            return {"parts": list(self.there)}
        self.there += [one["part"] for one in body["parts"]]
        headers = {"Content-Length": str(PART_SIZE)}
        return {"parts": [{**one, "url": self.url, "headers": headers} for one in body["parts"]]}


def peak_of(taker, path, parts):
    """Send a file of so many parts; return the most bytes that were held at once."""
    with path.open("wb") as stream:
        stream.truncate(parts * PART_SIZE)
    s3 = Storage(at_once=AT_ONCE)
    tracemalloc.start()
    try:
        local = folder.read_file(path, tell=lambda count: None)
        progress = Progress("Sending", local.entry.size, quiet=True)
        Sender(Leaves(taker), s3, VersionName("m", 1), progress).send(local)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        s3.close()


def test_memory_is_the_same_whatever_the_size(taker, tmp_path):
    peaks = [peak_of(taker, tmp_path / "weights", parts) for parts in (8, 24)]
    assert max(peaks) < (AT_ONCE + 3) * PART_SIZE
    assert peaks[1] - peaks[0] < 2 * PART_SIZE


def test_begins_no_part_after_an_interruption(tmp_path, monkeypatch):
    path, sent = tmp_path / "weights", []
    with path.open("wb") as stream:
        stream.truncate(12 * PART_SIZE)

    class Slow:
        def put(self, leave, block, name):
            sent.append(leave.number)
            time.sleep(0.05)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(uploads, "wait", interrupted)
    local = folder.read_file(path, tell=lambda count: None)
    progress = Progress("Sending", local.entry.size, quiet=True)
    with pytest.raises(KeyboardInterrupt):
        Sender(Leaves(""), Slow(), VersionName("m", 1), progress).send(local)
    assert len(sent) <= 2 * AT_ONCE
