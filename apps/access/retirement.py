"""What a retired model means for access: its grants end, its requests cannot be approved, and
nobody asks for it again; while it is still to go, access ends on its last day at the latest.
"""

from datetime import date, datetime

from django.db import transaction

from apps.access.budgets.actions import end_with_grant
from apps.access.models import Grant
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.models import Retirement, standing_of, stays_instead
from apps.common.periods import day_words
from apps.common.tasks import enqueue_on_commit

WORKER = audit.System("access.end_grants_of_retired")


def why_not(model: RegisteredModel, last_day: date | None = None) -> str:
    """Return why access to a model cannot be given until a day, for it goes or is gone; "" where
    nothing keeps it. last_day: None where only a model that is gone is of interest.
    """
    found = standing_of(model.pk)
    if found is None:
        return ""
    stays = stays_instead(found)
    instead = f" Ask for {stays} instead." if stays else ""
    if found.is_retired:
        return f"{model} is retired, so nobody is given access to it any more.{instead}"
    if last_day is not None and last_day > found.last_day:
        return f"{model} goes on {day_words(found.last_day)}. Choose a day until then.{instead}"
    return ""


def end_grants_of_retired(*, now: datetime) -> int:
    """End the grants that are still in force for models that are gone; return how many."""
    retired = Retirement.objects.filter(status=Retirement.Status.RETIRED)
    gone = {
        row.registered_model_id: row for row in retired.select_related("announced_by", "ended_by")
    }
    grants = Grant.objects.active(now).filter(registered_model__in=gone)
    rows = grants.select_related("registered_model", "team")
    return sum(_end(grant, gone[grant.registered_model_id], now) for grant in rows)


@transaction.atomic
def _end(grant: Grant, retirement: Retirement, now: datetime) -> int:
    """End a grant in the name of whoever retired the model."""
    reason = f"{grant.registered_model} is retired."
    who = retirement.ended_by or retirement.announced_by
    active = Grant.objects.active(now).filter(pk=grant.pk)
    if not active.update(revoked_at=now, revoked_by=who, revoke_reason=reason):
        return 0
    audit.record(
        action=Action.GRANT_REVOKED, actor=WORKER, target=grant, now=now, data={"reason": reason}
    )
    end_with_grant(grant=grant, actor=who, reason=reason, now=now)
    enqueue_on_commit("gateway.publish_policy", model_id=grant.registered_model_id)
    return 1
