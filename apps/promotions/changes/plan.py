"""What a change needs next. Pure: what the rows and ServiceNow say in, one step out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from apps.integrations.servicenow.types import Change
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.changes.states import (
    APPROVED,
    ASSESS,
    AUTHORIZE,
    CANCELED,
    CLOSED,
    IMPLEMENT,
    NEW,
    REJECTED,
    REVIEW,
    SCHEDULED,
)
from apps.promotions.models import Promotion, Rollout

Outcome = ChangeRecord.Outcome
# what our description and plans are compared by: their text, and whose change it is
COMPARED = (
    "correlation_id", "short_description", "description", "implementation_plan", "backout_plan",
    "test_plan",
)  # fmt: skip
CLOSE_CODES = {
    Outcome.SUCCESSFUL: "successful",
    Outcome.WITH_ISSUES: "successful_issues",
    Outcome.UNSUCCESSFUL: "unsuccessful",
}
WAITING = (Promotion.Status.PENDING, Promotion.Status.APPROVED)


class Goal(StrEnum):
    """Where a change is to get."""

    ALLOWED = "allowed"  # approved and scheduled, by people there
    CARRIED_OUT = "carried out"  # in implementation, while the rollout runs
    ENDED = "ended"  # closed with the outcome, or canceled


@dataclass(frozen=True)
class Situation:
    """What a change serves. rollout: the status of the rollout that carries the promotion out, ""
    before there is one.

    settled: the version has served all callers for so long that its baseline went. rolled_back:
    callers went back from it. troubled: it took more than one attempt.
    """

    kind: str
    promotion: str
    rollout: str = ""
    settled: bool = False
    rolled_back: bool = False
    troubled: bool = False
    has_emergency: bool = False


@dataclass(frozen=True)
class Aim:
    """The goal, and for an end its outcome and why, in words for the people of ServiceNow."""

    goal: Goal
    outcome: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Found:
    """Which of the changes with our correlation id is ours; or why that cannot be told."""

    change: Change | None = None
    problem: str = ""


def pick(sys_id: str, found: Sequence[Change]) -> Found:
    """Return the change that is ours. sys_id: of the one that we know, "" before we know one.

    Two that are not canceled are an alarm: nobody can tell which one was approved.
    """
    alive = [change for change in found if change.state != CANCELED]
    if len(alive) > 1:
        numbers = " and ".join(change.number for change in alive)
        return Found(
            problem=f"{numbers} carry the same correlation id. Cancel all but one in ServiceNow."
        )
    if sys_id:
        return Found(next((change for change in found if change.sys_id == sys_id), None))
    return Found(next(iter([*alive, *reversed(found)]), None))


def differences(
    fields: Mapping[str, str], change: Change, ignored: Collection[str] = ()
) -> list[dict[str, str]]:
    """Return where a change no longer says what we wrote. ignored: fields that others fill."""
    now = {"correlation_id": change.correlation_id, **change.fields}
    return [
        {"field": name, "wrote": fields[name], "found": now.get(name, "")}
        for name in COMPARED
        if name in fields and name not in ignored and now.get(name, "") != fields[name]
    ]


def aim_of(situation: Situation) -> Aim:
    """Return where the change is to get."""
    if situation.kind == ChangeRecord.Kind.NORMAL and situation.has_emergency:
        return _canceled("Rolled forward under an emergency change instead.")
    if not situation.rollout:
        if situation.promotion in WAITING:
            return Aim(Goal.ALLOWED)
        label = Promotion.Status(situation.promotion).label.lower()
        return _canceled(f"The proposal was {label} in the portal.")
    if situation.rolled_back:
        return _ended(Outcome.UNSUCCESSFUL, "Rolled back: callers went back from the version.")
    if situation.rollout == Rollout.Status.ABORTED:
        return _ended(Outcome.UNSUCCESSFUL, "The rollout was aborted and its version taken back.")
    if situation.rollout == Rollout.Status.SUPERSEDED:
        return _ended(Outcome.UNSUCCESSFUL, "A newer rollout took the place of this one.")
    if situation.settled:
        if situation.troubled:
            words = "The version serves all callers, after more than one attempt."
            return _ended(Outcome.WITH_ISSUES, words)
        return _ended(Outcome.SUCCESSFUL, "The version serves all callers.")
    return Aim(Goal.CARRIED_OUT)


def may_start(situation: Situation) -> bool:
    """Tell whether a rollout may start next, or be taken up again, so that conflicts matter."""
    return aim_of(situation).goal != Goal.ENDED and situation.rollout in ("", Rollout.Status.FAILED)


def wanted(aim: Aim, state: str, approval: str) -> tuple[str, ...]:
    """Return the states that would bring a change nearer to its aim, the best first; none where
    people have to act, or it is there.
    """
    if aim.goal == Goal.ENDED:
        return _to_the_end(aim.outcome, state, approval)
    if aim.goal == Goal.CARRIED_OUT and state != IMPLEMENT:
        return (IMPLEMENT, *_to_be_allowed(state, approval))
    return _to_be_allowed(state, approval)


def _to_the_end(outcome: str, state: str, approval: str) -> tuple[str, ...]:
    if outcome == Outcome.CANCELED:
        return (CANCELED,)
    if state == REVIEW:
        return (CLOSED,)
    if state == IMPLEMENT:
        return (REVIEW, CLOSED)
    return (IMPLEMENT, *_to_be_allowed(state, approval))


def _to_be_allowed(state: str, approval: str) -> tuple[str, ...]:
    """Ask for approval; then only what an approval has opened."""
    if state == NEW:
        return () if approval == REJECTED else (ASSESS, AUTHORIZE, SCHEDULED)
    return (SCHEDULED,) if approval == APPROVED and state in (ASSESS, AUTHORIZE) else ()


def _canceled(notes: str) -> Aim:
    return Aim(Goal.ENDED, Outcome.CANCELED, notes)


def _ended(outcome: str, notes: str) -> Aim:
    return Aim(Goal.ENDED, outcome, notes)
