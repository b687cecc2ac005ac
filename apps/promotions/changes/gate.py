"""Whether a promotion's change in ServiceNow lets its rollout start now, and why not.

Decided from what was read last, never from hope: a change that could not be read lately, that says
something else than we wrote, or whose check for conflicts is old keeps the rollout waiting.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from apps.integrations.servicenow.addresses import is_configured, page_of
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.changes.states import (
    APPROVED,
    CANCELED,
    ENDED,
    IMPLEMENT,
    REJECTED,
    SCHEDULED,
)
from apps.promotions.models import Promotion
from apps.promotions.policy.rules import ChangeRule

# A check for conflicts is asked for again after the first, and no longer believed after the second.
CHECK_AGAIN, CHECK_OLD = timedelta(minutes=5), timedelta(minutes=10)
LOOKS_MISSED, LEAST_FRESH = 4, timedelta(minutes=1)


@dataclass(frozen=True)
class ChangeGate:
    """needed: a change must let the rollout start. words: what it waits for, or why it does not.

    number, url: of the change in ServiceNow; "" where there is none yet.
    """

    needed: bool
    is_open_for_start: bool
    words: str
    number: str = ""
    url: str = ""


def gate_of(
    promotion: Promotion, now: datetime, *, policy: str = ChangeRule.IF_CONFIGURED
) -> ChangeGate:
    """Return whether the promotion's change lets a rollout start now. One query, none where
    `changes` is prefetched.

    policy: "required", "if configured" or "none", as the policy of the promotion says.
    """
    if policy == ChangeRule.NONE:
        return ChangeGate(False, True, "The policy asks for no change record.")
    if not is_configured():
        return _without_servicenow(policy)
    record = next((row for row in promotion.changes.all() if _is_normal(row)), None)
    if record is None:
        return ChangeGate(True, False, "The change is still to be asked for in ServiceNow.")
    waits = waits_for(record, now)
    words = waits or f"{record.number} is approved, and its window is open until {_end(record)}."
    return ChangeGate(
        True, not waits, words, record.number, page_of("change_request", record.sys_id)
    )


def lost_by(promotion: Promotion, now: datetime, *, policy: str) -> str:
    """Return in words how a promotion's change stopped letting its rollout run, as was read last;
    "" where it did not. One query, none where `changes` is prefetched.

    A change that cannot be read is no such thing: what has begun is not held by what nobody knows.
    """
    if policy == ChangeRule.NONE or not is_configured():
        return ""
    record = next((row for row in promotion.changes.all() if _is_normal(row)), None)
    if record is None or record.read_at is None:
        return ""
    if record.state in ENDED or record.status == ChangeRecord.Status.CLOSED:
        how = "canceled" if record.state == CANCELED else "closed"
        return f"{record.number} was {how} in ServiceNow while the rollout is under way."
    if record.approval != APPROVED:
        return f"{record.number} is not approved in ServiceNow any more ({_state(record)})."
    if record.on_hold:
        return f"{record.number} is on hold in ServiceNow."
    return _outside_window(record, now)


def _is_normal(record: ChangeRecord) -> bool:
    return record.kind == ChangeRecord.Kind.NORMAL


def _without_servicenow(policy: str) -> ChangeGate:
    if policy == ChangeRule.REQUIRED:
        words = (
            "The policy requires a change record, and no ServiceNow is configured. A platform "
            "engineer sets SERVICENOW_URL."
        )
        return ChangeGate(True, False, words)
    words = "No ServiceNow is configured, so there is no change record. The policy allows that."
    return ChangeGate(False, True, words)


def waits_for(record: ChangeRecord, now: datetime) -> str:
    """Return what a change still needs before its rollout may start, in words; "" where nothing."""
    for reason in (_unread, _altered, _ended, _undecided, _outside_window, _in_conflict):
        if words := reason(record, now):
            return words
    return ""


def fresh_for() -> timedelta:
    """Return how long what was read of a change is believed."""
    return max(LOOKS_MISSED * timedelta(seconds=settings.SERVICENOW_LOOK_SECONDS), LEAST_FRESH)


def _unread(record: ChangeRecord, now: datetime) -> str:
    if record.reason:
        return record.message
    if record.status == ChangeRecord.Status.OPENING or record.read_at is None:
        return "The change is still to be opened in ServiceNow."
    if record.status != ChangeRecord.Status.CLOSED and now - record.read_at > fresh_for():
        since = _at(record.read_at)
        return f"{record.number} was last read at {since}. What it says now is not known."
    return ""


def _altered(record: ChangeRecord, now: datetime) -> str:
    if not record.differences:
        return ""
    names = ", ".join(str(item["field"]) for item in record.differences)
    return (
        f"{record.number} no longer says what was written when it was opened: {names}. Put it "
        f"right in ServiceNow, or withdraw the proposal and make it again."
    )


def _ended(record: ChangeRecord, now: datetime) -> str:
    if record.state in ENDED or record.status == ChangeRecord.Status.CLOSED:
        how = "canceled" if record.state == CANCELED else "closed"
        return (
            f"{record.number} was {how} in ServiceNow before the rollout. Withdraw the proposal, "
            f"and make it again with a new change."
        )
    return ""


def _undecided(record: ChangeRecord, now: datetime) -> str:
    if record.approval == REJECTED:
        return f"{record.number} was rejected in ServiceNow."
    if record.approval != APPROVED:
        return f"{record.number} waits for its approval in ServiceNow ({_state(record)})."
    if record.on_hold:
        return f"{record.number} is on hold in ServiceNow."
    if record.state not in (SCHEDULED, IMPLEMENT):
        return f"{record.number} is approved, but not scheduled in ServiceNow ({_state(record)})."
    return ""


def _outside_window(record: ChangeRecord, now: datetime) -> str:
    if record.starts_at is None or record.ends_at is None:
        return f"{record.number} has no planned start and end in ServiceNow yet."
    if now < record.starts_at:
        return f"The window of {record.number} begins at {_at(record.starts_at)}."
    if now >= record.ends_at:
        return f"The window of {record.number} ended at {_end(record)}. Plan it anew in ServiceNow."
    return ""


def _in_conflict(record: ChangeRecord, now: datetime) -> str:
    if record.conflicts:
        found = "; ".join(record.conflicts)
        return f"{record.number} is in conflict with others in ServiceNow: {found}."
    if record.conflicts_read_at is None or now - record.conflicts_read_at > CHECK_OLD:
        return f"{record.number} is still being checked for conflicts in ServiceNow."
    return ""


def _state(record: ChangeRecord) -> str:
    return record.state_words or record.state


def _end(record: ChangeRecord) -> str:
    return _at(record.ends_at) if record.ends_at else ""


def _at(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %H:%M} UTC"
