"""What the command line speaks to in tests: the portal and others in this process, by address; and
S3 through a line that can be made to fail.
"""

import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from django.test import Client

PORTAL = "http://127.0.0.1:8000"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_PART = re.compile(rb"^PUT \S*partNumber=")


class InProcess(httpx.BaseTransport):
    """The portal in this process, within the test's own transaction."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        headers = dict(request.headers)
        content_type = headers.pop("content-type", "application/octet-stream")
        path = request.url.raw_path.decode()
        answer = Client(raise_request_exception=False).generic(
            request.method, path, request.read(), content_type, headers=headers
        )
        return httpx.Response(
            answer.status_code, headers=dict(answer.items()), content=answer.content
        )


class ByAddress(httpx.BaseTransport):
    """Leads each request to whoever has its address; to the network where nobody has."""

    def __init__(self, **known: httpx.BaseTransport) -> None:
        self._known = {"8000": InProcess()}
        self._known |= {name.lstrip("_"): wire for name, wire in known.items()}
        self._network = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        wire = self._known.get(str(request.url.port), self._network)
        return wire.handle_request(request)

    def close(self) -> None:
        """Give the connections back."""
        self._network.close()


class Line:
    """A line to S3 that passes every byte on, but for the faults that wait for parts. sent: how
    often each kind of thing happened to a part.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.faults: deque[str] = deque()
        self.sent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more calls."""
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head, body = _head(client)
            if not head:
                return
            fault = self._next_fault(head)
            rest = int(found[1]) - len(body) if (found := _LENGTH.search(head)) else 0
            if fault in ("slow_down", "error_in_200"):
                _read(client, rest)
                client.sendall(_ANSWERS[fault])
                return
            with socket.create_connection(("127.0.0.1", self._upstream)) as s3:
                s3.sendall(_closing(head) + body)
                cut = rest // 100 + 1 if fault == "cut" else 0
                s3.sendall(_read(client, rest - cut))
                if fault == "cut":
                    return
                answer = b"".join(iter(lambda: s3.recv(65536), b""))
            if fault != "lost_answer":
                client.sendall(answer)

    def _next_fault(self, head: bytes) -> str:
        """Return what happens to this request: to parts alone something does."""
        if not _PART.match(head):
            return ""
        with self._lock:
            fault = self.faults.popleft() if self.faults else ""
            self.sent[fault or "passed"] += 1
        return fault


_ERROR = "<Error><Code>{}</Code><Message>Please try again.</Message></Error>"


def _answer(status: str, code: str) -> bytes:
    body = _ERROR.format(code)
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nRetry-After: 0\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()


_ANSWERS = {
    "slow_down": _answer("503 Slow Down", "SlowDown"),
    "error_in_200": _answer("200 OK", "InternalError"),
}


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    seen = b""
    while b"\r\n\r\n" not in seen:
        piece = client.recv(65536)
        if not piece:
            return b"", b""
        seen += piece
    head, _, body = seen.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def _read(client: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count and (piece := client.recv(min(65536, count - len(found)))):
        found += piece
    return bytes(found)


def _closing(head: bytes) -> bytes:
    """Return a request's head that asks for one answer and no more; that header is not signed."""
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return lines[0] + b"\r\nConnection: close\r\n" + b"\r\n".join(lines[1:])


@contextmanager
def line_to(upstream: int) -> Iterator[Line]:
    """Run a line."""
    line = Line(upstream)
    try:
        yield line
    finally:
        line.close()
