"""An engine whose every answer takes a known time: FIRST seconds to the first token, SECONDS to the
last. It runs as a process of its own, so that its work is not the harness's, and tells at /times
how long its answers really took: on a busy machine a little more.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRST, SECONDS, PIECES = 0.1, 0.5, 20
ANSWER = '{"codes": ["E11.9", "I10"], "criteria": {"C1": "met"}, "refusal": ""}'
TOOK: list[float] = []


class Engine(BaseHTTPRequestHandler):
    """Answers every question alike, to the millisecond."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Say that it is there, or how long each answer since the last asking took."""
        body = b'{"data": []}'
        if self.path == "/times":
            body = json.dumps(TOOK).encode()
            TOOK.clear()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Stream the answer, each piece at its time."""
        begun = time.monotonic()
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        size = -(-len(ANSWER) // PIECES)
        pause = (SECONDS - FIRST) / (PIECES - 1)
        for number in range(PIECES):
            self._until(begun + FIRST + number * pause)
            piece = ANSWER[number * size : (number + 1) * size]
            self._event({"model": "stub", "choices": [{"delta": {"content": piece}}]})
        usage = {"prompt_tokens": 900, "completion_tokens": PIECES, "total_tokens": 900 + PIECES}
        self._event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage})
        self._send(b"data: [DONE]\n\n")
        self._send(b"")
        TOOK.append(time.monotonic() - begun)

    def _until(self, moment: float) -> None:
        time.sleep(max(0.0, moment - time.monotonic()))

    def _event(self, body: dict[str, object]) -> None:
        self._send(b"data: " + json.dumps(body).encode() + b"\n\n")

    def _send(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as the harness opens."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Engine)
    print(server.server_address[1], flush=True)
    sys.exit(server.serve_forever())
