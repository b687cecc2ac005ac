"""An engine for tests: OpenAI's streaming shape over a mock transport; answers as the labeled
stand-in does.
"""

import json

import httpx

from apps.integrations.engine.client import EngineClient
from deploy.local.engine.stand_in.answers import answer


class EngineDouble:
    """Counts calls. max_characters: how much of each answer is said; dies_at: the call at which it
    stops answering.
    """

    def __init__(
        self, *, max_characters: int = 10_000, dies_at: int | None = None, refuses: bool = False
    ) -> None:
        self.max_characters, self.dies_at, self.refuses = max_characters, dies_at, refuses
        self.calls = 0
        self.addresses: list[str] = []

    def client(self, base_url: str) -> EngineClient:
        """Return a client of this engine, as the worker would make one for the address."""
        self.addresses.append(base_url)
        return EngineClient(base_url, transport=httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        headers = {"x-engine": "stand-in"}
        if request.url.path == "/version":
            return httpx.Response(200, json={"version": "0"}, headers=headers)
        self.calls += 1
        if self.calls == self.dies_at:
            raise httpx.ConnectError("gone")
        if self.refuses:
            return httpx.Response(400, json={"error": {"message": "too long", "code": 400}})
        asked = json.loads(request.content)
        turns = [(turn["role"], turn["content"]) for turn in asked["messages"]]
        text = answer(turns, asked["model"])[: self.max_characters]
        return httpx.Response(200, text=stream(asked["model"], text), headers=headers)


def stream(model: str, text: str) -> str:
    """Return an answer as server-sent events."""
    chunks = [
        {"model": model, "choices": [{"delta": {"content": text}, "finish_reason": None}]},
        {"model": model, "choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49}},
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
