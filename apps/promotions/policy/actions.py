"""Proposing a policy's rules, and putting them in force: two people.

A policy that comes into force makes proposals that wait stale (gates.py): they were made under
other rules. What was approved goes on under those that it was approved under.
"""

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.accounts.roles import DECIDES_POLICIES, PROPOSES_POLICIES
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common import decisions, rulings
from apps.common.errors import DomainError, require
from apps.promotions.policy.models import PolicyChange, PolicyRevision
from apps.promotions.policy.queries import rules_of
from apps.promotions.policy.rules import BadRules, Rules


class BadPolicy(DomainError):
    """The rules cannot be proposed, or no longer be put in force."""

    code = "bad_policy"


def revision_for(data_class: str, now: datetime) -> PolicyRevision:
    """Return the revision in force for a data class; the first time write down what the settings
    say.
    """
    ruling = rules_of(data_class, now)
    return ruling.revision or rulings.first_revision(
        PolicyRevision.objects,
        ruling.rules,
        environment=settings.ENVIRONMENT_NAME,
        data_class=data_class,
    )


def may_propose(person: User) -> bool:
    """Tell whether this person may propose rules."""
    return person.has_role(*PROPOSES_POLICIES)


def permit_proposing(person: User) -> None:
    """Raise NotPermitted unless this person may propose rules."""
    require(may_propose(person), "Only a platform engineer proposes a policy.")


@transaction.atomic
def propose_policy(
    *, data_class: str, rules: Rules, justification: str, requester: User, now: datetime
) -> PolicyChange:
    """Propose the rules of a data class in this environment.

    Raises NotPermitted unless the requester is a platform engineer; BadPolicy for what this
    environment may not have, where nothing would change, or where another change waits.
    """
    permit_proposing(requester)
    _allowed_here(rules)
    before = revision_for(data_class, now)
    body = rules.as_json()
    if body == before.rules.as_json():
        raise BadPolicy("Nothing changes: the policy says this already.")
    try:
        with transaction.atomic():
            change = PolicyChange.objects.create(
                environment=settings.ENVIRONMENT_NAME,
                data_class=data_class,
                body=body,
                before=before,
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise BadPolicy(
            "A change of this policy waits for a decision already. One at a time."
        ) from None
    data = _facts(change) | {"justification": justification}
    record(
        action=Action.PROMOTION_POLICY_PROPOSED, actor=requester, target=change, now=now, data=data
    )
    return change


def _allowed_here(rules: Rules) -> None:
    try:
        rules.check(settings.ENVIRONMENT_NAME)
    except BadRules as error:
        raise BadPolicy(str(error)) from None


def question(change: PolicyChange, person: User) -> decisions.Question:
    """Return who decides about a change, as this person meets it: a reviewer."""
    return decisions.Question(
        change,
        person,
        decider="reviewer",
        is_decider=person.has_role(*DECIDES_POLICIES),
        noun="proposal",
        asked="proposed",
    )


@transaction.atomic
def approve_policy(
    *, change: PolicyChange, approver: User, reason: str, now: datetime
) -> PolicyRevision:
    """Put proposed rules in force from now on.

    Raises NotPermitted unless the approver is a reviewer who did not propose them; AlreadyDecided;
    BadPolicy where other rules came into force since they were proposed.
    """
    decisions.approve(question(change, approver), reason=reason, now=now)
    _allowed_here(change.rules)
    if rules_of(change.data_class, now).revision != change.before:
        raise BadPolicy("Other rules are in force since this was proposed. Reject it.")
    revision = rulings.next_revision(
        PolicyRevision.objects,
        change,
        now=now,
        environment=change.environment,
        data_class=change.data_class,
    )
    data = _facts(change) | {"reason": reason, "revision": revision.number}
    data |= {"digest": revision.digest, "proposed_by": change.requested_by.username}
    record(
        action=Action.PROMOTION_POLICY_APPROVED, actor=approver, target=change, now=now, data=data
    )
    return revision


@transaction.atomic
def reject_policy(
    *, change: PolicyChange, approver: User, reason: str, now: datetime
) -> PolicyChange:
    """Reject proposed rules. Raises NotPermitted as approve_policy does, AlreadyDecided."""
    decisions.reject(question(change, approver), reason=reason, now=now)
    data = _facts(change) | {"reason": reason}
    record(
        action=Action.PROMOTION_POLICY_REJECTED, actor=approver, target=change, now=now, data=data
    )
    return change


@transaction.atomic
def withdraw_policy(*, change: PolicyChange, actor: User, now: datetime) -> PolicyChange:
    """Take back proposed rules. Raises NotPermitted unless actor proposed them; AlreadyDecided."""
    decisions.withdraw(question(change, actor), now=now)
    data = _facts(change)
    record(action=Action.PROMOTION_POLICY_WITHDRAWN, actor=actor, target=change, now=now, data=data)
    return change


def _facts(change: PolicyChange) -> dict[str, object]:
    """Return what the audit record says of a change: whose policy, and what changes in it."""
    old, new = change.before.body, change.body
    differs = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return {
        "environment": change.environment,
        "data_class": change.data_class,
        "before": {key: old.get(key) for key in differs},
        "after": {key: new.get(key) for key in differs},
    }
