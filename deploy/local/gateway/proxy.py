"""The cluster's addresses for local clients: a plain HTTP forward proxy on the loopback.

There is no cluster DNS and no pod network on a machine without root. Clients give this address as
their `http_proxy`; it resolves `<service>.<namespace>.svc[.cluster.local][:port]` and pod IPs as
the gateway does, and leads nowhere else. One call per connection; bodies pass as they come, so
streams stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from deploy.local.gateway.endpoints import resolve_pod_ip, resolve_service, service_of
from deploy.local.gateway.objects import Objects

HEAD_LIMIT = 64 * 1024
CONNECT_SECONDS = 5.0
HEAD_SECONDS = 30.0
_turn = itertools.count()


class NoWay(Exception):
    """The call leads nowhere; the message says why."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Head:
    """A call's first line and headers."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def for_origin(self, path: str) -> bytes:
        """Return the head as the origin server wants it, for one call on the connection."""
        kept = [
            (k, v)
            for k, v in self.headers
            if k.lower() not in ("connection", "proxy-connection", "keep-alive")
        ]
        lines = [
            f"{self.method} {path} HTTP/1.1",
            *(f"{key}: {value}" for key, value in kept),
            "connection: close",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def resolve(objects: Objects, host: str, port: int) -> tuple[str, int]:
    """Return where the cluster's host really listens; ready replicas take turns. Raises NoWay."""
    if service_of(host) is not None:
        found = resolve_service(objects, host, port)
        if not found:
            raise NoWay("503 Service Unavailable", f"No replica behind {host}:{port} is ready.")
        return _split(found[next(_turn) % len(found)])
    if _is_ip(host):
        listen = resolve_pod_ip(objects, host)
        if listen is None:
            raise NoWay(
                "503 Service Unavailable", f"No pod with the address {host} says where it listens."
            )
        return _split(listen)
    raise NoWay(
        "502 Bad Gateway",
        f"{host} is not an address inside the cluster; this proxy leads nowhere else.",
    )


async def serve(
    objects: Objects, port: int, health: Callable[[], dict[str, object]]
) -> asyncio.Server:
    """Start the proxy on the loopback. health: what `GET /healthz` answers."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                await _answer(objects, health, reader, writer)
        finally:  # also where the proxy ends in the middle of a call
            writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", port, limit=HEAD_LIMIT)


async def _answer(
    objects: Objects,
    health: Callable[[], dict[str, object]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Serve one call, or say why it leads nowhere."""
    try:
        await _serve_one(objects, health, reader, writer)
    except NoWay as problem:
        body = {
            "error": {"type": "unavailable_error", "code": "no_endpoint", "message": str(problem)}
        }
        await _say(writer, problem.status, body)


async def _serve_one(
    objects: Objects,
    health: Callable[[], dict[str, object]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Read one call's head, connect, and pass bytes both ways until both sides are done."""
    head = await _read_head(reader)
    if head.target == "/healthz":
        await _say(writer, "200 OK", health())
        return
    url = urlsplit(head.target)
    if url.scheme != "http" or not url.hostname:
        raise NoWay(
            "400 Bad Request",
            "This is an HTTP proxy: send absolute http:// addresses. CONNECT is not offered.",
        )
    address = resolve(objects, url.hostname, url.port or 80)
    try:
        there = await asyncio.wait_for(asyncio.open_connection(*address), CONNECT_SECONDS)
    except (OSError, TimeoutError):
        raise NoWay(
            "503 Service Unavailable", f"The replica behind {url.hostname} does not take calls."
        ) from None
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    there[1].write(head.for_origin(path))
    await _pass_both_ways(reader, writer, *there)


async def _read_head(reader: asyncio.StreamReader) -> Head:
    try:
        raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        return Head(
            method,
            target,
            tuple((k, v.strip()) for k, _, v in (line.partition(":") for line in lines)),
        )
    except (asyncio.LimitOverrunError, ValueError):
        raise NoWay("400 Bad Request", "The call's head cannot be read.") from None


async def _pass_both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there_reader: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
) -> None:
    """Pass the request's body there and the answer back; end when the answer ends or the client
    goes away.

    A client that closes its side is taken as gone, so that the engine stops writing for nobody.
    """
    sending = asyncio.create_task(_pump(reader, there_writer))
    answering = asyncio.create_task(_pump(there_reader, writer))
    try:
        await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, answering):
            task.cancel()
        await asyncio.gather(sending, answering, return_exceptions=True)
        there_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(64 * 1024):
        sink.write(chunk)
        await sink.drain()


async def _say(writer: asyncio.StreamWriter, status: str, body: Mapping[str, object]) -> None:
    raw = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: "
        f"{len(raw)}\r\nconnection: close\r\n"
    )
    writer.write(head.encode() + b"\r\n" + raw)
    await writer.drain()


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
