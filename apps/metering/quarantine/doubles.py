"""The same id under two days: found at night, and the later call taken out and kept apart.

Within its day an id is stored once; over days nothing can hold it back, for a table that is kept by
day has no key over all of them. So each day that changed is held against every other stored day,
two at a time. Days that are in the archive alone are searched there (archive/doubles.py), and
brought back where they share an id.
"""

import time
from collections.abc import Callable
from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.common.periods import hour_of
from apps.common.tasks import enqueue_on_commit
from apps.metering import actions, days, sealing, store
from apps.metering.access_log import PATHS, Entry, UsageRecord
from apps.metering.gate.counts import Basis
from apps.metering.models import UsageEvent
from apps.metering.quarantine.models import CheckedDay, Doubt, QuarantinedRecord
from apps.metering.stores.columns import RECORD

PASS_SECONDS = 500.0
ACTOR = System("metering.find_doubles")
# the key of the access log that tells each value of a call
TOLD_BY = {
    "event_id": "x-request-id",
    "response_code": "response_code",
    "response_flags": "response_flags",
    "duration_ms": "duration",
    "team": "team",
    "cost_center": "cost_center",
    "user_id": "user_id",
    "route": "route_name",
    "model": "gen_ai.request.model",
    "version": "gen_ai.request.model_override",
    "input_tokens": "gen_ai.usage.input_tokens",
    "cached_input_tokens": "gen_ai.usage.cached_input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "ttft_ms": "gen_ai.latency.ttft_ms",
}


def find_doubles(*, now: datetime, clock: Callable[[], float] = time.monotonic) -> int:
    """Check the days that changed since they were checked, until the pass is over; return how many
    calls were taken out. A day that is not done is done in the next pass.
    """
    started, found = clock(), 0
    for day in days.unchecked_days(days.stored_days()):
        if clock() - started > PASS_SECONDS:
            break
        found += _check(day, now)
    return found


def _check(day: date, now: datetime) -> int:
    found = 0
    for other in days.stored_days():
        if other != day:
            found += sum(
                _take_later_out(event_id, (day, other), now)
                for event_id in days.shared_ids(day, other)
            )
    CheckedDay.objects.update_or_create(day=day, defaults={"checked_at": now})
    return found


@transaction.atomic
def _take_later_out(event_id: UUID, both: tuple[date, date], now: datetime) -> bool:
    """Move the later one of two calls with one id into quarantine: it counts in no total from now
    on. False where there are no two any more.
    """
    found = [days.calls_of(day).filter(event_id=event_id).first() for day in both]
    events = [event for event in found if event]
    if len(events) < 2:
        return False
    later = max(events, key=lambda event: (event.received_at, event.occurred_at))
    hour, entry = hour_of(later.occurred_at), _entry(later)
    actions.keep_apart([entry], via=later.received_via, now=later.received_at)
    kept = QuarantinedRecord.objects.get(fingerprint=entry.fingerprint)
    data = {
        "event_id": str(event_id),
        "hour": hour.isoformat(),
        "team": later.team,
        "model": later.model,
    }
    record(action=Action.USAGE_TAKEN_OUT, actor=ACTOR, target=kept, now=now, data=data)
    store.take_out(later)
    actions.mark_hours({hour}, now)
    sealing.note_late({hour: -1}, now=now)
    enqueue_on_commit("metering.roll_up_dirty_hours")
    return True


def _entry(event: UsageEvent) -> Entry:
    """Return a stored call as a record that is doubted, with the keys it came with as far as they
    are stored.
    """
    told = {key: getattr(event, name) for name, key in TOLD_BY.items()}
    told["path"] = PATHS.get(event.operation)
    told |= _of_the_gate(event)
    values = {key: value for key, value in told.items() if value not in (None, "")}
    values["start_time"] = event.occurred_at.isoformat()
    read = UsageRecord(**{name: getattr(event, name) for name in RECORD})
    return Entry(values, read, actions.OTHER_DAY, Doubt.OTHER_DAY)


def _of_the_gate(event: UsageEvent) -> dict[str, object]:
    """Return the keys by which a call's record tells what the gate counted; none where none did."""
    if not event.basis:
        return {}
    estimated = (event.estimated_input_tokens, None, event.estimated_output_tokens)
    metered = (event.input_tokens, event.cached_input_tokens, event.output_tokens)
    tokens = estimated if event.basis == Basis.ESTIMATED else metered
    kinds = ("input", "cached_input", "output")
    return {
        "gate.basis": event.basis,
        "gate.usage.completeness": event.completeness,
        **{f"gate.usage.{kind}_tokens": n for kind, n in zip(kinds, tokens, strict=True)},
    }
