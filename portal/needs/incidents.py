"""Incidents of models: error budgets that burn, and versions without room for their callers."""

from collections.abc import Iterator

from apps.accounts.models import User
from apps.incidents import telling
from portal.needs.lines import SHOWN, Need


def open_incidents(user: User) -> Iterator[Need]:
    """What goes on with models that this person mends."""
    for item in telling.open_for(user)[:SHOWN]:
        tone = "bad" if item.is_page else "warn"
        path = telling.path_of(item)
        yield Need(telling.title(item), item.words, path, "triangle-alert", tone, item.opened_at)
