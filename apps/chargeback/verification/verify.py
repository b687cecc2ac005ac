"""Is a closed month still what was closed? Its statements are held against their own hashes and the
record, against its calls and machines worked out anew, and the ledger against the same. Nothing is
written.

What was learned after the close makes the ledger another one, rightly: it was known later, or it is
a correction. Machines have no record of what was known when; what was told of them later is named,
and stands as it was billed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from apps.audit.models import Action, AuditEvent
from apps.chargeback import ledger, queries
from apps.chargeback.closing.models import MonthClose, Statement, StatementLine
from apps.chargeback.closing.statements import (
    BILL,
    COST,
    NOTHING,
    Amount,
    Draft,
    Key,
    corrections,
    digest_of_all,
    drafts,
)
from apps.chargeback.closing.tables import NOBODYS
from apps.chargeback.inputs import due_days
from apps.chargeback.verification.derive import Lines, Tell, derive
from apps.common.canonical import digest_of
from apps.common.counts import counted
from apps.common.errors import DomainError
from apps.common.money import exact
from apps.common.periods import month_bounds
from apps.integrations.s3.client import RegistryStore


class NotClosed(DomainError):
    """The month is not closed, so there is nothing to hold it against."""

    code = "not_closed"


@dataclass
class Report:
    """What was compared, in words, and what is not as it was closed, the first in front."""

    month: date
    compared: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Tell whether the month is what was closed."""
        return not self.differences


def verify_month(
    month: date, *, archive: RegistryStore, now: datetime, tell: Tell = lambda day: None
) -> Report:
    """Verify a closed month. tell: is called with each day that is worked out.

    Raises NotClosed; NotWhole and NotParquet where the archive does not hold what it should;
    TemporaryError and PermanentError where it cannot be read.
    """
    close = MonthClose.objects.closed().filter(month=month).first()
    if close is None or close.decided_at is None:
        raise NotClosed(f"{month:%B %Y} is not closed.")
    report = Report(month)
    statements = list(close.statements.order_by("number"))
    _kept(report, close, statements)
    _worked_out(report, close, statements, archive, now, tell)
    return report


def _kept(report: Report, close: MonthClose, statements: list[Statement]) -> None:
    """Hold what was kept against its own hashes, and against the record."""
    for statement in statements:
        if digest_of(statement.content) != statement.digest:
            report.differences.append(
                f"Statement {statement.number}: its content is not what its digest is of."
            )
        lines = statement.lines.select_related("statement").order_by("position")
        _as_content(report, statement, list(lines))
    together = digest_of([[one.number, one.digest] for one in statements])
    if together != close.digest:
        report.differences.append(
            f"The statements together have the digest {together}, the close has {close.digest}."
        )
    event = AuditEvent.objects.about("MonthClose", str(close.pk)).filter(action=Action.MONTH_CLOSED)
    recorded = event.values_list("data__digest", flat=True).first()
    if recorded != close.digest:
        report.differences.append(
            f"The record says that {recorded or 'nothing'} was closed, the close {close.digest}."
        )
    report.compared.append(
        f"{counted(len(statements), 'statement')}, each line and digest, with the close's digest "
        "and the record's"
    )


def _as_content(report: Report, statement: Statement, lines: list[StatementLine]) -> None:
    """Hold a statement's lines and totals against its content."""
    told = statement.content.get("lines", [])
    if len(told) != len(lines):
        report.differences.append(
            f"Statement {statement.number} has {len(lines):,} lines, its content {len(told):,}."
        )
        return
    for line, plain in zip(lines, told, strict=True):
        for name, value in _values(line).items():
            if plain.get(name, False) != value:
                report.differences.append(
                    f"Statement {statement.number}, {_whose(statement.cost_center)}, line "
                    f"{line.position}: {name} is {value}, in its content {plain.get(name)}."
                )
    for name in ("list_usd", "cost_usd"):
        if statement.content.get(name) != str(getattr(statement, name)):
            report.differences.append(
                f"Statement {statement.number}, {_whose(statement.cost_center)}: {name} is "
                f"{getattr(statement, name)}, in its content {statement.content.get(name)}."
            )


def _values(line: StatementLine) -> dict[str, object]:
    return {
        "basis": line.basis,
        "usage_month": f"{line.usage_month:%Y-%m}",
        "team": line.team,
        "model": line.model,
        "version": line.version,
        "item": line.item,
        "rate": line.rate_id,
        "is_estimated": line.is_estimated,
        "quantity": exact(line.quantity),
        "exact_usd": exact(line.exact_usd),
        "amount_usd": str(line.amount_usd),
    }


def _worked_out(
    report: Report,
    close: MonthClose,
    statements: list[Statement],
    archive: RegistryStore,
    now: datetime,
    tell: Tell,
) -> None:
    """Work the statements out anew, and hold them and the ledger against that."""
    assert close.decided_at is not None  # noqa: S101 - it is closed
    billed = ledger.added(StatementLine.objects.filter(statement__close=close))
    lines: Lines = {}
    for month in sorted({close.month} | {key.usage_month for key in billed}):
        found = derive(month, known_at=close.decided_at, archive=archive, tell=tell)
        sources = ", ".join(f"{days} in {source}" for source, days in sorted(found.sources.items()))
        report.compared.append(f"the calls of the days of {month:%B %Y}: {sources}")
        _held_against(report, month, found.now, now)
        then = found.then
        if month != close.month:
            then = corrections(then, _billed_before(close, month))
        own = {key: amount for key, amount in billed.items() if key.usage_month == month}
        lines |= _as_billed(report, month, then, own, found.now)
    _together(report, close, statements, lines, billed)


