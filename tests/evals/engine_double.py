"""An engine for tests: OpenAI's streaming shape over a mock transport; answers as the labeled
stand-in does, or as badly as it is told to.
"""

import json
from collections.abc import Iterator

import httpx

from apps.integrations.engine.client import EngineClient
from deploy.local.engine.stand_in.answers import answer

HEADERS = {"x-engine": "stand-in"}
ENDLESS, PAGE, CUT, FAILS, REFUSES, AWAY = "endless", "page", "cut", "fails", "refuses", "away"


class EngineDouble:
    """Counts the answers it gave. max_characters: how much of each is said; dies_at: the call at
    which it is away, once; refuses: every call; bad: words in a question → how it is answered, one
    of the words above.
    """

    def __init__(
        self,
        *,
        max_characters: int = 10_000,
        dies_at: int | None = None,
        refuses: bool = False,
        bad: dict[str, str] | None = None,
    ) -> None:
        self.max_characters, self.dies_at, self.refuses = max_characters, dies_at, refuses
        self.bad = bad or {}
        self.calls = 0
        self.is_away = False
        self.addresses: list[str] = []
        self.asked: list[tuple[str, str]] = []  # (model, last words of the question)

    def client(self, base_url: str) -> EngineClient:
        """Return a client of this engine, as the worker would make one for the address."""
        self.addresses.append(base_url)
        return EngineClient(base_url, transport=httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("gone")
        if request.url.path == "/version":
            return httpx.Response(200, json={"version": "0"}, headers=HEADERS)
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": []}, headers=HEADERS)
        self.calls += 1
        if self.calls == self.dies_at:
            self.is_away = True
            raise httpx.ConnectError("gone")
        asked = json.loads(request.content)
        turns = [(turn["role"], turn["content"]) for turn in asked["messages"]]
        self.asked.append((asked["model"], turns[-1][1]))
        how = next((how for words, how in self.bad.items() if words in turns[-1][1]), "")
        if self.refuses or how:
            return self._badly(how or REFUSES, asked["model"])
        text = answer(turns, asked["model"])[: self.max_characters]
        return httpx.Response(200, text=stream(asked["model"], text), headers=HEADERS)

    def _badly(self, how: str, model: str) -> httpx.Response:
        if how == AWAY:
            self.is_away = True
            raise httpx.ConnectError("gone")
        if how == REFUSES:
            return httpx.Response(400, json={"error": {"message": "too long", "code": 400}})
        if how == FAILS:
            return httpx.Response(500, json={"error": {"message": "CUDA error"}})
        if how == PAGE:
            page = {"content-type": "text/html; charset=utf-8"}
            return httpx.Response(200, text="<html><body>Welcome</body></html>", headers=page)
        if how == CUT:
            whole = stream(model, "E11.9").split("\n\n")
            return httpx.Response(200, text=whole[0] + "\n\n", headers=HEADERS)
        return httpx.Response(200, content=endless(model), headers=HEADERS)


def endless(model: str) -> Iterator[bytes]:
    """Yield an answer that never ends, at 64 KiB a piece."""
    chunk = {"model": model, "choices": [{"delta": {"content": "E11.9 " * 11_000}}]}
    while True:
        yield f"data: {json.dumps(chunk)}\n\n".encode()


def stream(model: str, text: str) -> str:
    """Return an answer as server-sent events."""
    chunks = [
        {"model": model, "choices": [{"delta": {"content": text}, "finish_reason": None}]},
        {"model": model, "choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49}},
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
