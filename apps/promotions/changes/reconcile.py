"""Making ServiceNow's change what the promotion needs, and the row what the change says.

It is looked up by its correlation id before it is made, and at each look, so that one made twice is
found. It is moved only to states that ServiceNow offers. Where that is away, or answers what cannot
be, the row says so and waits; nothing is guessed and nothing is made again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef

from apps.common.leases import reschedule, retry_at, take_lease
from apps.integrations.errors import NotFound, PermanentError, TemporaryError
from apps.integrations.servicenow.addresses import is_configured
from apps.integrations.servicenow.client import ServiceNowClient
from apps.integrations.servicenow.parsing import Untrue
from apps.integrations.servicenow.types import Change
from apps.promotions.changes import plan, records
from apps.promotions.changes.actions import ask_for_change
from apps.promotions.changes.gate import CHECK_AGAIN
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.changes.plan import Aim, Goal, Situation
from apps.promotions.changes.states import (
    APPROVED,
    AWAY,
    ENDED,
    GONE,
    NOT_OFFERED,
    REFUSED,
    REJECTED,
    TWO,
    UNTRUE,
)
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion, Rollout
from apps.promotions.stages import TOOK_OVER

ASKED_OF = (
    "model_version__registered_model",
    "registered_model",
    "baseline",
    "requested_by",
    "policy_revision",
)
# beside those under way: what an emergency's change still has something to say of
GOES_ON = (Rollout.Status.LIVE, Rollout.Status.FAILED)
FAST = timedelta(seconds=2)
SLOW = timedelta(minutes=1)


class Trouble(Exception):
    """What a look found that a person has to see to. reason: the row's code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def ask_for_missing(now: datetime) -> list[ChangeRecord]:
    """Ask for the changes of promotions that wait and have none, and of emergencies whose rollout
    is not over, as where ServiceNow was configured after they were proposed; return them.
    """
    if not is_configured():
        return []
    asked = [*_normal(now), *_emergency(now)]
    return [change for change in asked if change is not None]


def _normal(now: datetime) -> Iterator[ChangeRecord | None]:
    waiting = Promotion.objects.filter(status__in=plan.WAITING).exclude(
        Exists(Rollout.objects.filter(promotion=OuterRef("pk")))
    )
    for promotion in waiting.filter(changes=None).select_related(*ASKED_OF):
        yield ask_for_change(promotion=promotion, actor=records.WORKER, now=now)


def _emergency(now: datetime) -> Iterator[ChangeRecord | None]:
    kind = ChangeRecord.Kind.EMERGENCY
    told = ChangeRecord.objects.filter(promotion=OuterRef("promotion"), kind=kind)
    going = Rollout.objects.filter(
        promotion=OuterRef("promotion"), status__in=(*Rollout.OPEN, *GOES_ON)
    )
    rows = Emergency.objects.filter(~Exists(told), Exists(going))
    related = (f"promotion__{name}" for name in ASKED_OF)
    for emergency in rows.select_related(*related):
        yield ask_for_change(
            promotion=emergency.promotion,
            actor=records.WORKER,
            now=now,
            kind=kind,
            statement=emergency.statement,
        )


def reconcile_change(
    *, row: ChangeRecord, servicenow: ServiceNowClient | None, now: datetime
) -> None:
    """Look at one change and do the next thing for it."""
    if servicenow is None or not take_lease(row, now=now):
        return
    before = (row.reason, row.message)
    try:
        pause = _look(row, servicenow, now)
    except TemporaryError as error:
        _trouble(row, AWAY, f"{error}{_last_read(row, now)}", before, now)
        reschedule(row, at=retry_at(row, now=now, retry_after=error.retry_after))
        return
    except Trouble as error:
        _trouble(row, error.reason, str(error), before, now)
        pause = SLOW
    except PermanentError as error:
        reason = UNTRUE if isinstance(error, Untrue) else REFUSED
        _trouble(row, reason, f"{error}{_last_read(row, now)}", before, now)
        pause = SLOW
    if row.status != ChangeRecord.Status.CLOSED:
        reschedule(row, at=now + pause)


def _trouble(
    row: ChangeRecord, reason: str, message: str, before: tuple[str, str], now: datetime
) -> None:
    is_alarm = reason != AWAY
    records.record_trouble(
        row=row, reason=reason, message=message, before=before, is_alarm=is_alarm, now=now
    )


def _last_read(row: ChangeRecord, now: datetime) -> str:
    """Return since when nothing is known of a change, as a sentence; "" where this look read it."""
    if row.read_at is None:
        return " The change is not known to be open yet."
    if row.read_at == now:
        return ""
    at = f"{row.read_at.day} {row.read_at:%b %H:%M} UTC"
    return f" {row.number} was last read at {at}; what it says now is not known."


def _look(row: ChangeRecord, servicenow: ServiceNowClient, now: datetime) -> timedelta:
    """Read the change, keep what it says, take one step; return how long to wait for the next."""
    change = _found(row, servicenow, now)
    differences = plan.differences(row.fields, change, settings.SERVICENOW_IGNORED_FIELDS)
    records.record_read(row=row, change=change, differences=differences, now=now)
    _ask_who_decided(row, servicenow, now)
    if change.state in ENDED:
        records.record_closed(row=row, now=now)
        return SLOW
    situation = situation_of(row, now)
    aim = plan.aim_of(situation)
    may_step = not differences or aim.goal != Goal.ALLOWED
    if may_step and _step(row, change, aim, servicenow, now):
        return FAST
    if plan.may_start(situation):
        _check_conflicts(row, servicenow, now)
    return timedelta(seconds=settings.SERVICENOW_LOOK_SECONDS)


