"""What pages say of a promotion's changes in ServiceNow."""

from dataclasses import dataclass
from datetime import datetime

from apps.common.badges import Badge
from apps.integrations.servicenow.addresses import page_of
from apps.promotions.changes.gate import gate_of, waits_for
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.changes.plan import WAITING
from apps.promotions.changes.states import AWAY
from apps.promotions.models import Promotion

Outcome = ChangeRecord.Outcome
ENDS = {
    Outcome.SUCCESSFUL: Badge("ok", "", "Closed: successful"),
    Outcome.WITH_ISSUES: Badge("warn", "", "Closed: successful with issues"),
    Outcome.UNSUCCESSFUL: Badge("bad", "", "Closed: unsuccessful"),
    Outcome.CANCELED: Badge("idle", "", "Canceled"),
}


@dataclass(frozen=True)
class Shown:
    """One change, or why there is none. facts: [(label, value)]; differences: [{field, wrote,
    found}], where it was altered.
    """

    title: str
    badge: Badge | None
    words: str
    facts: list[tuple[str, object]]
    differences: list[dict[str, str]]


def shown(promotion: Promotion, now: datetime) -> list[Shown]:
    """Return what to show of a promotion's changes: always something. One query."""
    rows = list(promotion.changes.all())
    if not rows:
        gate = gate_of(promotion, now, policy=promotion.policy_revision.rules.change)
        badge = None if gate.is_open_for_start else Badge("warn", "", "Missing")
        return [Shown("Change in ServiceNow", badge, gate.words, [], [])]
    return [_shown(row, promotion, now) for row in rows]


def _shown(row: ChangeRecord, promotion: Promotion, now: datetime) -> Shown:
    is_emergency = row.kind == ChangeRecord.Kind.EMERGENCY
    return Shown(
        title="Emergency change in ServiceNow" if is_emergency else "Change in ServiceNow",
        badge=_badge(row, now),
        words=_words(row, promotion, now),
        facts=_facts(row),
        differences=row.differences,
    )


def _badge(row: ChangeRecord, now: datetime) -> Badge:
    if row.status == ChangeRecord.Status.CLOSED:
        return (
            ENDS[Outcome(row.outcome)] if row.outcome else Badge("warn", "", "Closed by somebody")
        )
    if row.reason:
        return (
            Badge("warn", "", "Not known") if row.reason == AWAY else Badge("bad", "", "In doubt")
        )
    if row.differences:
        return Badge("bad", "", "Altered")
    if not row.state:
        return Badge("draft", "", "To be opened")
    is_open = not waits_for(row, now)
    words = row.state_words or row.state
    return Badge("ok" if is_open else "busy", "", f"{words}, open" if is_open else words)


def _words(row: ChangeRecord, promotion: Promotion, now: datetime) -> str:
    if row.outcome_notes and row.status == ChangeRecord.Status.CLOSED:
        return row.outcome_notes
    if row.reason:
        return row.message
    if row.kind == ChangeRecord.Kind.EMERGENCY:
        return "It stands beside the rollout, which waits for nothing of it."
    if promotion.status == Promotion.Status.EMERGENCY:
        return "It is canceled: the version was rolled forward in an emergency."
    if promotion.newest_rollout() is not None:
        return "The rollout has started; it is closed with the outcome."
    if promotion.status not in WAITING:
        return f"It is canceled: the proposal is {promotion.get_status_display().lower()}."
    return waits_for(row, now) or "It lets the rollout start."


def _facts(row: ChangeRecord) -> list[tuple[str, object]]:
    if not row.number:
        return []
    number: object = row.number
    if url := page_of("change_request", row.sys_id):
        number = {"text": row.number, "url": url}
    return [
        ("Number", number),
        ("State", row.state_words or row.state),
        ("Approval there", row.approval_words or row.approval),
        *([("Decided there by", who(row))] if row.approvers else []),
        ("Window", _window(row)),
        ("Conflicts", _conflicts(row)),
        ("Read", _at(row.read_at) if row.read_at else "never"),
    ]


def who(row: ChangeRecord) -> str:
    """Return who decided about a change in ServiceNow, in words; "" while nobody did."""
    people = row.approvers.get("people", [])
    named = "; ".join(f"{one['name']}, {one['decision']}" for one in people)
    return named or row.approvers.get("problem", "") or ("nobody it names" if row.approvers else "")


def _window(row: ChangeRecord) -> str:
    if row.starts_at is None or row.ends_at is None:
        return "not planned"
    return f"{_at(row.starts_at)} to {_at(row.ends_at)}"


def _conflicts(row: ChangeRecord) -> str:
    if row.conflicts:
        return "; ".join(row.conflicts)
    return "none found" if row.conflicts_read_at else "not checked"


def _at(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %H:%M} UTC"
