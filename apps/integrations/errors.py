"""What every client raises: try again later, or stop and show it; and which of both a status means.

No error carries headers, queries or bodies that were sent: secrets stay out of errors and logs.
"""

import json
from collections.abc import Mapping

_SAID = 300


class TemporaryError(Exception):
    """The other side is away, slow or busy. Retry after `retry_after` seconds where it said so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(Exception):
    """The other side refused. The text says what a person can do; the row becomes FAILED."""


class NotFound(PermanentError):
    """The other side knows nothing under that address (404)."""


class Expired(PermanentError):
    """What was asked for is no longer kept (410): ask anew from the start."""


class Refused(PermanentError):
    """The other side does not accept who we are, or what we may do (401, 403). status tells
    which.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


def error_of(
    name: str, *, status: int, reason: str, headers: Mapping[str, str], body: bytes
) -> TemporaryError | PermanentError:
    """Return the error that an answer means which is not the one hoped for.

    name: what people call the other side; it begins the text. reason: the status in words, for a
    body that says nothing.
    """
    if status == 429 or status >= 500:
        return TemporaryError(
            f"{name} is busy or broken ({status}).", retry_after=_retry_after(headers)
        )
    if status == 404:
        return NotFound(f"{name} has nothing there (404).")
    if status == 410:
        return Expired(f"{name} no longer keeps what was asked for (410).")
    words = f"{name} refused ({status}): {_message(body) or reason}"
    return Refused(words, status=status) if status in (401, 403) else PermanentError(words)


def _message(body: bytes) -> str:
    """Return what the other side said, shortened: its `message`, `detail` or `error`, else "".

    An `error` may hold a message and a detail of its own.
    """
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    if isinstance(said, dict) and isinstance(said.get("error"), dict):
        inner = [said["error"].get(key) for key in ("message", "detail")]
        return ": ".join(part for part in inner if isinstance(part, str) and part)[:_SAID]
    if isinstance(said, dict):
        for key in ("message", "detail", "error_description", "error"):
            if isinstance(said.get(key), str):
                return str(said[key])[:_SAID]
    return ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
