"""Reads what is known of a month's bill."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from apps.chargeback.bills.manifest import Export
from apps.chargeback.bills.models import Bill, BillFeed
from apps.chargeback.closing.models import MonthClose
from apps.common.periods import ZONE_NAME, day_words, end_of_day

NOT_CONFIGURED = (
    "No bill is read: CUR_BUCKET names no bucket. What the machines cost is the ledger's own word, "
    "held against nothing."
)


@dataclass(frozen=True)
class Reading:
    """What is known of a month's bill. bill: the one that counts, None where none was read.

    problem: why a newer one cannot be read, or none was found, with what to do.
    """

    month: date
    is_configured: bool
    bill: Bill | None = None
    problem: str = ""

    @property
    def words(self) -> str:
        """Return the state of the bill in a sentence or two."""
        if self.bill is not None:
            return _words(self.bill)
        if not self.is_configured:
            return NOT_CONFIGURED
        return f"No bill of {self.month:%B %Y} has been read."

    def covers(self, day: date) -> bool:
        """Tell whether the bill tells of a whole day: its usage reaches the day's end, and the day
        was over when it was read, for daily lines end with their day from its first hour on.
        """
        if self.bill is None:
            return False
        ends, until = end_of_day(day), self.bill.covers_until
        is_told = until is not None and until >= ends and self.bill.read_at >= ends
        return self.bill.is_final or is_told


def _words(bill: Bill) -> str:
    until = bill.covers_until
    reaches = f"tells of usage until {_moment(until)}" if until else "tells of no usage yet"
    state = (
        "The invoice is issued."
        if bill.is_final
        else "It is an estimate until AWS issues the invoice."
    )
    return f"The bill of {bill.month:%B %Y} was read {_moment(bill.read_at)} and {reaches}. {state}"


def _moment(at: datetime) -> str:
    return f"{day_words(at.date())} {at:%H:%M} {ZONE_NAME}"


def reading(month: date, export: Export | None) -> Reading:
    """Return what is known of a month's bill; two queries, one where no bill is configured.

    export: where bills are read from. A bill that was read stays what it is, whatever is
    configured now.
    """
    bill = Bill.objects.current().filter(month=month).first()
    if export is None:
        return Reading(month, is_configured=False, bill=bill)
    feeds = BillFeed.objects.filter(source=export.address).exclude(message="")
    told = dict(feeds.values_list("month", "message"))
    return Reading(
        month, is_configured=True, bill=bill, problem=told.get(month) or told.get(None) or ""
    )


def deliveries(month: date) -> list[Bill]:
    """Return every bill of a month that was read and said something else than the one before,
    newest first.
    """
    return list(Bill.objects.filter(month=month))


def bills_at_close(months: Iterable[date]) -> dict[date, Bill]:
    """Return month → the bill that counted when the month was closed, of closed months that had
    one; one query, two where some of these are closed.
    """
    closes = MonthClose.objects.closed().filter(month__in=list(months))
    closed = dict(closes.values_list("month", "decided_at"))
    found: dict[date, Bill] = {}
    if not closed:
        return found
    for bill in Bill.objects.filter(month__in=closed).order_by("read_at", "id"):
        decided_at = closed[bill.month]
        if decided_at is not None and bill.read_at <= decided_at:
            found[bill.month] = bill
    return found
