"""ClickHouse over HTTP, as clients of a real server know it, with real ClickHouse SQL from chdb.

There is no server of it among the package registries, but its engine: this puts the HTTP interface
in front of one session of that, so that several processes may use one folder, and so that the
product's client is the one that it has everywhere. It answers queries in the format that they
name, and takes inserts in Native format; no users, no compression. It runs in an environment of its
own:
`.venv-clickhouse/bin/python -m deploy.local.doubles.clickhouse.server FOLDER PORT`. Where PORT is 0
it takes a free one. It prints its port once it listens, and ends when its standard input closes.
"""

import json
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

# what a client sets that this session may be told as well
SETTINGS = (
    "final",
    "do_not_merge_across_partitions_select_final",
    "aggregate_functions_null_for_empty",
    "mutations_sync",
)

INSERTED = b"FORMAT Native\n"


class Engine:
    """One session, asked by one thread at a time: the folder is locked by its process."""

    def __init__(self, folder: Path) -> None:
        self.session, self.lock = Session(str(folder)), threading.Lock()
        self.set: dict[str, str] = {}

    def ask(self, sql: str, asked: dict[str, str], body: bytes) -> bytes:
        """Return the answer to a statement, in the format that it names. Raises RuntimeError."""
        named = {
            name.removeprefix("param_"): value
            for name, value in asked.items()
            if name.startswith("param_")
        }
        with self.lock, tempfile.NamedTemporaryFile(suffix=".native") as file:
            self._settle(asked)
            if body:
                file.write(body)
                file.flush()
                head = sql.rpartition("FORMAT")[0]
                sql = f"{head} SELECT * FROM file('{file.name}', Native)"  # noqa: S608 - a name of our own
            found = self.session.query(sql, "TabSeparated", params=named or None)
            return bytes(found.bytes()) if found else b""

    def _settle(self, asked: dict[str, str]) -> None:
        for name in SETTINGS:
            if name in asked and self.set.get(name) != asked[name]:
                self.session.query(f"SET {name} = {int(asked[name])}")
                self.set[name] = asked[name]


class Handler(BaseHTTPRequestHandler):
    """One request. The statement is in the address where the body is what an INSERT stores."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        """Answer a ping, or a statement in the address."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Answer a statement in the body, or store it."""
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = self._chunks()
        sql, data = asked.get("query", "").encode(), body
        if not sql:
            sql, data = _parted(body)
        if not sql:
            return self._send(200, b"Ok.\n")
        try:
            found = self.server.engine.ask(sql.decode(), asked, data)
        except RuntimeError as error:
            return self._send(500, str(error).encode())
        return self._send(200, found)

    def _chunks(self) -> bytes:
        found = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(found)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Summary", json.dumps({}))
        self.send_header("X-ClickHouse-Format", "Native")
        if status != 200:
            self.send_header("X-ClickHouse-Exception-Code", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _parted(body: bytes) -> tuple[bytes, bytes]:
    """Return the statement that a body begins with, and what it stores."""
    head, found, data = body.partition(INSERTED)
    return (head + found.strip(), data) if found and head.startswith(b"INSERT") else (body, b"")


class Server(ThreadingHTTPServer):
    """The server with its engine."""

    daemon_threads = True

    def __init__(self, engine: Engine, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = engine


def main() -> None:
    """Serve until standard input closes."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    server = Server(Engine(folder), port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
