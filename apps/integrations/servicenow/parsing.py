"""ServiceNow's JSON as our types. Pure: what cannot be read is refused, never guessed.

A value comes as text, or as {"value", "display_value"}; a result as an object, or as a list of one.
Only `value` is the truth: what is displayed follows the zone and language of whoever asks.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.integrations.errors import PermanentError
from apps.integrations.servicenow.types import Approver, Change, ConflictCheck, Incident

TEXTS = (
    "short_description", "description", "implementation_plan", "backout_plan", "test_plan",
)  # fmt: skip
CHANGE_FIELDS = (
    "sys_id", "number", "correlation_id", "state", "approval", "on_hold", "start_date",
    "end_date", *TEXTS,
)  # fmt: skip
INCIDENT_FIELDS = (
    "sys_id", "number", "correlation_id", "state", "assigned_to", "work_notes",
)  # fmt: skip
APPROVER_FIELDS = ("sys_id", "sysapproval", "approver", "state", "sys_updated_on")
DECIDED = ("approved", "rejected")
_SYS_ID = re.compile(r"[0-9a-f]{32}")
_RUNNING = ("new", "ready", "pending", "queued", "running", "processing", "in progress")
_LONGEST = 300


class Untrue(PermanentError):
    """ServiceNow answered something else than was asked, or that cannot be read."""


def result_of(body: Any) -> Any:
    """Return the result of an answer. Raises Untrue where it has none, or says that it failed."""
    if not isinstance(body, dict) or "result" not in body or body.get("status") == "failure":
        raise Untrue("ServiceNow answered without a result.")
    return body["result"]


def one_of(result: Any) -> dict[str, Any]:
    """Return a result that is one object, though it may come as a list of one."""
    found = result[0] if isinstance(result, list) and len(result) == 1 else result
    if not isinstance(found, dict):
        raise Untrue("ServiceNow answered with something else than one record.")
    return found


def many_of(result: Any) -> list[dict[str, Any]]:
    """Return a result that is a list of objects."""
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        raise Untrue("ServiceNow answered with something else than a list of records.")
    return result


def ignored_in(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields that ServiceNow says it ignored."""
    meta = row.get("__meta")
    named = meta.get("ignoredFields") if isinstance(meta, dict) else None
    return [str(name) for name in named] if isinstance(named, list) else []


def change_of(row: Mapping[str, Any]) -> Change:
    """Return a change. Raises Untrue where its identity, its state or its approval is missing."""
    return Change(
        sys_id=_sys_id(row),
        number=_needed(row, "number"),
        correlation_id=_value(row, "correlation_id"),
        state=_needed(row, "state"),
        state_words=_shown(row, "state"),
        approval=_needed(row, "approval"),
        approval_words=_shown(row, "approval"),
        on_hold=_value(row, "on_hold") == "true",
        starts_at=_moment(row, "start_date"),
        ends_at=_moment(row, "end_date"),
        fields={name: _value(row, name) for name in TEXTS if name in row},
    )


def incident_of(row: Mapping[str, Any]) -> Incident:
    """Return an incident. Raises Untrue where its identity or its state is missing."""
    return Incident(
        sys_id=_sys_id(row),
        number=_needed(row, "number"),
        correlation_id=_value(row, "correlation_id"),
        state=_needed(row, "state"),
        state_words=_shown(row, "state"),
        assigned_to=_value(row, "assigned_to"),
        notes="\n".join((_value(row, "work_notes"), _shown(row, "work_notes"))),
    )


def approver_of(row: Mapping[str, Any]) -> Approver:
    """Return who decided about a change. Raises Untrue where nobody is named."""
    name = _shown(row, "approver") or _value(row, "approver")
    if not name:
        raise Untrue("ServiceNow answered with an approval without its approver.")
    return Approver(name[:100], _needed(row, "state"), _moment(row, "sys_updated_on"))


def about(row: Mapping[str, Any]) -> str:
    """Return the sys_id of the task that an approval is of."""
    return _value(row, "sysapproval")


def conflict_check_of(row: Mapping[str, Any]) -> ConflictCheck:
    """Return the last check. Its `status` says nothing: it reads "Conflict" whatever was found."""
    found = row.get("conflicts")
    if not isinstance(found, list):
        raise Untrue("ServiceNow answered without the conflicts that were asked for.")
    last_run = _value(row, "last_run")
    is_running = _value(row, "job_status").lower() in _RUNNING
    return ConflictCheck(
        is_finished=bool(last_run) and not is_running,
        last_run=last_run[:40],
        found=tuple(_conflict(item) for item in found),
    )


def states_in(row: Mapping[str, Any]) -> list[str]:
    """Return the states that a change may be moved to now."""
    states = row.get("available_states")
    if not isinstance(states, list):
        raise Untrue("ServiceNow answered without the states that come next.")
    return [str(state) for state in states]


def utc_text(moment: datetime) -> str:
    """Return a moment as ServiceNow writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _conflict(item: object) -> str:
    if not isinstance(item, dict):
        return _clean(str(item))[:_LONGEST] or "a conflict without words"
    parts = [_shown(item, name) for name in item]
    return "; ".join(part for part in parts if part)[:_LONGEST] or "a conflict without words"


def _sys_id(row: Mapping[str, Any]) -> str:
    value = _value(row, "sys_id")
    if not _SYS_ID.fullmatch(value):
        raise Untrue("ServiceNow answered with a record without its id.")
    return value


def _needed(row: Mapping[str, Any], name: str) -> str:
    value = _value(row, name)
    if not value or len(value) > 40:
        raise Untrue(f"ServiceNow answered with a record without its {name}.")
    return value


def _moment(row: Mapping[str, Any], name: str) -> datetime | None:
    value = _value(row, name)
    if not value:
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise Untrue(f"ServiceNow answered with a {name} that is no time.") from error


def _value(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name)
    if isinstance(found, dict):
        found = found.get("value")
    return _clean("" if found is None else str(found))


def _shown(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name)
    shown = found.get("display_value") if isinstance(found, dict) else found
    return _clean("" if shown is None else str(shown))


def _clean(text: str) -> str:
    """Return a text as the database takes it, with the line ends that we write."""
    return text.replace("\0", "").replace("\r\n", "\n").strip()
