"""How people want to be told: what they chose, and what holds where they chose nothing."""

from collections.abc import Iterable
from typing import Any

from apps.accounts.models import User
from apps.notices.models import ByEmail, Choice, Kind

# What somebody else waits for, and what breaks, comes at once; the rest once a day.
AT_ONCE = (Kind.WAITS, Kind.ROLLOUT, Kind.INCIDENT, Kind.EMERGENCY, Kind.RECORD)
DEFAULTS: dict[str, str] = {
    kind.value: ByEmail.NOW if kind in AT_ONCE else ByEmail.DIGEST for kind in Kind
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
