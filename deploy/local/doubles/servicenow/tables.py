"""The fields of the tables that there are, and how their values are shown. A name that is not
here is a field that the instance does not have.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from .store import Row

OURS = ("sys_id", "number", "sys_created_on", "sys_updated_on")
TASK = {
    "short_description": "", "description": "", "assignment_group": "", "assigned_to": "",
    "cmdb_ci": "", "impact": "3", "urgency": "3", "priority": "4", "correlation_id": "",
    "correlation_display": "", "close_code": "", "close_notes": "", "work_notes": "",
    "comments": "",
}  # fmt: skip
FIELDS: dict[str, Row] = {
    "change_request": TASK
    | {
        "state": "-5", "type": "normal", "chg_model": "", "approval": "not requested",
        "risk": "3", "implementation_plan": "", "backout_plan": "", "test_plan": "",
        "justification": "", "start_date": "", "end_date": "", "on_hold": "false",
        "on_hold_reason": "", "conflict_status": "Not Run",
    },
    "incident": TASK | {"state": "1", "caller_id": "", "hold_reason": ""},
    # who decided about a task; the instance itself writes it
    "sysapproval_approver": {"sysapproval": "", "approver": "", "state": "", "comments": ""},
}  # fmt: skip
# What nobody writes: derived, or another way leads there.
READ_ONLY = {*OURS, "priority", "approval", "conflict_status"}
JOURNALS = ("work_notes", "comments")
TIMES = ("start_date", "end_date")
CHANGE_STATES = {
    "-5": "New", "-4": "Assess", "-3": "Authorize", "-2": "Scheduled", "-1": "Implement",
    "0": "Review", "3": "Closed", "4": "Canceled",
}  # fmt: skip
INCIDENT_STATES = {
    "1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed",
    "8": "Canceled",
}  # fmt: skip
APPROVALS = {
    "not requested": "Not Yet Requested", "requested": "Requested", "approved": "Approved",
    "rejected": "Rejected",
}  # fmt: skip
# who may approve changes here, by the sys_id of their sys_user
PEOPLE = {"5f" * 16: "Dana Reyes", "6a" * 16: "Ilya Brandt"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def known(table: str) -> set[str]:
    """Return the names of a table's fields."""
    return {*FIELDS[table], *OURS}


def shown(table: str, name: str, value: str) -> str:
    """Return a value as people see it. Times are shown in the zone of whoever asks, which for the
    integration's user is two hours before UTC: only the value itself is UTC.
    """
    if name == "state":
        states = CHANGE_STATES if table == "change_request" else INCIDENT_STATES
        return states.get(value, value)
    if name == "approval":
        return APPROVALS.get(value, value)
    if name == "approver":
        return PEOPLE.get(value, value)
    if _TIME.fullmatch(value):
        moment = datetime.fromisoformat(value) - timedelta(hours=2)
        return moment.strftime("%Y-%m-%d %H:%M:%S")
    return value


def as_text(value: object) -> str:
    """Return a value of a JSON body as the instance keeps it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def is_time(value: str) -> bool:
    """Tell whether a value is a time as the instance takes it."""
    if not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def split(table: str, body: dict[str, object]) -> tuple[Row, list[str]]:
    """Return what a body may write, and the names that are ignored: unknown, read-only, or no time
    where one belongs.
    """
    taken: Row = {}
    ignored = []
    for name, value in body.items():
        text = as_text(value)
        is_bad = name in TIMES and text and not is_time(text)
        if name not in FIELDS[table] or name in READ_ONLY or is_bad:
            ignored.append(name)
        else:
            taken[name] = text
    return taken, ignored


def written(table: str, row: Row, changes: Row) -> Row:
    """Return changes as they are stored: journals are appended, the priority is derived."""
    stored = dict(changes)
    for name in JOURNALS:
        if stored.get(name):
            stored[name] = "\n".join(part for part in (row.get(name, ""), stored[name]) if part)
        else:
            stored.pop(name, None)
    after = row | stored
    if table == "incident":
        stored["priority"] = _priority(after.get("impact", "3"), after.get("urgency", "3"))
    return stored


def _priority(impact: str, urgency: str) -> str:
    whole = sum(int(part) if part.isdecimal() else 3 for part in (impact, urgency))
    return str(min(5, max(1, whole - 1)))
