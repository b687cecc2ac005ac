"""The lists of money as tables: a month's lines, and prices. Every figure of a line leads to the
calls that it is made of.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from apps.chargeback.models import Rate
from apps.chargeback.queries import Line
from apps.common import periods
from apps.common.badges import Badge
from apps.common.money import unit_price
from apps.common.simulated import MARK
from apps.common.tables.columns import Column, Empty, Table
from apps.metering.tables import calls_url

NOT_NAMED = "not named"  # by the call's token, or by the call
REFUSED = {401: "401 no token", 403: "403 no access", 404: "404 no model", 429: "429 limit"}


def month_table(start: datetime, end: datetime, *, by_day: bool, played: Collection[str]) -> Table:
    """Return the table of a month's lines. [start, end): the month; played: the versions whose
    calls the stand-in answered.
    """

    def calls(**more: str | int) -> Callable[[Line], str]:
        return lambda line: _calls_of(line, start, end, **more)

    def name(key: str, label: str, **more: object) -> Column:
        return Column(key, label, sort=key, csv_head=key, unknown=NOT_NAMED, css="nowrap", **more)  # type: ignore[arg-type]

    def count(key: str, label: str, **more: object) -> Column:
        return Column(key, label, kind="figure", sort=key, total=key, csv_head=key, **more)  # type: ignore[arg-type]

    day = [Column("day", "Day", kind="date", sort="day", csv_head="day", css="nowrap")]
    columns = [
        name("cost_center", "Cost center"),
        name("team", "Team"),
        name("model", "Model", url=calls(), place="name"),
        name("version", "Version", sub=lambda line: MARK if line.version in played else ""),
        *(day if by_day else []),
        Column(
            "list_cost_usd",
            "Price list (USD)",
            kind="money",
            sort="list_cost_usd",
            total="list_cost_usd",
            url=calls(outcome="METERED"),
            unknown="no price",
            place="figure",
            csv_head="list_cost_usd",
        ),
        count("metered_calls", "Calls", url=calls(outcome="METERED")),
        count("unmetered_calls", "Unmetered", url=calls(outcome="UNMETERED")),
        count("refused_calls", "Refused", url=calls(outcome="REFUSED")),
        *(
            count(
                f"refused_{code}_calls", label, url=calls(code=code), optional=True, at_first=False
            )
            for code, label in REFUSED.items()
        ),
        count("failed_calls", "Failed", url=calls(outcome="FAILED")),
        count("input_tokens", "Tokens in", url=calls(outcome="METERED")),
        count("cached_input_tokens", "Cached", url=calls(outcome="METERED")),
        count("output_tokens", "Tokens out", url=calls(outcome="METERED")),
        count("unpriced_tokens", "Unpriced tokens", optional=True, at_first=False),
    ]
    return Table(
        name=f"chargeback-{start:%Y-%m}",
        noun=("line", "lines"),
        columns=columns,
        search=("cost_center", "team", "model", "version"),
        search_words="Cost center, team, model or version",
        order="day" if by_day else "-list_cost_usd",
        empty=Empty(
            "No usage in this month",
            "Calls through the gateway appear here within seconds, priced by the rate of their "
            "hour.",
        ),
    )


def _calls_of(line: Line, start: datetime, end: datetime, **more: str | int) -> str:
    """Return the address of the calls that a line is made of."""
    if line.day:
        start, end = periods.start_of_day(line.day), periods.end_of_day(line.day)
    named = {
        "cost_center": line.cost_center,
        "team": line.team,
        "model": line.model,
        "version": line.version,
    }
    return calls_url(start=start, end=end, **named, **more)


def rate_table(now: datetime) -> Table:
    """Return the table of prices, as they stand at a moment."""
    price: Callable[[str, str], Column] = lambda key, label: Column(  # noqa: E731
        key,
        label,
        lambda rate: unit_price(getattr(rate, f"{key}_usd_per_million")),
        sort=f"{key}_usd_per_million",
        csv=f"{key}_usd_per_million",
        css="num",
        place="figure" if key == "input" else "",
    )
    return Table(
        name="prices",
        noun=("price", "prices"),
        columns=(
            Column("model", "Model", "registered_model.name", sort="registered_model__name",
                   css="nowrap", place="name"),
            price("input", "Input"),
            price("cached_input", "Cached input"),
            price("output", "Output"),
            Column("from", f"From ({periods.ZONE_NAME})", lambda rate: _hour(rate.active_from),
                   sort="active_from", csv="active_from", css="nowrap"),
            Column("to", f"To ({periods.ZONE_NAME})", lambda rate: _hour(rate.active_to),
                   sort="active_to", csv="active_to", css="nowrap", unknown="open"),
            Column("state", "State", lambda rate: rate_badge(rate, now), kind="badge"),
            Column("set_by", "Set by", "set_by.name", unknown="Sample data", sort="set_by__name",
                   css="nowrap", optional=True, at_first=False),
        ),
        search=("registered_model__name",),
        search_words="Model",
        order="-from",
        empty=Empty("No prices yet", "Until finance sets one, tokens are listed as unpriced."),
    )  # fmt: skip


def rate_badge(rate: Rate, now: datetime) -> Badge:
    """Return whether a price is in force at a moment."""
    if rate.active_from > now:
        return Badge("draft", "", "Planned")
    if rate.active_to and rate.active_to <= now:
        return Badge("idle", "", "Ended")
    return Badge("ok", "", "In force")


def _hour(moment: datetime | None) -> str | None:
    """Return a whole hour in the one zone, for a column whose head names it."""
    if moment is None:
        return None
    return f"{periods.day_words(periods.day_of(moment))} {moment.astimezone(periods.ZONE):%H:%M}"
