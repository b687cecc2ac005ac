"""Writes sealed halves of calls, many in one commit: what comes in while a commit is under way goes
with the next one. Whoever waits for a write waits for it to be durable.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.common.envelope import Sealed
from apps.prompts.capture.link import REFUSED, Away, Connection, Link
from apps.prompts.models import DataKey, PromptRecord, PromptText

MOST_AT_ONCE, MOST_BYTES = 200, 16 * 1024 * 1024
IN_A_THREAD = 256 * 1024  # bytes from which work on texts would hold up other calls
SECONDS = 4.0  # that somebody waits: for the commit under way, and for their own
LIVING_KEY = "prompt_text_of_a_living_key"  # the trigger that says a key is destroyed
_RECORD, _TEXT = PromptRecord._meta.db_table, PromptText._meta.db_table
_KEY = DataKey._meta.db_table
# what the statement is told of each half, as JSON
_COLUMNS = {
    "id": "uuid", "call_id": "uuid", "at": "timestamptz", "team": "text", "cost_center": "text",
    "person": "text", "model": "text", "version": "text", "operation": "text",
    "data_class": "text", "outcome": "text", "refused_by": "text", "rules_hit": "jsonb",
    "verdict": "jsonb", "request_bytes": "int", "answer_bytes": "int", "data_key_id": "uuid",
    "place": "text", "retained_until": "timestamptz",
}  # fmt: skip
_OF_TEXT = {"phase": "text", "nonce": "text", "ciphertext": "text", "size_bytes": "int"}
_GIVEN = ", ".join(f"{name} {of_type}" for name, of_type in (_COLUMNS | _OF_TEXT).items())
# All halves of a commit go in one statement: a round trip and a commit. The second half of a call
# adds to what the first one wrote. A text comes after its record, whose erasure keeps it out. Keys
# are locked before records, and in an erasure's order: else the two could wait for each other.
_KEEP = (
    f"WITH given AS MATERIALIZED (SELECT * FROM json_to_recordset(%s::json) AS given({_GIVEN})),"  # noqa: S608
    f" locked AS MATERIALIZED (SELECT k.id FROM {_KEY} AS k"
    " WHERE k.id IN (SELECT data_key_id FROM given)"
    " ORDER BY k.month, k.created_at, k.id FOR SHARE),"
    f" kept AS (INSERT INTO {_RECORD} AS r ({', '.join(_COLUMNS)})"
    f" SELECT {', '.join(_COLUMNS)} FROM given WHERE (SELECT count(*) FROM locked) >= 0"
    " ON CONFLICT (id) DO UPDATE SET"
    " outcome = EXCLUDED.outcome, refused_by = EXCLUDED.refused_by,"
    " rules_hit = (SELECT COALESCE(jsonb_agg(DISTINCT one), '[]')"
    " FROM jsonb_array_elements(r.rules_hit || EXCLUDED.rules_hit) AS one),"
    " verdict = r.verdict || EXCLUDED.verdict,"
    " request_bytes = COALESCE(EXCLUDED.request_bytes, r.request_bytes),"
    " answer_bytes = COALESCE(EXCLUDED.answer_bytes, r.answer_bytes) RETURNING id)"
    f" INSERT INTO {_TEXT} (record_id, phase, data_key_id, nonce, ciphertext, size_bytes)"
    " SELECT id, phase, data_key_id, decode(nonce, 'base64'), decode(ciphertext, 'base64'),"
    " size_bytes FROM given JOIN kept USING (id) ON CONFLICT DO NOTHING"
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
    def row(self) -> dict[str, object]:
        """Return what the statement is told of it."""
        is_request = self.phase == "REQUEST"
        return {
            "id": str(self.record_id),
            "call_id": str(self.call_id),
            "at": self.at.isoformat(),
            "team": self.team,
            "cost_center": self.cost_center,
            "person": self.person,
            "model": self.model,
            "version": "",
            "operation": self.operation,
            "data_class": self.data_class,
            "outcome": self.outcome,
            "refused_by": self.refused_by,
            "rules_hit": list(self.rules_hit),
            "verdict": self.verdict,
            "request_bytes": self.size_bytes if is_request else None,
            "answer_bytes": None if is_request else self.size_bytes,
            "data_key_id": str(self.data_key),
            "place": "POSTGRES",
            "retained_until": self.retained_until.isoformat(),
            "phase": self.phase,
            "nonce": b64encode(self.sealed.nonce).decode(),
            "ciphertext": b64encode(self.sealed.ciphertext).decode(),
            "size_bytes": self.size_bytes,
        }


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
            async with asyncio.timeout(self._seconds):
                await asyncio.shield(done)
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
        """Take what goes into one statement, which takes each record once: the other half of a call
        goes into the next.
        """
        batch, rest, size, records = list[Waiting](), list[Waiting](), 0, set[UUID]()
        for one in self._waiting:
            entry, is_full = one[0], len(batch) == MOST_AT_ONCE or size >= MOST_BYTES
            if is_full or entry.record_id in records:
                rest.append(one)
                continue
            batch.append(one)
            records.add(entry.record_id)
            size += entry.size_bytes
        self._waiting = rest
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
        given = await _given(entries)
        await self._link.run(lambda db: _insert(db, given))
        self.commits += 1


async def _given(entries: Sequence[Entry]) -> str:
    """Return what the statement is told; of long texts in a thread, for other calls go on."""
    if sum(entry.size_bytes for entry in entries) < IN_A_THREAD:
        return _as_json(entries)
    return await asyncio.to_thread(_as_json, entries)


def _as_json(entries: Sequence[Entry]) -> str:
    return json.dumps([entry.row for entry in entries])


async def _insert(db: Connection, given: str) -> None:
    await db.execute(_KEEP, [given], prepare=True)


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
