"""The bill beside the ledger as tables: day by day, and every delivery of the month. Declarations
only.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from apps.chargeback.bills.models import Bill
from apps.chargeback.reconciliation.bill.compare import Name, Row, State
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.common.money import usd
from apps.common.tables.columns import Column, Empty, Table
from apps.fleet.words import capacity_type

BADGES = {
    State.MATCHES: Badge("ok", "", State.MATCHES.label),
    State.EXPLAINED: Badge("ok", "", State.EXPLAINED.label, title="Every difference has a name."),
    State.WAITING: Badge("draft", "", State.WAITING.label, title="It does not tell of the whole "
                         "day yet."),
    State.ASKS: Badge("warn", "", State.ASKS.label, title="One side has hours, or prices, that the "
                      "other one does not know."),
    State.UNEXPLAINED: Badge("bad", "", State.UNEXPLAINED.label),
}  # fmt: skip


def row_badge(row: Row) -> Badge:
    """Return whether both sides of a row agree."""
    return BADGES[row.state]


def row_words(row: Row) -> str:
    """Return what a row is of."""
    return row.instance_type or "Other charges"


def name_words(row: Row) -> str:
    """Return the names of a row's difference: "Spot price −$3.20 · Tax $1.00"."""
    parts = [f"{Name(name).label} {usd(amount)}" for name, amount in row.names.items()]
    if row.unexplained_usd:
        parts.append(f"Unexplained {usd(row.rest_usd)}: {row.rest_words}")
    return " · ".join(parts)


def _named(name: Name) -> Column:
    def amount(row: Row) -> Decimal | None:
        return row.names.get(name)

    return Column(
        name.lower(), name.label, amount, kind="money", csv_head=f"{name.lower()}_usd",
        optional=True, at_first=False, unknown="",
    )  # fmt: skip


def _usd(key: str, label: str, shown: str = "") -> Column:
    path = f"{key}_usd"
    return Column(key, label, shown or path, kind="money", sort=path, total=path, csv_head=path)


DAYS = Table(
    name="bill-reconciliation",
    noun=("row", "rows"),
    columns=(
        Column("day", "Day", "day", kind="date", sort="day", csv_head="day", place="name",
               css="nowrap"),
        Column("of", "Of", row_words, sort="instance_type",
               sub=lambda row: capacity_type(row.capacity_type), csv="instance_type",
               csv_head="instance_type", css="nowrap"),
        Column("bought", "Bought", lambda row: capacity_type(row.capacity_type),
               csv="capacity_type", csv_head="capacity_type", optional=True, at_first=False),
        Column("state", "State", row_badge, kind="badge", sort="state", csv="state",
               csv_head="state", place="figure"),
        Column("machines", "Machines", "machines", kind="figure", sort="machines",
               csv_head="machines", optional=True, at_first=False),
        Column("ledger_hours", "Hours in the ledger", lambda row: _hours(row.ledger_hours),
               kind="figure", sort="ledger_hours", csv="ledger_hours", csv_head="ledger_hours",
               optional=True, at_first=False),
        Column("billed_hours", "Hours billed", lambda row: _hours(row.billed_hours),
               kind="figure", sort="billed_hours", csv="billed_hours", csv_head="billed_hours",
               optional=True, at_first=False),
        _usd("ledger", "Ledger", "ledger_known_usd"),
        _usd("billed", "Bill", "billed_known_usd"),
        _usd("difference", "Difference"),
        Column("names", "What it is", name_words, unknown="", css="min-w-56"),
        _usd("rest", "Without a name"),
        *(_named(name) for name in Name),
    ),
    search=("instance_type",),
    search_words="Instance type",
    order="-day",
    empty=Empty("Nothing to compare", "The bill has no line, and the ledger no machine.",
                icon="scale"),
)  # fmt: skip


def _hours(hours: Decimal) -> str:
    return f"{hours:,.2f}"


def _change(before: dict[str, Decimal]) -> Callable[[Bill], Decimal | None]:
    return lambda bill: before.get(str(bill.pk))


def deliveries_table(found: list[Bill]) -> Table:
    """Return the table of a month's deliveries. found: all of them, newest first."""
    changes = {
        str(bill.pk): bill.effective_usd - former.effective_usd
        for bill, former in zip(found, found[1:], strict=False)
    }
    return Table(
        name="bill-deliveries",
        noun=("delivery", "deliveries"),
        prefix="delivery",
        columns=(
            Column("read", "Read", "read_at", kind="time", sort="read_at", csv_head="read_at",
                   place="name", css="nowrap"),
            Column("state", "State", delivery_badge, kind="badge", place="figure"),
            Column("until", "Tells until", "covers_until", kind="time", sort="covers_until",
                   csv_head="covers_until", unknown="nothing", css="nowrap"),
            Column("billed", "Billed", "billed_usd", kind="money", csv_head="billed_usd"),
            Column("effective", "With commitments laid on usage", "effective_usd", kind="money",
                   csv_head="effective_usd", optional=True),
            Column("change", "Against the one before", _change(changes), kind="money",
                   csv_head="change_usd", unknown="the first one"),
            Column("days", "Days that changed", _days_words(found), unknown="", css="min-w-40"),
            Column("lines", "Lines", "rows", kind="figure", csv_head="lines", optional=True,
                   at_first=False),
            Column("execution", "Execution", "execution_id", kind="mono",
                   csv_head="execution_id", optional=True, at_first=False),
        ),
        order="-read",
        empty=Empty("No bill was read", "Each delivery that says something new is listed here."),
    )  # fmt: skip


def delivery_badge(bill: Bill) -> Badge:
    """Return whether a delivery counts."""
    if bill.replaced_at is not None:
        return Badge("idle", "", "Replaced")
    return Badge("ok", "", "Final") if bill.is_final else Badge("busy", "", "Estimate")


def _days_words(found: list[Bill]) -> Callable[[Bill], str]:
    """Return what tells how many days a delivery changed, and which one the most."""
    before = {bill.pk: former for bill, former in zip(found, found[1:], strict=False)}

    def words(bill: Bill) -> str:
        former = before.get(bill.pk)
        if former is None:
            return ""
        changes = changed_days(former, bill)
        if not changes:
            return "none"
        day, most = max(changes.items(), key=lambda item: abs(item[1]))
        return f"{counted(len(changes), 'day')}, most on {day:%d %b}: {usd(most)}"

    return words


def changed_days(former: Bill, bill: Bill) -> dict[date, Decimal]:
    """Return the days whose cost two deliveries tell otherwise, with the difference."""
    days = sorted(former.by_day.keys() | bill.by_day.keys())
    found = {
        date.fromisoformat(day): Decimal(bill.by_day.get(day, "0"))
        - Decimal(former.by_day.get(day, "0"))
        for day in days
    }
    return {day: usd for day, usd in found.items() if usd}
