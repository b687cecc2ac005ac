"""The data keys that a gate has in memory: bounded in number and in time, each unwrapped once.

A subject has one living key a month, whichever gate makes it first. A key that was destroyed is
noticed when something is to be stored under it; then the gate forgets it and asks anew. Where its
subject never calls again, the key leaves the memory when its time there is over, by itself: the
receipt of an erasure says when that is.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TypeVar
from uuid import UUID, uuid4

from apps.common.envelope import NotOpened, Wrapper
from apps.integrations.errors import PermanentError, TemporaryError
from apps.prompts.capture import KEY_SECONDS
from apps.prompts.capture.link import Away, Connection, Link
from apps.prompts.models import DataKey
from apps.prompts.subjects import Subject

MOST_KEYS = 10_000  # 32 bytes each, and what names them
AWAY = "the key service of the prompt record does not answer"
Answer = TypeVar("Answer")
_TABLE = DataKey._meta.db_table
_FIND = (
    f"SELECT id, wrapped FROM {_TABLE} WHERE kind = %s AND token = %s AND secret = %s"  # noqa: S608
    " AND month = %s AND destroyed_at IS NULL"
)
_MAKE = (
    f"INSERT INTO {_TABLE} (id, kind, token, secret, month, wrapped, wrapped_by, wrapped_sha256,"  # noqa: S608
    " created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id"
)


@dataclass(frozen=True)
class Key:
    """A data key, ready for use."""

    id: UUID
    plain: bytes = field(repr=False)


@dataclass(frozen=True)
class _Name:
    subject: Subject
    month: date


def bound_to(key_id: UUID) -> str:
    """Return what a data key is for, as whoever wraps it is told."""
    return f"prompt-record/{key_id}"


class KeyRing:
    """Keys by subject and month. clock: in seconds, only ever forward."""

    def __init__(
        self,
        link: Link,
        wrapper: Wrapper,
        *,
        most: int = MOST_KEYS,
        seconds: float = KEY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link, self._wrapper = link, wrapper
        self._most, self._seconds, self._clock = most, seconds, clock
        self._keys: OrderedDict[_Name, tuple[float, Key]] = OrderedDict()
        self._asked: dict[_Name, asyncio.Task[Key]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    async def get(self, subject: Subject, at: datetime) -> Key:
        """Return the living key of a subject in the month of a moment; the first time one is made.
        Raises Away.
        """
        name = _named(subject, at)
        until, key = self._keys.get(name, (0.0, None))
        if key is not None and until > self._clock():
            return key
        task = self._asked.get(name)
        if task is None:
            task = self._asked[name] = asyncio.create_task(self._learn(name))
            task.add_done_callback(lambda done: self._forget_asked(name, done))
        return await asyncio.shield(task)  # whoever gives up does not take it from the others

    def forget(self, subject: Subject, at: datetime) -> None:
        """Forget a key: it is destroyed."""
        self._keys.pop(_named(subject, at), None)

    def _forget_asked(self, name: _Name, done: asyncio.Task[Key]) -> None:
        self._asked.pop(name, None)
        if not done.cancelled():
            done.exception()  # seen, also where nobody waits any more

    async def _learn(self, name: _Name) -> Key:
        until = self._clock() + self._seconds  # from before it was known to be living
        found = await self._link.run(lambda db: _find(db, name))
        if found is None:
            key = await self._make(name)
        else:
            key = Key(found[0], await self._ask(self._wrapper.unwrap, found[1], bound_to(found[0])))
        self._keys[name] = (until, key)
        self._keys.move_to_end(name)
        while len(self._keys) > self._most:
            self._keys.popitem(last=False)
        asyncio.get_running_loop().call_later(until - self._clock(), self._drop, name, until)
        return key

    def _drop(self, name: _Name, until: float) -> None:
        """Let a key go whose time is over, unless it was learned anew."""
        if name in self._keys and self._keys[name][0] == until:
            del self._keys[name]

    async def _make(self, name: _Name) -> Key:
        """Make a key and keep it, or take that of another gate which was faster."""
        key_id = uuid4()
        made = await self._ask(self._wrapper.make_key, bound_to(key_id))
        values = (
            key_id, str(name.subject.kind), name.subject.token, name.subject.secret, name.month,
            made.wrapped, self._wrapper.key_id, hashlib.sha256(made.wrapped).hexdigest(),
            datetime.now(UTC),
        )  # fmt: skip
        if await self._link.run(lambda db: _insert(db, values)):
            return Key(key_id, made.plain)
        found = await self._link.run(lambda db: _find(db, name))
        if found is None:  # made and destroyed in between
            raise Away(AWAY)
        return Key(found[0], await self._ask(self._wrapper.unwrap, found[1], bound_to(found[0])))

    async def _ask(self, call: Callable[..., Answer], *given: object) -> Answer:
        """Ask the key service, in a thread: its libraries wait."""
        try:
            return await asyncio.to_thread(call, *given)
        except (TemporaryError, PermanentError, NotOpened, ValueError) as error:
            raise Away(AWAY) from error


def _named(subject: Subject, at: datetime) -> _Name:
    return _Name(subject, at.astimezone(UTC).date().replace(day=1))


async def _find(db: Connection, name: _Name) -> tuple[UUID, bytes] | None:
    subject = name.subject
    cursor = await db.execute(_FIND, (str(subject.kind), subject.token, subject.secret, name.month))
    row = await cursor.fetchone()
    return (row[0], bytes(row[1])) if row else None


async def _insert(db: Connection, values: tuple[object, ...]) -> bool:
    cursor = await db.execute(_MAKE, values)
    return await cursor.fetchone() is not None
