"""A registry for one test: answers ListObjectsV2 and GetObject over HTTP from a dictionary, and
checks no signature.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from apps.common.model_manifest import FileEntry, digest, manifest, sign
from apps.common.signing import FileSigner, public_pem

SIGNER = FileSigner(ec.generate_private_key(ec.SECP256R1()))
KEYS = public_pem(SIGNER.public_key)
Objects = dict[str, bytes]


def version_objects(folder: Path, prefix: str) -> tuple[Objects, str]:
    """Return a model folder as the registry holds it, signed, and its manifest digest."""
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    entries = [entry(name, content) for name, content in files.items()]
    objects = {f"{prefix}/{name}": content for name, content in files.items()}
    return objects | documents(entries, prefix), digest(entries)


def entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(name, len(content), hashlib.sha256(content).hexdigest())


def documents(entries: list[FileEntry], prefix: str, signer: FileSigner = SIGNER) -> Objects:
    """Return the manifest and the signature over these files."""
    return {
        f"{prefix}/manifest.json": manifest(model="m", number=1, entries=entries),
        f"{prefix}/model.sig": sign(name="m-v1", entries=entries, signer=signer),
    }


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
