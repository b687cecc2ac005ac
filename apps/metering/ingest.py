"""The door for OpenTelemetry Collectors: POST /v1/logs (OTLP over HTTP, protobuf, gzip).

200: stored, or refused for good (partial success). 400, 413, 415: the batch is bad and must not
come again. 401: wrong credential. 503: the database is away; the Collector keeps the batch on disk
and retries.
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
from apps.metering.access_log import BadRecord, UsageRecord, read_record

MAX_BYTES = 32 * 1024 * 1024  # of one batch, unpacked; the Collector's batches are below 8 MB
PROTOBUF = "application/x-protobuf"
log = logging.getLogger(__name__)


class TooLarge(ValueError):
    """The body unpacks to more than MAX_BYTES."""


@csrf_exempt
@require_POST
def logs(request: HttpRequest) -> HttpResponse:
    """Store a batch of access-log records."""
    if not is_bearer(request.headers.get("Authorization", ""), settings.USAGE_INGEST_TOKEN_FILE):
        return _refuse(401, "A valid ingest credential is needed.")
    if request.content_type != PROTOBUF:
        return _refuse(415, f"Send {PROTOBUF}.")
    try:
        records, problems = _read(otlp.read_batch(_body(request)))
        actions.ingest_usage(records=records, via="OTLP", now=now())
    except TooLarge:
        return _refuse(413, f"A batch may unpack to {MAX_BYTES} bytes at most.")
    except otlp.BadBatch as error:
        return _refuse(400, str(error))
    except (OperationalError, InterfaceError):
        return _refuse(503, "The database is away. Send the batch again.", retry_after=5)
    except DatabaseError:
        log.exception("a usage batch could not be stored")
        return _refuse(503, "The batch could not be stored. Send it again.", retry_after=30)
    if problems:
        log.warning(
            "refused %d usage records: %s", len(problems), "; ".join(sorted(set(problems))[:5])
        )
    return HttpResponse(
        otlp.answer(len(problems), "; ".join(sorted(set(problems))[:5])), content_type=PROTOBUF
    )


def _body(request: HttpRequest) -> bytes:
    if request.headers.get("Content-Encoding") != "gzip":
        return _limited(request.body)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(request.body)) as stream:
            return _limited(stream.read(MAX_BYTES + 1))
    except (OSError, EOFError, zlib.error):
        raise otlp.BadBatch("The body is not gzip, or it was cut off.") from None


def _limited(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise TooLarge
    return body


def _read(batch: list[dict[str, object]]) -> tuple[list[UsageRecord], list[str]]:
    records, problems = [], []
    for values in batch:
        try:
            record = read_record(values)
        except BadRecord as error:
            problems.append(str(error))
        else:
            records.extend([record] if record else [])
    return records, problems


def _refuse(status: int, message: str, retry_after: int | None = None) -> HttpResponse:
    response = HttpResponse(message, status=status, content_type="text/plain")
    if retry_after:
        response["Retry-After"] = str(retry_after)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
