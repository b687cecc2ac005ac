"""Proposing a set of guard rules, putting it in force (two people), keeping what the rules found,
and saying of a find whether it was one.
"""

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.accounts.roles import DECIDES_GUARDRAILS, JUDGES_HITS, PROPOSES_GUARDRAILS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common import decisions, rulings
from apps.common.errors import DomainError, require
from apps.gateway.guard.models import GuardHit, GuardrailChange, GuardrailRevision
from apps.gateway.guard.queries import in_force
from apps.gateway.guard.rules import RuleSet


class BadGuardrails(DomainError):
    """The rules cannot be proposed, or no longer be put in force."""

    code = "bad_guardrails"


class CannotMark(DomainError):
    """Nothing was found there that could be true or false."""

    code = "cannot_mark"


def revision_for(now: datetime) -> GuardrailRevision:
    """Return the revision in force; the first time write down the set that ships."""
    ruling = in_force(now)
    return ruling.revision or rulings.first_revision(
        GuardrailRevision.objects, ruling.rules, environment=settings.ENVIRONMENT_NAME
    )


def may_propose(person: User) -> bool:
    """Tell whether this person may propose rules."""
    return person.has_role(*PROPOSES_GUARDRAILS)


def permit_proposing(person: User) -> None:
    """Raise NotPermitted unless this person may propose rules."""
    require(may_propose(person), "Only a platform engineer proposes guard rules.")


@transaction.atomic
def propose_guardrails(
    *, rules: RuleSet, justification: str, requester: User, now: datetime
) -> GuardrailChange:
    """Propose the whole set of rules of this environment.

    Raises NotPermitted unless the requester is a platform engineer; BadGuardrails where nothing
    would change, or where another change waits.
    """
    permit_proposing(requester)
    before = revision_for(now)
    body = rules.as_json()
    if body == before.rules.as_json():
        raise BadGuardrails("Nothing changes: the rules say this already.")
    try:
        with transaction.atomic():
            change = GuardrailChange.objects.create(
                environment=settings.ENVIRONMENT_NAME,
                body=body,
                before=before,
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise BadGuardrails(
            "A change of the rules waits for a decision already. One at a time."
        ) from None
    data = _facts(change) | {"justification": justification}
    record(action=Action.GUARDRAILS_PROPOSED, actor=requester, target=change, now=now, data=data)
    return change


def question(change: GuardrailChange, person: User) -> decisions.Question:
    """Return who decides about a change, as this person meets it: a reviewer."""
    return decisions.Question(
        change,
        person,
        decider="reviewer",
        is_decider=person.has_role(*DECIDES_GUARDRAILS),
        noun="proposal",
        asked="proposed",
    )


@transaction.atomic
def approve_guardrails(
    *, change: GuardrailChange, approver: User, reason: str, now: datetime
) -> GuardrailRevision:
    """Put proposed rules in force from now on.

    Raises NotPermitted unless the approver is a reviewer who did not propose them; AlreadyDecided;
    BadGuardrails where other rules came into force since they were proposed.
    """
    decisions.approve(question(change, approver), reason=reason, now=now)
    if in_force(now).revision != change.before:
        raise BadGuardrails("Other rules are in force since this was proposed. Reject it.")
    revision = rulings.next_revision(
        GuardrailRevision.objects, change, now=now, environment=change.environment
    )
    data = _facts(change) | {"reason": reason, "revision": revision.number}
    data |= {"digest": revision.digest, "proposed_by": change.requested_by.username}
    record(action=Action.GUARDRAILS_APPROVED, actor=approver, target=change, now=now, data=data)
    return revision


@transaction.atomic
def reject_guardrails(
    *, change: GuardrailChange, approver: User, reason: str, now: datetime
) -> GuardrailChange:
    """Reject proposed rules. Raises NotPermitted as approve_guardrails does, AlreadyDecided."""
    decisions.reject(question(change, approver), reason=reason, now=now)
    data = _facts(change) | {"reason": reason}
    record(action=Action.GUARDRAILS_REJECTED, actor=approver, target=change, now=now, data=data)
    return change


@transaction.atomic
def withdraw_guardrails(*, change: GuardrailChange, actor: User, now: datetime) -> GuardrailChange:
    """Take back proposed rules. Raises NotPermitted unless actor proposed them; AlreadyDecided."""
    decisions.withdraw(question(change, actor), now=now)
    data = _facts(change)
    record(action=Action.GUARDRAILS_WITHDRAWN, actor=actor, target=change, now=now, data=data)
    return change


def _facts(change: GuardrailChange) -> dict[str, object]:
    """Return what the audit record says of a change: the rules that differ, before and after."""
    old, new = _by_name(change.before.body), _by_name(change.body)
    differs = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    facts: dict[str, object] = {
        "environment": change.environment,
        "before": {name: old[name] for name in differs if name in old},
        "after": {name: new[name] for name in differs if name in new},
    }
    if not differs:
        facts |= {"order_before": list(old), "order_after": list(new)}
    return facts


def _by_name(body: dict[str, list[dict[str, str]]]) -> dict[str, object]:
    return {rule["name"]: rule for rule in body["rules"]}


# -- What was found --------------------------------------------------------------------------------


def keep_hits(hits: Iterable[GuardHit]) -> int:
    """Keep what the rules found, where it is not kept yet; return how many rows that were to be.
    One query; the gate's, out of the way of calls.
    """
    rows = list(hits)
    GuardHit.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    return len(rows)


def may_mark_hit(person: User, hit: GuardHit) -> bool:
    """Tell whether this person may say of a hit whether it was one."""
    return person.has_role(*JUDGES_HITS) and not _is_of_own_team(person, hit)


def _is_of_own_team(person: User, hit: GuardHit) -> bool:
    return person.team is not None and person.team.slug == hit.team


@transaction.atomic
def mark_hit(*, hit: GuardHit, mark: str, actor: User, now: datetime) -> GuardHit:
    """Say of a find whether it was one. Said again, the last word holds, and all are on record.

    Raises NotPermitted unless the person judges hits, and those of other teams; CannotMark for what
    was not looked at.
    """
    require(
        actor.has_role(*JUDGES_HITS),
        "Only a platform engineer, a reviewer or an auditor says whether a find was one.",
    )
    is_own = _is_of_own_team(actor, hit)
    require(not is_own, "It was found in a call of your own team: somebody of another team judges.")
    if hit.was_not_inspected:
        raise CannotMark("The rule could not look at it, so there is nothing to judge.")
    word = GuardHit.Mark(mark)
    row = GuardHit.objects.select_for_update(of=("self",)).get(pk=hit.pk)
    if row.mark == word:
        return row
    before = row.mark
    row.mark, row.marked_by, row.marked_at = word, actor, now
    row.save(update_fields=["mark", "marked_by", "marked_at"])
    data = {
        "call": str(row.call), "rule": row.rule, "detector": row.detector, "before": before,
        "after": word.value,
    }  # fmt: skip
    record(action=Action.GUARD_HIT_MARKED, actor=actor, target=row, now=now, data=data)
    return row
