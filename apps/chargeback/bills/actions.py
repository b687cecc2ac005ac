"""What becomes of a bill: looked for, read and kept in the place of the former one, or refused.

A delivery that says what the former one said changes nothing, however often it comes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.chargeback.bills import kinds
from apps.chargeback.bills.cur import NOBODY, Line
from apps.chargeback.bills.models import Bill, BillFeed, BillLine
from apps.chargeback.closing.models import MonthClose
from apps.common.money import exact

ACTOR = System("chargeback.read_bills")
AT_ONCE = 1000  # rows a statement
IN_MEMORY = 20_000  # sums; then they are written, and the next part begins
LOCK = 0x716D_626C
SUMMED = ("quantity", "billed_usd", "effective_usd", "on_demand_usd", "discount_usd")
NAMED = (
    "day", "account", "resource", "service", "usage_type", "line_type", "instance_type",
    "commitment", "kind",
)  # fmt: skip
NOTHING = Decimal(0)


class LostLease(Exception):
    """Another worker reads this bill by now."""


class _SameBill(Exception):
    """The delivery says what the one before it said."""


@dataclass(frozen=True)
class File:
    """A file of a delivery, as it was downloaded. sha256: of its bytes, in hexadecimal."""

    key: str
    size: int
    sha256: str


@dataclass
class _Sums:
    """What lines come to, for the bill's own row."""

    rows: int = 0
    billed_usd: Decimal = NOTHING
    effective_usd: Decimal = NOTHING
    by_day: dict[date, Decimal] = field(default_factory=dict)
    by_kind: dict[str, Decimal] = field(default_factory=dict)
    covers_until: datetime | None = None
    usage: int = 0
    invoiced: int = 0
    payers: set[str] = field(default_factory=set)

    def add(self, line: Line) -> None:
        """Count a line."""
        self.rows += 1
        self.billed_usd += line.billed_usd
        self.effective_usd += line.effective_usd
        self.by_day[line.day] = self.by_day.get(line.day, NOTHING) + line.effective_usd
        self.by_kind[line.kind] = self.by_kind.get(line.kind, NOTHING) + line.effective_usd
        self.payers.add(line.payer)
        if line.told_until is not None:
            self.covers_until = max(self.covers_until or line.told_until, line.told_until)
        if line.line_type in kinds.OF_USAGE:
            self.usage += 1
            self.invoiced += line.is_invoiced


def note_manifests(*, source: str, found: Iterable[tuple[date, str]], now: datetime) -> None:
    """Note which months have a manifest, and have those read that are new or changed.

    found: month and tag of its manifest.
    """
    for month, etag in found:
        feed, _ = BillFeed.objects.get_or_create(source=source, month=month)
        if feed.seen_etag == etag:
            continue
        BillFeed.objects.filter(pk=feed.pk).update(
            seen_etag=etag, next_check_at=now, attempts=0, generation=F("generation") + 1
        )


def record_look(*, source: str, reason: str, message: str, now: datetime) -> None:
    """Say how looking for bills went. reason, message: "" where it went well."""
    feed, _ = BillFeed.objects.get_or_create(source=source, month=None)
    BillFeed.objects.filter(pk=feed.pk).update(observed_at=now, reason=reason[:64], message=message)


@transaction.atomic
def record_refusal(
    *, feed: BillFeed, reason: str, message: str, at: datetime, now: datetime
) -> None:
    """Say why a bill cannot be read, and when it is tried again. The record tells it once."""
    is_news = feed.reason != reason[:64] or feed.message != message
    BillFeed.objects.filter(pk=feed.pk).update(reason=reason[:64], message=message, observed_at=now)
    BillFeed.objects.filter(pk=feed.pk, generation=feed.generation).update(next_check_at=at)
    if is_news:
        data = {"reason": reason, "message": message, "source": feed.source}
        record(action=Action.BILL_REFUSED, actor=ACTOR, target=feed, now=now, data=data)


def keep_bill(
    *,
    feed: BillFeed,
    etag: str,
    execution_id: str,
    files: Iterable[File],
    lines: Iterable[tuple[str, Line]],
    accounts: frozenset[str],
    now: datetime,
) -> Bill | None:
    """Put a delivery in the place of the former bill of its month; None where it says the same.

    lines: each with the key of its file. accounts: whose lines count, all where none is named.
    What reading the lines raises keeps nothing of them. Raises LostLease.
    """
    try:
        with transaction.atomic():
            _hold(feed)
            bill = _replace(feed, execution_id, list(files), lines, accounts, now)
            _read(feed, etag, now)
    except _SameBill:
        with transaction.atomic():
            _read(feed, etag, now)
        return None
    return bill


def _hold(feed: BillFeed) -> None:
    """Let nobody else change bills of this month. Raises LostLease where the lease ran out."""
    assert feed.month is not None  # noqa: S101 - only months have bills
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, feed.month.toordinal()])
    if not BillFeed.objects.filter(pk=feed.pk, attempts=feed.attempts).exists():
        raise LostLease(str(feed))


def _read(feed: BillFeed, etag: str, now: datetime) -> None:
    """Say that the delivery with this manifest is read; a newer one stays due."""
    BillFeed.objects.filter(pk=feed.pk).update(
        etag=etag,
        read_at=now,
        observed_at=now,
        observed_generation=feed.generation,
        reason="",
        message="",
    )
    BillFeed.objects.filter(pk=feed.pk, generation=feed.generation).update(
        next_check_at=None, attempts=0
    )


