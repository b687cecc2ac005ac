"""Cron schedules of five fields (minute, hour, day, month, weekday), as Karpenter's budgets take
them, and as people set them: a time on days of the week. Pure.

Karpenter reads a schedule in UTC. A time that people give in another zone is moved there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# lowest, highest, names, number of the first name
_FIELDS: tuple[tuple[int, int, tuple[str, ...], int], ...] = (
    (0, 59, (), 0),
    (0, 23, (), 0),
    (1, 31, (), 0),
    (1, 12, _MONTHS, 1),
    (0, 6, _WEEKDAYS, 0),
)


def is_schedule(text: str) -> bool:
    """Tell whether `text` is a schedule: values, names, ranges, steps, lists. No @daily, no
    seconds, no time zone.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return False
    return all(
        all(_is_part(part, *bounds) for part in field.lower().split(","))
        for field, bounds in zip(fields, _FIELDS, strict=True)
    )


@dataclass(frozen=True)
class Weekly:
    """A time of day on some days of the week. days: 0 (Sunday) to 6 (Saturday), never none."""

    days: frozenset[int]
    at: time

    @property
    def text(self) -> str:
        """Return it as a schedule: "0 12 * * mon-fri"."""
        return f"{self.at.minute} {self.at.hour} * * {_weekdays(self.days)}"

    def moved(self, by: timedelta) -> "Weekly":
        """Return the same moments on a clock that is ahead by so much; the days may change."""
        minutes = self.at.hour * 60 + self.at.minute + by // timedelta(minutes=1)
        days, minute = divmod(minutes, 24 * 60)
        at = time(minute // 60, minute % 60)
        return Weekly(frozenset((day + days) % 7 for day in self.days), at)


def weekly(text: str) -> Weekly | None:
    """Return the time on days of the week that a schedule says; None for any other schedule."""
    if not is_schedule(text):
        return None
    minute, hour, day, month, weekday = text.lower().split()
    if not (minute.isdecimal() and hour.isdecimal() and day == month == "*"):
        return None
    days = frozenset(day for part in weekday.split(",") for day in _days(part))
    return Weekly(days, time(int(hour), int(minute)))


def kept(before: str, after: str) -> str:
    """Return `before` where both are the same schedule, so that asking anew changes no spelling."""
    found = weekly(before)
    return before if found is not None and found == weekly(after) else after


def words(text: str) -> str:
    """Return a schedule as people say it, "Mon–Fri from 12:00"; one that is not of a plain time as
    it is written.
    """
    found = weekly(text)
    if found is None:
        return f"from {text}"
    return f"{days_words(found.days)} from {found.at:%H:%M}"


def days_words(days: frozenset[int]) -> str:
    """Return days of the week as people say them: "every day", "Mon–Fri", "Sat, Sun"."""
    if len(days) == 7:
        return "every day"
    return _joined(days, first=1, name=lambda day: _WEEKDAYS[day].title(), dash="–", comma=", ")


def _weekdays(days: frozenset[int]) -> str:
    if len(days) == 7:
        return "*"
    return _joined(days, first=0, name=lambda day: _WEEKDAYS[day], dash="-", comma=",")


def _joined(
    days: frozenset[int], *, first: int, name: Callable[[int], str], dash: str, comma: str
) -> str:
    """Return the days with stretches of three and more as one, in a week that begins on `first`."""
    runs: list[list[int]] = []
    for place in sorted((day - first) % 7 for day in days):
        if runs and runs[-1][-1] + 1 == place:
            runs[-1].append(place)
        else:
            runs.append([place])
    parts: list[str] = []
    for run in runs:
        names = [name((place + first) % 7) for place in run]
        parts += [f"{names[0]}{dash}{names[-1]}"] if len(run) > 2 else names
    return comma.join(parts)


def _days(part: str) -> range:
    """Return the days of the week that a valid part of the last field names."""
    span, _, step = part.partition("/")
    begin, dash, end = span.partition("-")
    first = 0 if span == "*" else _number(begin, _WEEKDAYS, 0)
    alone = not dash and not step and span != "*"
    last = first if alone else _number(end, _WEEKDAYS, 0) if dash else 6
    return range(first, last + 1, int(step or 1))


def _is_part(text: str, low: int, high: int, names: tuple[str, ...], first: int) -> bool:
    span, slash, step = text.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if span == "*":
        return True
    begin, dash, end = span.partition("-")
    found = [_number(word, names, first) for word in ((begin, end) if dash else (begin,))]
    return all(low <= number <= high for number in found) and found == sorted(found)


def _number(text: str, names: tuple[str, ...], first: int) -> int:
    """Return the number of a word; -1, which fits no field, for what is none."""
    if text in names:
        return names.index(text) + first
    return int(text) if text.isdecimal() and text.isascii() else -1
