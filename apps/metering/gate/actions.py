"""Where the access log and the gate tell different figures of one call, it is noted which were
counted; and calls that their gate left without a word are noted, until the ledger has them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.metering.access_log import UsageRecord
from apps.metering.gate.counts import Tokens
from apps.metering.gate.models import CountDifference, LostCall

Side = CountDifference.Side


def note_others(records: Iterable[UsageRecord], *, now: datetime) -> None:
    """Note the calls of which the gate tells other figures of the same whole answer than the log,
    whose figures count.
    """
    _note(
        [
            _difference(record, Side.LOG, log=_counted(record), gate=record.gate_tokens, now=now)
            for record in records
            if record.gate_tokens is not None
        ]
    )


def note_late(
    records: Iterable[UsageRecord], by_gate: Mapping[UUID, Tokens], *, now: datetime
) -> None:
    """Note the calls that were counted by the gate's figures before their line of the log came,
    which tells others. What was counted stays: a call counts once.

    by_gate: event id → the figures that count.
    """
    _note(
        [
            _difference(record, Side.GATE, log=_counted(record), gate=gate, now=now)
            for record in records
            if (gate := by_gate.get(record.event_id)) is not None
            and _counted(record).is_whole
            and _plain(_counted(record)) != _plain(gate)
        ]
    )


def note_lost(calls: Iterable[LostCall]) -> None:
    """Note calls that gates which died had let through; what is noted already stays as it is."""
    LostCall.objects.bulk_create(calls, ignore_conflicts=True, batch_size=1000)


def _counted(record: UsageRecord) -> Tokens:
    return Tokens(record.input_tokens, record.cached_input_tokens, record.output_tokens)


def _plain(tokens: Tokens) -> tuple[Any, ...]:
    """Return figures to be compared. The log has 0 where nobody told the cached tokens."""
    return tokens.input, tokens.cached or 0, tokens.output


def _note(differences: list[CountDifference]) -> None:
    if differences:
        CountDifference.objects.bulk_create(differences, ignore_conflicts=True, batch_size=1000)


def _difference(
    record: UsageRecord, counts: str, *, log: Tokens, gate: Tokens | None, now: datetime
) -> CountDifference:
    gate = gate or Tokens(None, None, None)
    return CountDifference(
        event_id=record.event_id,
        occurred_at=record.occurred_at,
        noted_at=now,
        team=record.team,
        model=record.model,
        version=record.version,
        counts=counts,
        log_input_tokens=log.input,
        log_cached_input_tokens=log.cached,
        log_output_tokens=log.output,
        gate_input_tokens=gate.input,
        gate_cached_input_tokens=gate.cached,
        gate_output_tokens=gate.output,
    )
