"""Policies for tests, put in force as people do it: one proposes, another approves."""

from dataclasses import replace

from apps.accounts.models import Role
from apps.promotions.policy import actions
from apps.promotions.policy.queries import rules_of
from tests.factories import NOW, UserFactory


def propose(data_class="PHI", *, now=NOW, requester=None, **rules):
    """Return a proposed change of a data class's policy. rules: what is to be other than now."""
    engineer = requester or UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
    return actions.propose_policy(
        data_class=data_class,
        rules=replace(rules_of(data_class, now).rules, **rules),
        justification="As the committee decided.",
        requester=engineer,
        now=now,
    )


def put_in_force(data_class="PHI", *, now=NOW, **rules):
    """Return the revision of a data class's policy that changes these rules."""
    reviewer = UserFactory(with_roles=[Role.REVIEWER])
    change = propose(data_class, now=now, **rules)
    return actions.approve_policy(change=change, approver=reviewer, reason="Agreed.", now=now)
