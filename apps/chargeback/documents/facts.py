"""What the PDF of a statement says, in words: from rows that never change alone, so that the same
statement always comes to the same words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.conf import settings
from django.db.models import Sum

from apps.audit.models import Action, AuditEvent
from apps.chargeback.closing.models import MonthClose, Statement, StatementLine
from apps.chargeback.closing.queries import is_sample
from apps.chargeback.closing.statements import COST, LIST, Basis
from apps.chargeback.closing.tables import NOBODYS, item_words, quantity_words
from apps.chargeback.focus.columns import Version
from apps.chargeback.focus.export import statement_rows
from apps.chargeback.focus.files import csv_file
from apps.chargeback.method import METHOD, Kind
from apps.common.money import unit_price, usd
from apps.common.simulated import SAMPLE_DOCUMENT_WORDS
from apps.metering.skus import UNITS, Sku

NOTHING = Decimal(0)
BASES: tuple[Basis, ...] = (LIST, COST)
NO_MODEL = "No model"
FOCUS: Version = "1.2"
_UP = (Kind.WORK, Kind.IDLE, Kind.START)  # what a model's own machine time is spent on


@dataclass(frozen=True)
class Attachment:
    """A file within the PDF. about: what it holds, in a sentence."""

    name: str
    about: str
    text: str


@dataclass(frozen=True)
class Facts:
    """A statement's PDF before it is set. words: as statement.typ reads them."""

    number: str
    issued_at: datetime
    words: dict[str, object]
    attachments: tuple[Attachment, ...]


def facts_of(statement: Statement) -> Facts:
    """Return what a statement's PDF says. statement: with its close."""
    close = statement.close
    lines = list(statement.lines.select_related("rate", "statement__close").order_by("position"))
    own = [line for line in lines if line.usage_month == close.month]
    corrections = [line for line in lines if line.usage_month != close.month]
    month = _Month.of(close)
    attachments = tuple(_attachment(statement, basis) for basis in BASES)
    words: dict[str, object] = {
        "sample": SAMPLE_DOCUMENT_WORDS if is_sample(statement) else "",
        "number": statement.number,
        "month": _month_words(close.month),
        "cost_center": statement.cost_center or NOBODYS,
        "issuer": settings.BILLING_ISSUER_NAME,
        "account": settings.BILLING_ACCOUNT_NAME,
        "figures": _figures(statement, month),
        "about": _about(statement),
        "models": _models(own, corrections, month),
        "whole": month.rows,
        "whole_total": usd(month.total_usd),
        "corrections": [_correction(line) for line in corrections],
        "list_lines": [_list_line(line) for line in own if line.basis == LIST],
        "list_total": usd(_usd(own, LIST)),
        "cost_lines": [_cost_line(line) for line in own if line.basis == COST],
        "cost_total": usd(_usd(own, COST)),
        "accepted": [
            [check["title"], check["words"], check["accepted"]]
            for check in close.checklist
            if check.get("accepted")
        ],
        "method": METHOD.text if _methods(statement) == [_THIS_METHOD] else "",
    }
    return Facts(statement.number, statement.issued_at, words, attachments)


_THIS_METHOD = f"{METHOD.id}, version {METHOD.version}"


@dataclass(frozen=True)
class _Month:
    """What the machines of the whole month cost by what became of them, over all statements.

    kinds: kind → USD in cents; by_model: (model, kind) → USD, exact.
    """

    kinds: dict[str, Decimal]
    by_model: dict[tuple[str, str], Decimal]

    @classmethod
    def of(cls, close: MonthClose) -> "_Month":
        """Read it from the statements of a close."""
        lines = StatementLine.objects.filter(
            statement__close=close, basis=COST, usage_month=close.month
        ).order_by()
        kinds = lines.values_list("item").annotate(Sum("amount_usd"))
        models = lines.values_list("model", "item").annotate(Sum("exact_usd"))
        return cls(dict(kinds), {(model, item): amount for model, item, amount in models})

    @property
    def total_usd(self) -> Decimal:
        """Return what all of it cost."""
        return sum(self.kinds.values(), Decimal("0.00"))

    @property
    def rows(self) -> list[list[str]]:
        """Return what became of the machines' time: words, amount, part of the total."""
        return [
            [str(Kind(kind).label), usd(self.kinds[kind]), _part(self.kinds[kind], self.total_usd)]
            for kind in Kind.values
            if kind in self.kinds
        ]

    def idle_of(self, model: str) -> str:
        """Return which part of a model's machine cost idled, over all who use it."""
        up = sum((self.by_model.get((model, kind), NOTHING) for kind in _UP), NOTHING)
        return _part(self.by_model.get((model, Kind.IDLE), NOTHING), up)


