"""Asking for a model, deciding about it, and ending what was granted.

Nobody decides on their own request: the action refuses it, and so does a check constraint.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from apps.access import retirement
from apps.access.budgets.actions import end_with_grant, give_budget
from apps.access.models import AccessRequest, Grant
from apps.access.wishes import Wish, problems, renewal
from apps.access.work import Estimate, Seen, Use, seen_as_data
from apps.accounts.models import Role, Team, User
from apps.accounts.roles import ASKS_FOR_MODELS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.common import decisions
from apps.common.errors import DomainError, require
from apps.common.periods import end_of_day, until_words
from apps.common.sign_ins import require_fresh_sign_in
from apps.common.tasks import enqueue_on_commit

REPLACED = "Replaced by its renewal."


class CannotRequest(DomainError):
    """The request cannot be made as it stands. problems: what is wrong with which field of the
    wish, where it is the wish.
    """

    code = "cannot_request"

    def __init__(self, words: str, problems: Mapping[str, str] | None = None) -> None:
        super().__init__(words)
        self.problems = dict(problems or {})


class AlreadyEnded(DomainError):
    """The grant has expired or was revoked."""

    code = "already_ended"


@transaction.atomic
def submit_request(
    *,
    model: RegisteredModel,
    wish: Wish,
    requester: User,
    now: datetime,
    renews: Grant | None = None,
    expected: Estimate | None = None,
    use: Use | None = None,
) -> AccessRequest:
    """Ask for `model` in the name of the requester's team.

    renews: the team's own grant of the model, which the new one replaces when it is approved; use:
    what it was used for. expected: the work that the team expects, and what it comes to. Both are
    kept as they were seen.
    Raises NotPermitted unless the requester leads a team (or owns models); CannotRequest when the
    wish is out of bounds, the team has a grant already that this does not renew, or a request
    waits.
    """
    require(
        requester.has_role(*ASKS_FOR_MODELS),
        "Only a team lead can request a model for a team.",
    )
    team = requester.team
    if team is None:
        raise CannotRequest("Your sign-in names no team, so there is nobody to grant the model to.")
    if wrong := problems(asdict(wish), model, now):
        raise CannotRequest(" ".join(wrong.values()), wrong)
    if gone := retirement.why_not(model, wish.expires_date):
        raise CannotRequest(gone, {"expires_date": gone})
    _may_be_granted(model, team, renews, now)
    seen = seen_as_data(Seen(expected, use))
    try:
        with transaction.atomic():
            request = AccessRequest.objects.create(
                registered_model=model,
                team=team,
                requested_by=requester,
                requested_at=now,
                renews=renews,
                **asdict(wish),
                **seen,
            )
    except IntegrityError:
        raise CannotRequest(
            f"A request from {team} for {model} is already waiting for its owner."
        ) from None
    data: dict[str, object] = {
        "tokens_per_minute": wish.tokens_per_minute,
        "monthly_budget_usd": str(wish.monthly_budget_usd),
        "service_class": wish.service_class,
        "calls_at_once": wish.calls_at_once,
        "data_class": wish.data_class,
        "expires_date": wish.expires_date.isoformat(),
    }
    if renews:
        data["renews"] = str(renews.pk)
    data |= {name: told for name, told in seen.items() if told is not None}
    record(action=Action.ACCESS_REQUESTED, actor=requester, target=request, now=now, data=data)
    return request


def renew_grant(
    *,
    grant: Grant,
    monthly_budget_usd: Decimal,
    requester: User,
    now: datetime,
    expected: Estimate | None,
    use: Use,
) -> AccessRequest:
    """Ask for a grant again as it is: for the same purpose, with the same limits, for as long.

    monthly_budget_usd: what the team may spend on the model now. Raises as submit_request does;
    NotPermitted also for who does not ask in the name of the grant's team.
    """
    require(may_renew(grant, requester), f"Only a team lead of {grant.team} can ask to renew this.")
    if grant.revoked_at:
        raise CannotRequest("Somebody ended this grant. Ask for the model anew.")
    return submit_request(
        model=grant.registered_model,
        wish=renewal(grant, monthly_budget_usd, now),
        requester=requester,
        now=now,
        renews=grant,
        expected=expected,
        use=use,
    )


def may_renew(grant: Grant, user: User) -> bool:
    """Tell whether this person may ask to renew the grant: in the name of their own team."""
    return user.team_id == grant.team_id and user.has_role(*ASKS_FOR_MODELS)


def _may_be_granted(
    model: RegisteredModel, team: Team, renews: Grant | None, now: datetime
) -> None:
    """Raise CannotRequest where a grant stands in the way, or where it is not the one to renew."""
    if renews and (renews.registered_model_id, renews.team_id) != (model.pk, team.pk):
        raise CannotRequest(f"That is not a grant of {model} to {team}, so it cannot be renewed.")
    grant = Grant.objects.active(now).filter(registered_model=model, team=team).first()
    if grant and grant != renews:
        raise CannotRequest(f"{team} already has {model}, {until_words(grant.last_day)}.")


def question(request: AccessRequest, person: User) -> decisions.Question:
    """Return who decides about a request, as this person meets it: an owner of the model."""
    model = request.registered_model
    return decisions.Question(
        request,
        person,
        decider=f"model owner of {model.owner_team}",
        is_decider=model.is_owned_by(person),
    )


@transaction.atomic
def approve_request(
    *,
    request: AccessRequest,
    approver: User,
    reason: str,
    now: datetime,
    seen: Seen | None = None,
) -> Grant:
    """Approve a pending request, create its grant, and give the team its monthly budget.

    now: aware UTC; becomes the grant's active_from (inclusive). A grant that it renews ends then.
    seen: what lay before the approver, which is kept with the decision.
    Raises NotPermitted unless the approver owns the model and did not ask; AlreadyDecided if it is
    not pending; CannotRequest when it would end before it begins, or the team has a grant already.
    """
    facts = _decide(request, approver, AccessRequest.Status.APPROVED, reason, now, seen)
    active_to = end_of_day(request.expires_date)
    if active_to <= now:
        raise CannotRequest(
            "The requested end has passed. Reject the request and ask the team for a new one."
        )
    if gone := retirement.why_not(request.registered_model, request.expires_date):
        raise CannotRequest(gone)
    replaced = _replace(request, approver, now)
    try:
        with transaction.atomic():
            grant = Grant.objects.create(
                request=request,
                registered_model=request.registered_model,
                team=request.team,
                tokens_per_minute=request.tokens_per_minute,
                service_class=request.service_class,
                calls_at_once=request.calls_at_once,
                active_from=now,
                active_to=active_to,
            )
    except IntegrityError:
        raise CannotRequest(
            f"{request.team} already has {request.registered_model}. Reject the request."
        ) from None
    record(action=Action.ACCESS_APPROVED, actor=approver, target=request, now=now, data=facts)
    record(
        action=Action.GRANT_CREATED,
        actor=approver,
        target=grant,
        now=now,
        data={"request": str(request.pk)} | ({"replaces": replaced} if replaced else {}),
    )
    give_budget(grant=grant, approver=approver, now=now)
    enqueue_on_commit("gateway.publish_policy", model_id=request.registered_model_id)
    return grant


def _replace(request: AccessRequest, approver: User, now: datetime) -> str:
    """End the grant that a request renews, and return its id; nothing where there is none in
    force.
    """
    if request.renews_id is None:
        return ""
    old = Grant.objects.active(now).filter(pk=request.renews_id)
    if not old.update(revoked_at=now, revoked_by=approver, revoke_reason=REPLACED):
        return ""
    grant = Grant.objects.get(pk=request.renews_id)
    data = {"reason": REPLACED, "request": str(request.pk)}
    record(action=Action.GRANT_REVOKED, actor=approver, target=grant, now=now, data=data)
    return str(grant.pk)


@transaction.atomic
def reject_request(
    *,
    request: AccessRequest,
    approver: User,
    reason: str,
    now: datetime,
    seen: Seen | None = None,
) -> AccessRequest:
    """Reject a pending request. Raises as approve_request does."""
    facts = _decide(request, approver, AccessRequest.Status.REJECTED, reason, now, seen)
    record(action=Action.ACCESS_REJECTED, actor=approver, target=request, now=now, data=facts)
    return request


def _decide(
    request: AccessRequest,
    approver: User,
    status: str,
    reason: str,
    now: datetime,
    seen: Seen | None,
) -> dict[str, object]:
    """Decide, and return what the record keeps of it."""
    asks = question(request, approver)
    decisions.permit(asks)
    told = seen_as_data(seen) if seen else None
    decisions.decide(asks, status=status, reason=reason, now=now, decision_seen=told)
    return {"reason": reason} | ({"seen": told} if told else {})


@transaction.atomic
def withdraw_request(*, request: AccessRequest, actor: User, now: datetime) -> AccessRequest:
    """Take back a pending request. Raises NotPermitted unless actor asked; AlreadyDecided if it is
    not pending.
    """
    decisions.withdraw(question(request, actor), now=now)
    record(action=Action.ACCESS_WITHDRAWN, actor=actor, target=request, now=now)
    return request


def may_revoke(grant: Grant, user: User) -> bool:
    """Tell whether this person may end the grant: an owner of the model, or a platform engineer."""
    return grant.registered_model.is_owned_by(user) or user.has_role(Role.PLATFORM_ENGINEER)


@transaction.atomic
def revoke_grant(*, grant: Grant, actor: User, reason: str, now: datetime) -> Grant:
    """End a grant now. Raises NotPermitted unless actor owns the model or runs the platform, and
    has just signed in; AlreadyEnded if over.
    """
    require(
        may_revoke(grant, actor),
        "Only an owner of the model, or a platform engineer, can revoke access.",
    )
    require_fresh_sign_in(actor)
    changed = Grant.objects.active(now).filter(pk=grant.pk)
    if not changed.update(revoked_at=now, revoked_by=actor, revoke_reason=reason):
        raise AlreadyEnded("This grant has already ended.")
    record(action=Action.GRANT_REVOKED, actor=actor, target=grant, now=now, data={"reason": reason})
    end_with_grant(grant=grant, actor=actor, reason=reason, now=now)
    enqueue_on_commit("gateway.publish_policy", model_id=grant.registered_model_id)
    grant.refresh_from_db()
    return grant
