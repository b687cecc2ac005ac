"""The two errors every client raises: try again later, or stop and show it."""


class TemporaryError(Exception):
    """The other side is away, slow or busy. Retry after `retry_after` seconds where it said so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(Exception):
    """The other side refused. The text says what a person can do; the row becomes FAILED."""