def _ask_who_decided(row: ChangeRecord, servicenow: ServiceNowClient, now: datetime) -> None:
    """Keep who approved or rejected the change, once for each decision. Where ServiceNow does not
    let us see that, the row says so: it holds up nothing.
    """
    if row.approval not in (APPROVED, REJECTED) or row.approvers.get("of") == row.approval:
        return
    try:
        found, problem = servicenow.approvers_of(row.sys_id), ""
    except PermanentError as error:
        found, problem = [], f"ServiceNow does not tell us who: {error}"
    people = [
        {"name": one.name, "decision": one.decision, "at": one.at.isoformat() if one.at else ""}
        for one in found
    ]
    records.record_approvers(row=row, people=people, problem=problem, now=now)


def _found(row: ChangeRecord, servicenow: ServiceNowClient, now: datetime) -> Change:
    """Return our change: the one we know, the one that carries our correlation id, or a new one.

    Raises Trouble where there are two, or the one we know is gone.
    """
    found = plan.pick(row.sys_id, servicenow.changes_with(row.correlation_id))
    if found.problem:
        raise Trouble(TWO, found.problem)
    if row.sys_id:
        return found.change or _by_id(row, servicenow)
    if found.change is not None:
        records.record_opened(row=row, change=found.change, is_new=False, ignored=[], now=now)
        return found.change
    sys_id, ignored = servicenow.open_change(row.fields)
    change = servicenow.change(sys_id)
    records.record_opened(row=row, change=change, is_new=True, ignored=ignored, now=now)
    return change


def _by_id(row: ChangeRecord, servicenow: ServiceNowClient) -> Change:
    try:
        return servicenow.change(row.sys_id)
    except NotFound:
        raise Trouble(
            GONE,
            f"ServiceNow no longer shows {row.number}. Have it restored, or withdraw the proposal.",
        ) from None


def _step(
    row: ChangeRecord, change: Change, aim: Aim, servicenow: ServiceNowClient, now: datetime
) -> bool:
    """Take the step that the aim asks for, where ServiceNow offers it; tell whether one was taken.

    Raises Trouble where a change that is to end cannot.
    """
    wanted = plan.wanted(aim, change.state, change.approval)
    if not wanted:
        return False
    offered = servicenow.next_states(change.sys_id)
    state = next((state for state in wanted if state in offered), None)
    if state is None:
        if aim.goal == Goal.ENDED:
            words = change.state_words or change.state
            raise Trouble(
                NOT_OFFERED,
                f"{change.number} is to be {_end(aim)}, and ServiceNow does not offer that from "
                f"{words}. Somebody there has to.",
            )
        return False
    fields: dict[str, str] = {}
    if state in ENDED:
        records.record_outcome(row=row, outcome=aim.outcome, notes=aim.notes)
        code = plan.CLOSE_CODES.get(ChangeRecord.Outcome(aim.outcome))
        fields = {"close_notes": aim.notes} | ({"close_code": code} if code else {})
    moved = servicenow.move_change(change.sys_id, state, fields)
    records.record_moved(row=row, before=change.state_words, change=moved, now=now)
    if moved.state in ENDED:
        records.record_closed(row=row, now=now)
    return True


def _end(aim: Aim) -> str:
    return "canceled" if aim.outcome == ChangeRecord.Outcome.CANCELED else "closed"


def _check_conflicts(row: ChangeRecord, servicenow: ServiceNowClient, now: datetime) -> None:
    """Take the result of the check that was asked for, or ask for one where it is due.

    A result counts only where the time of the last run is another one than before we asked: until
    the job begins, ServiceNow still shows the old one as finished.
    """
    asked, read = row.conflicts_asked_at, row.conflicts_read_at
    if asked is None and read is not None and now - read < CHECK_AGAIN:
        return
    check = servicenow.conflict_check(row.sys_id)
    is_new = check.is_finished and check.last_run != row.conflicts_run
    if asked is not None and is_new:
        found = list(check.found)
        records.record_conflicts(row=row, found=found, last_run=check.last_run, now=now)
    elif asked is None or now - asked > CHECK_AGAIN:
        servicenow.start_conflict_check(row.sys_id)
        records.record_conflicts_asked(row=row, last_run=check.last_run, now=now)


def situation_of(row: ChangeRecord, now: datetime) -> Situation:
    """Return what the change serves, as the rows have it now. Three queries."""
    promotion = Promotion.objects.get(pk=row.promotion_id)
    rollout = promotion.rollouts.filter(rolls_back=None).first()
    has_emergency = promotion.changes.filter(kind=ChangeRecord.Kind.EMERGENCY).exists()
    if rollout is None:
        return Situation(row.kind, promotion.status, has_emergency=has_emergency)
    back = set(rollout.rolled_back_by.values_list("status", flat=True))
    is_going_back = not back <= {*Rollout.LEAVING}
    return Situation(
        row.kind,
        promotion.status,
        rollout=rollout.status,
        settled=_is_settled(rollout, now) and not is_going_back,
        rolled_back=not back.isdisjoint(TOOK_OVER),
        troubled=rollout.attempt > 1,
        has_emergency=has_emergency,
    )


def _is_settled(rollout: Rollout, now: datetime) -> bool:
    """Tell whether nobody goes back from the version without a word any more: its baseline went."""
    if rollout.status == Rollout.Status.REPLACED:
        return True
    kept = timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
    is_live = rollout.status == Rollout.Status.LIVE
    return is_live and rollout.finished_at is not None and now - rollout.finished_at >= kept
