"""The door for OpenTelemetry Collectors, whatever they bring: OTLP over HTTP, in protobuf or JSON.

200: stored; what of it was not is told as a partial success. 400, 411, 413, 415: the batch is bad
and must not come again; a Collector drops it. 401: wrong credential. 503: the database is away; the
Collector keeps the batch and retries. So what can never be stored is not answered with 503.
"""

import gzip
import io
import logging
import zlib
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from apps.common.bearer import is_bearer
from apps.common.otlp.wire import BadBatch, TooMany

MAX_BYTES = 32 * 1024 * 1024  # of a batch as sent, and unpacked; the Collector's are below 8 MB
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
log = logging.getLogger(__name__)
Take = Callable[[bytes, bool], bytes]  # a batch, whether it is in JSON -> the answer's body


class _Refused(Exception):
    """The batch is not taken."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def receive(request: HttpRequest, take: Take) -> HttpResponse:
    """Hand on a batch of whoever has the credential, and answer. take may raise BadBatch, TooMany
    and what a database raises.
    """
    try:
        is_json = _is_json(request)
        answer = _taken(request, take, is_json=is_json)
    except _Refused as refused:
        return _refusal(refused)
    return HttpResponse(answer, content_type=JSON if is_json else PROTOBUF)


def _is_json(request: HttpRequest) -> bool:
    if not is_bearer(request.headers.get("Authorization", ""), settings.USAGE_INGEST_TOKEN_FILE):
        raise _Refused(401, "A valid ingest credential is needed.")
    if request.content_type not in (PROTOBUF, JSON):
        raise _Refused(415, f"Send {PROTOBUF} or {JSON}.")
    return request.content_type == JSON


def _taken(request: HttpRequest, take: Take, *, is_json: bool) -> bytes:
    try:
        return take(_body(request), is_json)
    except TooMany as error:
        raise _Refused(413, str(error)) from error
    except BadBatch as error:
        raise _Refused(400, str(error)) from error
    except (OperationalError, InterfaceError) as error:
        message = "The database is away. Send the batch again."
        raise _Refused(503, message, retry_after=5) from error
    except DatabaseError as error:
        log.exception("a batch could not be stored")
        message = "The batch could not be stored. Send it again."
        raise _Refused(503, message, retry_after=30) from error


def _body(request: HttpRequest) -> bytes:
    """Return the batch, unpacked. It is read from the stream: Django's own limit is another."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise _Refused(415, "Send the batch as it is, or packed with gzip.")
    sent = _limited(request.read(MAX_BYTES + 1))
    if encoding != "gzip":
        return sent
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(sent)) as stream:
            return _limited(stream.read(MAX_BYTES + 1))
    except (OSError, EOFError, zlib.error):
        raise BadBatch("The body is not gzip, or it was cut off.") from None


def _limited(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise _Refused(413, f"A batch may have, and unpack to, {MAX_BYTES} bytes at most.")
    return body


def _refusal(refused: _Refused) -> HttpResponse:
    response = HttpResponse(str(refused), status=refused.status, content_type="text/plain")
    if refused.retry_after:
        response["Retry-After"] = str(refused.retry_after)
    if refused.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
