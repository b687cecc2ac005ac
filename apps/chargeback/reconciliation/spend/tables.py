"""The price list's ledger beside its hours as a table. Declarations only."""

from apps.chargeback.reconciliation.spend.compare import Day, State
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table

BADGES = {
    State.MATCHES: Badge("ok", "", State.MATCHES.label),
    State.WAITING: Badge("busy", "", State.WAITING.label),
    State.UNPRICED: Badge("warn", "", State.UNPRICED.label),
    State.UNEXPLAINED: Badge("bad", "", State.UNEXPLAINED.label),
}


def day_badge(day: Day) -> Badge:
    """Return whether both sides of a day agree."""
    return BADGES[day.state]


DAYS = Table(
    name="spend-reconciliation",
    noun=("day", "days"),
    columns=(
        Column("day", "Day", "day", kind="date", sort="day", csv_head="day", place="name",
               css="nowrap"),
        Column("model", "Model", lambda day: day.model or "no model", sort="model", csv="model",
               csv_head="model", css="nowrap"),
        Column("state", "State", day_badge, kind="badge", sort="state", csv="state",
               csv_head="state", place="figure"),
        Column("ledger", "Ledger", "ledger.usd", kind="money", sort="ledger.known_usd",
               total="ledger.known_usd", csv_head="ledger_usd"),
        Column("hours", "Hours priced now", "hours.usd", kind="money", sort="hours.known_usd",
               total="hours.known_usd", csv_head="hours_usd"),
        Column("difference", "Difference", "difference_usd", kind="money", sort="difference_usd",
               total="difference_usd", csv_head="difference_usd"),
        Column("unpriced", "Units without a price", "hours.unpriced", kind="figure",
               sort="hours.unpriced", csv_head="unpriced", optional=True, at_first=False),
        Column("words", "What it is", "words", csv_head="words", unknown="", css="min-w-48"),
    ),
    search=("model",),
    search_words="Model",
    order="-day",
    empty=Empty("Nothing to compare", "In this month nobody used a model.", icon="scale"),
)  # fmt: skip
