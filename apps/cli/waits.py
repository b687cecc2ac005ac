"""How long to wait before something is tried again, and for how long at all."""

import random
import time
from collections.abc import Callable, Iterator

LONGEST_WAIT = 30.0  # seconds
Sleep = Callable[[float], None]


def pause(attempt: int, asked: str | None, *, sleep: Sleep = time.sleep) -> None:
    """Wait before the next attempt: as long as the other side asked for (Retry-After in seconds),
    else twice as long each time, less a part by chance so that many do not come back at once.

    attempt: 0 for the first that failed.
    """
    seconds = float(asked) if asked and asked.isdecimal() else 0.5 * 2.0**attempt
    jitter = 1.0 if asked else random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
    sleep(min(LONGEST_WAIT, seconds * jitter))


def until(
    seconds: float | None,
    *,
    every: float = 3.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Iterator[None]:
    """Yield at once and then every few seconds, until the time is over. seconds: None for ever."""
    end = None if seconds is None else clock() + seconds
    yield
    while end is None or clock() + every <= end:
        sleep(every)
        yield
