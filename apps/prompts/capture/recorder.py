"""Keeps both halves of a call, as the rules of its data class say.

REQUIRED     sealed and durable before this returns, or Away: nothing passes unrecorded
BEST_EFFORT  into a queue that delays no call; full, it drops, counts, and says so loudly
OFF          nothing is kept, not even in the index

Plain text is in the memory of the gate alone, from the moment it arrives until it is sealed.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from django.db import DatabaseError, connection, transaction
from django.db.models import F

from apps.common.envelope import seal
from apps.common.periods import hour_of
from apps.common.persons import opaque_id
from apps.prompts.capture.keyring import Key, KeyRing
from apps.prompts.capture.link import Away
from apps.prompts.capture.terms import Keep, Terms, read_terms
from apps.prompts.capture.writer import IN_A_THREAD, Entry, KeyGone, NotStored, Writer
from apps.prompts.models import LostPrompts, Outcome, Phase
from apps.prompts.rules.rules import Mode
from apps.prompts.subjects import Subject, team_subject

MOST_QUEUED, MOST_QUEUED_BYTES = 2000, 64 * 1024 * 1024
AT_ONCE = 64  # halves of the queue that are sealed and written together
PAUSE_SECONDS = 1.0  # while the database or the key service is away
FULL, REFUSED, ENDED = "QUEUE_FULL", "REFUSED", "GATE_ENDED"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """One half of a call as the gate has it. subject: None where the caller named nobody. person:
    the token's subject, which is not kept as it is. findings: as the guard tells them.
    """

    call_id: UUID
    at: datetime
    team: str
    cost_center: str
    person: str
    model: str
    operation: str
    subject: Subject | None
    phase: Phase
    outcome: Outcome
    refused_by: str
    rules: str
    findings: Sequence[dict[str, str]]
    text: bytes = field(repr=False)

    @cached_property
    def record_id(self) -> UUID:
        """Return the record's id: the same for both halves, and another one where a client sends a
        request id twice.
        """
        return uuid5(self.call_id, self.at.isoformat())


def bound_to(record_id: UUID, call_id: UUID, phase: str) -> str:
    """Return what a sealed text belongs to: in another place it does not open."""
    return f"{call_id}/{record_id}/{phase}"


class Recorder:
    """Keeps halves of calls. One for each event loop; `load` may run in a thread beside it."""

    def __init__(
        self,
        ring: KeyRing,
        writer: Writer,
        *,
        most: int = MOST_QUEUED,
        most_bytes: int = MOST_QUEUED_BYTES,
    ) -> None:
        self._ring, self._writer = ring, writer
        self._most, self._most_bytes = most, most_bytes
        self._terms: Terms | None = None
        self._queue: deque[tuple[Kept, Keep]] = deque()
        self._queued_bytes = 0
        self._lost: Counter[tuple[datetime, str, str]] = Counter()
        self._task: asyncio.Task[None] | None = None

    def load(self, now: datetime) -> None:
        """Read what is kept and for how long, and write down what was lost."""
        self._terms = read_terms(now)
        lost, self._lost = self._lost, Counter()
        try:
            note_lost(lost)
        except Exception:
            self._lost.update(lost)
            raise

    async def keep(self, kept: Kept) -> None:
        """Keep one half. Raises Away where it must be kept and cannot be, or where nobody knows
        what must be kept.
        """
        if self._terms is None:
            raise Away("what is kept of calls is not known yet")
        keep = self._terms.keep_of(kept.team, kept.model)
        if keep.mode == Mode.REQUIRED:
            await self._write(kept, keep)
        elif keep.mode == Mode.BEST_EFFORT:
            self._enqueue(kept, keep)

    async def close(self, *, seconds: float = 5.0) -> None:
        """Write what is queued, for so long at most; the rest is lost, and counted."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()
        for kept, keep in self._queue:
            self._lose(kept, keep, ENDED)
        self._queue.clear()
        if self._lost:
            await asyncio.to_thread(self._note_lost_at_the_end)

    def _note_lost_at_the_end(self) -> None:
        """Write down what was lost, in a thread that ends with it."""
        try:
            note_lost(self._lost)
            self._lost = Counter()
        except DatabaseError as error:
            log.error("%s lost prompts are counted nowhere: %s", self._lost.total(), type(error))
        finally:
            connection.close()

    def _enqueue(self, kept: Kept, keep: Keep) -> None:
        is_full = len(self._queue) >= self._most
        if is_full or self._queued_bytes + len(kept.text) > self._most_bytes:
            self._lose(kept, keep, FULL)
            return
        self._queue.append((kept, keep))
        self._queued_bytes += len(kept.text)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    def _lose(self, kept: Kept, keep: Keep, because: str) -> None:
        self._lost[(hour_of(kept.at), keep.data_class.value, because)] += 1
        log.error("A prompt of %s was not kept: %s", keep.data_class.value, because)

    async def _work(self) -> None:
        while self._queue:
            batch = [self._queue[number] for number in range(min(AT_ONCE, len(self._queue)))]
            results = await asyncio.gather(
                *(self._write(*one) for one in batch), return_exceptions=True
            )
            for _ in batch:
                self._queued_bytes -= len(self._queue.popleft()[0].text)
            again = [one for one in zip(batch, results, strict=True) if one[1] is not None]
            for (kept, keep), result in reversed(again):
                if isinstance(result, NotStored):
                    self._lose(kept, keep, REFUSED)
                    continue
                self._queue.appendleft((kept, keep))
                self._queued_bytes += len(kept.text)
            if again:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _write(self, kept: Kept, keep: Keep) -> None:
        """Seal a half and write it; once more with another key where its key is destroyed."""
        subject = kept.subject or team_subject(kept.team)
        try:
            await self._writer.write(await _sealed(kept, keep, await self._key(subject, kept)))
        except KeyGone:
            self._ring.forget(subject, kept.at)
            try:
                await self._writer.write(await _sealed(kept, keep, await self._key(subject, kept)))
            except KeyGone:
                raise Away("the key of this call's record is being destroyed") from None

    async def _key(self, subject: Subject, kept: Kept) -> Key:
        return await self._ring.get(subject, kept.at)


