"""What a call is to those who inspect it: a request, then an answer, whole or piece by piece.

The words that `flow` speaks to whatever judges calls; nothing here knows gRPC. An Exchange is made
for each call, and closed exactly once, whatever became of the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Asked:
    """A call's request. headers: by lower-case name, Envoy's pseudo-headers (":path") too; claims:
    of the token that Envoy verified, None where there is none or more than one.
    """

    headers: Mapping[str, str] = field(repr=False)  # one may name a member
    claims: Mapping[str, Any] | None
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Refused:
    """An answer of our own takes the place of the model's. details: what the access log says."""

    status: int
    body: bytes
    details: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Admitted:
    """The request may go on. headers: set on it; removes: names of headers that go no further;
    reroutes: Envoy chooses its route anew by what it has then.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    reroutes: bool = False
    removes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """What goes to the caller next of a stream; is_last: nothing follows, whatever still comes."""

    data: bytes
    is_last: bool = False


class Exchange(Protocol):
    """Judges one call. Whatever any method raises ends the call: nothing of it passes any more."""

    async def request(self, asked: Asked) -> Admitted | Refused:
        """Judge the request, which waits until this returns."""

    def begins(self, status: int, encoding: str) -> Refused | None:
        """Take the answer's status and content-encoding, "" where it has none."""

    async def whole(self, body: bytes) -> bytes | Refused:
        """Judge a plain answer, and return what the caller gets of it."""

    async def part(self, data: bytes, *, is_end: bool) -> Part:
        """Judge the next piece of a streamed answer, and return what may go on now."""

    def notes(self) -> Mapping[str, str | float]:
        """Return what the access log is told so far."""

    def failed(self) -> Refused:
        """Return what the caller hears where this exchange failed, or was too late."""

    async def close(self) -> None:
        """Let go of the call, whether it ended or not."""
