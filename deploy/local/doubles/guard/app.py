"""A labeled stand-in for guards, as an ASGI application: vLLM's /classify and chat completions of a
Granite Guardian, and presidio's /analyze, with the errors that both give.

Every answer says x-engine: stand-in. POST /trouble {"kind": …} makes it fail: busy, broken, slow,
odd, silent; "" ends that.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from . import judging

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
LONGEST = 2_048  # tokens of its context, four characters each
SLOW_SECONDS = 30.0
TROUBLES = ("", "busy", "broken", "slow", "odd", "silent")


class _Refused(Exception):
    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        said = {"message": message, "type": kind, "param": param, "code": status}
        self.status, self.body = status, {"error": said}


@dataclass
class StandIn:
    """The guards of one server. models: the names under which it serves; asked: the paths and
    bodies of its calls.
    """

    models: tuple[str, ...] = ("prompt-guard", "granite-guardian")
    trouble: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, said = await self._answer(scope, raw)
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-engine", b"stand-in"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, raw: bytes) -> tuple[int, Any]:
        path, method = scope["path"], scope["method"]
        if method == "GET":
            return self._about(path)
        if path == "/trouble":
            self.trouble = str(_json(raw).get("kind", ""))
            return (200, {}) if self.trouble in TROUBLES else (400, {})
        try:
            known = {
                "/classify": self._classify,
                "/v1/chat/completions": self._judge,
                "/analyze": self._analyze,
            }
            if path not in known or method != "POST":
                return 404, {"detail": "Not Found"}
            if (troubled := await self._troubled()) is not None:
                return troubled
            body = _json(raw)
            self.asked.append((path, body))
            if path != "/analyze":
                self._check(scope, raw, body)
            return known[path](body)
        except _Refused as refused:
            return refused.status, refused.body

    def _about(self, path: str) -> tuple[int, Any]:
        if path == "/health":
            return 200, b""
        if path == "/version":
            return 200, {"version": "stand-in"}
        if path == "/v1/models":
            owned = [{"id": one, "object": "model", "owned_by": "stand-in"} for one in self.models]
            return 200, {"object": "list", "data": owned}
        return 404, {"detail": "Not Found"}

    async def _troubled(self) -> tuple[int, Any] | None:
        if self.trouble == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        if self.trouble == "busy":
            error = _Refused(503, "ServiceUnavailableError", "The engine is overloaded.")
            return 503, error.body
        if self.trouble == "broken":
            return 500, b"Internal Server Error"
        if self.trouble == "odd":
            return 200, b"<html>"
        return (200, {"object": "list", "data": [], "choices": []}) if self.trouble else None

    def _check(self, scope: Scope, raw: bytes, body: dict[str, Any]) -> None:
        kinds = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0]
        if kinds.strip() != b"application/json":
            raise _Refused(
                415, "Bad Request", "Unsupported Media Type: Only 'application/json' is allowed"
            )
        if not isinstance(body, dict) or not raw.strip():
            raise _Refused(400, "Bad Request", "JSON decode error")
        if body.get("model") not in self.models:
            name = body.get("model")
            raise _Refused(404, "NotFoundError", f"The model `{name}` does not exist.", "model")

    def _classify(self, body: dict[str, Any]) -> tuple[int, Any]:
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise _Refused(400, "Bad Request", "1 validation error: input: Field required", "input")
        data = []
        for index, text in enumerate(texts):
            _fits(text)
            likely = judging.injection(text)
            probabilities = [1 - likely, likely]
            label = judging.LABELS[probabilities.index(max(probabilities))]
            data.append({"index": index, "label": label, "probs": probabilities, "num_classes": 2})
        tokens = sum(len(text) // 4 for text in texts)
        return 200, {
            "id": f"classify-{time.monotonic_ns():x}",
            "object": "list",
            "created": int(time.time()),
            "model": body["model"],
            "data": data,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
        }

    def _judge(self, body: dict[str, Any]) -> tuple[int, Any]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise _Refused(400, "Bad Request", "1 validation error: messages", "messages")
        text, criterion, wording = _question(body, messages)
        _fits(text)
        yes = judging.meets(criterion, text)
        told = judging.logprobs(yes) if body.get("logprobs") else None
        content = wording[0 if yes > 0.5 else 1]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content},
            "logprobs": {"content": told} if told else None,
            "finish_reason": "stop",
        }
        return 200, {"id": "chatcmpl-0", "object": "chat.completion", "choices": [choice]}

    def _analyze(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Answer as presidio does: all that is wrong with a call is a 500 there."""
        text, language = body.get("text"), body.get("language")
        if not text:
            return 500, {"error": "No text provided"}
        if not language:
            return 500, {"error": "No language provided"}
        if language != "en":
            return 500, {"error": "No matching recognizers were found to serve the request."}
        wanted = list(body.get("entities") or [])
        least = float(body.get("score_threshold") or 0)
        if isinstance(text, list):
            return 200, [judging.entities(str(one), wanted, least) for one in text]
        return 200, judging.entities(str(text), wanted, least)


def _question(
    body: dict[str, Any], messages: list[dict[str, Any]]
) -> tuple[str, str, tuple[str, str]]:
    """Return (text, criterion, the two verdicts) of a question, by the generation that it is meant
    for.
    """
    config = (body.get("chat_template_kwargs") or {}).get("guardian_config") or {}
    last = str(messages[-1].get("content"))
    if last.startswith("<guardian>") and len(messages) > 1:
        text, criterion = str(messages[-2].get("content")), last.partition("Criteria:")[2]
        wording = "<think>\n</think><score>yes</score>", "<think>\n</think><score>no</score>"
        return text, criterion, wording
    if "criteria_id" in config:
        return last, str(config["criteria_id"]), ("<score> yes </score>", "<score> no </score>")
    if "risk_name" in config:
        return last, str(config["risk_name"]), ("Yes", "No")
    raise _Refused(400, "BadRequestError", "guardian_config is undefined")


def _fits(text: str) -> None:
    if len(text) > LONGEST * 4:
        raise _Refused(
            400,
            "BadRequestError",
            f"This model's maximum context length is {LONGEST} tokens. However, your prompt "
            f"contains {len(text) // 4} input tokens. Please reduce the length of the input "
            "prompt.",
            "input_tokens",
        )


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return {}


app = StandIn()
