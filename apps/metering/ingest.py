"""The door for the records of calls: POST /v1/logs, as apps/common/otlp/door.py takes every batch.
What is in doubt is kept in quarantine, and told as a partial success.
"""

import logging

from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.otlp import door
from apps.metering import actions, otlp
from apps.metering.quarantine.models import Doubt

log = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def logs(request: HttpRequest) -> HttpResponse:
    """Store a batch of access-log records."""
    return door.receive(request, _take)


def _take(body: bytes, is_json: bool) -> bytes:
    read = otlp.read_json if is_json else otlp.read_batch
    came = actions.ingest_storable(entries=read(body), via="OTLP", now=now())
    doubted = came.quarantined.total()
    words = "; ".join(f"{Doubt(kind).label}: {n}" for kind, n in came.quarantined.most_common())
    if doubted:
        log.warning("put %d usage records into quarantine: %s", doubted, words)
    answer = otlp.json_answer if is_json else otlp.answer
    return answer(doubted, f"kept in quarantine, not counted: {words}")
