"""The door for spans: POST /v1/traces, as apps/common/otlp/door.py takes every batch, with the
credential of /v1/logs. Spans that are no good are counted, told as a partial success, and never in
the way of the others.
"""

import logging

from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.otlp import door
from apps.traces import actions, otlp

log = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def traces(request: HttpRequest) -> HttpResponse:
    """Keep a batch of spans."""
    return door.receive(request, _take)


def _take(body: bytes, is_json: bool) -> bytes:
    batch = otlp.read_json(body) if is_json else otlp.read_batch(body)
    dropped = actions.keep_spans(spans=batch.spans, now=now())
    words = f"cannot be read: {batch.unreadable}; not of the last day: {dropped}"
    rejected = batch.unreadable + dropped
    if rejected:
        log.warning("%d spans were not kept: %s", rejected, words)
    return otlp.answer(rejected, f"not kept: {words}", is_json=is_json)
