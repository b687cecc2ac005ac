"""Proposing what is kept, and putting it in force: two people.

Rules hold for calls from then on: what was written before keeps the end it was given.
"""

from datetime import datetime

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.accounts.roles import ASKS_ABOUT_PROMPTS, DECIDES_PROMPTS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common import decisions, rulings
from apps.common.errors import DomainError, require
from apps.prompts.rules.models import RetentionChange, RetentionRevision
from apps.prompts.rules.queries import rules_of
from apps.prompts.rules.rules import Rules

DECIDER = "reviewer or auditor"


class BadRetention(DomainError):
    """The rules cannot be proposed, or no longer be put in force."""

    code = "bad_retention"


def may_ask(person: User) -> bool:
    """Tell whether this person asks for anything that changes the prompt record."""
    return person.has_role(*ASKS_ABOUT_PROMPTS)


def permit_asking(person: User) -> None:
    """Raise NotPermitted unless this person asks for what changes the prompt record."""
    require(may_ask(person), "Only an auditor asks for this. A reviewer or another one decides.")


@transaction.atomic
def propose_retention(
    *, data_class: str, rules: Rules, justification: str, requester: User, now: datetime
) -> RetentionChange:
    """Propose what is kept of a data class.

    Raises NotPermitted unless the requester is an auditor; BadRetention where nothing would change,
    or another change waits.
    """
    permit_asking(requester)
    before = revision_for(data_class, now)
    if rules.as_json() == before.body:
        raise BadRetention("Nothing changes: the rules say this already.")
    try:
        with transaction.atomic():
            change = RetentionChange.objects.create(
                data_class=data_class,
                body=rules.as_json(),
                before=before,
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise BadRetention(
            "A change of these rules waits for a decision already. One at a time."
        ) from None
    data = _facts(change) | {"justification": justification}
    record(action=Action.RETENTION_PROPOSED, actor=requester, target=change, now=now, data=data)
    return change


def revision_for(data_class: str, now: datetime) -> RetentionRevision:
    """Return the revision in force; the first time write down what ships with the product."""
    ruling = rules_of(data_class, now)
    return ruling.revision or rulings.first_revision(
        RetentionRevision.objects, ruling.rules, data_class=data_class
    )


def question(change: RetentionChange, person: User) -> decisions.Question:
    """Return who decides about a change, as this person meets it."""
    return decisions.Question(
        change,
        person,
        decider=DECIDER,
        is_decider=person.has_role(*DECIDES_PROMPTS),
        noun="proposal",
        asked="proposed",
    )


@transaction.atomic
def approve_retention(
    *, change: RetentionChange, approver: User, reason: str, now: datetime
) -> RetentionRevision:
    """Put proposed rules in force from now on.

    Raises NotPermitted unless the approver is a reviewer or auditor who did not propose them;
    AlreadyDecided; BadRetention where other rules came into force since they were proposed.
    """
    decisions.approve(question(change, approver), reason=reason, now=now)
    if rules_of(change.data_class, now).revision != change.before:
        raise BadRetention("Other rules are in force since this was proposed. Reject it.")
    revision = rulings.next_revision(
        RetentionRevision.objects, change, now=now, data_class=change.data_class
    )
    data = _facts(change) | {"reason": reason, "revision": revision.number}
    data |= {"digest": revision.digest, "proposed_by": change.requested_by.username}
    record(action=Action.RETENTION_APPROVED, actor=approver, target=change, now=now, data=data)
    return revision


@transaction.atomic
def reject_retention(
    *, change: RetentionChange, approver: User, reason: str, now: datetime
) -> RetentionChange:
    """Reject proposed rules. Raises NotPermitted as approve_retention does, AlreadyDecided."""
    decisions.reject(question(change, approver), reason=reason, now=now)
    data = _facts(change) | {"reason": reason}
    record(action=Action.RETENTION_REJECTED, actor=approver, target=change, now=now, data=data)
    return change


@transaction.atomic
def withdraw_retention(*, change: RetentionChange, actor: User, now: datetime) -> RetentionChange:
    """Take back proposed rules. Raises NotPermitted unless actor proposed them; AlreadyDecided."""
    decisions.withdraw(question(change, actor), now=now)
    data = _facts(change)
    record(action=Action.RETENTION_WITHDRAWN, actor=actor, target=change, now=now, data=data)
    return change


def _facts(change: RetentionChange) -> dict[str, object]:
    """Return what the audit record says of a change: whose rules, and what changes in them."""
    return {"data_class": change.data_class, "before": change.before.body, "after": change.body}
