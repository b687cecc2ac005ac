"""The real Collector on a small disk while the portal is away: its queue stops before the disk is
full. What it took arrives, and what it cannot take waits with whoever sends, or in the file.
"""

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from functools import partial

import httpx
import pytest

from deploy.local.stack.ports import free_port
from tests.local.gateway_doubles import served
from tests.local.gateway_stand import ROOT, eventually
from tests.local.test_collector_node import (
    PROGRAM,
    Portal,
    arrived,
    as_containerd,
    line_of,
    reads_files,
)

NODE, GATEWAY = (ROOT / "deploy" / "collector" / name for name in ("node.yaml", "config.yaml"))
CALLS, TURNS = 300, 10
QUEUE, DISK = 400_000, "2m"
FULL = b"no space left on device"


def _has_own_mounts():
    """Tell whether a process may have a small disk of its own."""
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "disk", "/mnt"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not PROGRAM.exists(), reason="no Collector is built yet"),
    pytest.mark.skipif(not _has_own_mounts(), reason="no process may mount a disk of its own here"),
]


class AwayPortal(Portal):
    """A portal that takes nothing until it is back."""

    def __init__(self):
        super().__init__()
        self.is_back = False

    def handler(self):
        portal, taking = self, super().handler()

        class Handler(taking):
            def do_POST(self):
                if portal.is_back:
                    return super().do_POST()
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(503)
                self.send_header("content-length", "0")
                self.end_headers()

        return Handler


@contextmanager
def on_small_disk(tmp_path, config, env):
    """Run the Collector with a queue of QUEUE bytes on a disk of DISK; give the file of its log."""
    token, queue, log = tmp_path / "token", tmp_path / "queue", tmp_path / "collector.log"
    token.write_text("ingest-credential")
    queue.mkdir()
    given = {
        "USAGE_INGEST_TOKEN_FILE": str(token),
        "QUEUE_DIRECTORY": str(queue),
        "QUEUE_BYTES": str(QUEUE),
    }
    mounted = f'mount -t tmpfs -o size={DISK} queue "{queue}" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mounted, "sh", PROGRAM, f"--config=file:{config}"]
    with log.open("ab") as out:
        child = subprocess.Popen(command, env=os.environ | given | env, stdout=out, stderr=out)
        try:
            yield log
        finally:
            child.kill()
            child.wait()


@pytest.mark.skipif(not reads_files(), reason="no Collector that reads files is built yet")
def test_every_line_of_a_file_arrives_once_the_portal_is_back(tmp_path):
    portal, written, logs = AwayPortal(), [], tmp_path / "envoy"
    logs.mkdir()
    with served(portal.handler()) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        env = {"ENVOY_LOGS": f"{logs}/*.log", "PORTAL_URL": address}
        with on_small_disk(tmp_path, NODE, env) as said:
            for _ in range(TURNS):
                lines = [line_of() for _ in range(CALLS)]
                written += lines
                with (logs / "0.log").open("a") as file:
                    file.write("".join(map(as_containerd, lines)))
                time.sleep(1.0)
            assert portal.entries == []
            portal.is_back = True
            eventually(lambda: arrived(portal, written), 120)
            assert FULL not in said.read_bytes().lower()


def batch_of(lines):
    """Return the calls of some lines as a Collector is sent them, in OTLP's JSON."""
    records = [
        {"attributes": [{"key": name, "value": {"stringValue": str(value)}}
                        for name, value in json.loads(line).items()]}
        for line in lines
    ]  # fmt: skip
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


def test_what_it_takes_arrives_and_what_does_not_fit_waits(tmp_path):
    portal, taken = AwayPortal(), set()
    grpc, http = free_port(), free_port()
    with served(portal.handler()) as server:
        env = {
            "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
            "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{http}",
            "PORTAL_URL": f"http://127.0.0.1:{server.server_address[1]}",
        }
        with (
            on_small_disk(tmp_path, GATEWAY, env) as said,
            httpx.Client(trust_env=False, timeout=1.5) as sender,
        ):

            def send(lines):
                """Send a batch; tell whether the Collector took it."""
                try:
                    answer = sender.post(f"http://127.0.0.1:{http}/v1/logs", json=batch_of(lines))
                except httpx.TransportError:
                    return False
                if answer.status_code == 200:
                    taken.update(json.loads(line)["x-request-id"] for line in lines)
                return answer.status_code == 200

            eventually(lambda: send([line_of()]), 30)
            batches = [[line_of() for _ in range(CALLS)] for _ in range(TURNS)]
            waiting = [batch for batch in batches if not send(batch)]
            assert waiting
            assert len(taken) > CALLS
            portal.is_back = True
            for batch in waiting:  # whoever sent it tries again
                eventually(partial(send, batch), 60)
            assert len(taken) == TURNS * CALLS + 1

            def all_arrived():
                return taken <= {each.values["x-request-id"] for each in portal.entries}

            eventually(all_arrived, 90)
            assert FULL not in said.read_bytes().lower()
