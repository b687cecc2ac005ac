"""Looking at a grant again: an owner of its model keeps it, with a reason, or ends it. Nobody keeps
what they asked for themselves.
"""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from apps.access.actions import AlreadyEnded
from apps.access.models import Grant
from apps.access.recertification.models import AHEAD, Recertification, with_due
from apps.access.work import Use, use_as_data
from apps.accounts.models import User
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.periods import day_of, day_words


class NotDue(DomainError):
    """The grant need not be looked at yet, or not any more."""

    code = "not_due"


def question(grant: Grant, person: User) -> decisions.Question:
    """Return who keeps a grant or ends it, as this person meets it: an owner of the model, and not
    whoever asked for it.
    """
    model = grant.registered_model
    return decisions.Question(
        grant.request,
        person,
        decider=f"model owner of {model.owner_team}",
        is_decider=model.is_owned_by(person),
        noun="access",
    )


@transaction.atomic
def keep_grant(
    *, grant: Grant, owner: User, reason: str, period: timedelta, use: Use, now: datetime
) -> Recertification:
    """Keep a grant that is due to be looked at: it is due again a period from now.

    use: what lay before the owner, which is kept. Raises NotPermitted unless the owner owns the
    model and did not ask for the grant; AlreadyEnded where it has ended; NotDue where it is not
    due within AHEAD, or somebody kept it meanwhile.
    """
    decisions.permit(question(grant, owner))
    if not grant.is_active(now):
        raise AlreadyEnded("This grant has already ended.")
    found = with_due(Grant.objects.filter(pk=grant.pk), period).first()
    if found is None or found.due_at > now + AHEAD:
        raise NotDue(_not_due_words(grant, found.due_at if found else None))
    try:
        with transaction.atomic():
            made = Recertification.objects.create(
                grant=grant,
                requested_by_id=grant.request.requested_by_id,
                decided_by=owner,
                decided_at=now,
                due_at=found.due_at,
                reason=reason,
                use=use_as_data(use),
            )
    except IntegrityError:
        raise NotDue("Somebody looked at this grant meanwhile.") from None
    data = {"reason": reason, "due_at": made.due_at.isoformat(), "use": made.use}
    record(action=Action.GRANT_KEPT, actor=owner, target=grant, now=now, data=data)
    return made


def _not_due_words(grant: Grant, due_at: datetime | None) -> str:
    if due_at is None:
        return f"It ends on {day_words(grant.last_day)}: its renewal is the next look at it."
    return f"It is looked at again by {day_words(day_of(due_at))}, not yet."
