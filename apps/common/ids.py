"""Ids that sort by when they were made."""

import os
import time
import uuid


def ordered_id() -> uuid.UUID:
    """Return a UUID of version 7 (RFC 9562): 48 bits of milliseconds, 12 bits of their fraction, 62
    random bits.

    Rows written at the same `now`, one after the other, keep that order when they are sorted by
    time and then by id.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random)
