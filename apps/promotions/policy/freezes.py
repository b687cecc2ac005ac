"""Windows in which no rollout starts: between two dates, or every week. Pure.

A window is written in the clock of its own zone, as people plan it: "fri 16:00" to "mon 08:00" is
longer or shorter by an hour on the weekend in which clocks change. Windows are half-open: at their
end a rollout may start.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

DAYS = {
    "mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday",
    "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip
WEEKLY = re.compile(rf"({'|'.join(DAYS)}) (\d\d:\d\d)")
DATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
WEEK = 7


class BadFreeze(ValueError):
    """The window is none: in words for whoever wrote it."""


@dataclass(frozen=True)
class Freeze:
    """One window. words: why. starts, ends: both "fri 16:00", every week, or both
    "2026-12-18T16:00", once; in the clock of zone. exceptions: names of models that it leaves
    alone.
    """

    words: str
    starts: str
    ends: str
    zone: str = "UTC"
    exceptions: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        self._check()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Freeze":
        """Return the window that JSON says. Raises BadFreeze."""
        try:
            return cls(**{**body, "exceptions": tuple(body.get("exceptions", ()))})
        except TypeError:
            raise BadFreeze(
                "A freeze window has words, starts, ends, zone and exceptions."
            ) from None

    @property
    def is_weekly(self) -> bool:
        """Tell whether it comes every week."""
        return WEEKLY.fullmatch(self.starts) is not None

    def until(self, moment: datetime, model: str = "") -> datetime | None:
        """Return when the window ends that a moment is in, in UTC; None outside of it, and for a
        model that it leaves alone.
        """
        if model and model in self.exceptions:
            return None
        for start, end in self._around(moment):
            if start <= moment < end:
                return end
        return None

    def when(self) -> str:
        """Return the window in words: "every week from Friday 16:00 to Monday 08:00, UTC"."""
        if self.is_weekly:
            starts, ends = (_weekly_words(text) for text in (self.starts, self.ends))
            return f"every week from {starts} to {ends}, {self.zone}"
        first, last = (datetime.fromisoformat(text) for text in (self.starts, self.ends))
        return f"from {first:%-d %b %Y %H:%M} to {last:%-d %b %Y %H:%M}, {self.zone}"

    def _around(self, moment: datetime) -> list[tuple[datetime, datetime]]:
        """Return the window's occurrences that a moment can be in, in UTC."""
        zone = ZoneInfo(self.zone)
        if not self.is_weekly:
            return [(_local(self.starts, zone), _local(self.ends, zone))]
        (first, begins), (last, ends) = _weekly(self.starts), _weekly(self.ends)
        length = (last - first) % WEEK or (0 if ends > begins else WEEK)
        today = moment.astimezone(zone).date()
        back = (today.weekday() - first) % WEEK
        found = []
        for days in (back, back + WEEK):
            start = today - timedelta(days=days)
            end = start + timedelta(days=length)
            found.append((_at(start, begins, zone), _at(end, ends, zone)))
        return found

    def _check(self) -> None:
        if not self.words.strip():
            raise BadFreeze("Say why nothing starts in a freeze window.")
        try:
            ZoneInfo(self.zone)
        except (ValueError, OSError, KeyError):
            raise BadFreeze(f"There is no time zone {self.zone!r}.") from None
        if self.is_weekly != (WEEKLY.fullmatch(self.ends) is not None):
            raise BadFreeze("A freeze window begins and ends on two dates, or on two weekdays.")
        if self.is_weekly:
            if self.starts == self.ends:
                raise BadFreeze("A weekly window that ends where it begins would never end.")
            _weekly(self.starts), _weekly(self.ends)
            return
        zone = ZoneInfo(self.zone)
        if _local(self.ends, zone) <= _local(self.starts, zone):
            raise BadFreeze("A freeze window ends after it begins.")


def covering(
    freezes: Iterable[Freeze], model: str, moment: datetime
) -> tuple[Freeze, datetime] | None:
    """Return the window that holds a model's rollouts at a moment, with its end: of several the one
    that ends last. None outside of all.
    """
    found = [(one, end) for one in freezes if (end := one.until(moment, model)) is not None]
    return max(found, key=lambda item: item[1], default=None)


def _weekly(text: str) -> tuple[int, time]:
    found = WEEKLY.fullmatch(text)
    if found is None:
        raise BadFreeze(f"{text!r} is no weekday with a time, such as fri 16:00.")
    try:
        return list(DAYS).index(found[1]), time.fromisoformat(found[2])
    except ValueError:
        raise BadFreeze(f"{found[2]} is no time of a day.") from None


def _weekly_words(text: str) -> str:
    day, moment = text.split()
    return f"{DAYS[day]} {moment}"


def _local(text: str, zone: ZoneInfo) -> datetime:
    try:
        found = datetime.fromisoformat(text if DATED.fullmatch(text) else "")
    except ValueError:
        raise BadFreeze(f"{text!r} is no date with a time, such as 2026-12-18T16:00.") from None
    return found.replace(tzinfo=zone).astimezone(UTC)


def _at(day: date, moment: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, moment, zone).astimezone(UTC)
