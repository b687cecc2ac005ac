"""A registry for one test: answers ListObjectsV2 and GetObject over HTTP from a dictionary, and
checks no signature.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Objects = dict[str, bytes]


def version_objects(folder: Path, prefix: str) -> tuple[Objects, str]:
    """Return a model folder as the registry holds it, and its manifest digest."""
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    listed = [
        {"name": n, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for n, content in files.items()
    ]
    objects = {f"{prefix}/{name}": content for name, content in files.items()}
    objects[f"{prefix}/manifest.json"] = canonical({"files": listed, "model": "m", "version": 1})
    objects[f"{prefix}/model.sig"] = b"{}"
    return objects, "sha256:" + hashlib.sha256(canonical(listed)).hexdigest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@contextmanager
def registry(objects: Objects) -> Iterator[dict[str, str]]:
    """Serve the objects, which may change meanwhile; give the environment that boto3 reads."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            _, _, key = unquote(parts.path).lstrip("/").partition("/")
            if key:
                self.reply(
                    200 if key in objects else 404,
                    objects.get(key, b"<Error><Code>NoSuchKey</Code></Error>"),
                )
            else:
                self.reply(200, listing(parse_qs(parts.query).get("prefix", [""])[0]))

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    def listing(prefix: str) -> bytes:
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(body)}</Size><ETag>{hashlib.sha256(body).hexdigest()}</ETag></Contents>"
            for key, body in sorted(objects.items())
            if key.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()  # noqa: E501

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1",
        }
    finally:
        server.shutdown()
        server.server_close()
