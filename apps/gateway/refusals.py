"""What the gateway and the engines refuse, in our words: why, and what to do. The page How to call
lists them, and the playground says them.
"""

# status → why, what to do
REFUSALS = (
    (
        400,
        "The body is not JSON, names no model, or asks for more than the model takes.",
        "Send what the sample shows; shorten the message or the answer.",
    ),
    (
        401,
        "The token is missing, expired, not signed by our issuer, or for another audience.",
        "Get a new token.",
    ),
    (
        403,
        "Your team has no grant for this model, or no model of this name is served.",
        "A team lead requests it; its owner decides.",
    ),
    (404, "No model of this name is served.", "Use a name of the catalog."),
    (413, "The body is larger than the gateway takes.", "Send less text."),
    (
        429,
        "Your team has used its tokens for this minute.",
        "Wait for the seconds in Retry-After, or ask for more.",
    ),
    (
        503,
        "No replica of the model is ready. A model that sleeps while nobody calls is woken by the "
        "call.",
        "Wait for the seconds in Retry-After and send it again; the samples do.",
    ),
)
TOO_LONG = ("context length", "max_model_len", "context window", "input tokens")


def in_our_words(status: int, said: str, *, context_length: int) -> str:
    """Return why a call was refused and what to do.

    said: the words of whoever refused, of which only the meaning is used; context_length: the
    model's, in tokens.
    """
    if status == 400 and any(sign in said.lower() for sign in TOO_LONG):
        return (
            f"Your message and the longest answer together exceed the {context_length:,} tokens "
            "that this model takes. Shorten one of them."
        )
    found = next(((why, todo) for code, why, todo in REFUSALS if code == status), None)
    if found is None:
        return f"The gateway refused the call with {status}. “How to call” says what it accepts."
    return " ".join(found)
