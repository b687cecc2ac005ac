"""Every periodic task, with why this interval and what is late if it stops."""

from typing import Any

SCHEDULE: dict[str, dict[str, Any]] = {}
