"""What is posted to webhooks: one notice as JSON."""

import json

from apps.notices.letters import Portal
from apps.notices.models import Notice


def body_of(notice: Notice, portal: Portal) -> bytes:
    """Return the message of a notice: its type, time and data, as Standard Webhooks has them. The
    same notice gives the same bytes, however often it is sent.
    """
    message = {
        "type": f"notice.{notice.kind.lower()}",
        "timestamp": notice.told_at.isoformat(),
        "data": {
            "id": str(notice.pk),
            "title": notice.title,
            "url": f"{portal.url}{notice.get_absolute_url()}",
            "urgent": notice.is_urgent,
            "environment": portal.environment,
        },
    }
    return json.dumps(message, separators=(",", ":"), sort_keys=True).encode()
