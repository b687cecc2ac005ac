"""Where the archive stands, for pages."""

from dataclasses import dataclass
from datetime import date

from django.db.models import Max, Q

from apps.metering.models import ArchivedDay

Status = ArchivedDay.Status


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
