"""Holding the rollouts of a model, and letting them go on. Whatever watches what serves asks for
it; people may lift it before that is right again, with a reason.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.roles import STEERS_ROLLOUTS
from apps.audit.actions import Actor, record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.promotions.begin import renewed
from apps.promotions.holding.models import RolloutHold
from apps.promotions.models import Promotion, Rollout

MAY_LIFT = (
    "Only a reviewer or a platform engineer who proposed none of them can let rollouts go on."
)


class NotHeld(DomainError):
    """Nothing holds the rollouts any more."""

    code = "not_held"


def may_lift(hold: RolloutHold, user: User) -> bool:
    """Tell whether this person may let the rollouts go on: somebody who steers rollouts, and who
    proposed none of those that are held. One query for those who steer.
    """
    if not user.has_role(*STEERS_ROLLOUTS):
        return False
    held = Promotion.objects.filter(registered_model=hold.registered_model_id)
    under_way = Q(pk__in=Promotion.objects.undone()) | Q(rollouts__status__in=Rollout.OPEN)
    return not held.filter(under_way, requested_by__person=user.person).exists()


@transaction.atomic
def hold_rollouts(
    *, model: RegisteredModel, cause: str, words: str, actor: Actor, now: datetime
) -> RolloutHold | None:
    """Let no rollout of a model begin or go forward; None where this cause held them before,
    whether it still does or not.

    cause: names what asks for it. words: why, for people.
    """
    hold, is_new = RolloutHold.objects.get_or_create(
        cause=cause, defaults={"registered_model": model, "words": words, "began_at": now}
    )
    if not is_new:
        return None
    data = {"message": words, "cause": cause}
    record(action=Action.ROLLOUTS_HELD, actor=actor, target=model, now=now, data=data)
    return hold


@transaction.atomic
def release_rollouts(*, cause: str, actor: Actor, now: datetime) -> bool:
    """Let the rollouts go on that a cause held: it is right again. False where it holds none."""
    hold = RolloutHold.objects.open().select_for_update().filter(cause=cause).first()
    if hold is None:
        return False
    RolloutHold.objects.filter(pk=hold.pk).update(ended_at=now)
    _let_go(hold, actor, now, {"cause": cause})
    return True


@transaction.atomic
def lift_hold(*, hold: RolloutHold, actor: User, reason: str, now: datetime) -> RolloutHold:
    """Let the rollouts of a model go on although what holds them is not right again. Raises
    NotPermitted; NotHeld where it holds nothing any more.
    """
    require(may_lift(hold, actor), MAY_LIFT)
    rows = RolloutHold.objects.open().filter(pk=hold.pk)
    if not rows.update(ended_at=now, lifted_by=actor, reason=reason):
        raise NotHeld("Nothing holds these rollouts any more.")
    _let_go(hold, actor, now, {"cause": hold.cause, "reason": reason})
    hold.refresh_from_db()
    return hold


def _let_go(hold: RolloutHold, actor: Actor, now: datetime, data: dict[str, str]) -> None:
    """Record it, and have what was held looked at."""
    model = hold.registered_model
    record(action=Action.ROLLOUTS_RELEASED, actor=actor, target=model, now=now, data=data)
    Rollout.objects.open().filter(registered_model=model).update(**renewed(now))
    enqueue_on_commit("promotions.start_approved_promotions")
