"""The reconciliation of a month as tables. Declarations only."""

from apps.chargeback.reconciliation.compare import Day, State
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table
from apps.metering.gate.models import CountDifference

Side = CountDifference.Side

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


SIDES = {Side.LOG: Badge("ok", "", "Access log"), Side.GATE: Badge("busy", "", "Gate")}


def side_badge(call: CountDifference) -> Badge:
    """Return whose figures count."""
    return SIDES[Side(call.counts)]


CALLS = Table(
    name="differences",
    prefix="difference",
    noun=("call", "calls"),
    columns=(
        Column("when", "When", "occurred_at", kind="time", sort="occurred_at",
               csv_head="occurred_at", css="nowrap", place="name"),
        Column("team", "Team", "team", sort="team", csv_head="team", css="nowrap"),
        Column("model", "Model", "model", sort="model", csv_head="model", css="nowrap"),
        Column("version", "Version", "version", sort="version", csv_head="version", css="nowrap",
               unknown="not known", optional=True, at_first=False),
        Column("counts", "Counted by", side_badge, kind="badge", sort="counts", csv="counts",
               csv_head="counts", place="figure"),
        *(
            Column(f"{side}_{kind}", f"{words}, {label}", f"{side}_{kind}_tokens", kind="figure",
                   csv_head=f"{side}_{kind}_tokens", unknown="not told", optional=is_less,
                   at_first=not is_less)
            for kind, words, is_less in (("input", "In", False), ("cached_input", "Cached", True),
                                         ("output", "Out", False))
            for side, label in (("log", "access log"), ("gate", "gate"))
        ),
        Column("id", "Request id", "event_id", kind="mono", csv_head="event_id"),
    ),
    search=("event_id", "team", "model", "version"),
    search_words="Request id, team, model or version",
    order="-when",
    empty=Empty(
        "No differences",
        "Of every call of this month, the access log and the gate tell the same.",
        icon="scale",
    ),
)  # fmt: skip

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
