"""One call over HTTP/2 without TLS, frame by frame: what no client of the tests can send, such as a
request that ends with trailers.
"""

import socket
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_STREAM = 1
_OK = 0x88  # ":status: 200", as it stands in HPACK's own table
_RESIZED = range(0x20, 0x40)  # what may come before it


class Http2Call:
    """One call's connection to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 15)
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b""))

    def __enter__(self) -> "Http2Call":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def headers(self, *pairs: tuple[str, str], is_end: bool = False) -> None:
        """Send headers, or trailers."""
        block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs)
        flags = _END_HEADERS | (_END_STREAM if is_end else 0)
        self._socket.sendall(_frame(_HEADERS, flags, _STREAM, block))

    def data(self, body: bytes, *, is_end: bool = False) -> None:
        """Send a piece of the body, of at most 16 KiB."""
        self._socket.sendall(_frame(_DATA, _END_STREAM if is_end else 0, _STREAM, body))

    def reset(self) -> None:
        """Leave."""
        self._socket.sendall(_frame(_RESET, 0, _STREAM, struct.pack(">I", 8)))

    def answer(self) -> tuple[bool, bytes]:
        """Return whether the answer is a 200, and its body as far as it came."""
        is_ok, body = False, b""
        while True:
            kind, flags, held = self._next()
            if kind == _SETTINGS and not flags & _ACK:
                self._socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _HEADERS:
                first = held[1] if held and held[0] in _RESIZED else held[0] if held else 0
                is_ok = is_ok or first == _OK
            elif kind == _DATA:
                body += held
            if kind in (_RESET, _GOAWAY) or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
                return is_ok, body

    def _next(self) -> tuple[int, int, bytes]:
        head = self._read(9)
        length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        return kind, flags, self._read(length)

    def _read(self, length: int) -> bytes:
        found = b""
        while len(found) < length:
            piece = self._socket.recv(length - len(found))
            if not piece:
                raise ConnectionError("the connection ended")
            found += piece
        return found


def _frame(kind: int, flags: int, stream: int, held: bytes) -> bytes:
    return len(held).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + held


def _text(text: str) -> bytes:
    """Return a text as HPACK has it, in plain letters."""
    rest, head = len(text), b""
    if rest < 127:
        return bytes((rest,)) + text.encode()
    head, rest = b"\x7f", rest - 127
    while rest >= 128:
        head, rest = head + bytes((rest % 128 + 128,)), rest // 128
    return head + bytes((rest,)) + text.encode()
