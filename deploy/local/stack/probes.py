"""Cheap answers to "does it work?": one connection, one question, at most two seconds."""

from __future__ import annotations

import http.client
import socket
import struct

from .part import NotReady

TIMEOUT = 2.0


def http_ok(port: int, path: str) -> None:
    """Raise NotReady unless GET `path` on this loopback port answers below 400."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"no answer on {path}: {error}") from None
    finally:
        connection.close()
    if status >= 400:
        raise NotReady(f"{path} answers {status}")


def valkey(port: int) -> None:
    """Raise NotReady unless the server answers PING."""
    if not _ask(port, b"PING\r\n").startswith(b"+PONG"):
        raise NotReady("no PONG")


def postgres(port: int) -> None:
    """Raise NotReady unless the server asks for a password: it accepts connections (what pg_isready
    does).
    """
    body = struct.pack("!i", 196608) + b"user\0quartermaster\0database\0postgres\0\0"
    if not _ask(port, struct.pack("!i", len(body) + 4) + body).startswith(b"R"):
        raise NotReady("the database system is starting up")


def _ask(port: int, question: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            connection.sendall(question)
            return connection.recv(64)
    except OSError as error:
        raise NotReady(f"no answer on port {port}: {error}") from None
