"""What the instance can be told to do wrong: being away, slow or busy, and answering what it must
not. Each holds for so many calls, counted down.
"""

from __future__ import annotations

from .store import Store

LIES = {
    "away": "Answer 503",
    "busy": "Answer 429 with Retry-After",
    "held": "Do what is asked, and answer a minute later",
    "widened": "Ignore the query, and answer with every record",
    "doubled": "Make two records of the next one",
    "ignored": "Drop the description, and name it among the ignored fields",
    "silent": "Drop the description, and do not say so",
    "confirmed": "Answer 200 to a change of state, and change nothing",
}
HELD_SECONDS = 60
RETRY_AFTER = 17


def tell(store: Store, lie: str, calls: int) -> None:
    """Let the next `calls` fitting calls be answered so; 0 ends it. Raises KeyError for a lie that
    there is not.
    """
    if lie not in LIES:
        raise KeyError(lie)
    store.set_note(f"lie {lie}", calls)


def told(store: Store) -> dict[str, int]:
    """Return how many calls each lie still holds for."""
    return {lie: int(store.note(f"lie {lie}") or 0) for lie in LIES}


def takes(store: Store, lie: str) -> bool:
    """Tell whether this call is answered so, and count it."""
    return bool(store.note(f"lie {lie}")) and store.add_to_note(f"lie {lie}", -1) > 0
