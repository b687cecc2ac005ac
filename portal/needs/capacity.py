"""Capacity: changes that wait, and those that failed."""

from collections.abc import Iterator
from datetime import datetime

from apps.accounts.models import Role, User
from apps.capacity import actions, telling
from apps.capacity.models import CapacityRequest
from portal.needs.lines import FAILED_SINCE, SHOWN, Need, asked, own


def own_requests(user: User) -> Iterator[Need]:
    """Changes of capacity that this person asked for."""
    rows = CapacityRequest.objects.pending().filter(requested_by=user)
    yield from own(
        rows, telling.own_title, actions.question, user, icon="gauge", path=telling.path_of
    )


def to_decide_or_mend(user: User, now: datetime) -> Iterator[Need]:
    """Capacity requests that the person decides about; for platform engineers also those that
    failed this week.
    """
    rows = CapacityRequest.objects.to_decide(user).select_related("requested_by")
    yield from asked(rows, telling.asked_title, icon="gauge", path=telling.path_of)
    if not user.has_role(Role.PLATFORM_ENGINEER):
        return
    failed = CapacityRequest.objects.filter(
        status=CapacityRequest.Status.FAILED, finished_at__gte=now - FAILED_SINCE
    )
    for item in failed[:SHOWN]:
        title, why = telling.failed_title(item), item.message or "The page says why"
        yield Need(title, why, telling.path_of(item), "gauge", "bad", item.requested_at)
