"""Change records as they are after a look that found nothing in the way."""

from datetime import timedelta

from apps.promotions.changes.models import ChangeRecord
from tests.factories import NOW

HOUR = timedelta(hours=1)


def ready(**facts):
    """Return an unsaved record that lets its rollout start at NOW, but for these facts."""
    fine = {
        "kind": "NORMAL", "status": "OPEN", "number": "CHG0031177", "sys_id": "a" * 32,
        "correlation_id": "quartermaster:promotion:1", "fields": {}, "asked_at": NOW - HOUR,
        "opened_at": NOW - HOUR, "state": "-2", "state_words": "Scheduled",
        "approval": "approved", "approval_words": "Approved", "starts_at": NOW - HOUR,
        "ends_at": NOW + HOUR, "conflicts_read_at": NOW, "read_at": NOW,
    }  # fmt: skip
    return ChangeRecord(**(fine | facts))
