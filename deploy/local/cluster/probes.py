"""Health questions to the cluster's processes: one short HTTP request each, never longer than the
supervisor waits.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from deploy.local.stack.part import NotReady

TIMEOUT_SECONDS = 1.5


@lru_cache(maxsize=16)
def tls(
    authority: Path, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return a TLS context that trusts only `authority`, and shows the client certificate where one
    is given.
    """
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(str(certificate), str(key) if key else None)
    return context


def get(address: str, path: str, trust: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """Return status and body of one GET; raises NotReady when nobody answers in time."""
    connection = (
        http.client.HTTPSConnection(address, timeout=TIMEOUT_SECONDS, context=trust)
        if trust
        else http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as problem:
        raise NotReady(
            f"{address}{path} does not answer ({problem or type(problem).__name__})"
        ) from problem
    finally:
        connection.close()


def answers_ok(
    address: str, path: str, trust: Callable[[], ssl.SSLContext] | None = None
) -> Callable[[], None]:
    """Return a readiness check that wants status 200; `trust` is asked late, because keys appear
    during `prepare`.
    """

    def check() -> None:
        status, body = get(address, path, trust() if trust else None)
        if status != 200:
            said = body.decode(errors="replace").strip().splitlines()
            failed = [line for line in said if line.startswith("[-]")] or said[:1]
            raise NotReady(f"{address}{path} answers {status}: {'; '.join(failed)[:200]}")

    return check
