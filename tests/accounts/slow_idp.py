"""An identity provider on the loopback that hangs, fails or publishes other keys when it is told
to, and counts what it is asked.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

DISCOVERY, KEYS, TOKEN = "/.well-known/openid-configuration", "/keys", "/token"


def signing_key(name: str) -> RSAKey:
    """Return a new key of that name."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"}, private=True)


@dataclass
class SlowIdp:
    """What it publishes, how it behaves, and which paths were asked for so far."""

    url: str = ""
    keys: list[Any] = field(default_factory=list)
    status: int = 200
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False

    def token(self, key: RSAKey, **changes: Any) -> str:
        """Return an API token signed by `key`."""
        claims = {
            "iss": self.url, "sub": "sub-of-maya", "aud": "quartermaster-api",
            "iat": int(time.time()), "exp": int(time.time()) + 600,
            "preferred_username": "maya", "groups": ["qm-developers"],
            "team": "claims-review", "cost_center": "CC-4100",
        }  # fmt: skip
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims | changes, key)

    def document(self, path: str) -> dict[str, Any]:
        """Return what stands at a path."""
        if path == DISCOVERY:
            return {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}{TOKEN}", "jwks_uri": f"{self.url}{KEYS}",
            }  # fmt: skip
        return {
            "keys": [
                key if isinstance(key, dict) else key.as_dict(private=False) for key in self.keys
            ]
        }

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and body; where it hangs, only once it is released."""
        self.asked.append(path)
        if self.hangs:
            self.released.wait()
        return self.status, json.dumps(self.document(path)).encode()


@contextmanager
def running() -> Iterator[SlowIdp]:
    """Serve one for as long as the block lasts."""
    idp = SlowIdp()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = idp.answer(self.path)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # whoever asked has gone

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    idp.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield idp
    finally:
        idp.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
