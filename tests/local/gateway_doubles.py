"""The gateway's neighbors in tests: engines that speak just enough OpenAI, an identity provider
that only publishes keys, and the portal's usage ingest.
"""

from __future__ import annotations

import copy
import gzip
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.local.gateway_objects import AUDIENCE, ISSUER

Json = dict[str, Any]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the tests."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[Server]:
    """Run an HTTP server on a free port."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Engine:
    """An engine's memory: the calls it got. Prompts steer it: "tokens=N", "pieces=N", "silent=1"
    (tells no usage), "breaks=N" (dies after N pieces), "length=N" (writes N letters), "packed=1"
    (compresses its answer unasked), "size=N says: …" (writes what follows, N letters a piece),
    "turns: …" (so, with each number turned around).
    """

    name: str
    calls: list[Json] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the request handler that speaks for this engine."""
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802
                """Answer one call."""
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                engine.calls.append(
                    {"path": self.path, "headers": dict(self.headers.items()), "body": body}
                )
                (_stream if body.get("stream") else _plain)(self, body)

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        return Handler


def _wish(body: Json, name: str, default: int) -> int:
    words = " ".join(str(message["content"]) for message in body.get("messages", [])).split()
    return next(
        (int(word.partition("=")[2]) for word in words if word.startswith(f"{name}=")), default
    )


def _words(body: Json) -> str | None:
    """Return what the prompt tells the engine to say; None where it tells nothing."""
    for message in body.get("messages", []):
        _, says, words = str(message["content"]).partition("says: ")
        if says:
            return words
        _, turns, words = str(message["content"]).partition("turns: ")
        if turns:
            return re.sub(r"[0-9-]{4,}", lambda number: number.group()[::-1], words)
    return None


def _usage(body: Json) -> Json:
    total = _wish(body, "tokens", 12)
    details = {"cached_tokens": 3}
    return {
        "prompt_tokens": total - 5,
        "completion_tokens": 5,
        "total_tokens": total,
        "prompt_tokens_details": details,
    }


_SAID: dict[str, Json] = {
    "/v1/embeddings": {"data": [{"index": 0, "embedding": [0.0, 1.0]}]},
    "/v2/rerank": {"results": [{"index": 0, "relevance_score": 0.5}]},
}


def _said(path: str) -> Json:
    """Return what a path answers, as vLLM shapes it: a rerank has no `meta`."""
    return copy.deepcopy(_SAID.get(path, {"choices": [{"message": {"content": "ok"}}]}))


def _plain(handler: BaseHTTPRequestHandler, body: Json) -> None:
    time.sleep(_wish(body, "sleep_ms", 0) / 1000)
    answer = {"model": body["model"], **_said(handler.path)}
    if length := _wish(body, "length", 0):
        answer["choices"][0]["message"]["content"] = "ok" + "x" * length
    if (words := _words(body)) is not None:
        answer["choices"][0]["message"]["content"] = words
    if handler.path in _SAID:
        answer["usage"] = {"prompt_tokens": 64, "total_tokens": 64}
    elif not _wish(body, "silent", 0):
        answer["usage"] = _usage(body)
    raw = json.dumps(answer).encode()
    handler.send_response(_wish(body, "status", 200))
    handler.send_header("content-type", "application/json")
    if _wish(body, "packed", 0):
        raw = gzip.compress(raw)
        handler.send_header("content-encoding", "gzip")
    handler.send_header("content-length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


def _stream(handler: BaseHTTPRequestHandler, body: Json) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    breaks = _wish(body, "breaks", -1)
    # only a chunked answer shows that it was broken off: the other kind ends with its connection
    handler.send_header(
        *(("connection", "close") if breaks < 0 else ("transfer-encoding", "chunked"))
    )
    handler.end_headers()
    said = ["ok "] * _wish(body, "pieces", 3)
    if (words := _words(body)) is not None:
        size = _wish(body, "size", 4)
        said = [words[at : at + size] for at in range(0, len(words), size)]
    pieces: list[Json] = [{"choices": [{"delta": {"content": one}}]} for one in said]
    wanted = (body.get("stream_options") or {}).get("include_usage")
    if wanted and not _wish(body, "silent", 0):
        pieces.append({"choices": [], "usage": _usage(body)})
    for sent, piece in enumerate(pieces):
        if sent == breaks:
            _break_off(handler)
            return
        event = b"data: " + json.dumps({"model": body["model"], **piece}).encode() + b"\n\n"
        handler.wfile.write(event if breaks < 0 else b"%x\r\n%b\r\n" % (len(event), event))
        handler.wfile.flush()
        time.sleep(_wish(body, "pause_ms", 0) / 1000)
    handler.wfile.write(b"data: [DONE]\n\n")
    handler.close_connection = True


def _break_off(handler: BaseHTTPRequestHandler) -> None:
    """Reset the connection, as that of a process that was killed."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True
    handler.wfile.close()
    handler.rfile.close()
    handler.connection.close()


class Identity:
    """Publishes one key set and signs what it is told."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.stranger = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the request handler that publishes the keys."""
        raw = json.dumps(KeySet([self.key]).as_dict(private=False)).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                """Publish the keys."""
                self.send_response(200)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        return Handler

    def token(
        self, team: str | None = "claims-review", *, stranger: bool = False, **changes: Any
    ) -> str:
        """Return a signed token; changes replace claims, and None takes one away."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "sub": "dana",
            "iat": now,
            "exp": now + 600,
            **({"team": team, "cost_center": "CC-4100"} if team else {}),
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(
            {"alg": "RS256", "kid": "k1"}, claims, self.stranger if stranger else self.key
        )


@dataclass
class Ingest:
    """The portal's ingest: keeps the log records and the spans that the Collector brings with the
    right credential.
    """

    credential: str = "ingest-credential"
    refusals: int = 0  # how many batches to answer 503 first
    records: list[dict[str, str]] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)  # as apps.traces.otlp reads them
    raw: bytes = b""  # all that came of them, unpacked
    seen: list[tuple[str, str]] = field(default_factory=list)

    def take_spans(self, body: bytes) -> None:
        """Keep the spans of a batch."""
        from apps.traces.otlp import read_batch

        self.raw += body
        self.spans += read_batch(body).spans

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the request handler that takes batches."""
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                """Take one batch."""
                raw = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    ingest.take_spans(gzip.decompress(raw))
                    self.send_response(200)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                ingest.seen.append((self.path, self.headers["authorization"]))
                ingest.refusals -= 1
                if ingest.refusals < 0:
                    ingest.records += _records(gzip.decompress(raw))
                self.send_response(200 if ingest.refusals < 0 else 503)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        return Handler


def _records(raw: bytes) -> list[dict[str, str]]:
    """Return the attributes of each log record."""
    from apps.common.otlp.messages import ExportLogsServiceRequest

    return [
        {entry.key: entry.value.string_value for entry in record.attributes}
        for resource in ExportLogsServiceRequest.FromString(raw).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
