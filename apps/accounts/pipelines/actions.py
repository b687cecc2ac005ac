"""Proposing a pipeline's rule, putting it in force, ending it: to let a pipeline in takes two
people, to shut it out takes one.
"""

import re
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import Team, User
from apps.accounts.pipelines import queries
from apps.accounts.pipelines.models import NAME, PipelineChange, PipelineRule
from apps.accounts.pipelines.rules import TrustRule, problems
from apps.accounts.roles import DECIDES_PIPELINES, ENDS_PIPELINES, PROPOSES_PIPELINES
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common import decisions
from apps.common.canonical import digest_of
from apps.common.errors import DomainError, require

RESERVED = frozenset({"new"})
DECIDER = "reviewer or platform engineer"


class BadRule(DomainError):
    """The rule cannot be proposed, or no longer be put in force."""

    code = "bad_rule"


class NotInForce(DomainError):
    """The pipeline is ended already."""

    code = "not_in_force"


def may_propose(person: User) -> bool:
    """Tell whether this person may propose rules."""
    return person.has_role(*PROPOSES_PIPELINES)


def permit_proposing(person: User) -> None:
    """Raise NotPermitted unless this person may propose rules."""
    require(may_propose(person), "A model owner or a platform engineer proposes a pipeline's rule.")


@transaction.atomic
def propose_rule(
    *,
    name: str,
    team: Team,
    rule: TrustRule,
    justification: str,
    requester: User,
    now: datetime,
) -> PipelineChange:
    """Propose the rule of a pipeline, a new one or one that there is.

    team: whose models it acts on. Raises NotPermitted for people who may not propose, and for model
    owners of another team; BadRule for a rule that could not be in force, where nothing would
    change, or where another change waits.
    """
    permit_proposing(requester)
    _permit_team(requester, team)
    before = queries.newest(name)
    _check(name, team, rule, before)
    body = rule.as_json()
    if before and before.ended_at is None and before.body == body:
        raise BadRule("Nothing changes: the rule says this already.")
    try:
        with transaction.atomic():
            change = PipelineChange.objects.create(
                name=name,
                team=team,
                body=body,
                before=before,
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise BadRule(
            "A change of this pipeline waits for a decision already. One at a time."
        ) from None
    data = _facts(change) | {"justification": justification}
    record(action=Action.PIPELINE_PROPOSED, actor=requester, target=change, now=now, data=data)
    return change


def _permit_team(requester: User, team: Team) -> None:
    everywhere = requester.has_role(*ENDS_PIPELINES)
    require(
        everywhere or requester.team_id == team.pk,
        f"Only model owners of {team.name} propose pipelines that act on its models.",
    )


def _check(name: str, team: Team, rule: TrustRule, before: PipelineRule | None) -> None:
    """Raise BadRule for what could not be in force now."""
    if not re.match(NAME, name):
        raise BadRule("Call it by lower-case letters, digits and dashes: a letter first.")
    if name in RESERVED:
        raise BadRule(f"The portal has a page of its own at {name}. Choose another name.")
    if before is not None and before.team_id != team.pk:
        raise BadRule(f"The pipeline {name} is of {before.team.name}. Choose another name.")
    found = problems(rule)
    if rule.issuer != settings.PIPELINE_ISSUER or rule.audience != settings.PIPELINE_AUDIENCE:
        found.append(
            f"This portal takes tokens of {settings.PIPELINE_ISSUER} for "
            f"{settings.PIPELINE_AUDIENCE}."
        )
    found += queries.unknown_people(rule) + queries.other_people(name, rule)
    if found:
        raise BadRule(" ".join(found))


def question(change: PipelineChange, person: User) -> decisions.Question:
    """Return who decides about a rule, as this person meets it: not who may push by it."""
    return decisions.Question(
        change,
        person,
        decider=DECIDER,
        is_decider=person.has_role(*DECIDES_PIPELINES),
        noun="rule",
        asked="proposed",
        barred=_barred(change, person),
    )


def _barred(change: PipelineChange, person: User) -> str:
    if person.person not in queries.persons_of(change.rule):
        return ""
    return "The rule names you as one who pushes, and leaves the decision to others."


@transaction.atomic
def approve_rule(
    *, change: PipelineChange, approver: User, reason: str, now: datetime
) -> PipelineRule:
    """Put a proposed rule in force from now on.

    Raises NotPermitted unless the approver decides and neither proposed it nor pushes by it;
    AlreadyDecided; BadRule where another rule came into force meanwhile, or this one cannot be.
    """
    decisions.approve(question(change, approver), reason=reason, now=now)
    if queries.newest(change.name) != change.before:
        raise BadRule("Another rule is in force since this was proposed. Reject it.")
    _check(change.name, change.team, change.rule, change.before)
    made = PipelineRule.objects.create(
        name=change.name,
        team=change.team,
        number=change.before.number + 1 if change.before else 1,
        body=change.body,
        digest=digest_of(change.body),
        active_from=now,
        change=change,
    )
    data = _facts(change) | {"reason": reason, "number": made.number, "digest": made.digest}
    data["proposed_by"] = change.requested_by.username
    record(action=Action.PIPELINE_APPROVED, actor=approver, target=change, now=now, data=data)
    return made


@transaction.atomic
def reject_rule(
    *, change: PipelineChange, approver: User, reason: str, now: datetime
) -> PipelineChange:
    """Reject a proposed rule. Raises NotPermitted as approve_rule does, AlreadyDecided."""
    decisions.reject(question(change, approver), reason=reason, now=now)
    data = _facts(change) | {"reason": reason}
    record(action=Action.PIPELINE_REJECTED, actor=approver, target=change, now=now, data=data)
    return change


@transaction.atomic
def withdraw_rule(*, change: PipelineChange, actor: User, now: datetime) -> PipelineChange:
    """Take back a proposed rule. Raises NotPermitted unless actor proposed it; AlreadyDecided."""
    decisions.withdraw(question(change, actor), now=now)
    data = _facts(change)
    record(action=Action.PIPELINE_WITHDRAWN, actor=actor, target=change, now=now, data=data)
    return change


def may_end(rule: PipelineRule, person: User) -> bool:
    """Tell whether this person may shut a pipeline out: a platform engineer, an owner of its team's
    models.
    """
    is_owner = person.has_role(*PROPOSES_PIPELINES) and person.team_id == rule.team_id
    return is_owner or person.has_role(*ENDS_PIPELINES)


@transaction.atomic
def end_pipeline(*, rule: PipelineRule, actor: User, reason: str, now: datetime) -> None:
    """Shut a pipeline out at once, its runs under way among them. Letting it in again takes another
    rule, and two people. Raises NotPermitted, NotInForce.
    """
    require(
        may_end(rule, actor),
        f"Only a model owner of {rule.team.name} or a platform engineer ends this pipeline.",
    )
    rows = PipelineRule.objects.filter(pk=rule.pk, ended_at=None)
    if not rows.update(ended_at=now, ended_by=actor, end_reason=reason):
        raise NotInForce(f"The pipeline {rule.name} is ended already.")
    rule.refresh_from_db()
    data = {"name": rule.name, "number": rule.number, "reason": reason}
    record(action=Action.PIPELINE_ENDED, actor=actor, target=rule, now=now, data=data)


def _facts(change: PipelineChange) -> dict[str, object]:
    """Return what the audit record says of a change: whose rule, and what changes in it."""
    old = change.before.body if change.before else {}
    differs = sorted(key for key in {*old, *change.body} if old.get(key) != change.body.get(key))
    return {
        "name": change.name,
        "team": change.team.slug,
        "before": {key: old.get(key) for key in differs},
        "after": {key: change.body.get(key) for key in differs},
    }
