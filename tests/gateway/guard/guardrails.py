"""Guard rules and hits for tests: rules put in force as people do it, hits as the gate does."""

from uuid import uuid4

from apps.accounts.models import Role
from apps.gateway.guard import actions
from apps.gateway.guard.models import GuardHit
from apps.gateway.guard.queries import in_force
from apps.gateway.guard.rules import RuleSet
from tests.factories import NOW, UserFactory

REGEX = {
    "name": "orchid", "phase": "request", "action": "block",
    "provider": {"type": "Regex", "patterns": {"ORCHID": "(?i)project orchid"}},
}  # fmt: skip


def with_rule(**changes):
    """Return the set in force with one more rule, about a project's name."""
    body = in_force(NOW).rules.as_json()
    return RuleSet.of({"rules": [*body["rules"], {**REGEX, **changes}]})


def propose(rules=None, *, now=NOW, requester=None):
    """Return a proposed change of the rules."""
    return actions.propose_guardrails(
        rules=rules or with_rule(),
        justification="As the board for model risk decided.",
        requester=requester or UserFactory(with_roles=[Role.PLATFORM_ENGINEER]),
        now=now,
    )


def put_in_force(rules=None, *, now=NOW):
    """Return the revision that these rules are."""
    reviewer = UserFactory(with_roles=[Role.REVIEWER])
    change = propose(rules, now=now)
    return actions.approve_guardrails(change=change, approver=reviewer, reason="Agreed.", now=now)


def a_hit(**changes):
    """Return a kept hit of an injected instruction."""
    facts = {
        "call": uuid4(), "at": NOW, "phase": "request", "rule": "injected-instructions",
        "provider": "PromptInjection", "detector": "INJECTION_OVERRIDE", "does": "block",
        "where": "messages[1].content", "team": "claims-review", "model": "extract",
        "rules": "sha256:" + "0" * 64,
    }  # fmt: skip
    return GuardHit.objects.create(**{**facts, **changes})
