"""Where the archive stands, for pages; and how far it was searched for ids of stored days."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Max, Q

from apps.metering.archive.models import ArchivedDay
from apps.metering.quarantine.models import CheckedDay

Status = ArchivedDay.Status
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Standing:
    """last_day: the newest day whose calls are in the archive alone; None: there is none.
    trouble: what stands in the way of the oldest day that is not where it should be; "": nothing.
    """

    last_day: date | None
    trouble: str


def standing() -> Standing:
    """Return where the archive stands; two queries."""
    dropped = Q(status=Status.DROPPED)
    last = ArchivedDay.objects.aggregate(last=Max("day", filter=dropped))["last"]
    held_up = ArchivedDay.objects.filter(status__in=ArchivedDay.OPEN).exclude(message="")
    first = held_up.order_by("day").values_list("day", "message").first()
    return Standing(last, f"{first[0]:%Y-%m-%d}: {first[1]}" if first else "")


def held_against() -> list[tuple[ArchivedDay, datetime]]:
    """Return what is in the archive alone, each with the moment after which a change of a stored
    day was not held against it, the longest ago first; two queries.
    """
    rows = list(ArchivedDay.objects.filter(status=Status.DROPPED).order_by("day"))
    checked = CheckedDay.objects.filter(day__in=[row.day for row in rows])
    among_stored = dict(checked.values_list("day", "checked_at"))
    found = [
        (row, row.searched_until or among_stored.get(row.day, row.asked_at) - MOMENT)
        for row in rows
    ]
    return sorted(found, key=lambda each: each[1])
