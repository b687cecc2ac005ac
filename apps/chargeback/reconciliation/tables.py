"""The reconciliation of a month as a table. Declarations only."""

from apps.chargeback.reconciliation.compare import Day, State
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table

BADGES = {
    State.MATCHES: Badge("ok", "", "Matches"),
    State.UNEXPLAINED: Badge("bad", "", "Unexplained"),
    State.UNKNOWN: Badge("warn", "", "Unknown", title="The engine was watched in no hour of it."),
}


def day_badge(day: Day) -> Badge:
    """Return whether both sides of a day agree."""
    return BADGES[day.state]


def _count(key: str, label: str, *, optional: bool = False, at_first: bool = True) -> Column:
    path = key.replace("__", ".")
    return Column(key, label, path, kind="figure", sort=path, total=path, csv_head=key,
                  optional=optional, at_first=at_first)  # fmt: skip


DAYS = Table(
    name="reconciliation",
    noun=("day", "days"),
    columns=(
        Column("day", "Day", "day", kind="date", sort="day", csv_head="day", place="name",
               css="nowrap"),
        Column("version", "Version", "version", sort="version", csv_head="version", css="nowrap"),
        Column("state", "State", day_badge, kind="badge", sort="state", csv="state",
               csv_head="state", place="figure"),
        _count("input__engine", "Engine read"),
        _count("input__metered", "Metered in"),
        _count("input__estimated", "Estimated in", optional=True, at_first=False),
        _count("input__rest", "Rest in"),
        _count("output__engine", "Engine wrote"),
        _count("output__metered", "Metered out"),
        _count("output__estimated", "Estimated out", optional=True, at_first=False),
        _count("output__rest", "Rest out"),
        _count("watched_hours", "Hours compared", optional=True, at_first=False),
        _count("unwatched_hours", "Hours not compared", optional=True, at_first=False),
        _count("unwatched_tokens", "Tokens not compared", optional=True, at_first=False),
        Column("words", "What it is", "words", csv_head="words", unknown="", css="min-w-48"),
    ),
    search=("version",),
    search_words="Version",
    order="-day",
    empty=Empty(
        "Nothing to compare",
        "In this month no version was called, and no engine counted anything.",
        icon="scale",
    ),
)  # fmt: skip
