"""How a suite asks for a packet's answer: the same conversation for each packet. Pure.

{"form": "codes", "system": "…", "ask": "Packet:\\n{packet}\\n…", "examples": [{"packet": "…",
 "answer": "…"}], "max_tokens": 90}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from apps.evals.packets.packet import Packet
from apps.evals.scoring.answers import FORMS, Form

MOST_TOKENS = 8192
PACKET, CRITERIA = "{packet}", "{criteria}"


class BadQuestion(Exception):
    """What is given is no question; the message says why."""


@dataclass(frozen=True)
class Question:
    """What is asked of each packet. examples: (packet's text, right answer) as earlier turns."""

    form: Form
    system: str
    ask: str
    examples: tuple[tuple[str, str], ...]
    max_tokens: int

    def turns(self, packet: Packet) -> list[dict[str, str]]:
        """Return the conversation that asks for a packet's answer."""
        turns = [{"role": "system", "content": self.system}] if self.system else []
        for text, answer in self.examples:
            turns.append({"role": "user", "content": self._asked(text, "")})
            turns.append({"role": "assistant", "content": answer})
        criteria = "\n".join(f"{each.id}: {each.text}" for each in packet.criteria)
        return [*turns, {"role": "user", "content": self._asked(packet.text, criteria)}]

    def _asked(self, text: str, criteria: str) -> str:
        # the packet last: what stands in it is never taken for a place to fill
        return self.ask.replace(CRITERIA, criteria).replace(PACKET, text)

    @classmethod
    def of_json(cls, data: Any) -> "Question":
        """Return the question of a suite. Raises BadQuestion."""
        names = {"form", "system", "ask", "examples", "max_tokens"}
        if not isinstance(data, dict) or set(data) != names:
            raise BadQuestion(f"A question has the fields {', '.join(sorted(names))}.")
        if data["form"] not in FORMS:
            raise BadQuestion(f"A question's form is one of {', '.join(FORMS)}.")
        if not isinstance(data["system"], str) or not isinstance(data["ask"], str):
            raise BadQuestion("A question's system and ask are texts.")
        if data["ask"].count(PACKET) != 1:
            raise BadQuestion("A question's ask holds {packet} once: there the packet goes.")
        tokens = data["max_tokens"]
        if (
            not isinstance(tokens, int)
            or isinstance(tokens, bool)
            or not 1 <= tokens <= MOST_TOKENS
        ):
            raise BadQuestion(f"A question's max_tokens is a number from 1 to {MOST_TOKENS}.")
        if not isinstance(data["examples"], list):
            raise BadQuestion("A question's examples are a list.")
        examples = tuple(_example(each) for each in data["examples"])
        form = cast(Form, data["form"])
        return cls(form, data["system"], data["ask"], examples, tokens)


def _example(data: Any) -> tuple[str, str]:
    texts = isinstance(data, Mapping) and set(data) == {"packet", "answer"}
    if not texts or not all(isinstance(value, str) for value in data.values()):
        raise BadQuestion("An example of a question has the texts packet and answer.")
    return data["packet"], data["answer"]
