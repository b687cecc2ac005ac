"""Log lines as JSON, one object an event, for those who gather them: with the request's id and the
trace's, and without an exception's words, which may be anybody's.
"""

import json
import logging
import traceback
from datetime import UTC, datetime

from apps.common.spans import current_trace_id

HERE = 8  # frames of an exception that are told, the innermost


class JsonFormatter(logging.Formatter):
    """Makes one line of each event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the event as JSON. Text that is no line stays one."""
        found: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", "-"),
            "trace_id": current_trace_id() or "-",
        }
        if record.exc_info and record.exc_info[0]:
            found["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])[-HERE:]
            found["where"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(found, default=str)
