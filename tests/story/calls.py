"""Calls of a model over public HTTP, as anybody with a token makes them, and what their own answers
say they used.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

MODEL = "prior-auth-extract"
ASK = "Return the diagnosis_codes and procedure_codes of the packet as JSON.\n\nPacket: "
PACKET = ASK + (
    "Member with type 2 diabetes (E11.9) and hypertension (I10) asks for a continuous glucose "
    "monitor (E2103), a "
    "walker (E0143) and oxygen at home (E1390) after a stay in hospital for heart failure (I50.9) "
    "and COPD (J44.9)."
)
# Two that are long: one to answer, which leaves time to hang up, and one to read, which uses up a
# minute's tokens.
LONG_ANSWER = (
    ASK
    + "Member with "
    + ", ".join(f"{letter}{place}.9" for letter in "CEIJKM" for place in range(10, 30))
)
LONG_PROMPT = (
    "Summarize what follows. "
    + "The member asks for home oxygen after a long stay in hospital. " * 100
)


@dataclass(frozen=True)
class Usage:
    """Tokens as one answer tells them; cached is a part of input."""

    input: int
    cached: int
    output: int


@dataclass
class Ledger:
    """What the story did to the gateway: what each answer said it used, and how many calls ended
    otherwise.
    """

    usages: list[Usage] = field(default_factory=list)
    unmetered: int = 0
    refused: int = 0

    def add(self, usage: dict[str, Any]) -> Usage:
        """Keep the `usage` of an answer."""
        details = usage.get("prompt_tokens_details") or {}
        found = Usage(
            usage["prompt_tokens"], details.get("cached_tokens") or 0, usage["completion_tokens"]
        )
        self.usages.append(found)
        return found

    def count(self, *tokens: int) -> None:
        """Take one of the calls that were left for metered after all: input, cached, output."""
        assert self.unmetered, "more calls were counted than were left"
        self.unmetered -= 1
        self.usages.append(Usage(*tokens))

    def total(self) -> Usage:
        """Return the sum of all answers."""
        return Usage(
            *(
                sum(getattr(one, name) for one in self.usages)
                for name in ("input", "cached", "output")
            )
        )


class Caller:
    """Somebody with a token at the gateway."""

    def __init__(self, gateway: str, token: str, ledger: Ledger, patience: float) -> None:
        self.ledger = ledger
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(
            base_url=gateway, headers=headers, timeout=patience, trust_env=False
        )

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(
        self,
        text: str = PACKET,
        *,
        model: str = MODEL,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Usage:
        """Ask and read the whole answer at once. Returns what it says it used."""
        answer = self.http.post(
            "/v1/chat/completions", json=question(text, model, more), headers=headers
        )
        assert answer.status_code == 200, answer.text
        return self.ledger.add(answer.json()["usage"])

    def ask_streamed(self, text: str = PACKET, **more: Any) -> Usage:
        """Ask and read the answer as it is written; its last piece tells the usage."""
        body = question(
            text, MODEL, {"stream": True, "stream_options": {"include_usage": True}} | more
        )
        pieces, usage = 0, None
        with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    chunk = json.loads(line[6:])
                    pieces += bool(chunk["choices"])
                    usage = chunk.get("usage") or usage
        assert pieces > 2, "the answer came in one piece"
        assert usage is not None, "the stream told no usage"
        return self.ledger.add(usage)

    def ask_and_hang_up(self) -> None:
        """Ask for a long answer and go away after its first piece."""
        body = question(LONG_ANSWER, MODEL, {"stream": True, "max_tokens": 600})
        with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            next(line for line in answer.iter_lines() if line.startswith("data:"))
        self.ledger.unmetered += 1

    def is_refused(
        self, status: int, code: str, *words: str, content: bytes | None = None, model: str = MODEL
    ) -> str:
        """Ask and be refused with this status, this code and these words. Returns the whole
        sentence.
        """
        body = content if content is not None else json.dumps(question(PACKET, model, {})).encode()
        answer = self.http.post(
            "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        error = answer.json()["error"]
        assert error["code"] == code, error
        for word in words:
            assert word in error["message"], error
        self.ledger.refused += 1
        return str(error["message"])

    def uses_up(self, tokens_per_minute: int) -> str:
        """Ask until the tokens of a minute are used up, and more than once: in the next minute
        where earlier calls left too little of this one. Returns the refusal's sentence.
        """
        spent, answered = self.ledger.total(), 0
        for _ in range(40):
            answer = self.http.post(
                "/v1/chat/completions", json=question(LONG_PROMPT, MODEL, {"max_tokens": 16})
            )
            if answer.status_code == 200:
                answered += 1
                self.ledger.add(answer.json()["usage"])
            elif answer.status_code == 429 and answered < 2:
                self.ledger.refused += 1
                time.sleep(int(answer.headers["retry-after"]))
            else:
                break
        total = self.ledger.total()
        used = total.input + total.output - spent.input - spent.output
        assert answer.status_code == 429, f"{answer.status_code} after {used} tokens"
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert used <= 3 * tokens_per_minute
        self.ledger.refused += 1
        return str(answer.json()["error"]["message"])

    def is_refused_soon(self, status: int, code: str, *, seconds: float) -> None:
        """Ask until a changed grant has reached the gateway: calls before that are answered, or
        over the limit.
        """
        until = time.monotonic() + seconds
        while True:
            answer = self.http.post("/v1/chat/completions", json=question(PACKET, MODEL, {}))
            if answer.status_code == 200:
                self.ledger.add(answer.json()["usage"])
            else:
                self.ledger.refused += 1
            if answer.status_code == status:
                assert answer.json()["error"]["code"] == code, answer.text
                return
            assert answer.status_code in (200, 429), answer.text
            assert time.monotonic() < until, f"not refused with {status} after {seconds:.0f} s"
            time.sleep(0.3)


def question(text: str, model: str, more: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a call."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": 80,
    } | more


def claims_of(token: str) -> dict[str, Any]:
    """Return a token's claims, unchecked."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def forged(token: str) -> str:
    """Return the token with one letter of its signature changed."""
    head, body, signature = token.split(".")
    return f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def unsigned(token: str) -> str:
    """Return the same claims without any signature: "alg": "none"."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{head}.{token.split('.')[1]}."


def expired(token: str, state: Path) -> str:
    """Return the token as it will be when it has expired: signed with the provider's own key, an
    hour old.
    """
    key = RSAKey.import_key((state / "idp" / "signing-key.pem").read_text())
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    hour_ago = int(time.time()) - 3600
    return str(jwt.encode(head, claims_of(token) | {"iat": hour_ago - 3600, "exp": hour_ago}, key))
