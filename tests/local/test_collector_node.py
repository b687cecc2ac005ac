"""deploy/collector/node.yaml on the real Collector: the gateway's log on disk arrives as the very
calls that its lines tell of.
"""

import gzip
import json
import os
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from uuid import uuid4

import pytest

from apps.metering.follow import read_lines
from apps.metering.otlp import read_batch
from deploy.local import platform
from tests.local.gateway_doubles import served
from tests.local.gateway_stand import ROOT, eventually
from tests.metering.test_access_log import CALL

CONFIG = ROOT / "deploy" / "collector" / "node.yaml"
PROGRAM = platform.binaries(os.environ) / "otelcol"
HEAD = "2026-11-02T09:15:30.123456789Z"


def reads_files():
    if not PROGRAM.exists():
        return False
    found = subprocess.run([PROGRAM, "components"], capture_output=True, text=True, check=True)
    return "file_log" in found.stdout


pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not reads_files(), reason="no Collector that reads files is built yet"),
]


class Portal:
    """Takes batches, and keeps the entries that our own reader finds in them."""

    def __init__(self):
        self.entries = []

    def handler(self):
        entries = self.entries

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["content-length"]))
                entries.extend(read_batch(gzip.decompress(raw)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler

    def known(self):
        return {entry.record.event_id: entry for entry in self.entries if entry.record}


def line_of(**changes):
    values = CALL | {"x-request-id": str(uuid4()), "gen_ai.latency.ttft_ms": None} | changes
    return json.dumps(values | {"response_flags": None})


def as_containerd(line, *, stream="stdout", part=200):
    """Return a line as containerd writes it: long ones in parts."""
    parts = [line[start : start + part] for start in range(0, len(line), part)]
    tags = ["P"] * (len(parts) - 1) + ["F"]
    return "".join(f"{HEAD} {stream} {tag} {one}\n" for tag, one in zip(tags, parts, strict=True))


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "pods" / "envoy-gateway-system_envoy-ai-gateway-1" / "envoy"
    folder.mkdir(parents=True)
    return folder


@contextmanager
def collector(tmp_path, logs, port):
    token, queue = tmp_path / "token", tmp_path / "queue"
    token.write_text("ingest-credential")
    queue.mkdir(exist_ok=True)
    env = os.environ | {
        "ENVOY_LOGS": f"{logs.parent.parent}/envoy-gateway-system_envoy-*/envoy/*.log",
        "PORTAL_URL": f"http://127.0.0.1:{port}",
        "USAGE_INGEST_TOKEN_FILE": str(token),
        "QUEUE_DIRECTORY": str(queue),
    }
    with (tmp_path / "collector.log").open("ab") as log:
        child = subprocess.Popen(
            [PROGRAM, f"--config=file:{CONFIG}"], env=env, stdout=log, stderr=log
        )
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def arrived(portal, lines):
    """Return whether every call has come, each as the line itself tells it."""
    wanted = {entry.record.event_id: entry for entry in read_lines(x.encode() for x in lines)}
    known = portal.known()
    if not wanted.keys() <= known.keys():
        return False
    for event_id, entry in wanted.items():
        assert known[event_id].record == entry.record
        assert known[event_id].fingerprint == entry.fingerprint
    return True


def test_every_line_arrives_over_rotations_and_kills(tmp_path, logs):
    portal = Portal()
    current = logs / "0.log"
    first = [line_of() for _ in range(50)]
    noise = as_containerd("[2026-11-02 09:15:30.000][1][info] starting", stream="stderr")
    with served(portal.handler()) as server:
        port = server.server_address[1]
        current.write_text(noise + "".join(map(as_containerd, first)))
        with collector(tmp_path, logs, port):
            eventually(lambda: arrived(portal, first), 30)
            # rotated with lines that nobody has read yet
            second = [line_of(response_code=429) for _ in range(20)]
            with current.open("a") as file:
                file.write("".join(map(as_containerd, second)))
            current.rename(logs / "0.log.20261102-091600")
            third = [line_of(**{"gen_ai.latency.ttft_ms": 81.5}) for _ in range(20)]
            current.write_text("".join(map(as_containerd, third)))
            eventually(lambda: arrived(portal, second + third), 30)
        # the Collector was killed; what is written meanwhile comes when it is back
        fourth = [line_of() for _ in range(20)]
        with current.open("a") as file:
            file.write("".join(map(as_containerd, fourth)))
        with collector(tmp_path, logs, port):
            eventually(lambda: arrived(portal, fourth), 30)
    unreadable = [entry for entry in portal.entries if entry.record is None]
    assert unreadable == []
    assert len(portal.known()) == 110
