"""What keeps a rollout under way from going forward: its change in ServiceNow is not open any more,
its emergency was found not justified, or what serves of its model is in trouble (holding/).

It then stays where it is, and still goes back by itself where its gate fails. Going back, and what
an emergency did not wait for, are never held up; nor does a freeze hold what has begun.
"""

from datetime import datetime

from apps.promotions.begin import NOT_JUSTIFIED
from apps.promotions.changes.gate import lost_by
from apps.promotions.emergencies.models import Emergency
from apps.promotions.holding.models import RolloutHold
from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts.plan import Hold, HoldCode


def hold_of(rollout: Rollout, now: datetime) -> Hold | None:
    """Return what keeps an open rollout from going forward, or None. Three queries at most."""
    promotion = rollout.promotion
    if rollout.rolls_back_id is not None:
        return None
    if promotion.status == Promotion.Status.EMERGENCY:
        objected = Emergency.objects.filter(promotion=promotion, status=Emergency.Status.OBJECTED)
        return Hold(HoldCode.OBJECTED, NOT_JUSTIFIED) if objected.exists() else None
    words = lost_by(promotion, now, policy=promotion.policy_revision.rules.change)
    if words:
        return Hold(HoldCode.CHANGE, words)
    held = RolloutHold.objects.of(rollout.registered_model).first()
    return Hold(HoldCode.HELD, held.words) if held is not None else None
