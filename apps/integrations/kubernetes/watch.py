"""Follows the objects of a kind: a list, then every change of it, for ever. Reading only.

`watch` yields what happened, never raises what the cluster may do, and never ends by itself: a
stream that the server closes is resumed from the last version seen (bookmarks keep it fresh); a
version that the server has forgotten (410) is answered with a new list; a cluster that is away, or
does not let us read yet, is tried again ever less often. An API server that has just started may
refuse (403) or not know a custom kind (404): both are waited for, and never taken for an empty
list.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from apps.integrations.errors import Expired, NotFound, PermanentError, Refused, TemporaryError
from apps.integrations.kubernetes.connection import Connection, Silent
from apps.integrations.kubernetes.types import Kind, Manifest

PAGE = 250
# the server ends a stream after this long; so a dead connection is found without bookmarks
STREAM_SECONDS = 120
SILENCE_SECONDS = STREAM_SECONDS + 15
PAUSE_SECONDS = 0.2
LONGEST_WAIT = 30.0
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Listed(Generic[T]):
    """All objects there are."""

    items: list[T]


@dataclass(frozen=True)
class Changed(Generic[T]):
    """One object as it is now; gone: this was its last state."""

    item: T
    gone: bool = False


@dataclass(frozen=True)
class Opened:
    """A stream is open; what it brings at first may have happened before."""


@dataclass(frozen=True)
class Alive:
    """Nothing happened and the stream lives."""


@dataclass(frozen=True)
class Lost:
    """The cluster is not seen. silent: it may have been away for as long as nothing came."""

    message: str
    silent: bool = False


Message = Listed[T] | Changed[T] | Opened | Alive | Lost


def watch(
    connect: Callable[[], Connection],
    kind: Kind,
    read: Callable[[Manifest], T | None],
    *,
    namespace: str | None = None,
    stopped: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Message[T]]:
    """Yield a list of what `read` makes of the objects, then the changes, until `stopped`.

    read: called with each object; None leaves it out. Whole objects are never kept: lists come in
    pages.
    """
    version, failures = "", 0
    path = kind.path(namespace)
    while not stopped():
        try:
            if not version:
                items, version = _list(connect(), path, read)
                yield Listed(items)
            for message, reached in _stream(connect(), path, version, read):
                version = reached
                failures = failures if isinstance(message, Opened) else 0
                yield message
            failures = 0
            sleep(PAUSE_SECONDS)
        except Expired:
            version = ""
            if failures:
                sleep(_wait(failures))
            failures += 1
        except (TemporaryError, PermanentError, LookupError, TypeError) as error:
            yield Lost(_words(error), silent=isinstance(error, Silent))
            sleep(_wait(failures))
            failures += 1


def _list(
    connection: Connection, path: str, read: Callable[[Manifest], T | None]
) -> tuple[list[T], str]:
    """Return all objects and the version to watch from. Raises Expired when a page came too
    late.
    """
    items: list[T] = []
    query = {"limit": str(PAGE)}
    while True:
        body = connection.json(path, query)
        items += [
            found
            for found in (_read(read, obj) for obj in body.get("items") or [])
            if found is not None
        ]
        more = body["metadata"].get("continue")
        if not more:
            return items, str(body["metadata"]["resourceVersion"])
        query["continue"] = more


def _stream(
    connection: Connection, path: str, version: str, read: Callable[[Manifest], T | None]
) -> Iterator[tuple[Message[T], str]]:
    """Yield (message, version to resume from) of one stream, until the server ends it."""
    query = {
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        # so that streams end apart
        "timeoutSeconds": str(STREAM_SECONDS - random.randrange(20)),  # noqa: S311
    }
    with connection.changes(path, query, silence=SILENCE_SECONDS) as events:
        yield Opened(), version
        for event in events:
            obj = event["object"]
            version = str(obj["metadata"]["resourceVersion"])
            if event["type"] == "BOOKMARK":
                yield Alive(), version
                continue
            item = _read(read, obj)
            yield (
                (Alive() if item is None else Changed(item, gone=event["type"] == "DELETED")),
                version,
            )


def _read(read: Callable[[Manifest], T | None], obj: Manifest) -> T | None:
    """Return what `read` makes of an object; an odd one is logged and left out, and never stops the
    others.
    """
    try:
        return read(obj)
    except (ValueError, KeyError, AttributeError, TypeError):
        log.exception(
            "an object of the cluster cannot be read: %s", (obj.get("metadata") or {}).get("name")
        )
        return None


def _words(error: Exception) -> str:
    if isinstance(error, Refused):
        said = str(error).rstrip(".")
        return (
            f"{said}. A platform engineer must look at the credential and at "
            f"deploy/portal/chart/templates/rbac.yaml."
        )
    if isinstance(error, NotFound):
        return "The cluster does not know this kind: it starts, or its CRD is not installed."
    if isinstance(error, (TemporaryError, PermanentError)):
        return str(error)
    return f"The stream broke off ({type(error).__name__})."


def _wait(failures: int) -> float:
    """Return the seconds before the next try: 0.5, 1, 2 … LONGEST_WAIT, each up to a half
    longer.
    """
    # jitter
    return min(LONGEST_WAIT, 0.5 * 2.0 ** min(failures, 10)) * (1 + random.random() / 2)  # noqa: S311
