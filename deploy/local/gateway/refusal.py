"""The one way to say no to an object: why, in words that end up in its status."""

from __future__ import annotations


class Refused(Exception):
    """The object cannot be honored. reason: the condition's short code."""

    def __init__(self, message: str, reason: str = "Invalid") -> None:
        super().__init__(message)
        self.reason = reason
