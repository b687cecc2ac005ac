"""What a caller hears from the gate who is not let through: the status, and the error in the shape
that OpenAI's clients read. Pure.

Statuses are chosen so that neither the client repeats what cannot succeed, nor the policies'
sentences for Envoy's own refusals (403, 429, 503) take the place of these.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

DETAILS = "qm_"  # how the gate's answers are told from Envoy's own in its access log


@dataclass(frozen=True)
class Guardrail:
    """Which rule refused, in which phase: "request" or "answer"."""

    rule: str
    phase: str


@dataclass(eq=False)  # an exception is itself alone
class Refusal(Exception):
    """A call is not let through. code: for programs; message: for people, and never a word of what
    they sent. headers: beside content-type.
    """

    status: int
    type: str
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    guardrail: Guardrail | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def details(self) -> str:
        """Return what the access log says of it."""
        return f"{DETAILS}{self.code}"

    def error(self) -> dict[str, object]:
        """Return the error as OpenAI's clients read it."""
        said: dict[str, object] = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "param": None,
        }
        if self.guardrail:
            said["guardrail"] = {"rule": self.guardrail.rule, "phase": self.guardrail.phase}
        return said

    def body(self) -> bytes:
        """Return the whole answer's body."""
        return json.dumps({"error": self.error()}).encode()


def unavailable(what: str) -> Refusal:
    """Return the refusal of a call that could not be checked. what: which check, in words."""
    message = (
        f"The gateway could not check this call ({what}), so it was not sent on and nothing was "
        f"charged. Send it again in a few seconds."
    )
    return Refusal(502, "server_error", "gate_unavailable", message, {"Retry-After": "5"})
