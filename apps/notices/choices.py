"""How people want to be told: what they chose, and what holds where they chose nothing."""

from collections.abc import Iterable
from typing import Any

from apps.accounts.models import User
from apps.notices.models import ByEmail, Choice, Kind

# What somebody else waits for, and what breaks, comes at once; the rest once a day.
DEFAULTS: dict[str, str] = {kind: ByEmail.DIGEST for kind in Kind} | {
    kind: ByEmail.NOW
    for kind in (Kind.WAITS, Kind.ROLLOUT, Kind.INCIDENT, Kind.EMERGENCY, Kind.RECORD)
}


def choices_of(people: Iterable[User]) -> dict[Any, dict[str, str]]:
    """Return person → kind → how it comes by e-mail, for every kind; one query.

    Where a person chose with two accounts, the later choice holds.
    """
    found: dict[Any, dict[str, str]] = {user.person: dict(DEFAULTS) for user in people}
    chosen = Choice.objects.filter(user__person__in=found).order_by("changed_at", "pk")
    for person, kind, by_email in chosen.values_list("user__person", "kind", "by_email"):
        found[person][kind] = by_email
    return found
