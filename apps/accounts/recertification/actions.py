"""Looking at a role again: who oversees keeps it, with a reason, or takes it away at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.accounts.models import RoleBinding, User
from apps.accounts.recertification.models import AHEAD, RoleReview
from apps.accounts.roles import RECERTIFIES_ROLES
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.common import decisions
from apps.common.errors import DomainError, require

Status = RoleReview.Status
WORKER = audit.System("accounts.open_role_reviews")


class NotTaken(DomainError):
    """The role was not taken away, so there is nothing to give back."""

    code = "role_not_taken"


@dataclass(frozen=True)
class RoleQuestion(decisions.Question):
    """A role that is looked at, as one person meets it: nobody takes the question back."""

    @property
    def may_withdraw(self) -> bool:
        """Tell that nobody may."""
        return False


def may_look(person: User) -> bool:
    """Tell whether this person looks at others' roles."""
    return person.has_role(*RECERTIFIES_ROLES)


def question(review: RoleReview, person: User) -> RoleQuestion:
    """Return who looks at a role, as this person meets it."""
    return RoleQuestion(
        review,
        person,
        decider="auditor or platform engineer",
        is_decider=may_look(person),
        noun="role",
        asked="hold",
    )


@transaction.atomic
def open_reviews(*, period: timedelta, now: datetime) -> int:
    """Ask for a look at each role that is due within AHEAD, and let go those whose role is gone;
    return how many were asked for. period: from when a role was given, or kept last, to the next.
    """
    _let_go(now)
    kept = RoleReview.objects.filter(status=Status.KEPT).values_list("requested_by", "role")
    last = {(who, role): at for who, role, at in kept.annotate(Max("decided_at"))}
    waiting = set(RoleReview.objects.pending().values_list("requested_by", "role"))
    opened = 0
    for held in RoleBinding.objects.filter(user__is_active=True).select_related("user"):
        key = (held.user_id, held.role)
        due_at = max(last.get(key, held.since), held.since) + period
        if key not in waiting and due_at <= now + AHEAD:
            _open(held.user, held.role, due_at, audit_actor=WORKER, now=now)
            opened += 1
    return opened


def _let_go(now: datetime) -> None:
    """Let go the looks at roles that people lost meanwhile, but those that were taken away."""
    held = set(RoleBinding.objects.filter(user__is_active=True).values_list("user_id", "role"))
    for review in RoleReview.objects.pending().select_related("requested_by"):
        key = (review.requested_by_id, review.role)
        if key in held or _was_taken(review):
            continue
        decisions.settle(
            RoleReview.objects.pending(), review, noun="role", status=Status.LAPSED, decided_at=now
        )
        _record(Action.ROLE_REVIEW_LAPSED, review, WORKER, now)


def _was_taken(review: RoleReview) -> bool:
    looked = RoleReview.objects.filter(requested_by=review.requested_by_id, role=review.role)
    last = looked.filter(status__in=(Status.KEPT, Status.TAKEN)).order_by("-decided_at").first()
    return last is not None and last.status == Status.TAKEN


def _open(
    user: User, role: str, due_at: datetime, *, audit_actor: audit.Actor, now: datetime
) -> RoleReview:
    review = RoleReview.objects.create(
        requested_by=user, role=role, requested_at=now, due_at=due_at
    )
    _record(Action.ROLE_REVIEW_OPENED, review, audit_actor, now)
    return review


@transaction.atomic
def keep_role(*, review: RoleReview, approver: User, reason: str, now: datetime) -> None:
    """Keep a role: it is looked at again a period from now. One that was taken away comes back with
    the person's next sign-in, if their groups still give it.

    Raises NotPermitted unless the approver looks at roles, and not at their own; AlreadyDecided.
    """
    _decide(review, approver, Status.KEPT, reason, now)
    _record(Action.ROLE_KEPT, review, approver, now)


@transaction.atomic
def take_role(*, review: RoleReview, approver: User, reason: str, now: datetime) -> None:
    """Take a role away, at once and for every sign-in to come. Raises what keep_role raises."""
    _decide(review, approver, Status.TAKEN, reason, now)
    RoleBinding.objects.filter(user=review.requested_by_id, role=review.role).delete()
    _record(Action.ROLE_TAKEN, review, approver, now)


@transaction.atomic
def look_again(*, review: RoleReview, actor: User, now: datetime) -> RoleReview:
    """Ask for another look at a role that was taken away. Raises NotPermitted; NotTaken."""
    require(may_look(actor), "Only an auditor or platform engineer asks for a look at a role.")
    if not _was_taken(review):
        raise NotTaken(f"{review} is not taken away.")
    try:
        with transaction.atomic():
            return _open(review.requested_by, review.role, now, audit_actor=actor, now=now)
    except IntegrityError:
        raise NotTaken("Somebody asked for another look at it already.") from None


def _decide(review: RoleReview, approver: User, status: str, reason: str, now: datetime) -> None:
    asks = question(review, approver)
    decisions.permit(asks)
    decisions.decide(asks, status=status, reason=reason, now=now)


def _record(action: Action, review: RoleReview, actor: audit.Actor, now: datetime) -> None:
    data = {
        "role": review.role,
        "person": review.requested_by.username,
        "due_at": review.due_at.isoformat(),
        "reason": review.decision_reason,
    }
    audit.record(action=action, actor=actor, target=review, now=now, data=data)
