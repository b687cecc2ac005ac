"""The span that vLLM makes of each answered request, made by the stand-in in its place and marked
as the stand-in's own. OTLP in JSON over HTTP, from a thread of its own: what cannot be sent is
dropped, and no answer waits for it.
"""

from __future__ import annotations

import json
import os
import queue
import re
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.engine.stand_in.protocol import Usage

NAME = "llm_request"
SERVER = 2  # the kind of a span that answers a request
MOST_WAITING = 1000
MOST_AT_ONCE = 200
SECONDS = 2.0
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True)
class Answered:
    """One answered request. began: seconds since 1970; waited, first, took: seconds, first None
    where no token was told apart. traceparent: the header, "" where none came.
    """

    request_id: str
    traceparent: str
    usage: Usage
    began: float
    waited: float
    first: float | None
    took: float


class Spans:
    """Sends spans to one address."""

    def __init__(self, endpoint: str, service: str) -> None:
        self._endpoint, self._service = endpoint, service
        self._waiting: queue.Queue[Answered] = queue.Queue(MOST_WAITING)
        threading.Thread(target=self._send_all, name="spans", daemon=True).start()

    def tell(self, answered: Answered) -> None:
        """Send a span soon; drop it where too many wait."""
        try:
            self._waiting.put_nowait(answered)
        except queue.Full:
            return

    def _send_all(self) -> None:
        while True:
            ready = [self._waiting.get()]
            while len(ready) < MOST_AT_ONCE and not self._waiting.empty():
                ready.append(self._waiting.get())
            try:
                self._send([span for one in ready if (span := span_of(one))])
            except OSError:
                time.sleep(SECONDS)

    def _send(self, spans: list[dict[str, object]]) -> None:
        if not spans:
            return
        resource = {"attributes": [_pair("service.name", self._service)]}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
        request = urllib.request.Request(  # noqa: S310 - the address that the engine was started with
            self._endpoint,
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=SECONDS):
            pass


def span_of(answered: Answered) -> dict[str, object] | None:
    """Return the span of an answered request, as OTLP's JSON has it; None where the caller of it
    wants none.
    """
    told = _TRACEPARENT.fullmatch(answered.traceparent)
    if told and not int(told[3], 16) & 1:
        return None
    trace_id, parent = (told[1], told[2]) if told else (os.urandom(16).hex(), "")
    start = int(answered.began * 1e9)
    return {
        "traceId": trace_id,
        "spanId": os.urandom(8).hex(),
        "parentSpanId": parent,
        "name": NAME,
        "kind": SERVER,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(answered.took * 1e9)),
        "attributes": [_pair(key, value) for key, value in _attributes(answered).items()],
    }


def _attributes(answered: Answered) -> Mapping[str, str | int | float | bool]:
    """Return what vLLM tells of a request, by its names, and that this is not vLLM."""
    found: dict[str, str | int | float | bool] = {
        "quartermaster.stand_in": True,
        "gen_ai.request.id": answered.request_id,
        "gen_ai.usage.prompt_tokens": answered.usage.prompt,
        "gen_ai.usage.completion_tokens": answered.usage.completion,
        "gen_ai.latency.time_in_queue": answered.waited,
        "gen_ai.latency.e2e": answered.took,
    }
    if answered.first is not None:
        found["gen_ai.latency.time_to_first_token"] = answered.first
    return found


def _pair(key: str, value: str | int | float | bool) -> dict[str, object]:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    told = str(value) if type(value) is int else value
    return {"key": key, "value": {kinds[type(value)]: told}}
