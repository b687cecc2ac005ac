"""One call's way through the protocol: which message of Envoy's may come next, and what answers it.

Whatever comes out of order raises: the stream then ends with an error, on which Envoy refuses the
call. `is_whole` alone says that both halves were answered to their ends, so that the stream may end
well; a stream that ends well before that lets everything pass that is still to come.
"""

import asyncio
from collections.abc import Awaitable
from enum import Enum, auto
from typing import TypeVar

from apps.integrations.envoy import messages
from apps.integrations.envoy.exchange import Asked, Exchange, Refused
from apps.integrations.envoy.messages import Message

Found = TypeVar("Found")
EVENTS = "text/event-stream"
# The same for every call, and never written to. An answer that is compressed could not be read.
_REQUEST_GOES_ON = messages.go_on("request", removing=["accept-encoding"])
_ANSWER_GOES_ON = messages.go_on("response")


class OutOfOrder(Exception):
    """Envoy sent what cannot come here. The text names the message and the state."""


class State(Enum):
    """What comes next."""

    NOTHING_YET = auto()
    BODY = auto()  # of the request
    ANSWER = auto()  # its headers
    PLAIN = auto()  # the answer's whole body
    STREAM = auto()  # the answer's pieces
    FOREIGN = auto()  # the body of an answer that is not a model's
    WHOLE = auto()  # nothing: both halves are answered
    ENDED = auto()  # what no longer matters: we ended the stream ourselves
    REFUSED = auto()  # what no longer matters: the answer was ours


class Flow:
    """One call. patience: seconds that a judgment may take."""

    def __init__(self, exchange: Exchange, patience: float) -> None:
        self._exchange = exchange
        self._patience = patience
        self._asked = Asked({}, None, b"")
        self._status = 0
        self.state = State.NOTHING_YET

    @property
    def request_id(self) -> str:
        """Return the gateway's id of the call; "" before it is told."""
        return self._asked.headers.get("x-request-id", "")

    @property
    def is_whole(self) -> bool:
        """Tell whether both halves were answered to their ends."""
        return self.state in (State.WHOLE, State.ENDED)

    @property
    def _is_success(self) -> bool:
        return 200 <= self._status < 300

    @property
    def is_over(self) -> bool:
        """Tell whether whatever Envoy still sends needs no answer."""
        return self.state in (State.WHOLE, State.ENDED, State.REFUSED)

    async def take(self, message: Message) -> list[Message]:
        """Return what answers the message; nothing where it needs no answer. Raises OutOfOrder, and
        whatever judging the call raised where no answer of ours can take its place.
        """
        if self.is_over:
            return []
        kind = str(message.WhichOneof("request"))
        step = getattr(self, f"_{kind}", None)
        if step is None:
            raise self._out_of_order(kind)
        found: list[Message] = await step(message)
        return found

    async def _request_headers(self, message: Message) -> list[Message]:
        self._want("request_headers", State.NOTHING_YET)
        headers = messages.headers_of(message.request_headers)
        self._asked = Asked(headers, messages.claims_of(message), b"")
        if message.request_headers.end_of_stream:
            return await self._judge(has_body=False)
        self.state = State.BODY
        return [_REQUEST_GOES_ON]

    async def _request_body(self, message: Message) -> list[Message]:
        self._want("request_body", State.BODY)
        self._asked = Asked(self._asked.headers, self._asked.claims, message.request_body.body)
        return await self._judge(has_body=True)

    async def _judge(self, *, has_body: bool) -> list[Message]:
        found = await self._soon(self._exchange.request(self._asked))
        if isinstance(found, Refused):
            return self._refuse(found)
        self.state = State.ANSWER
        return [self._noted(messages.admit(found, has_body=has_body))]

    async def _response_headers(self, message: Message) -> list[Message]:
        self._want("response_headers", State.NOTHING_YET, State.BODY, State.ANSWER)
        headers = messages.headers_of(message.response_headers)
        is_end = bool(message.response_headers.end_of_stream)
        self._status = int(headers.get(":status") or 0)
        if self.state is not State.ANSWER:
            return self._foreign(is_end=is_end)
        encoding = headers.get("content-encoding", "").strip().lower()
        refused = self._exchange.begins(self._status, "" if encoding == "identity" else encoding)
        if refused is not None:
            return self._refuse(refused)
        if is_end:
            return await self._plain(b"", has_body=False)
        if self._is_success and headers.get("content-type", "").lower().startswith(EVENTS):
            self.state = State.STREAM
            return [self._noted(messages.stream())]
        self.state = State.PLAIN
        return [_ANSWER_GOES_ON]

    def _foreign(self, *, is_end: bool) -> list[Message]:
        """Let an answer pass that a filter before this one gave: no model was asked. A model cannot
        have answered a request that still waits for our judgment.
        """
        if self.state is State.BODY and self._is_success:
            raise self._out_of_order("response_headers")
        self.state = State.WHOLE if is_end else State.FOREIGN
        return [_ANSWER_GOES_ON]

    async def _response_body(self, message: Message) -> list[Message]:
        self._want("response_body", State.PLAIN, State.STREAM, State.FOREIGN)
        body, is_end = message.response_body.body, bool(message.response_body.end_of_stream)
        if self.state is State.STREAM:
            return await self._part(body, is_end=is_end)
        if self.state is State.PLAIN:
            return await self._plain(body, has_body=True)
        self.state = State.WHOLE
        return [messages.keep_body()]

    async def _plain(self, body: bytes, *, has_body: bool) -> list[Message]:
        found = await self._soon(self._exchange.whole(body))
        if isinstance(found, Refused):
            return self._refuse(found)
        self.state = State.WHOLE
        if not has_body:
            return [self._noted(messages.go_on("response"))]
        same = found == body
        return [self._noted(messages.keep_body() if same else messages.replace_body(found))]

    async def _part(self, data: bytes, *, is_end: bool) -> list[Message]:
        async with asyncio.timeout(self._patience):
            part = await self._exchange.part(data, is_end=is_end)
        if is_end:
            self.state = State.WHOLE
        elif part.is_last:
            self.state = State.ENDED
        if not part.data and not self.is_whole:
            return []  # it is held back
        return [self._noted(messages.piece(part.data, is_end=self.is_whole))]

    async def _response_trailers(self, message: Message) -> list[Message]:
        """End a stream whose last piece did not say that it was the last."""
        self._want("response_trailers", State.STREAM)
        async with asyncio.timeout(self._patience):
            part = await self._exchange.part(b"", is_end=True)
        self.state = State.WHOLE
        rest = [messages.piece(part.data, is_end=False)] if part.data else []
        return [*rest, self._noted(messages.trailers())]

    async def _soon(self, judging: Awaitable[Found]) -> Found | Refused:
        """Return the judgment, or the refusal of a call that could not be judged in time."""
        async with asyncio.timeout(self._patience):
            return await judging

    def fail(self) -> list[Message]:
        """Return our own answer to a call that could not be judged, while one can still be given;
        nothing once the caller has a part of another.
        """
        begun = self.state in (State.STREAM, State.FOREIGN) or self.is_over
        return [] if begun else self._refuse(self._exchange.failed())

    def _refuse(self, refused: Refused) -> list[Message]:
        self.state = State.REFUSED
        return [self._noted(messages.refuse(refused))]

    def _noted(self, message: Message) -> Message:
        return messages.with_notes(message, self._exchange.notes())

    def _want(self, kind: str, *states: State) -> None:
        if self.state not in states:
            raise self._out_of_order(kind)

    def _out_of_order(self, kind: str) -> OutOfOrder:
        return OutOfOrder(f"{kind} in the state {self.state.name}")
