"""A small server that lists and watches as the API server does; a test says what each call gets."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

from apps.integrations.kubernetes.config import Target, configuration
from apps.integrations.kubernetes.connection import Connection


class ApiDouble:
    """answers: what the next calls get, in order: a function of the handler. asked: their paths and
    queries.
    """

    def __init__(self) -> None:
        double = self
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                double.asked.append(
                    (url.path, {key: values[0] for key, values in parse_qs(url.query).items()})
                )
                answer = double.answers.pop(0) if double.answers else refuse(503)
                answer(self)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def connection(self) -> Connection:
        return Connection(Target(configuration(self.address)), timeout=5)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def refuse(
    status: int, message: str = "no", *, retry_after: int | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _whole(handler, status, {"kind": "Status", "message": message}, headers)

    return answer


def listed(version: int, *items: dict, more: str = "") -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
        _whole(handler, 200, {"metadata": metadata, "items": list(items)})

    return answer


def stream(
    *entries: tuple[str, dict] | bytes, broken: bool = False, silent: float = 0
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer a watch with these (type, object) or lines, each in a chunk, then end it; broken: as a
    process that was killed ends it; silent: after so many seconds.
    """

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for entry in entries:
            line = entry if isinstance(entry, bytes) else _event(*entry)
            handler.wfile.write(b"%x\r\n%s\n\r\n" % (len(line) + 1, line))
        threading.Event().wait(silent)
        if not broken and not silent:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = broken or bool(silent)

    return answer


def _event(kind: str, obj: dict) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode()


def _whole(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: dict,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    data = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
