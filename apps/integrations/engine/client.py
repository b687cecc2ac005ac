"""One OpenAI-compatible endpoint: an engine itself (in the cluster, through CLUSTER_HTTP_PROXY) or
the gateway.

Prompts and answers pass through and are kept nowhere: no log line, no error text carries them. A
refusal (4xx) becomes GatewayRefusal with the words of whoever refused; being away or failing
(timeout, 5xx) becomes TemporaryError.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import httpx

from apps.integrations.engine.identity import STAND_IN, engine_named
from apps.integrations.engine.types import BadAnswer, Bounds, Delta, GatewayRefusal, Usage
from apps.integrations.errors import TemporaryError

Message = dict[str, str]  # {"role": "user", "content": "…"}
# vLLM's gauges in Prometheus' text form; a labeled line ends in the value.
_UNDER_WAY = re.compile(
    r"^vllm:num_requests_(?:running|waiting)(?:\{[^}]*\})? "
    r"(\d+(?:\.\d+)?(?:e\+?\d+)?)$",
    re.MULTILINE,
)


class EngineClient:
    """Speaks to one endpoint. Use as a context manager, or call close()."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        proxy: str | None = None,
        timeout: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=base_url,
            headers=headers,
            proxy=(proxy or None) if transport is None else None,
            timeout=httpx.Timeout(timeout, connect=5),
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> bool:
        """Tell whether the engine answers."""
        try:
            return self._http.get("/v1/models", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def version(self) -> str:
        """Return which engine answers, as it calls itself: "stand-in" or "vllm 0.32.0". Raises
        TemporaryError when it does not.
        """
        with _translated():
            answer = self._http.get("/version", timeout=5)
            models = self._http.get("/v1/models", timeout=5)
        if answer.headers.get("x-engine") == STAND_IN:
            return STAND_IN
        if answer.status_code != 200:
            raise TemporaryError(
                f"The engine answered {answer.status_code} when it was asked for its version."
            )
        return engine_named(_owner(models), _json(answer.content).get("version"))

    def running_calls(self) -> int:
        """Return how many calls the engine works on or has queued. Raises TemporaryError when it
        does not tell.
        """
        with _translated():
            answer = self._http.get("/metrics")
        found = _UNDER_WAY.findall(answer.text)
        if answer.status_code != 200 or not found:
            raise TemporaryError(
                f"The engine answered {answer.status_code} when it was asked for its figures."
            )
        return round(sum(float(value) for value in found))

    def stream_chat(
        self,
        *,
        model: str,
        messages: Sequence[Message],
        max_tokens: int | None = None,
        temperature: float = 0,
        bounds: Bounds | None = None,
    ) -> Iterator[Delta]:
        """Yield the answer's pieces as they come; the last item carries usage, times in ms and who
        answered.

        bounds: read no more than that, and take nothing but a whole stream of events; None where
        whoever reads can stop by themselves. Raises GatewayRefusal (4xx), TemporaryError, or with
        bounds BadAnswer: before the first piece or in the middle.
        """
        body: dict[str, Any] = {
            "model": model,
            "messages": list(messages),
            "temperature": temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        sent = time.monotonic()
        with _translated(), self._http.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                raise _refusal(answer)
            yield from _deltas(answer, sent, bounds)


def _deltas(answer: httpx.Response, sent: float, bounds: Bounds | None) -> Iterator[Delta]:
    first: float | None = None
    is_whole = False
    last = Delta(
        engine=answer.headers.get("x-engine", ""), request_id=answer.headers.get("x-request-id", "")
    )
    for line in _lines(answer, sent, bounds):
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            # read on to the very end: the gateway counts a call's tokens only when its stream has
            # ended
            is_whole = True
            continue
        chunk = _json(data)
        if "error" in chunk:
            raise TemporaryError("The engine broke off in the middle of its answer.")
        text, reason = _choice(chunk)
        if text:
            first = first or time.monotonic()
            yield Delta(text=text)
        last = _merged(last, chunk, reason)
    ended = time.monotonic()
    if bounds is not None and not is_whole:
        raise _not_whole(answer, last)
    ttft = (first - sent) * 1000 if first else None
    yield Delta(**{**vars(last), "ttft_ms": ttft, "latency_ms": (ended - sent) * 1000})


def _lines(answer: httpx.Response, sent: float, bounds: Bounds | None) -> Iterator[str]:
    """Yield the stream's lines. Raises BadAnswer as soon as it is beyond its bounds, also where no
    line ever ends.
    """
    if bounds is None:
        yield from answer.iter_lines()
        return
    read, rest = 0, b""
    for piece in answer.iter_bytes():
        read += len(piece)
        if read > bounds.size:
            raise BadAnswer("ENDLESS", f"Its answer was longer than {bounds.size:,} bytes.")
        if time.monotonic() - sent > bounds.seconds:
            raise BadAnswer("ENDLESS", f"It was still answering after {bounds.seconds:g} s.")
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    yield rest.decode(errors="replace")


def _not_whole(answer: httpx.Response, last: Delta) -> BadAnswer:
    """Return what came instead of a stream that says its end. The answer's words are not told."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    if last.model or last.finish_reason:
        return BadAnswer("CUT_OFF", "Its answer ended before it was whole.")
    return BadAnswer("NOT_A_STREAM", f"It answered {kind or 'nothing'}, no stream of events.")


def _choice(chunk: dict[str, Any]) -> tuple[str, str]:
    """Return a chunk's text and finish reason."""
    choices = chunk.get("choices") or [{}]
    return str((choices[0].get("delta") or {}).get("content") or ""), str(
        choices[0].get("finish_reason") or ""
    )


def _merged(last: Delta, chunk: dict[str, Any], reason: str) -> Delta:
    known = {
        "model": chunk.get("model") or last.model,
        "system_fingerprint": chunk.get("system_fingerprint") or last.system_fingerprint,
        "finish_reason": reason or last.finish_reason,
        "usage": _usage(chunk["usage"]) if chunk.get("usage") else last.usage,
    }
    return Delta(**{**vars(last), **known})


def _usage(usage: dict[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details") or {}
    given, made = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    return Usage(
        given,
        int(details.get("cached_tokens") or 0),
        made,
        int(usage.get("total_tokens") or given + made),
    )


def _refusal(answer: httpx.Response) -> Exception:
    """Return the error of an answer that is not 200. Shapes: {"error": {…}}, {"message": …}, or
    plain text.
    """
    body = answer.read()
    found = _json(body)
    inner = found.get("error")
    error = inner if isinstance(inner, dict) else found
    message = str(
        error.get("message") or error.get("detail") or body[:300].decode(errors="replace")
    )
    code = str(error.get("code") or error.get("type") or answer.status_code)
    after = _seconds(
        answer.headers.get("retry-after", "") or answer.headers.get("x-ratelimit-reset", "")
    )
    if answer.status_code >= 500:
        # The gateway's own sentences carry a word as code, and no text of the call; an engine's are
        # not repeated.
        words = (
            message
            if isinstance(error.get("code"), str)
            else f"The engine answered {answer.status_code}."
        )
        return TemporaryError(words, retry_after=after)
    request_id = answer.headers.get("x-request-id", "")
    return GatewayRefusal(
        answer.status_code, code, message, retry_after=after, request_id=request_id
    )


def _seconds(text: str) -> float | None:
    return float(text) if text.replace(".", "", 1).isdigit() else None


def _owner(models: httpx.Response) -> object:
    """Return who an engine's list of models says that they belong to: every engine with OpenAI's
    API names itself there.
    """
    listed = _json(models.content).get("data")
    first = listed[0] if isinstance(listed, list) and listed else None
    return first.get("owned_by") if isinstance(first, dict) else None


def _json(data: str | bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise TemporaryError(f"The engine cannot be reached: {type(error).__name__}.") from error
