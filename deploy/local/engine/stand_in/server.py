"""The stand-in's HTTP server: one thread per connection, from the standard library alone.

Its log names each request by its id and never holds a word of a prompt or an answer. SIGTERM ends
it after the answers under way.
"""

from __future__ import annotations

import hmac
import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from deploy.local.engine.stand_in.engine import Engine, Plan
from deploy.local.engine.stand_in.pooling import EMBEDDINGS, RERANKS, Pooled, embed, rerank
from deploy.local.engine.stand_in.protocol import (
    CHAT,
    COMPLETIONS,
    FINGERPRINT,
    ApiError,
    Question,
    Usage,
    answer_body,
    chunk_body,
    opening_chunk,
    parse_question,
    usage_chunk,
)
from deploy.local.engine.stand_in.spans import Answered, Spans

MAX_BODY_BYTES = 32 * 1024 * 1024
IDLE_CONNECTION_SECONDS = 300
VERSION = "stand-in 1"
# What vLLM asks for a key, where it was given one; it asks for none elsewhere (health, figures).
GUARDED = ("/v1", "/v2", "/inference", "/cohere")


class Server(ThreadingHTTPServer):
    """Listens on one address and serves one engine."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        engine: Engine,
        served_names: tuple[str, ...],
        *,
        always_tells_usage: bool = False,
        by_priority: bool = False,
        keys: tuple[str, ...] = (),
        spans: Spans | None = None,
    ) -> None:
        self.engine, self.served_names, self.keys = engine, served_names, keys
        self.spans = spans
        self.always_tells_usage, self.by_priority = always_tells_usage, by_priority
        self.under_way = 0
        self._count_lock = threading.Lock()
        super().__init__(address, Handler)

    def lets_in(self, path: str, authorization: str) -> bool:
        """Tell whether a path may be asked with this header: as vLLM, which takes any of its keys
        and asks for one only where it has some.
        """
        if not self.keys or not path.startswith(GUARDED):
            return True
        scheme, _, shown = authorization.partition(" ")
        matches = [hmac.compare_digest(shown.encode(), key.encode()) for key in self.keys]
        return scheme.lower() == "bearer" and any(matches)

    def count(self, by: int) -> None:
        """Count a request that begins or ends."""
        with self._count_lock:
            self.under_way += by

    def run(self, grace_seconds: float = 20.0) -> None:
        """Serve until SIGTERM or SIGINT, then let the requests under way end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=self.shutdown).start())
        self.serve_forever(poll_interval=0.5)
        deadline = time.monotonic() + grace_seconds
        while self.under_way and time.monotonic() < deadline:
            time.sleep(0.05)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection broke, without a stack trace that could quote a request."""
        log(f"connection ended: {type(sys.exception()).__name__}")


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Server
    request_id = ""
    waited = 0.0  # seconds for a seat
    started = 0.0  # by the clock of durations
    first: float | None = None  # seconds until the first token
    timeout = IDLE_CONNECTION_SECONDS
    GET_PATHS: ClassVar = ("/health", "/ping", "/v1/models", "/version", "/metrics")
    POST_PATHS: ClassVar = (CHAT, COMPLETIONS, EMBEDDINGS, *RERANKS)

    def do_GET(self) -> None:
        """Answer health, models, version and metrics."""
        path, self.request_id = self.path.partition("?")[0], ""
        if not self._is_let_in(path):
            self._unauthorized()
        elif path in ("/health", "/ping"):
            self._send(200, b"")
        elif path == "/v1/models":
            self._json(
                200,
                {
                    "object": "list",
                    "data": [self._model(name) for name in self.server.served_names],
                },
            )
        elif path == "/version":
            self._json(200, {"version": VERSION})
        elif path == "/metrics":
            self._send(
                200,
                self.server.engine.metrics.render().encode(),
                "text/plain; version=0.0.4; charset=utf-8",
            )
        else:
            self._unknown(path, self.POST_PATHS)

    def do_POST(self) -> None:
        """Answer a chat, a plain completion, an embedding or a rerank."""
        self.server.count(1)
        started, path, status, tokens = time.monotonic(), self.path.partition("?")[0], 500, ""
        began, usage, self.started, self.first = time.time(), None, started, None
        self.request_id = (self.headers.get("x-request-id") or "")[:128] or uuid.uuid4().hex
        try:
            raw = self._read_body()
            if not self._is_let_in(path):
                status = self._unauthorized()
                return
            if path not in self.POST_PATHS:
                status = self._unknown(path, self.GET_PATHS)
                return
            if path in (EMBEDDINGS, *RERANKS):
                pool = embed if path == EMBEDDINGS else rerank
                pooled = pool(self.server.engine.model, raw, self.server.served_names)
                usage, tokens = pooled.usage, f" prompt_tokens={pooled.usage.prompt}"
                self._answer_pooled(pooled)
            else:
                names, by_priority = self.server.served_names, self.server.by_priority
                question = parse_question(path, raw, names, by_priority=by_priority)
                plan = self.server.engine.plan(question)
                usage = plan.usage
                tokens = f" prompt_tokens={usage.prompt} completion_tokens={usage.completion}"
                self._answer(question, plan)
            status = 200
        except ApiError as error:
            status = error.status
            self._json(error.status, error.body())
        except (ConnectionError, TimeoutError):
            status, self.close_connection = 499, True
        finally:
            self.server.count(-1)
            took = time.monotonic() - started
            log(f"POST {path} {status} request_id={self.request_id}{tokens} seconds={took:.3f}")
            if status == 200 and usage:
                self._tell(usage, began, took)

    def _tell(self, usage: Usage, began: float, took: float) -> None:
        """Send the span of an answered request, where spans are wanted."""
        if self.server.spans:
            told = self.headers.get("traceparent") or ""
            self.server.spans.tell(
                Answered(self.request_id, told, usage, began, self.waited, self.first, took)
            )

    def _answer_pooled(self, pooled: Pooled) -> None:
        engine = self.server.engine
        with engine.seat() as waited:
            self.waited = waited
            engine.metrics.observe("request_queue_time_seconds", waited)
            engine.read(pooled.usage)
            identity = {"id": f"embd-{self.request_id}", "created": int(time.time())}
            self._json(200, identity | pooled.body)

    def _answer(self, question: Question, plan: Plan) -> None:
        prefix = "chatcmpl" if question.chat else "cmpl"
        name = self.server.served_names[0]
        identity = {"id": f"{prefix}-{self.request_id}", "created": int(time.time()), "model": name}
        engine = self.server.engine
        seat = engine.seat(question.priority)
        with seat as waited, closing(engine.speak(plan)) as spoken:
            self.waited, pieces = waited, self._timed(spoken)
            engine.metrics.observe("request_queue_time_seconds", waited)
            if question.stream:
                self._stream(question, plan, identity, pieces)
            else:
                text = "".join(pieces)
                self._json(200, answer_body(question, identity, text, plan.reason, plan.usage))

    def _timed(self, pieces: Iterator[str]) -> Iterator[str]:
        """Yield the pieces, and note when the first came."""
        for piece in pieces:
            if self.first is None:
                self.first = time.monotonic() - self.started
            yield piece

    def _stream(
        self, question: Question, plan: Plan, identity: dict[str, Any], pieces: Iterator[str]
    ) -> None:
        self._head(200, "text/event-stream; charset=utf-8", None)
        if question.chat:
            self._event(opening_chunk(identity))
        held = ""
        for piece in pieces:  # one behind, so that the last piece can carry the reason
            if held:
                self._event(chunk_body(question, identity, held, None))
            held = piece
        self._event(chunk_body(question, identity, held, plan.reason))
        if question.include_usage or self.server.always_tells_usage:
            self._event(usage_chunk(question, identity, plan.usage))
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, body: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _read_body(self) -> bytes:
        if "chunked" in (self.headers.get("transfer-encoding") or "").lower():
            return self._read_chunks()
        length = self.headers.get("content-length") or "0"
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise ApiError(
                413, "BadRequestError", "the request body is too large or has no valid length"
            )
        return self.rfile.read(int(length))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(64).partition(b";")[0].strip() or b"0", 16):
            if len(body) + size > MAX_BODY_BYTES:
                self.close_connection = True
                raise ApiError(413, "BadRequestError", "the request body is too large")
            body += self.rfile.read(size)
            self.rfile.readline(8)
        while self.rfile.readline(1024) not in (b"\r\n", b"\n", b""):
            pass
        return bytes(body)

    def _is_let_in(self, path: str) -> bool:
        return self.server.lets_in(path, self.headers.get("authorization") or "")

    def _unauthorized(self) -> int:
        self._json(401, {"error": "Unauthorized"})
        return 401

    def _unknown(self, path: str, other_method: tuple[str, ...]) -> int:
        status, word = (405, "Method Not Allowed") if path in other_method else (404, "Not Found")
        self._json(status, {"detail": word})
        return status

    def _model(self, name: str) -> dict[str, Any]:
        length = self.server.engine.model.context_length
        return {
            "id": name,
            "object": "model",
            "created": int(time.time()),
            "owned_by": FINGERPRINT,
            "root": name,
            "parent": None,
            "max_model_len": length,
            "permission": [],
        }

    def _json(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body, separators=(",", ":")).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self._head(status, kind, len(body))
        self.wfile.write(body)

    def _head(self, status: int, kind: str, length: int | None) -> None:
        self.send_response_only(status)
        self.send_header("content-type", kind)
        self.send_header("x-engine", "stand-in")
        if self.request_id:
            self.send_header("x-request-id", self.request_id)
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def log_request(self, *_: object) -> None:
        """Keep quiet: probes and scrapes are not worth a line, answers have their own."""

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the base class would quote the request line."""


def log(line: str) -> None:
    """Write one line to the container's log."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}", flush=True)
