"""Writes sealed halves of calls, many in one commit: what comes in while a commit is under way goes
with the next one. Whoever waits for a write waits for it to be durable.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from apps.common.envelope import Sealed
from apps.prompts.capture.link import REFUSED, Away, Connection, Link
from apps.prompts.models import PromptRecord, PromptText

MOST_AT_ONCE, MOST_BYTES = 200, 16 * 1024 * 1024
SECONDS = 4.0  # that somebody waits: for the commit under way, and for their own
LIVING_KEY = "prompt_text_of_a_living_key"  # the trigger that says a key is destroyed
_RECORD, _TEXT = PromptRecord._meta.db_table, PromptText._meta.db_table
_COLUMNS = (
    "id", "call_id", "at", "team", "cost_center", "person", "model", "version", "operation",
    "data_class", "outcome", "refused_by", "rules_hit", "verdict", "request_bytes", "answer_bytes",
    "data_key_id", "place", "retained_until",
)  # fmt: skip
# the second half of a call adds to what the first one wrote
_KEEP = (
    f"INSERT INTO {_RECORD} AS r ({', '.join(_COLUMNS)})"  # noqa: S608
    f" VALUES ({', '.join(['%s'] * len(_COLUMNS))}) ON CONFLICT (id) DO UPDATE SET"
    " outcome = EXCLUDED.outcome, refused_by = EXCLUDED.refused_by,"
    " rules_hit = (SELECT COALESCE(jsonb_agg(DISTINCT one), '[]')"
    " FROM jsonb_array_elements(r.rules_hit || EXCLUDED.rules_hit) AS one),"
    " verdict = r.verdict || EXCLUDED.verdict,"
    " request_bytes = COALESCE(EXCLUDED.request_bytes, r.request_bytes),"
    " answer_bytes = COALESCE(EXCLUDED.answer_bytes, r.answer_bytes)"
)
_ADD = (
    f"INSERT INTO {_TEXT} (record_id, phase, data_key_id, nonce, ciphertext, size_bytes)"  # noqa: S608
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)


class NotStored(Away):
    """The database takes this very entry never."""


class KeyGone(Exception):
    """The key of a text was destroyed since the gate learned it."""


@dataclass(frozen=True)
class Entry:
    """One half of a call, sealed. Each field is as the models have it; verdict: by its phase."""

    record_id: UUID
    call_id: UUID
    at: datetime
    team: str
    cost_center: str
    person: str
    model: str
    operation: str
    data_class: str
    outcome: str
    refused_by: str
    rules_hit: Sequence[str]
    verdict: dict[str, Any]
    phase: str
    size_bytes: int
    data_key: UUID
    retained_until: datetime
    sealed: Sealed = field(repr=False)

    @property
    def record_row(self) -> tuple[object, ...]:
        """Return the values of _COLUMNS."""
        is_request = self.phase == "REQUEST"
        return (
            self.record_id, self.call_id, self.at, self.team, self.cost_center, self.person,
            self.model, "", self.operation, self.data_class, self.outcome, self.refused_by,
            Jsonb(list(self.rules_hit)), Jsonb(self.verdict),
            self.size_bytes if is_request else None, None if is_request else self.size_bytes,
            self.data_key, "POSTGRES", self.retained_until,
        )  # fmt: skip

    @property
    def text_row(self) -> tuple[object, ...]:
        """Return the values of the text's row."""
        sealed = self.sealed
        return (
            self.record_id, self.phase, self.data_key, sealed.nonce, sealed.ciphertext,
            self.size_bytes,
        )  # fmt: skip


Waiting = tuple[Entry, asyncio.Future[None]]


class Writer:
    """Writes entries through one connection. seconds: the longest that somebody waits."""

    def __init__(self, link: Link, *, seconds: float = SECONDS) -> None:
        self._link, self._seconds = link, seconds
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self.commits = 0

    async def write(self, entry: Entry) -> None:
        """Write an entry; it is durable when this returns. Raises Away, KeyGone."""
        done = asyncio.get_running_loop().create_future()
        done.add_done_callback(_seen)
        self._waiting.append((entry, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())
        try:
            await asyncio.wait_for(asyncio.shield(done), self._seconds)
        except TimeoutError:
            raise Away("the prompt record's database does not answer in time") from None

    async def _write_all(self) -> None:
        while self._waiting:
            batch = self._next_batch()
            try:
                await self._store([entry for entry, _ in batch])
            except REFUSED:
                await self._one_by_one(batch)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
                _answer(batch, error if isinstance(error, Away) else Away(type(error).__name__))
            else:
                _answer(batch, None)

    def _next_batch(self) -> list[Waiting]:
        size, number = 0, 0
        for number, (entry, _) in enumerate(self._waiting, 1):
            size += entry.size_bytes
            if number == MOST_AT_ONCE or size >= MOST_BYTES:
                break
        batch, self._waiting = self._waiting[:number], self._waiting[number:]
        return batch

    async def _one_by_one(self, batch: list[Waiting]) -> None:
        """Find which of several entries the database refuses: the others go in."""
        for one in batch:
            try:
                await self._store([one[0]])
            except REFUSED as error:
                is_key = error.diag.constraint_name == LIVING_KEY
                refused = NotStored("the prompt record's database refuses the call")
                _answer([one], KeyGone() if is_key else refused)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
                _answer([one], error if isinstance(error, Away) else Away(type(error).__name__))
            else:
                _answer([one], None)

    async def _store(self, entries: Sequence[Entry]) -> None:
        await self._link.run(lambda db: _insert(db, entries))
        self.commits += 1


async def _insert(db: Connection, entries: Sequence[Entry]) -> None:
    async with db.cursor() as cursor:
        await cursor.executemany(_KEEP, [entry.record_row for entry in entries])
        await cursor.executemany(_ADD, [entry.text_row for entry in entries])


def _answer(batch: Sequence[Waiting], error: Exception | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _seen(done: "asyncio.Future[None]") -> None:
    """Look at how it ended, also where whoever waited has given up."""
    if not done.cancelled():
        done.exception()
