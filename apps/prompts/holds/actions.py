"""Placing a hold, and lifting it: one auditor places, two people lift."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from apps.accounts.models import Team, User
from apps.accounts.roles import DECIDES_PROMPTS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common import decisions
from apps.common.errors import DomainError
from apps.prompts.holds.models import HoldRelease, LegalHold, Scope
from apps.prompts.rules.actions import DECIDER, permit_asking
from apps.prompts.subjects import BadName, SubjectKind, is_named_in, named_subject

LOCK = 0x51_4D_50_52  # nobody's holds change while somebody removes or erases


class BadHold(DomainError):
    """The hold covers nothing that could be kept, or is lifted already."""

    code = "bad_hold"


def one_at_a_time() -> None:
    """Wait until nobody else places a hold, erases or removes; until the transaction ends nobody
    does.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


@transaction.atomic
def place_hold(*, scope: str, name: str, matter: str, actor: User, now: datetime) -> LegalHold:
    """Keep everything of a member, a case, a team or a call from now on.

    name: the member's or case's own name, which is hashed here and kept nowhere; a team's slug; a
    call's id. Raises NotPermitted unless the actor is an auditor, BadHold for no such name, or a
    matter that says a member's or case's.
    """
    permit_asking(actor)
    if scope in (Scope.MEMBER, Scope.CASE) and is_named_in(name, matter):
        raise BadHold("The matter says the name, and is kept. Call it something else.")
    value, secret = _value_of(Scope(scope), name)
    one_at_a_time()
    hold = LegalHold.objects.create(
        scope=scope, value=value, secret=secret, matter=matter, placed_by=actor, placed_at=now
    )
    record(action=Action.HOLD_PLACED, actor=actor, target=hold, now=now, data=_facts(hold))
    return hold


def _value_of(scope: Scope, name: str) -> tuple[str, str]:
    """Return what a hold keeps of a name, and which secret hashed it."""
    if scope == Scope.TEAM:
        if not Team.objects.filter(slug=name).exists():
            raise BadHold("There is no such team.")
        return name, ""
    if scope == Scope.CALL:
        try:
            return str(UUID(name)), ""
        except ValueError:
            raise BadHold("A call is named by its request id, a UUID.") from None
    try:
        subject = named_subject(SubjectKind(scope), name)
    except BadName as error:
        raise BadHold(str(error)) from None
    return subject.token, subject.secret


@transaction.atomic
def ask_release(
    *, hold: LegalHold, justification: str, requester: User, now: datetime
) -> HoldRelease:
    """Ask that a hold be lifted. Raises NotPermitted unless the requester is an auditor; BadHold
    where it is lifted, or somebody asks already.
    """
    permit_asking(requester)
    if hold.lifted_at is not None:
        raise BadHold("This hold is lifted already.")
    try:
        with transaction.atomic():
            release = HoldRelease.objects.create(
                hold=hold, justification=justification, requested_by=requester, requested_at=now
            )
    except IntegrityError:
        raise BadHold("Somebody asks for this already.") from None
    data = _facts(hold) | {"justification": justification}
    record(
        action=Action.HOLD_RELEASE_REQUESTED, actor=requester, target=release, now=now, data=data
    )
    return release


def question(release: HoldRelease, person: User) -> decisions.Question:
    """Return who decides about lifting a hold, as this person meets it."""
    return decisions.Question(
        release,
        person,
        decider=DECIDER,
        is_decider=person.has_role(*DECIDES_PROMPTS),
    )


@transaction.atomic
def approve_release(
    *, release: HoldRelease, approver: User, reason: str, now: datetime
) -> HoldRelease:
    """Lift a hold. Raises NotPermitted unless the approver is a reviewer or auditor who did not ask
    for it, AlreadyDecided.
    """
    decisions.approve(question(release, approver), reason=reason, now=now)
    LegalHold.objects.standing().filter(pk=release.hold_id).update(lifted_at=now)
    data = _facts(release.hold) | {"reason": reason, "asked_by": release.requested_by.username}
    record(action=Action.HOLD_LIFTED, actor=approver, target=release, now=now, data=data)
    return release


@transaction.atomic
def reject_release(
    *, release: HoldRelease, approver: User, reason: str, now: datetime
) -> HoldRelease:
    """Let a hold stand. Raises NotPermitted as approve_release does, AlreadyDecided."""
    decisions.reject(question(release, approver), reason=reason, now=now)
    data = _facts(release.hold) | {"reason": reason}
    record(action=Action.HOLD_RELEASE_REJECTED, actor=approver, target=release, now=now, data=data)
    return release


@transaction.atomic
def withdraw_release(*, release: HoldRelease, actor: User, now: datetime) -> HoldRelease:
    """Take back the request. Raises NotPermitted unless actor asked for it; AlreadyDecided."""
    decisions.withdraw(question(release, actor), now=now)
    data = _facts(release.hold)
    record(action=Action.HOLD_RELEASE_WITHDRAWN, actor=actor, target=release, now=now, data=data)
    return release


def _facts(hold: LegalHold) -> dict[str, object]:
    """Return what the audit record says of a hold: a token says nothing without the secret."""
    return {"hold": str(hold.pk), "scope": hold.scope, "value": hold.value, "matter": hold.matter}
