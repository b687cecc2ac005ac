"""A stub of an engine that costs next to nothing: `python -m tests.benchmarks.gate.upstream PORT`.

It answers every call at once with the same words: whole, or as a stream of EVENTS events where the
body asks for one, with the usage at the end.
"""

import asyncio
import json
import sys

EVENTS = 20
WORDS = "The packet supports the requested service."
USAGE = {"prompt_tokens": 500, "completion_tokens": EVENTS, "total_tokens": 500 + EVENTS}


def _event(**fields: object) -> bytes:
    document = {"id": "c-1", "object": "chat.completion.chunk", "created": 0, "model": "m-v1"}
    return b"data: " + json.dumps({**document, **fields}).encode() + b"\n\n"


def _delta(text: str, finish: str | None = None) -> bytes:
    return _event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


def _whole() -> bytes:
    message = {"role": "assistant", "content": WORDS * 4}
    body = json.dumps(
        {
            "id": "c-1",
            "object": "chat.completion",
            "created": 0,
            "model": "m-v1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": USAGE,
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _stream() -> bytes:
    events = [_delta(WORDS) for _ in range(EVENTS - 1)]
    events += [_delta("", "stop"), _event(choices=[], usage=USAGE), b"data: [DONE]\n\n"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    return head + b"\r\n" + chunks + b"0\r\n\r\n"


WHOLE, STREAM = _whole(), _stream()


class Stub(asyncio.Protocol):
    """One connection, kept alive."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._held = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._held[:end]).lower()
            if b"content-length:" in head:
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                size = end + 4 + length
                if len(self._held) < size:
                    return
                body = bytes(self._held[end + 4 : size])
            else:  # in chunks
                closing = self._held.find(b"\r\n0\r\n\r\n", end)
                if b"transfer-encoding" in head and closing < 0:
                    return
                size = closing + 7 if b"transfer-encoding" in head else end + 4
                body = bytes(self._held[end + 4 : size])
            del self._held[:size]
            is_stream = b'"stream": true' in body or b'"stream":true' in body
            self._transport.write(STREAM if is_stream else WHOLE)


async def serve(port: int) -> None:
    """Answer on the loopback until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
