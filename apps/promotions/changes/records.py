"""What the worker writes about changes: each transition once, with its audit event in the
transaction.
"""

from datetime import datetime

from django.db import transaction

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.integrations.servicenow.types import Change
from apps.promotions.changes import telling
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.changes.states import ENDED, REJECTED

WORKER = System("promotions.reconcile_change")
# what people in ServiceNow decide or plan; a change of it is worth a line in the record
WATCHED = ("state", "approval", "on_hold", "starts_at", "ends_at")
ALTERED = "ALTERED"


@transaction.atomic
def record_opened(
    *, row: ChangeRecord, change: Change, is_new: bool, ignored: list[str], now: datetime
) -> None:
    """Keep the number of a change that was opened, or found again by its correlation id."""
    row.sys_id, row.number, row.opened_at = change.sys_id, change.number, now
    row.status = ChangeRecord.Status.OPEN
    row.save(update_fields=("sys_id", "number", "opened_at", "status"))
    action = Action.CHANGE_OPENED if is_new else Action.CHANGE_ADOPTED
    data = {"number": change.number, "ignored": ignored, **_promotion(row)}
    record(action=action, actor=WORKER, target=row, now=now, data=data)


@transaction.atomic
def record_read(
    *, row: ChangeRecord, change: Change, differences: list[dict[str, str]], now: datetime
) -> None:
    """Keep what a look found. What people changed there is recorded, and so is what they altered of
    ours.
    """
    before = {name: getattr(row, name) for name in WATCHED}
    after = {name: getattr(change, name) for name in WATCHED}
    was_read, had = row.read_at is not None, row.differences
    if (before["starts_at"], before["ends_at"]) != (after["starts_at"], after["ends_at"]):
        row.conflicts_read_at = row.conflicts_asked_at = None  # of another window
    for name, value in after.items():
        setattr(row, name, value)
    row.state_words, row.approval_words = change.state_words[:60], change.approval_words[:60]
    row.differences, row.read_at, row.observed_at = differences, now, now
    row.reason = row.message = ""
    row.attempts = 0
    row.save(
        update_fields=(
            *WATCHED, "state_words", "approval_words", "differences", "read_at", "observed_at",
            "reason", "message", "attempts", "conflicts_read_at", "conflicts_asked_at",
        )
    )  # fmt: skip
    if was_read and before != after:
        data = {"before": _texts(before), "after": _texts(after), **_promotion(row)}
        record(action=Action.CHANGE_SEEN, actor=WORKER, target=row, now=now, data=data)
        if change.approval == REJECTED != before["approval"]:
            telling.tell_rejected(row, now)
    if differences and differences != had:
        doubt: dict[str, object] = {"code": ALTERED, "differences": differences}
        record(
            action=Action.CHANGE_DOUBTED,
            actor=WORKER,
            target=row,
            now=now,
            data=doubt | _promotion(row),
        )
        telling.tell_doubt(row, ALTERED, now)


@transaction.atomic
def record_trouble(
    *,
    row: ChangeRecord,
    reason: str,
    message: str,
    before: tuple[str, str],
    is_alarm: bool,
    now: datetime,
) -> None:
    """Keep why nothing is known of a change. is_alarm: it is not merely away, so the record says
    so, once: where the look before, by its reason and message, did not find the same.
    """
    is_new = before != (reason, message)
    row.reason, row.message, row.observed_at = reason, message, now
    row.save(update_fields=("reason", "message", "observed_at"))
    if is_alarm and is_new:
        data = {"code": reason, "message": message, **_promotion(row)}
        record(action=Action.CHANGE_DOUBTED, actor=WORKER, target=row, now=now, data=data)
        telling.tell_doubt(row, reason, now)


@transaction.atomic
def record_approvers(
    *, row: ChangeRecord, people: list[dict[str, str]], problem: str, now: datetime
) -> None:
    """Keep who decided about a change in ServiceNow, or why that cannot be seen."""
    row.approvers = {"of": row.approval, "people": people, "problem": problem}
    row.save(update_fields=("approvers",))
    seen: dict[str, object] = {"after": {"approval": row.approval, "by": people}}
    data = seen | {"message": problem, **_promotion(row)}
    record(action=Action.CHANGE_SEEN, actor=WORKER, target=row, now=now, data=data)


def record_conflicts_asked(*, row: ChangeRecord, last_run: str, now: datetime) -> None:
    """Keep that a check was asked for, and when the one before it ended."""
    row.conflicts_asked_at, row.conflicts_run = now, last_run
    row.save(update_fields=("conflicts_asked_at", "conflicts_run"))


@transaction.atomic
def record_conflicts(*, row: ChangeRecord, found: list[str], last_run: str, now: datetime) -> None:
    """Keep what a check found that has ended."""
    had = row.conflicts
    row.conflicts, row.conflicts_run = found, last_run
    row.conflicts_read_at, row.conflicts_asked_at = now, None
    row.save(
        update_fields=("conflicts", "conflicts_run", "conflicts_read_at", "conflicts_asked_at")
    )
    if found != had:
        data = {"before": {"conflicts": had}, "after": {"conflicts": found}, **_promotion(row)}
        record(action=Action.CHANGE_SEEN, actor=WORKER, target=row, now=now, data=data)


def record_outcome(*, row: ChangeRecord, outcome: str, notes: str) -> None:
    """Keep how the change is to end, before ServiceNow is told: its answer may be lost."""
    row.outcome, row.outcome_notes = outcome, notes
    row.save(update_fields=("outcome", "outcome_notes"))


@transaction.atomic
def record_moved(*, row: ChangeRecord, before: str, change: Change, now: datetime) -> None:
    """Keep a step that we took, and where it led."""
    row.state, row.state_words = change.state, change.state_words[:60]
    row.approval, row.approval_words = change.approval, change.approval_words[:60]
    row.read_at = now
    row.save(update_fields=("state", "state_words", "approval", "approval_words", "read_at"))
    data = {"before": {"state": before}, "after": {"state": change.state_words}}
    record(
        action=Action.CHANGE_MOVED, actor=WORKER, target=row, now=now, data=data | _promotion(row)
    )


@transaction.atomic
def record_closed(*, row: ChangeRecord, now: datetime) -> None:
    """End a change that is closed or canceled in ServiceNow: by us where an outcome was sent, else
    by somebody there. Nothing of it changes afterwards.
    """
    if row.state not in ENDED:
        raise ValueError("Only a change that has ended is closed.")
    row.status, row.closed_at, row.next_check_at = ChangeRecord.Status.CLOSED, now, None
    row.save(update_fields=("status", "closed_at", "next_check_at"))
    data = {
        "state": row.state_words,
        "outcome": row.outcome or "closed by somebody in ServiceNow",
        "notes": row.outcome_notes,
        **_promotion(row),
    }
    record(action=Action.CHANGE_CLOSED, actor=WORKER, target=row, now=now, data=data)
    if not row.outcome:
        telling.tell_closed(row, now)


def _promotion(row: ChangeRecord) -> dict[str, str]:
    return {"promotion": str(row.promotion_id)}


def _texts(facts: dict[str, object]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in facts.items()}
