"""The prompt record: changes of retention, holds to be lifted, erasures."""

from collections.abc import Iterator

from apps.accounts.models import User
from apps.accounts.roles import DECIDES_PROMPTS
from apps.prompts import telling
from apps.prompts.rules.actions import may_ask
from portal.needs.lines import Need, asked, own


def own_requests(user: User) -> Iterator[Need]:
    """What this person asked for about the prompt record, which only auditors do."""
    if not may_ask(user):
        return
    for model, question in telling.SORTS.values():
        rows = model.objects.pending().filter(requested_by=user)
        yield from own(rows, telling.own_title, question, user, icon="lock")


def requests_to_decide(user: User) -> Iterator[Need]:
    """What others ask for about the prompt record, and this person decides."""
    if not user.has_role(*DECIDES_PROMPTS):
        return
    for model, _ in telling.SORTS.values():
        rows = model.objects.to_decide(user)
        yield from asked(rows, telling.asked_title, icon="lock", by="Asked for by")
