"""What the gate, the gateway and the engines refuse, as the portal tells it: why, and what to do.
The page How to call lists them, and the playground says them.

What the gate refuses it says itself (gate/refusals.py), to the point and without a word of the
call: which budget, which rule, which field. Of everybody else's words only the meaning is used.
"""

from dataclasses import dataclass

from apps.gateway.gate.refusals import CODES


@dataclass(frozen=True)
class Refused:
    """One kind of refusal. Several may have one status: the first is its usual one."""

    status: int
    why: str
    todo: str


REFUSALS = (
    Refused(
        400,
        "The body is not JSON, names no model, or asks for more than the model takes.",
        "Send what the sample shows; shorten the message or the answer.",
    ),
    Refused(
        400,
        "A rule of the guard found what may not go to this model, or may not come from it.",
        "Take it out: the error names the rule, and says whether it was found in the prompt or the "
        "answer.",
    ),
    Refused(
        401,
        "The token is missing, expired, not signed by our issuer, or for another audience; or it "
        "never ends, or does not say who pays.",
        "Get a new token.",
    ),
    Refused(
        402,
        "A budget that the call counts against has too little left for the most that it may use.",
        "Ask for a boost, or set a smaller max_tokens; the error names the budget and the day on "
        "which it begins anew.",
    ),
    Refused(
        403,
        "Your team has no grant for this model, or no model of this name is served.",
        "A team lead requests it; its owner decides.",
    ),
    Refused(404, "No model of this name is served.", "Use a name of the catalog."),
    Refused(413, "The body is larger than the gateway takes.", "Send less text."),
    Refused(
        429,
        "Your team has used its tokens for this minute, or has as many calls under way as it may.",
        "Wait for the seconds in Retry-After, or ask for more.",
    ),
    Refused(
        502,
        "The gateway could not check, count or record the call.",
        "Wait for the seconds in Retry-After and send it again.",
    ),
    Refused(
        503,
        "No replica of the model is ready. A model that sleeps while nobody calls is woken by the "
        "call.",
        "Wait for the seconds in Retry-After and send it again; the samples do.",
    ),
)
TOO_LONG = ("context length", "max_model_len", "context window", "input tokens")


def in_our_words(status: int, said: str, *, code: str = "", context_length: int) -> str:
    """Return why a call was refused and what to do.

    said: the words of whoever refused, of which only the meaning is used, unless the code is one of
    the gate's; context_length: the model's, in tokens.
    """
    if code in CODES:
        return said
    if status == 400 and any(sign in said.lower() for sign in TOO_LONG):
        return (
            f"Your message and the longest answer together exceed the {context_length:,} tokens "
            "that this model takes. Shorten one of them."
        )
    found = next((known for known in REFUSALS if known.status == status), None)
    if found is None:
        return f"The gateway refused the call with {status}. “How to call” says what it accepts."
    return f"{found.why} {found.todo}"
