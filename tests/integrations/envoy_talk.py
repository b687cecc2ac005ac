"""What Envoy says about a call, and a judge of calls that does as told."""

import asyncio
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from envoy.service.ext_proc.v3 import external_processor_pb2 as pb

from apps.integrations.envoy.exchange import Admitted, Asked, Part, Refused

CLAIMS = {"idp": {"sub": "dana", "team": "claims", "exp": 12}}
FAILED = Refused(502, b'{"error": {"code": "gate_unavailable"}}', "qm_gate_unavailable")


def _map(message: Any, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        message.headers.headers.add(key=name, raw_value=value.encode())


def request_headers(
    *, is_end: bool = False, team: str = "", payloads: dict[str, Any] | None = None
) -> Any:
    """A chat's headers, with the payloads of its verified tokens."""
    found = pb.ProcessingRequest(request_headers=pb.HttpHeaders(end_of_stream=is_end))
    sent = {":path": "/v1/chat/completions", ":method": "POST", "x-request-id": "1"}
    _map(found.request_headers, sent | ({"x-team": team} if team else {}))
    space = found.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
    space.update(CLAIMS if payloads is None else payloads)
    return found


def request_body(body: bytes) -> Any:
    """A whole request body."""
    return pb.ProcessingRequest(request_body=pb.HttpBody(body=body, end_of_stream=True))


def answer_headers(*, is_end: bool = False, **headers: str) -> Any:
    """An answer's headers, of a plain success where nothing else is said."""
    found = pb.ProcessingRequest(response_headers=pb.HttpHeaders(end_of_stream=is_end))
    _map(found.response_headers, {":status": "200", "content-type": "application/json", **headers})
    return found


def answer_body(body: bytes, *, is_end: bool = False) -> Any:
    """An answer's body, or a piece of it."""
    return pb.ProcessingRequest(response_body=pb.HttpBody(body=body, end_of_stream=is_end))


def answer_trailers() -> Any:
    """An answer's trailers."""
    return pb.ProcessingRequest(response_trailers=pb.HttpTrailers())


class Judge:
    """Judges one call as told. whole: the body that it makes of a plain answer; parts: what it lets
    go of a stream, all where none is told; raises, hangs: where.
    """

    def __init__(
        self,
        *,
        admits: Admitted = Admitted(),  # noqa: B008 (frozen)
        whole: bytes | None = None,
        parts: Iterable[Part] = (),
        refuses: Mapping[str, Refused] = MappingProxyType({}),
        raises: str = "",
        hangs: str = "",
        notes: Mapping[str, str | float] = MappingProxyType({}),
    ) -> None:
        self.admits, self.made, self.parts, self.refuses = admits, whole, [*parts], refuses
        self.raises, self.hangs, self.told = raises, hangs, notes
        self.seen: list[str] = []
        self.closed, self.encoding, self.asked = 0, "", Asked({}, None, b"")

    async def request(self, asked: Asked) -> Admitted | Refused:
        self.asked = asked
        await self._do("request")
        return self.refuses.get("request", self.admits)

    def begins(self, status: int, encoding: str) -> Refused | None:
        self.encoding = encoding
        self.seen.append("begins")
        if self.raises == "begins":
            raise RuntimeError("my knee hurts")
        return self.refuses.get("begins")

    async def whole(self, body: bytes) -> bytes | Refused:
        await self._do("whole")
        return self.refuses.get("whole", body if self.made is None else self.made)

    async def part(self, data: bytes, *, is_end: bool) -> Part:
        await self._do("part")
        return self.parts.pop(0) if self.parts else Part(data, is_end)

    def notes(self) -> Mapping[str, str | float]:
        return self.told

    def failed(self) -> Refused:
        return FAILED

    async def close(self) -> None:
        self.closed += 1

    async def _do(self, what: str) -> None:
        self.seen.append(what)
        if self.raises == what:
            raise RuntimeError("my knee hurts")
        if self.hangs == what:
            await asyncio.sleep(3600)
