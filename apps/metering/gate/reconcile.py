"""Calls that no line of the access log tells of, because the gateway died with them: let into the
ledger before their hour is sealed, from what their gate settled. Where the gate died, too, the call
is let in without its usage, which is then estimated from the engine's hour like that of any other.

A call counts once: its id is the usage event's, and what the ledger has is left as it is. So is one
whose line of the log is kept apart: people decide whether it counts.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.access.holds.models import SettledCall
from apps.common.periods import DAY, HOUR, day_of, hour_of
from apps.metering import actions, days, settled, store
from apps.metering.access_log import UsageRecord
from apps.metering.gate.counts import NO_TOKENS, Basis, Judged, Tokens
from apps.metering.gate.models import LostCall
from apps.metering.models import Completeness, HourlyUsage, Operation, Outcome, Unmetered
from apps.metering.quarantine.models import QuarantinedRecord

AT_ONCE = 1000
_REASONS = {
    Completeness.ABORTED.value: Unmetered.CLIENT_LEFT,
    Completeness.ENDED_EARLY.value: Unmetered.ENDED_EARLY,
    Completeness.FAILED.value: Unmetered.ENGINE_BROKE_OFF,
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LetIn:
    """How many calls were let in: settled by their gate, and lost with it."""

    settled: int
    lost: int


def patience() -> timedelta:
    """Return how long a call's line of the access log is waited for: until an hour before its hour
    is sealed, and an hour at least.
    """
    return max(timedelta(hours=settings.USAGE_GRACE_HOURS) - HOUR, HOUR)


def let_in_missing(*, now: datetime) -> LetIn:
    """Let in the calls that no line of the access log told of in time, each named in the log."""
    before = now - patience()
    counted = {"settled": 0, "lost": 0}
    for row in _batches(before):
        ids = _let_in(*row, now=now)
        for name, found in ids.items():
            counted[name] += len(found)
    return LetIn(**counted)


def _batches(before: datetime) -> Iterable[tuple[list[SettledCall], list[LostCall]]]:
    """Yield the calls of before a moment that the ledger's sums do not have, some at a time."""
    for rows in _parts(list(settled.missing(before).order_by("occurred_at"))):
        yield rows, []
    lost = LostCall.objects.filter(occurred_at__lt=before)
    for others in _parts(list(lost.order_by("occurred_at"))):
        yield [], others


def _parts(rows: list[Any]) -> Iterable[list[Any]]:
    return (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))


@transaction.atomic
def _let_in(
    settled: list[SettledCall], lost: list[LostCall], *, now: datetime
) -> dict[str, set[UUID]]:
    """Let in what the ledger does not have; return the ids that are new, by kind."""
    rows: dict[UUID, SettledCall | LostCall] = {row.call_id: row for row in settled}
    rows |= {row.call_id: row for row in lost}
    stored = store.stored_ids(rows.keys(), _days_of(rows.values()))
    archived = days.make_days({day_of(row.occurred_at) for row in rows.values()})
    missing = {
        key: row
        for key, row in rows.items()
        if key not in stored and day_of(row.occurred_at) not in archived
    }
    for key in _kept_apart(missing):
        del missing[key]
    answered = _answered(missing.values())
    records = {
        key: _record(row, answered.get((row.model, hour_of(row.occurred_at)), ""))
        for key, row in missing.items()
    }
    fresh = actions.store_records(records, via="GATE", received_at=now, now=now)
    for key in fresh:
        row = rows[key]
        kind = "settled by its gate" if isinstance(row, SettledCall) else "lost with its gate"
        log.warning("the access log never told of the call %s of %s for %s, %s: it is let in",
                    key, row.team, row.model, kind)  # fmt: skip
    LostCall.objects.filter(pk__in=[row.pk for row in lost if row.pk in stored | fresh]).delete()
    return {
        "settled": fresh & {row.call_id for row in settled},
        "lost": fresh & {row.call_id for row in lost},
    }


