"""Every change of a retirement. People announce, move, take back and override; the portal carries
out what nobody's call stands in the way of (apps/metering/retirement.py looks at the calls).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.models import Retirement, standing_of
from apps.common.errors import DomainError, require
from apps.common.periods import day_of, day_words
from apps.common.sign_ins import require_fresh_sign_in
from apps.common.tasks import enqueue_on_commit

Status = Retirement.Status
WORKER = audit.System("metering.retire_due")
SHORTEST_NOTICE = timedelta(days=1)
LONGEST_NOTICE = timedelta(days=731)
Callers = Sequence[Mapping[str, Any]]


class CannotRetire(DomainError):
    """The retirement cannot be announced, moved or ended as it stands."""

    code = "cannot_retire"


def may_retire(model: RegisteredModel, user: User) -> bool:
    """Tell whether this person may retire the model: an owner of it."""
    return model.is_owned_by(user)


@transaction.atomic
def announce_retirement(
    *,
    model: RegisteredModel,
    last_day: date,
    successor: RegisteredModel | None,
    note: str,
    callers: Callers,
    actor: User,
    now: datetime,
) -> Retirement:
    """Say that a model goes at the end of a day.

    callers: who called it in the last thirty days, as the actor saw them. Raises NotPermitted, or
    CannotRetire where the day or the successor will not do or a retirement stands already.
    """
    _permit(model, actor)
    _check(model, last_day, successor, now)
    try:
        with transaction.atomic():
            made = Retirement.objects.create(
                registered_model=model, last_day=last_day, successor=successor, note=note,
                callers=list(callers), announced_by=actor, announced_at=now,
            )  # fmt: skip
    except IntegrityError:
        raise CannotRetire(f"The retirement of {model} is announced already.") from None
    facts = _facts(made) | {"callers": list(callers)}
    audit.record(action=Action.MODEL_DEPRECATED, actor=actor, target=model, now=now, data=facts)
    return made


@transaction.atomic
def change_retirement(
    *,
    retirement: Retirement,
    last_day: date,
    successor: RegisteredModel | None,
    note: str,
    actor: User,
    now: datetime,
) -> Retirement:
    """Move the last day, or name another successor. Raises as announce_retirement does."""
    model = retirement.registered_model
    _permit(model, actor)
    _check(model, last_day, successor, now)
    before = _facts(retirement)
    changed = Retirement.objects.announced().filter(pk=retirement.pk)
    if not changed.update(last_day=last_day, successor=successor, note=note):
        raise CannotRetire(f"{model} is not about to be retired, so there is no day to move.")
    retirement.refresh_from_db()
    facts = {"before": before, "after": _facts(retirement)}
    audit.record(
        action=Action.MODEL_DEPRECATION_CHANGED, actor=actor, target=model, now=now, data=facts
    )
    return retirement


@transaction.atomic
def withdraw_retirement(
    *, retirement: Retirement, reason: str, actor: User, now: datetime
) -> Retirement:
    """Let the model stay. Raises NotPermitted, or CannotRetire once it is gone."""
    model = retirement.registered_model
    _permit(model, actor)
    _end(retirement, Status.WITHDRAWN, by=actor, reason=reason, callers=None, now=now)
    audit.record(
        action=Action.MODEL_DEPRECATION_WITHDRAWN,
        actor=actor,
        target=model,
        now=now,
        data={"reason": reason},
    )
    return retirement


@transaction.atomic
def override_retirement(
    *, retirement: Retirement, reason: str, callers: Callers, actor: User, now: datetime
) -> Retirement:
    """Retire a model whose last day is over although it is still called.

    callers: who called it in the last thirty days, as the actor saw them. Raises NotPermitted,
    FreshSignInNeeded, or CannotRetire before the last day is over.
    """
    model = retirement.registered_model
    _permit(model, actor)
    require_fresh_sign_in(actor)
    _retire(retirement, by=actor, reason=reason, callers=callers, now=now)
    return retirement


@transaction.atomic
def carry_out(*, retirement: Retirement, since: datetime, until: datetime, now: datetime) -> None:
    """Retire a model that nobody called between two moments, which the record keeps. Raises
    CannotRetire where somebody ended it meanwhile, or moved its day.
    """
    window = f"No call from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC."
    _retire(retirement, by=None, reason=window, callers=[], now=now)


def _retire(
    retirement: Retirement, *, by: User | None, reason: str, callers: Callers, now: datetime
) -> None:
    """Retire a model whose last day, as the row has it now, is over."""
    model = retirement.registered_model
    # held, so that nobody moves the day meanwhile
    held = Retirement.objects.announced().select_for_update().filter(pk=retirement.pk).first()
    if held is not None and not held.is_overdue(now):
        raise CannotRetire(
            f"{model} may be called until the end of {day_words(held.last_day)}. "
            "Move the day, or wait for it."
        )
    _end(retirement, Status.RETIRED, by=by, reason=reason, callers=callers, now=now)
    facts = {"reason": reason, "callers": list(callers)}
    audit.record(action=Action.MODEL_RETIRED, actor=by or WORKER, target=model, now=now, data=facts)
    enqueue_on_commit("access.end_grants_of_retired")
    enqueue_on_commit("promotions.stop_retired")


def _end(
    retirement: Retirement,
    status: str,
    *,
    by: User | None,
    reason: str,
    callers: Callers | None,
    now: datetime,
) -> None:
    changed = Retirement.objects.announced().filter(pk=retirement.pk)
    told = list(callers) if callers is not None else None
    ended = changed.update(
        status=status, ended_by=by, ended_at=now, end_reason=reason, callers_at_end=told
    )
    retirement.refresh_from_db()
    if not ended:
        raise CannotRetire(
            f"{retirement.registered_model} is not about to be retired: "
            f"{retirement.get_status_display().lower()}."
        )


def _permit(model: RegisteredModel, actor: User) -> None:
    require(
        may_retire(model, actor),
        f"Only model owners of the team {model.owner_team.name} retire it.",
    )


def _check(
    model: RegisteredModel, last_day: date, successor: RegisteredModel | None, now: datetime
) -> None:
    first, latest = first_last_day(now), day_of(now + LONGEST_NOTICE)
    if not first <= last_day <= latest:
        raise CannotRetire(
            f"Choose a last day from {day_words(first)} to {day_words(latest)}, so that callers "
            "can still act."
        )
    if successor is None:
        return
    if successor.pk == model.pk:
        raise CannotRetire("A model is not its own successor.")
    theirs = standing_of(successor.pk)
    if theirs is not None:
        raise CannotRetire(f"{successor} goes itself. Name a successor that stays.")


def first_last_day(now: datetime) -> date:
    """Return the earliest day that can be a model's last one: tomorrow."""
    return day_of(now + SHORTEST_NOTICE)


def _facts(retirement: Retirement) -> dict[str, object]:
    return {
        "last_day": retirement.last_day.isoformat(),
        "successor": str(retirement.successor) if retirement.successor else None,
        "note": retirement.note,
    }
