"""What an OpenAI-compatible engine answers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, as the engine counted them. cached_input_tokens are part of
    input_tokens.
    """

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class Delta:
    """One piece of a streamed answer. The last one has no text, but usage, times and identity."""

    text: str = ""
    usage: Usage | None = None
    ttft_ms: float | None = None  # from sending to the first piece of text
    latency_ms: float | None = None
    finish_reason: str = ""
    model: str = ""  # who answered: the InferenceService's name
    system_fingerprint: str = ""
    request_id: str = ""
    engine: str = ""


@dataclass(frozen=True)
class Bounds:
    """How much of one answer is read. seconds: from sending until its end; size: bytes of its
    stream.
    """

    seconds: float
    size: int


class BadAnswer(Exception):
    """The engine said 200, but what came is no answer. code: ENDLESS (more than its bounds allow),
    NOT_A_STREAM (a page, or nothing at all), CUT_OFF (it ended before it was whole).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class GatewayRefusal(Exception):
    """The gateway or engine refused the call (4xx). message is written for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.request_id = request_id
