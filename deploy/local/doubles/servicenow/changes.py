"""The life of a change: which states come next and under what conditions, who approves, and what
its check for conflicts finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from . import tables
from .store import Row, Store, stamp

NEW, ASSESS, AUTHORIZE, SCHEDULED, IMPLEMENT, REVIEW, CLOSED, CANCELED = (
    "-5", "-4", "-3", "-2", "-1", "0", "3", "4",
)  # fmt: skip
TABLE, APPROVERS = "change_request", "sysapproval_approver"
# From, to. The legacy state model; "approval" ones happen by themselves with the approval.
COMMON = (
    (SCHEDULED, IMPLEMENT), (SCHEDULED, CANCELED), (IMPLEMENT, REVIEW), (IMPLEMENT, CANCELED),
    (REVIEW, CLOSED), (NEW, CANCELED),
)  # fmt: skip
MODELS = {
    "normal": (
        (NEW, ASSESS), (ASSESS, AUTHORIZE), (ASSESS, NEW), (ASSESS, CANCELED),
        (AUTHORIZE, SCHEDULED), (AUTHORIZE, NEW), (AUTHORIZE, CANCELED), *COMMON,
    ),
    "standard": ((NEW, SCHEDULED), *COMMON),
    "emergency": (
        (NEW, AUTHORIZE), (AUTHORIZE, SCHEDULED), (AUTHORIZE, NEW), (AUTHORIZE, CANCELED),
        *COMMON,
    ),
}  # fmt: skip
BY_APPROVAL = {
    (ASSESS, AUTHORIZE), (ASSESS, NEW), (AUTHORIZE, SCHEDULED), (AUTHORIZE, NEW),
}  # fmt: skip
CLOSE_CODES = ("successful", "successful_issues", "unsuccessful")


class Refusal(Exception):
    """The instance does not do that; the text is what it answers with 400."""


@dataclass(frozen=True)
class Transition:
    """One step from where a change is. conditions: (name, passed)."""

    to_state: str
    is_automatic: bool
    conditions: tuple[tuple[str, bool], ...]

    @property
    def is_available(self) -> bool:
        """Tell whether whoever asks may take it now."""
        return all(passed for _, passed in self.conditions)


def transitions(change: Row) -> list[Transition]:
    """Return the steps from where a change is, available or not."""
    model = MODELS.get(change["type"], MODELS["normal"])
    found = []
    for before, after in model:
        if before != change["state"]:
            continue
        is_automatic = (before, after) in BY_APPROVAL
        conditions = [("Not on hold", change["on_hold"] != "true" or after == CANCELED)]
        if is_automatic:
            conditions.append(("Approval is decided", False))
        found.append(Transition(after, is_automatic, tuple(conditions)))
    return found


def move(change: Row, to_state: str, changes: Row) -> Row:
    """Return what a step writes. Raises Refusal where it is not available, or what closing needs is
    missing.
    """
    if to_state == change["state"]:
        return {}
    if not any(step.to_state == to_state and step.is_available for step in transitions(change)):
        before = tables.CHANGE_STATES.get(change["state"], change["state"])
        after = tables.CHANGE_STATES.get(to_state, to_state)
        raise Refusal(f"Invalid state transition: {before} to {after} is not available")
    closing = change | changes
    if to_state == CLOSED and (
        closing["close_code"] not in CLOSE_CODES or not closing["close_notes"].strip()
    ):
        raise Refusal("Close code and close notes are mandatory when a change is closed")
    asks = to_state in (ASSESS, AUTHORIZE)
    is_approved = change["type"] == "standard" and to_state == SCHEDULED
    approval = "requested" if asks else "approved" if is_approved else ""
    return {"state": to_state} | ({"approval": approval} if approval else {})


def decide(store: Store, sys_id: str, state: str, comments: str) -> Row:
    """Approve or reject as the group that is asked. Raises Refusal where nobody is asked."""
    change = _found(store, sys_id)
    if change["state"] not in (ASSESS, AUTHORIZE):
        raise Refusal("There is no approval requested for this change")
    who = list(tables.PEOPLE)[0 if change["state"] == ASSESS else 1]
    answer = {"sysapproval": sys_id, "approver": who, "state": state, "comments": comments}
    store.insert(APPROVERS, answer)
    if state == "rejected":
        note = tables.written(TABLE, change, {"comments": comments or "Rejected."})
        return store.update(TABLE, sys_id, {"state": NEW, "approval": "rejected"} | note)
    if change["state"] == ASSESS:
        return store.update(TABLE, sys_id, {"state": AUTHORIZE, "approval": "requested"})
    return store.update(TABLE, sys_id, {"state": SCHEDULED, "approval": "approved"})


def withdraw_approval(store: Store, sys_id: str) -> Row:
    """Take the approval of a scheduled change back. Raises Refusal unless it is scheduled."""
    if _found(store, sys_id)["state"] != SCHEDULED:
        raise Refusal("Only a scheduled change loses its approval")
    return store.update(TABLE, sys_id, {"state": AUTHORIZE, "approval": "requested"})


def start_conflict_check(store: Store, sys_id: str) -> None:
    """Start the job. It runs in the answer to this call, and has ended at the next look."""
    job = store.note(f"conflict {sys_id}") or {}
    store.set_note(f"conflict {sys_id}", job | {"looks": 0})


def conflict_check(store: Store, sys_id: str) -> dict[str, Any]:
    """Return the job's answer. Its `status` says "Conflict" whatever was found, as ServiceNow's
    does.
    """
    job = store.note(f"conflict {sys_id}") or {"looks": 2}
    if job["looks"] == 1:
        job |= {"last_run": _later_than(job.get("last_run", "")), "found": planned(store, sys_id)}
    if job["looks"] < 2:
        job["looks"] += 1
        store.set_note(f"conflict {sys_id}", job)
    is_running = job["looks"] < 2
    found = [] if is_running else job.get("found", [])
    return {
        "status": _both("Conflict"),
        "job_status": _both("Running" if is_running else "Complete"),
        "last_run": _both(job.get("last_run", "")),
        "record_count": len(found),
        "conflicts": [
            {"type": _both("Change already scheduled"), "conflicting_change": _both(words)}
            for words in found
        ],
    }


def plan_conflict(store: Store, sys_id: str, words: str) -> None:
    """Let the next check of this change find a conflict; "" lets it find none."""
    store.set_note(f"planned conflict {sys_id}", [words] if words else [])


def planned(store: Store, sys_id: str) -> list[str]:
    """Return what the next check will find."""
    return store.note(f"planned conflict {sys_id}") or []


def _later_than(last_run: str) -> str:
    """Return the time now, one second on where the last job ended in this very second."""
    now = stamp()
    if now != last_run:
        return now
    return str(datetime.fromisoformat(now) + timedelta(seconds=1))


def _both(value: str) -> dict[str, str]:
    return {"value": value, "display_value": value}


def _found(store: Store, sys_id: str) -> Row:
    change = store.get(TABLE, sys_id)
    if change is None:
        raise Refusal("No Record found")
    return change