def _kept_apart(ids: Collection[UUID]) -> set[UUID]:
    """Return which of these calls' lines are in quarantine, or were; and let those count nowhere
    that somebody left out. One query, and two more where there are such.
    """
    if not ids:
        return set()
    status: dict[UUID, set[str]] = {}
    lines = QuarantinedRecord.objects.filter(event_id__in=list(ids))
    for event_id, found in lines.values_list("event_id", "status"):
        if event_id is not None:
            status.setdefault(event_id, set()).add(found)
    out = [key for key, found in status.items() if found == {QuarantinedRecord.Status.LEFT_OUT}]
    if out:
        SettledCall.objects.filter(pk__in=out).delete()
        LostCall.objects.filter(pk__in=out).delete()
    return set(status)


def _days_of(rows: Iterable[SettledCall | LostCall]) -> set[date]:
    """Return the days that calls may lie in: by the gateway's clock it can be another one than by
    the gate's.
    """
    return {day_of(row.occurred_at + step * DAY) for row in rows for step in (-1, 0, 1)}


def _answered(rows: Collection[SettledCall | LostCall]) -> Mapping[tuple[str, datetime], str]:
    """Return model and hour → the version that answered every metered call of it in that hour; one
    of which several answered, or none, is not there. One query.
    """
    hours = {hour_of(row.occurred_at) for row in rows}
    sums = HourlyUsage.objects.filter(hour__in=hours, metered_calls__gt=0).exclude(version="")
    found: dict[tuple[str, datetime], set[str]] = {}
    for model, hour, version in sums.values_list("model", "hour", "version"):
        found.setdefault((model, hour), set()).add(version)
    return {key: versions.pop() for key, versions in found.items() if len(versions) == 1}


def _record(row: SettledCall | LostCall, version: str) -> UsageRecord:
    """Return a call as the ledger keeps it. version: "" where nobody can tell."""
    is_settled = isinstance(row, SettledCall)
    judged, outcome, why = _told(row) if isinstance(row, SettledCall) else _UNTOLD
    tokens = judged.columns
    return UsageRecord(
        event_id=row.call_id,
        occurred_at=row.occurred_at,
        outcome=outcome,
        team=row.team,
        cost_center=row.cost_center,
        user_id="",
        model=row.model,
        version=version,
        operation=row.operation if isinstance(row, SettledCall) else "",
        route="",
        response_code=200 if is_settled else 0,  # of no other is anything settled
        response_flags="",
        duration_ms=None,
        ttft_ms=None,
        unmetered_because=why,
        basis=judged.basis,
        input_tokens=tokens["input_tokens"],
        cached_input_tokens=tokens["cached_input_tokens"],
        output_tokens=tokens["output_tokens"],
        estimated_input_tokens=tokens["estimated_input_tokens"],
        estimated_output_tokens=tokens["estimated_output_tokens"],
    )


_UNTOLD = (Judged(NO_TOKENS, ""), Outcome.UNMETERED, Unmetered.GATEWAY_FAILED)


def _told(row: SettledCall) -> tuple[Judged, str, str]:
    """Return what counts of a settled call, what it is to the ledger, and why it is not whole. A
    rerank that was answered is counted as a request, whatever it read.
    """
    why = _REASONS.get(row.completeness, "")
    if row.operation == Operation.RERANK:
        is_answered = why in ("", Unmetered.ENDED_EARLY)
        found = ("METERED", "") if is_answered else ("UNMETERED", why)
        return Judged(NO_TOKENS, ""), *found
    tokens = Tokens(row.input_tokens, row.cached_input_tokens, row.output_tokens)
    if row.basis in (Basis.USAGE, Basis.COUNTED) and tokens.is_whole:
        return Judged(tokens, row.basis), Outcome.METERED, why
    is_guess = row.basis == Basis.ESTIMATED
    judged = Judged(tokens, row.basis) if is_guess else Judged(NO_TOKENS, "")
    return judged, Outcome.UNMETERED, why or Unmetered.UNKNOWN