def _figures(statement: Statement, month: _Month) -> list[list[str]]:
    """Return the figures of the first page: label, figure, note."""
    idle = month.kinds.get(Kind.IDLE, NOTHING)
    return [
        ["Owed by the price list", usd(statement.list_usd), "with every correction"],
        ["Machine cost", usd(statement.cost_usd), "what the machines really cost"],
        ["Margin", usd(statement.list_usd - statement.cost_usd), "price list less machine cost"],
        ["Idle share", _part(idle, month.total_usd), "of the month's machine cost"],
    ]


def _about(statement: Statement) -> list[list[str]]:
    close = statement.close
    asked, closed = (
        _who(close, action) for action in (Action.CLOSE_REQUESTED, Action.MONTH_CLOSED)
    )
    at = close.decided_at or statement.issued_at
    return [
        ["Number", statement.number],
        ["Cost center", statement.cost_center or NOBODYS],
        ["Month", f"{_month_words(close.month)}, in UTC"],
        ["Currency", "USD"],
        ["Asked for by", f"{asked}, {_moment(close.requested_at)}"],
        ["Closed by", f"{closed}, {_moment(at)}"],
        ["Issued", _moment(statement.issued_at)],
        ["Method of sharing", "; ".join(_methods(statement)) or "no machine was shared out"],
        ["Digest of the statement", statement.digest],
        ["Digest of the month", close.digest],
    ]


def _who(close: MonthClose, action: Action) -> str:
    """Return who did something as the record names them: the record never changes."""
    event = AuditEvent.objects.about("MonthClose", str(close.pk)).filter(action=action).first()
    if event is not None:
        return event.actor_name
    person = close.requested_by if action == Action.CLOSE_REQUESTED else close.decided_by
    return person.username if person else ""


def _methods(statement: Statement) -> list[str]:
    return list(statement.content.get("methods", []))


def _models(
    own: list[StatementLine], corrections: list[StatementLine], month: _Month
) -> list[list[str]]:
    """Return both bases side by side, a row for each model and one for all corrections: name, price
    list, machine cost, margin, idle share.
    """
    rows = []
    for model in sorted({line.model for line in own}):
        lines = [line for line in own if line.model == model]
        idle = month.idle_of(model) if model else ""
        rows.append([model or NO_MODEL, *_both(lines), idle])
    if corrections:
        rows.append(["Corrections of earlier months", *_both(corrections), ""])
    return [*rows, ["Total", *_both([*own, *corrections]), ""]]


def _both(lines: Iterable[StatementLine]) -> list[str]:
    found = list(lines)
    listed, cost = _usd(found, LIST), _usd(found, COST)
    return [usd(listed), usd(cost), usd(listed - cost)]


def _usd(lines: Iterable[StatementLine], basis: Basis) -> Decimal:
    return sum((line.amount_usd for line in lines if line.basis == basis), Decimal("0.00"))


def _list_line(line: StatementLine) -> list[str]:
    unit = UNITS[Sku(line.item)]
    price = f"{unit_price(line.rate.unit_price_usd)} / {unit.per_words}" if line.rate else ""
    whose = [line.team or "no team", line.version or line.model, item_words(line)]
    return [*whose, quantity_words(line), price, usd(line.amount_usd)]


def _cost_line(line: StatementLine) -> list[str]:
    whose = [line.team or "nobody's", line.version or line.model or "no model", item_words(line)]
    return [*whose, quantity_words(line), usd(line.amount_usd)]


def _correction(line: StatementLine) -> list[str]:
    whose = [line.team or "nobody's", line.version or line.model or "no model", item_words(line)]
    what = [_month_words(line.usage_month), str(StatementLine.Basis(line.basis).label)]
    return [*what, *whose, quantity_words(line), usd(line.amount_usd)]


def _part(part: Decimal, whole: Decimal) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "no machine cost"


def _month_words(month: date) -> str:
    return f"{month:%B %Y}"


def _moment(at: datetime) -> str:
    return f"{at:%d %b %Y %H:%M} UTC"


def _attachment(statement: Statement, basis: Basis) -> Attachment:
    with csv_file(statement_rows(statement, basis), FOCUS) as file:
        text = file.read().decode()
    side = "by the price list" if basis == LIST else "of machine cost"
    about = f"The lines {side} as FOCUS {FOCUS} rows, with every digit."
    return Attachment(f"focus-{FOCUS}-{basis.lower()}-{statement.number}.csv", about, text)