def _replace(
    feed: BillFeed,
    execution_id: str,
    files: list[File],
    lines: Iterable[tuple[str, Line]],
    accounts: frozenset[str],
    now: datetime,
) -> Bill:
    assert feed.month is not None  # noqa: S101 - only months have bills
    before = Bill.objects.current().filter(month=feed.month).first()
    if before is not None:
        Bill.objects.filter(pk=before.pk).update(replaced_at=now)
    bill = Bill(month=feed.month, source=feed.source, execution_id=execution_id, read_at=now)
    sums, rows = _keep_lines(bill, lines, accounts)
    bill.files = [
        {"key": file.key, "size": file.size, "sha256": file.sha256, "rows": rows.get(file.key, 0)}
        for file in files
    ]
    _tell(bill, sums)
    bill.save(force_insert=True)
    if before is not None:
        if _says_the_same(before, bill):
            raise _SameBill
        _forget_lines(before)
    record(action=Action.BILL_READ, actor=ACTOR, target=bill, now=now, data=_facts(bill, before))
    return bill


def _keep_lines(
    bill: Bill, lines: Iterable[tuple[str, Line]], accounts: frozenset[str]
) -> tuple[_Sums, dict[str, int]]:
    """Write the lines, added up, piece by piece; return what they come to, and file → lines.

    The bill's own row is written after them: its foreign key is only looked at in the end.
    """
    sums = _Sums()
    rows: dict[str, int] = {}
    found: dict[tuple[Any, ...], list[Decimal | None]] = {}
    part = 0
    for key, line in lines:
        rows[key] = rows.get(key, 0) + 1
        if accounts and line.account not in accounts:
            continue
        sums.add(line)
        _add(found, line)
        if len(found) >= IN_MEMORY:
            part = _write(bill, part, found)
    _write(bill, part, found)
    return sums, rows


def _add(found: dict[tuple[Any, ...], list[Decimal | None]], line: Line) -> None:
    key = tuple(getattr(line, name) for name in NAMED)
    amounts = [getattr(line, name) for name in SUMMED]
    before = found.get(key)
    found[key] = (
        amounts
        if before is None
        else [
            None if one is None or other is None else one + other
            for one, other in zip(before, amounts, strict=True)
        ]
    )


def _write(bill: Bill, part: int, found: dict[tuple[Any, ...], list[Decimal | None]]) -> int:
    """Write sums as one part of the bill and forget them; return the number of the next part."""
    rows = [
        BillLine(
            bill=bill,
            part=part,
            **dict(zip(NAMED, names, strict=True)),
            **dict(zip(SUMMED, amounts, strict=True)),
        )
        for names, amounts in found.items()
    ]
    BillLine.objects.bulk_create(rows, batch_size=AT_ONCE)
    found.clear()
    return part + 1


def _tell(bill: Bill, sums: _Sums) -> None:
    """Put onto the bill what its lines come to."""
    bill.rows = sums.rows
    bill.billed_usd, bill.effective_usd = sums.billed_usd, sums.effective_usd
    bill.by_day = {f"{day:%Y-%m-%d}": exact(usd) for day, usd in sorted(sums.by_day.items())}
    bill.by_kind = {kind: exact(usd) for kind, usd in sorted(sums.by_kind.items())}
    bill.covers_until = sums.covers_until
    bill.is_final = bool(sums.usage) and sums.invoiced == sums.usage
    bill.is_simulated = NOBODY in sums.payers


def _says_the_same(before: Bill, bill: Bill) -> bool:
    """Tell whether two deliveries have the same lines and the same state; the line items' own ids
    and their order change between deliveries and say nothing.
    """
    facts = ("rows", "billed_usd", "effective_usd", "covers_until", "is_final", "source")
    if any(getattr(before, name) != getattr(bill, name) for name in facts):
        return False
    names, sums = ", ".join(NAMED), ", ".join(f"SUM({name})" for name in SUMMED)
    # Only our own names are put into the statement.
    one = (
        f"SELECT {names}, {sums} FROM {BillLine._meta.db_table} WHERE bill_id = %s GROUP BY {names}"  # noqa: S608
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (({one} EXCEPT {one}) UNION ALL ({one} EXCEPT {one}))",  # noqa: S608
            [before.pk, bill.pk, bill.pk, before.pk],
        )
        return not cursor.fetchone()[0]


def _forget_lines(before: Bill) -> None:
    """Take away the lines of a bill that no longer counts, unless its month was closed with it."""
    closed = MonthClose.objects.closed().filter(month=before.month)
    if not closed.filter(Q(decided_at__gte=before.read_at)).exists():
        BillLine.objects.filter(bill=before).delete()


def _facts(bill: Bill, before: Bill | None) -> dict[str, Any]:
    """Return what the record says of a bill."""
    facts: dict[str, Any] = {
        "month": f"{bill.month:%Y-%m}",
        "execution_id": bill.execution_id,
        "files": len(bill.files),
        "lines": bill.rows,
        "billed_usd": exact(bill.billed_usd),
        "effective_usd": exact(bill.effective_usd),
        "is_final": bill.is_final,
    }
    if before is None:
        return facts
    return facts | {
        "replaces": str(before.pk),
        "difference_usd": exact(bill.effective_usd - before.effective_usd),
    }
