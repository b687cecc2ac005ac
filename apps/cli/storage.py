"""Puts parts straight into S3, with leave that the portal signed: no credentials are here.

S3 may be busy (503 SlowDown), break off, or answer 200 with an error in the body. A part counts as
sent only when S3 answered with its tag; what counts in the end is what the portal sees listed.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from apps.cli import exits, waits

ATTEMPTS = 8  # about a minute
TIMEOUT = httpx.Timeout(120.0, connect=10.0)
BUSY_STATUS = frozenset({408, 429, 500, 502, 503, 504})
BUSY_CODES = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"})
DAMAGED = frozenset(
    {
        "BadDigest",
        "InvalidDigest",
        "IncompleteBody",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,80})</Code>")


class LeaveOver(Exception):
    """The leave to send a part has ended: ask for another."""


class UploadGone(Exception):
    """S3 threw the file's upload away: begin it anew."""


class OtherBytes(Exception):
    """The part's bytes are not those that the leave is for: the file changed."""


@dataclass(frozen=True)
class Leave:
    """Leave to send one part. sha256: of the bytes that it is for."""

    number: int
    url: str
    headers: dict[str, str]
    sha256: str


class Storage:
    """S3, as whoever has leave sees it. May be used by several threads."""

    def __init__(
        self,
        *,
        transport: httpx.BaseTransport | None = None,
        at_once: int = 4,
        sleep: waits.Sleep = time.sleep,
    ) -> None:
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        self._http = httpx.Client(timeout=TIMEOUT, limits=limits, transport=transport)
        self._sleep = sleep

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def put(self, leave: Leave, block: bytes, name: str) -> None:
        """Send a part. name: of its file.

        Raises LeaveOver, UploadGone, OtherBytes, exits.Away, or exits.Refused where S3 will never
        take it.
        """
        why = ""
        for attempt in range(ATTEMPTS):
            asked = None
            try:
                answer = self._http.put(leave.url, content=_once(block), headers=leave.headers)
            except httpx.RequestError as error:
                why = type(error).__name__
            else:
                why = _refusal(answer)
                if not why:
                    return
                _raise_final(why, answer, leave, block, name)
                asked = answer.headers.get("Retry-After")
            if attempt < ATTEMPTS - 1:
                waits.pause(attempt, asked, sleep=self._sleep)
        raise exits.Away(
            f"S3 does not take part {leave.number} of {name} ({why}). Run the command again: it "
            "goes on where it stopped.",
            code="storage_away",
        )


def _once(block: bytes) -> Iterator[bytes]:
    """Give a part's bytes once. httpx keeps what it sent in a cycle of objects, which would keep
    the bytes of part after part; a generator lets go of them when it has ended.
    """
    yield block


def is_same(block: bytes, sha256: str) -> bool:
    """Tell whether bytes have a digest."""
    return hashlib.sha256(block).hexdigest() == sha256


def _refusal(answer: httpx.Response) -> str:
    """Return S3's word for why it did not take a part; "" where it did. A good answer has the
    part's tag and no error in its body.
    """
    found = _CODE.search(answer.text[:4000])
    if found or not answer.is_success:
        return found[1] if found else str(answer.status_code)
    return "" if answer.headers.get("ETag") else "no tag"


def _raise_final(why: str, answer: httpx.Response, leave: Leave, block: bytes, name: str) -> None:
    """Raise what trying again would not change; return for anything else."""
    if why == "NoSuchUpload" or answer.status_code == 404:
        raise UploadGone
    is_over = answer.status_code == 403 and "expired" in answer.text.lower()
    if is_over or why == "ExpiredToken":  # of the portal's own credentials, which signed the leave
        raise LeaveOver
    if why in DAMAGED:
        if not is_same(block, leave.sha256):
            raise OtherBytes
        return  # damaged on its way
    busy = why in BUSY_CODES or answer.status_code in BUSY_STATUS or answer.is_success
    if not busy:
        raise exits.Refused(
            f"S3 refuses part {leave.number} of {name}: {why}.", code="storage_refused"
        )


def leaves(answer: dict[str, Any], digests: dict[int, str]) -> list[Leave]:
    """Return the leave of an answer of the portal. digests: by part."""
    return [
        Leave(one["part"], one["url"], one["headers"], digests[one["part"]])
        for one in answer["parts"]
    ]
