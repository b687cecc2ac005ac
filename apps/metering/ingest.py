"""The door for OpenTelemetry Collectors: POST /v1/logs (OTLP over HTTP, protobuf or JSON, gzip).

200: stored; what is in doubt is kept in quarantine, and told as a partial success. 400, 411, 413,
415: the batch is bad and must not come again; a Collector drops it. 401: wrong credential. 503: the
database is away; the Collector keeps the batch on disk and retries. So what can never be stored is
not answered with 503.
"""

import gzip
import io
import logging
import zlib

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.bearer import is_bearer
from apps.metering import actions, otlp
from apps.metering.models import Doubt

MAX_BYTES = 32 * 1024 * 1024  # of a batch as sent, and unpacked; the Collector's are below 8 MB
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
log = logging.getLogger(__name__)


class TooLarge(ValueError):
    """The body has, or unpacks to, more than MAX_BYTES."""


class UnknownEncoding(ValueError):
    """The body is packed in another way than gzip."""


@csrf_exempt
@require_POST
def logs(request: HttpRequest) -> HttpResponse:
    """Store a batch of access-log records."""
    if not is_bearer(request.headers.get("Authorization", ""), settings.USAGE_INGEST_TOKEN_FILE):
        return _refuse(401, "A valid ingest credential is needed.")
    if request.content_type not in (PROTOBUF, JSON):
        return _refuse(415, f"Send {PROTOBUF} or {JSON}.")
    is_json = request.content_type == JSON
    read = otlp.read_json if is_json else otlp.read_batch
    try:
        came = actions.ingest_storable(entries=read(_body(request)), via="OTLP", now=now())
    except TooLarge:
        return _refuse(413, f"A batch may have, and unpack to, {MAX_BYTES} bytes at most.")
    except otlp.TooMany as error:
        return _refuse(413, str(error))
    except UnknownEncoding:
        return _refuse(415, "Send the batch as it is, or packed with gzip.")
    except otlp.BadBatch as error:
        return _refuse(400, str(error))
    except (OperationalError, InterfaceError):
        return _refuse(503, "The database is away. Send the batch again.", retry_after=5)
    except DatabaseError:
        log.exception("a usage batch could not be stored")
        return _refuse(503, "The batch could not be stored. Send it again.", retry_after=30)
    doubted = came.quarantined.total()
    words = "; ".join(f"{Doubt(kind).label}: {n}" for kind, n in came.quarantined.most_common())
    if doubted:
        log.warning("put %d usage records into quarantine: %s", doubted, words)
    answer = otlp.json_answer if is_json else otlp.answer
    told = f"kept in quarantine, not counted: {words}"
    return HttpResponse(answer(doubted, told), content_type=request.content_type)


def _body(request: HttpRequest) -> bytes:
    """Return the batch, unpacked. It is read from the stream: Django's own limit is another."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnknownEncoding
    sent = _limited(request.read(MAX_BYTES + 1))
    if encoding != "gzip":
        return sent
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(sent)) as stream:
            return _limited(stream.read(MAX_BYTES + 1))
    except (OSError, EOFError, zlib.error):
        raise otlp.BadBatch("The body is not gzip, or it was cut off.") from None


def _limited(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise TooLarge
    return body


def _refuse(status: int, message: str, retry_after: int | None = None) -> HttpResponse:
    response = HttpResponse(message, status=status, content_type="text/plain")
    if retry_after:
        response["Retry-After"] = str(retry_after)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
