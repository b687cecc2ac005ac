"""Rolling a version forward in an emergency, and its review. Going back, or stopping, is no
emergency: a platform engineer does either at any time (promotions/actions.py).

What an emergency does without are people and times: approvals, an open change, a freeze's end. What
it never does without is the evidence: a version whose files, signature or evaluation do not hold is
not rolled forward by anybody.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import DECLARES_EMERGENCIES, REVIEWS_EMERGENCIES, SEES_EMERGENCIES
from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.catalog.people import menders_of, owners_of
from apps.common import decisions
from apps.common.canonical import digest_of
from apps.common.counts import counted
from apps.common.errors import DomainError
from apps.notices.actions import no_longer, tell
from apps.notices.models import Kind
from apps.promotions import begin
from apps.promotions.changes.actions import ask_for_change
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.dossier import Change, evidence
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion
from apps.promotions.policy.reviewers import exclusion

NOT_SHOWN = Change()
SHORTEST, LONGEST = 20, 2000  # characters of a statement
WORKER = System("promotions.tell_overdue_emergencies")


class NoEmergency(DomainError):
    """The promotion cannot be rolled forward like this, or need not be."""

    code = "no_emergency"


def declaring(promotion: Promotion, person: User) -> decisions.Question:
    """Return who may roll a promotion forward in an emergency, as this person meets it: a platform
    engineer who did not propose it, and whom its policy does not exclude.
    """
    may = person.has_role(*DECLARES_EMERGENCIES)
    return decisions.Question(
        promotion,
        person,
        decider="platform engineer",
        is_decider=may,
        barred=exclusion(promotion, person) if may else "",
        noun="proposal",
        asked="proposed",
    )


def may_declare(promotion: Promotion, person: User) -> bool:
    """Tell whether this person may roll the promotion forward in an emergency, if it waits."""
    return declaring(promotion, person).may_decide


def goes_without(promotion: Promotion, now: datetime) -> list[str]:
    """Return what an emergency would not wait for, one sentence each; nothing where nothing but the
    evidence holds the rollout up.
    """
    needed = promotion.policy_revision.rules.approvals
    given = promotion.approvals.counting().persons()
    found = []
    if given < needed:
        asked = counted(needed, "approval")
        found.append(f"Its policy asks for {asked}, and it has {given or 'none'}.")
    waits = begin.waits_for(promotion, now)
    return found + [wait.words for wait in waits if wait.code != begin.WaitCode.CONDITION]


def review_hours(promotion: Promotion) -> int:
    """Return within how many hours somebody else reviews an emergency, as the policy says."""
    return promotion.policy_revision.rules.emergency_review_hours


@transaction.atomic
def declare_emergency(
    *,
    promotion: Promotion,
    engineer: User,
    statement: str,
    now: datetime,
    change: Change = NOT_SHOWN,
) -> Emergency:
    """Roll a promotion forward without what it waits for: its rollout starts, whoever it concerns
    is told, an emergency change is asked for, and somebody else has to review it within
    the hours that its policy says.

    statement: the emergency, for the record and for ServiceNow. Raises NotPermitted unless engineer
    is a platform engineer who did not propose it and has just signed in; AlreadyDecided where it
    waits for nothing any more; NoEmergency where its evidence does not hold, or nothing but that
    holds it up.
    """
    begin.locked(promotion.registered_model)
    decisions.permit(declaring(promotion, engineer))
    _still_waits(promotion)
    promotion.model_version.refresh_from_db()
    skipped = goes_without(promotion, now)
    shown = evidence(promotion, change, now)
    _must_hold(shown, skipped)
    rows = Promotion.objects.filter(pk=promotion.pk)
    rows.update(status=Promotion.Status.EMERGENCY, decided_at=Coalesce("decided_at", now))
    promotion.refresh_from_db()
    emergency = Emergency.objects.create(
        promotion=promotion,
        proposed_by_id=promotion.requested_by_id,
        requested_by=engineer,
        requested_at=now,
        statement=statement,
        skipped=skipped,
        evidence=shown,
        review_due_at=now + timedelta(hours=review_hours(promotion)),
    )
    data = {
        "promotion": str(promotion.pk),
        "manifest_digest": promotion.manifest_digest,
        "statement": statement,
        "skipped": skipped,
        "evidence": digest_of(shown),
        "review_due_at": emergency.review_due_at.isoformat(),
    }
    record(action=Action.EMERGENCY_DECLARED, actor=engineer, target=emergency, now=now, data=data)
    begin.supersede_waiting(promotion, engineer, now)
    begin.start_rollout(promotion=promotion, actor=engineer, now=now)
    ask_for_change(
        promotion=promotion,
        actor=engineer,
        now=now,
        kind=ChangeRecord.Kind.EMERGENCY,
        statement=statement,
    )
    _tell_of_it(emergency, now)
    return emergency


def _still_waits(promotion: Promotion) -> None:
    """Hold the promotion as it is until this ends. Raises AlreadyDecided where it waits no more."""
    rows = Promotion.objects.undone().select_for_update(of=("self",))
    if not rows.filter(pk=promotion.pk).exists():
        promotion.refresh_from_db()
        state = promotion.get_status_display().lower()
        raise decisions.AlreadyDecided(f"This proposal is {state} already.")


def _must_hold(shown: dict[str, object], skipped: list[str]) -> None:
    """Raise NoEmergency where the evidence does not hold, or nothing is skipped."""
    conditions: Iterable[dict[str, object]] = shown["conditions"]  # type: ignore[assignment]
    if wrong := " ".join(str(one["words"]) for one in conditions if not one["passed"]):
        raise NoEmergency(f"No emergency does without the evidence. {wrong}")
    if not skipped:
        raise NoEmergency("Nothing holds its rollout up: it starts by itself.")


def question(emergency: Emergency, person: User) -> decisions.Question:
    """Return who reviews an emergency, as this person meets it: a reviewer who neither rolled it
    forward nor proposed it, and whom the promotion's policy does not exclude from approving: what
    is upheld counts as approved.
    """
    may = person.has_role(*REVIEWS_EMERGENCIES)
    return decisions.Question(
        emergency,
        person,
        decider="reviewer",
        is_decider=may,
        barred=_barred(emergency, person) if may else "",
        noun="emergency",
        asked="declared",
        is_withdrawable=False,
    )


def _barred(emergency: Emergency, person: User) -> str:
    if emergency.proposed_by.person == person.person:
        return "You proposed this version, and its review is for others."
    return exclusion(emergency.promotion, person)


@transaction.atomic
def uphold_emergency(
    *, emergency: Emergency, approver: User, reason: str, now: datetime
) -> Emergency:
    """Close an emergency as justified. Raises NotPermitted unless the approver is a reviewer who
    had no part in it; AlreadyDecided.
    """
    _review(emergency, Emergency.Status.UPHELD, approver, reason, now)
    return emergency


@transaction.atomic
def object_to_emergency(
    *, emergency: Emergency, approver: User, reason: str, now: datetime
) -> Emergency:
    """Close an emergency as not justified, and tell whoever must now roll it back. Raises as
    uphold_emergency.
    """
    _review(emergency, Emergency.Status.OBJECTED, approver, reason, now)
    version = emergency.promotion.model_version.name
    tell(
        menders_of(emergency.promotion.registered_model),
        kind=Kind.EMERGENCY,
        title=f"The emergency of {version} was not justified: roll it back",
        path=emergency.get_absolute_url(),
        key=f"emergency:{emergency.pk}:objected",
        urgent=True,
        now=now,
    )
    return emergency


def _review(emergency: Emergency, status: str, approver: User, reason: str, now: datetime) -> None:
    asks = question(emergency, approver)
    decisions.permit(asks)
    decisions.decide(asks, status=status, reason=reason, now=now)
    data = {"promotion": str(emergency.promotion_id), "found": status, "reason": reason}
    record(action=Action.EMERGENCY_REVIEWED, actor=approver, target=emergency, now=now, data=data)
    for part in ("declared", "overdue"):
        no_longer(key=f"emergency:{emergency.pk}:{part}", now=now)


def tell_overdue(*, now: datetime) -> int:
    """Record and tell once of each emergency whose review is overdue; return of how many."""
    told = 0
    rows = Emergency.objects.overdue(now).filter(overdue_told_at=None)
    for emergency in rows.with_parts():
        with transaction.atomic():
            told += _tell_overdue(emergency, now)
    return told


def _tell_overdue(emergency: Emergency, now: datetime) -> bool:
    waits = Emergency.objects.overdue(now).filter(pk=emergency.pk, overdue_told_at=None)
    if not waits.update(overdue_told_at=now):
        return False
    data = {"review_due_at": emergency.review_due_at.isoformat()}
    record(action=Action.EMERGENCY_OVERDUE, actor=WORKER, target=emergency, now=now, data=data)
    version = emergency.promotion.model_version.name
    tell(
        holders(*REVIEWS_EMERGENCIES, *SEES_EMERGENCIES),
        kind=Kind.EMERGENCY,
        title=f"The review of the emergency of {version} is overdue",
        path=emergency.get_absolute_url(),
        key=f"emergency:{emergency.pk}:overdue",
        urgent=True,
        now=now,
    )
    return True


def _tell_of_it(emergency: Emergency, now: datetime) -> None:
    """Tell at once everybody whom it concerns but the engineer."""
    everywhere = holders(*REVIEWS_EMERGENCIES, *SEES_EMERGENCIES)
    people = [*everywhere, *owners_of(emergency.promotion.registered_model)]
    tell(
        [one for one in people if one.person != emergency.requested_by.person],
        kind=Kind.EMERGENCY,
        title=emergency.words,
        path=emergency.get_absolute_url(),
        key=f"emergency:{emergency.pk}:declared",
        urgent=True,
        now=now,
    )