async def _sealed(kept: Kept, keep: Keep, key: Key) -> Entry:
    bound = bound_to(kept.record_id, kept.call_id, kept.phase)
    if len(kept.text) < IN_A_THREAD:
        sealed = seal(key.plain, kept.text, bound=bound)
    else:
        sealed = await asyncio.to_thread(seal, key.plain, kept.text, bound=bound)
    said: dict[str, Any] = {"rules": kept.rules, "findings": list(kept.findings)}
    return Entry(
        record_id=kept.record_id,
        call_id=kept.call_id,
        at=kept.at,
        team=kept.team,
        cost_center=kept.cost_center,
        person=opaque_id(kept.person),
        model=kept.model,
        operation=kept.operation,
        data_class=keep.data_class.value,
        outcome=kept.outcome.value,
        refused_by=kept.refused_by,
        rules_hit=sorted({finding["rule"] for finding in kept.findings}),
        verdict={kept.phase.value.lower(): said},
        phase=kept.phase.value,
        size_bytes=len(kept.text),
        data_key=key.id,
        retained_until=keep.until(kept.at),
        sealed=sealed,
    )


@transaction.atomic
def note_lost(lost: Counter[tuple[datetime, str, str]]) -> None:
    """Add to the hours in which texts were lost."""
    for (hour, data_class, because), count in list(lost.items()):
        row, _ = LostPrompts.objects.get_or_create(
            hour=hour, data_class=data_class, because=because, defaults={"count": 0}
        )
        LostPrompts.objects.filter(pk=row.pk).update(count=F("count") + count)
