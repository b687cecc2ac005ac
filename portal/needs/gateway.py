"""The gateway: changes of the guard's rules."""

from collections.abc import Iterator

from apps.accounts.models import User
from apps.gateway.guard import actions, telling
from apps.gateway.guard.models import GuardrailChange
from portal.needs.lines import Need, asked, own


def own_guardrails(user: User) -> Iterator[Need]:
    """Changes of guard rules that this person proposed."""
    if not actions.may_propose(user):
        return
    rows = GuardrailChange.objects.pending().filter(requested_by=user)
    yield from own(rows, telling.own_title, actions.question, user, icon="shield-check")


def guardrails_to_decide(user: User) -> Iterator[Need]:
    """Changes of guard rules that the person puts in force or not."""
    rows = GuardrailChange.objects.to_decide(user)
    yield from asked(rows, telling.asked_title, icon="shield-check", by="Proposed by")
