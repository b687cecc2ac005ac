"""Cron schedules of five fields (minute, hour, day, month, weekday), as Karpenter's budgets take
them. Pure.
"""

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


def words(text: str) -> str:
    """Return a schedule as people say it, "mon-fri from 12:00"; one that is not of a plain time as
    it is written.
    """
    minute, hour, day, month, weekday = text.split()
    if not (minute.isdecimal() and hour.isdecimal() and day == month == "*"):
        return f"from {text}"
    days = "every day" if weekday == "*" else weekday
    return f"{days} from {int(hour):02}:{int(minute):02}"


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
