"""Closes, statements and their lines as tables. Declarations only."""

from apps.chargeback.closing.models import MonthClose, StatementLine
from apps.chargeback.closing.statements import BILL
from apps.chargeback.documents.pages import badge
from apps.chargeback.method import Kind
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table
from apps.metering.skus import Sku

Status = MonthClose.Status
BADGES = {
    Status.PENDING: Badge("busy", "", "Waits for a decision"),
    Status.CLOSED: Badge("ok", "lock", "Closed"),
    Status.REJECTED: Badge("bad", "", "Rejected"),
    Status.WITHDRAWN: Badge("idle", "", "Withdrawn"),
}
NOBODYS = "Nobody's: idle machines and the platform"


def close_badge(item: MonthClose) -> Badge:
    """Return what became of a close."""
    return BADGES[Status(item.status)]


def item_words(line: StatementLine) -> str:
    """Return what a line is of, in words."""
    if line.basis == StatementLine.Basis.LIST:
        return f"{Sku(line.item).label}{', estimated' if line.is_estimated else ''}"
    return "Restated bill" if line.item == BILL else str(Kind(line.item).label)


def quantity_words(line: StatementLine) -> str:
    """Return how much it is, for people: whole units, GPU-hours with two decimals. Exports have
    every digit.
    """
    minus = "−" if line.quantity < 0 else ""
    if line.basis == StatementLine.Basis.LIST:
        return f"{minus}{abs(line.quantity):,.0f}"
    return f"{minus}{abs(line.quantity):,.2f} h"


def correction_words(line: StatementLine) -> str:
    """Return which month a line corrects; "" for one of the statement's own month."""
    own = line.usage_month == line.statement.close.month
    return "" if own else f"{line.usage_month:%B %Y}"


CLOSES = Table(
    name="closes",
    noun=("close", "closes"),
    columns=(
        Column("month", "Month", lambda item: f"{item.month:%B %Y}", sort="month",
               csv=lambda item: f"{item.month:%Y-%m}", csv_head="month", place="name",
               url=lambda item: item.get_absolute_url(), css="nowrap"),
        Column("state", "State", close_badge, kind="badge", sort="status", csv="status",
               csv_head="status", place="figure"),
        Column("list", "Price list", "list_usd", kind="money", sort="list_usd",
               csv_head="list_usd"),
        Column("cost", "Machine cost", "cost_usd", kind="money", sort="cost_usd",
               csv_head="cost_usd"),
        Column("by", "Asked for by", "requested_by.name", sort="requested_by__name",
               csv="requested_by.username", csv_head="requested_by", css="nowrap"),
        Column("asked", "Asked for", "requested_at", kind="time", sort="requested_at",
               csv_head="requested_at", css="nowrap"),
        Column("decider", "Decided by", "decided_by.name", unknown="nobody yet",
               csv="decided_by.username", csv_head="decided_by", css="nowrap"),
        Column("decided", "Decided", "decided_at", kind="time", sort="decided_at",
               csv_head="decided_at", unknown="not yet", css="nowrap"),
        Column("digest", "Digest", "digest", kind="mono", csv_head="digest", optional=True,
               at_first=False),
    ),
    order="-asked",
    empty=Empty("No month was closed yet", "Finance asks for a close once the month is over.",
                icon="lock"),
)  # fmt: skip

STATEMENTS = Table(
    name="statements",
    noun=("statement", "statements"),
    prefix="statement",
    columns=(
        Column("number", "Number", "number", kind="mono", sort="number", csv_head="number",
               url=lambda item: item.get_absolute_url(), place="name", css="nowrap"),
        Column("cost_center", "Cost center", lambda item: item.cost_center or NOBODYS,
               sort="cost_center", csv="cost_center", csv_head="cost_center"),
        Column("list", "Price list", "list_usd", kind="money", sort="list_usd",
               total="list_usd", csv_head="list_usd", place="figure"),
        Column("cost", "Machine cost", "cost_usd", kind="money", sort="cost_usd",
               total="cost_usd", csv_head="cost_usd"),
        Column("pdf", "PDF", badge, kind="badge", sort="document__status",
               csv=lambda item: item.document.status, csv_head="pdf", css="nowrap"),
        Column("digest", "Digest", "digest", kind="mono", csv_head="digest", optional=True,
               at_first=False),
    ),
    search=("number", "cost_center"),
    search_words="Number or cost center",
    order="number",
    empty=Empty("No statement", "Statements are issued when the month is closed."),
)  # fmt: skip

LINES = Table(
    name="statement",
    noun=("line", "lines"),
    columns=(
        Column("position", "#", "position", kind="figure", sort="position", csv_head="position"),
        Column("basis", "By", "get_basis_display", sort="basis", csv="basis", csv_head="basis",
               css="nowrap"),
        Column("corrects", "Corrects", correction_words, unknown="", csv_head="corrects",
               css="nowrap"),
        Column("team", "Team", "team", sort="team", csv_head="team", unknown="nobody's",
               css="nowrap"),
        Column("version", "Version", "version", sort="version", csv_head="version",
               place="name", css="nowrap"),
        Column("item", "Of", item_words, sort="item", csv="item", csv_head="item",
               css="nowrap"),
        Column("quantity", "Quantity", quantity_words, sort="quantity", csv="quantity",
               csv_head="quantity", css="num nowrap"),
        Column("rate", "Price", "rate_id", kind="figure", csv_head="rate", optional=True,
               at_first=False),
        Column("exact", "Exact", "exact_usd", kind="figure", unit="USD", csv_head="exact_usd",
               optional=True, at_first=False),
        Column("amount", "Amount", "amount_usd", kind="money", sort="amount_usd",
               csv_head="amount_usd", place="figure"),
    ),
    search=("team", "model", "version"),
    search_words="Team, model or version",
    order="position",
    page_size=100,
    empty=Empty("No line fits"),
)  # fmt: skip
