"""What ServiceNow says, in our words. Values of states and approvals are its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Change:
    """A change request. fields: the texts that whoever opened it wrote, by ServiceNow's names.

    state: "-5" to "4"; approval: "not requested", "requested", "approved", "rejected"; the words
    are what people there read. starts_at, ends_at: its planned window, UTC; None where not planned.
    """

    sys_id: str
    number: str
    correlation_id: str
    state: str
    state_words: str
    approval: str
    approval_words: str
    on_hold: bool
    starts_at: datetime | None
    ends_at: datetime | None
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Approver:
    """Somebody there who decided about a change. name: as people there read it. decision:
    "approved" or "rejected". at: when, UTC.
    """

    name: str
    decision: str
    at: datetime | None


@dataclass(frozen=True)
class ConflictCheck:
    """The last check for conflicts with other changes. last_run: its time as ServiceNow writes it,
    "" where none ended yet. found: one line for each conflict.
    """

    is_finished: bool
    last_run: str
    found: tuple[str, ...]


@dataclass(frozen=True)
class Incident:
    """An incident. state: "1" new to "8" canceled. notes: everything in its journal."""

    sys_id: str
    number: str
    correlation_id: str
    state: str
    state_words: str
    assigned_to: str
    notes: str
