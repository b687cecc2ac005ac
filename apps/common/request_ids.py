"""The id of the request that is being answered: page, log line, audit event and error show the same
one.
"""

import logging
from contextvars import ContextVar

current_request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestIdFilter(logging.Filter):
    """Adds the current request's id to each log line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always keep the line."""
        record.request_id = current_request_id.get() or "-"
        return True
