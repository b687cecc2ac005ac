"""Lengths of time as Kubernetes writes them, "1h30m", and as people do, "1 h 30 min". Pure."""

import re
from datetime import timedelta

NEVER = "Never"  # Karpenter's word for a length that does not end
UNITS = {"h": 3600, "m": 60, "s": 1}
NAMES = {"h": "h", "m": "min", "s": "s"}
_PART = re.compile(r"(\d+)([hms])")
_WHOLE = re.compile(r"(\d+[hms])+")


def is_duration(text: str) -> bool:
    """Tell whether `text` is a length in hours, minutes and seconds."""
    return _WHOLE.fullmatch(text) is not None


def length(text: str) -> timedelta:
    """Return a length such as 1h30m as a time; nothing for what is none."""
    return timedelta(seconds=sum(int(count) * UNITS[unit] for count, unit in _PART.findall(text)))


def words(text: str) -> str:
    """Return a length as people read it: "5 min", "1 h 30 min", "720 h"; what is none as it is
    written.
    """
    if not is_duration(text):
        return text.lower() if text == NEVER else text
    hours, rest = divmod(int(length(text).total_seconds()), 3600)
    counted = {"h": hours, "m": rest // 60, "s": rest % 60}
    said = [f"{count} {NAMES[unit]}" for unit, count in counted.items() if count]
    return " ".join(said) or "0 s"


def in_one_unit(text: str) -> tuple[int, str]:
    """Return a length as a number of its largest whole unit: 1h30m is (90, "m"). Raises ValueError
    for what is none.
    """
    if not is_duration(text):
        raise ValueError(f"{text!r} is not a length of time.")
    seconds = int(length(text).total_seconds())
    unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
    return (seconds // UNITS[unit], unit) if seconds else (0, "m")


def kept(before: str, after: str) -> str:
    """Return `before` where both say the same length, so that asking anew changes no spelling."""
    same = is_duration(before) and is_duration(after) and length(before) == length(after)
    return before if same else after