def _billed_before(close: MonthClose, usage_month: date) -> Lines:
    before = StatementLine.objects.filter(
        statement__close__month__lt=close.month, usage_month=usage_month
    )
    return ledger.added(before.exclude(item=BILL))


def _held_against(report: Report, month: date, worked_out: Lines, now: datetime) -> None:
    """Hold the ledger of a month against what was worked out, as both are known now."""
    start, end = month_bounds(month)
    waiting = queries.days_waiting(start, end)
    waiting += len([day for day in due_days(now) if day.replace(day=1) == month])
    if waiting:
        report.differences.append(
            f"Of {month:%B %Y} {counted(waiting, 'day is', 'days are')} not priced or shared out "
            "yet. Verify it once the workers are done."
        )
        return
    for key, kept, found in _different(ledger.known(month), worked_out):
        report.differences.append(
            f"The ledger of {month:%B %Y}, {_line(key)}: it has {_amount(kept)}, its calls and "
            f"machines come to {_amount(found)}."
        )
    report.compared.append(f"the ledger of {month:%B %Y}")


def _as_billed(report: Report, month: date, then: Lines, billed: Lines, now: Lines) -> Lines:
    """Return the lines of a month as they were known at the close: its calls by what was received
    by then; machines that were told of otherwise later, and lines of the cloud's restated bill, as
    they were billed.
    """
    bills = {key: amount for key, amount in billed.items() if key.item == BILL}
    if bills:
        report.compared.append(
            f"what restated bills changed of {month:%B %Y}, as it was billed: "
            f"{counted(len(bills), 'line')}"
        )
    then = then | bills
    restated = [
        key
        for key, found, kept in _different(then, billed)
        if key.basis == COST and _is_corrected(key, now, billed)
    ]
    if restated:
        report.compared.append(
            f"machines of {month:%B %Y} that were told of otherwise after the close, in "
            f"{counted(len(restated), 'line')}: the ledger says so too, and later statements "
            "correct it"
        )
    found = dict(then)
    for key in restated:
        found.pop(key, None)
        if key in billed:
            found[key] = billed[key]
    return found


def _is_corrected(key: Key, now: Lines, billed: Lines) -> bool:
    """Tell whether what later statements say of a line comes, with this one, to what is known."""
    later = ledger.billed(key.usage_month).get(key, NOTHING)
    return now.get(key, NOTHING) == later != billed.get(key, NOTHING)


def _together(
    report: Report, close: MonthClose, statements: list[Statement], lines: Lines, billed: Lines
) -> None:
    """Hold the statements that the lines come to against those that were issued."""
    first = statements[0].content if statements else {}
    made = drafts(close.month, lines, first.get("methods", ()))
    for key, kept, found in _different(billed, lines):
        number = next((s.number for s in statements if s.cost_center == key.cost_center), "none")
        report.differences.append(
            f"Statement {number}, {_line(key)}: it bills {_amount(kept)}, its calls and machines "
            f"come to {_amount(found)}."
        )
    _rounded(report, made, statements)
    digest = digest_of_all(made)
    if digest != close.digest:
        report.differences.append(
            f"Worked out anew, the month has the digest {digest}, the close has {close.digest}."
        )
    else:
        report.compared.append(f"the month worked out anew, with the close's digest {digest}")


def _rounded(report: Report, made: Iterable[Draft], statements: list[Statement]) -> None:
    """Hold the totals in cents against each other."""
    totals = {draft.cost_center: draft for draft in made}
    for statement in statements:
        draft = totals.get(statement.cost_center)
        for basis, kept in (("LIST", statement.list_usd), ("COST", statement.cost_usd)):
            found = draft.total(basis) if draft else Decimal("0.00")
            if found != kept:
                report.differences.append(
                    f"Statement {statement.number}, {_whose(statement.cost_center)}: its total by "
                    f"{basis} is ${kept}, worked out anew ${found}."
                )


def _different(one: Lines, other: Lines) -> list[tuple[Key, Amount, Amount]]:
    """Return the lines in which two differ, in the order of statements."""
    keys = sorted(one.keys() | other.keys(), key=lambda key: key.sorted_by)
    pairs = [(key, one.get(key, NOTHING), other.get(key, NOTHING)) for key in keys]
    return [(key, kept, found) for key, kept, found in pairs if kept != found]


def _whose(cost_center: str) -> str:
    return f"cost center {cost_center}" if cost_center else NOBODYS


def _line(key: Key) -> str:
    """Return which line it is: "cost center CC-1, team a, m-v1, INPUT of October 2026"."""
    parts = [_whose(key.cost_center)]
    if key.team:
        parts.append(f"team {key.team}")
    if key.version or key.model:
        parts.append(key.version or key.model)
    return f"{', '.join(parts)}, {key.item} of {key.usage_month:%B %Y}"


def _amount(amount: Amount) -> str:
    return f"{exact(amount.quantity)} for ${exact(amount.usd)}"
