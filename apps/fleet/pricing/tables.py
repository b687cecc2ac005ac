"""The lists of machine prices as tables: contracts, and what AWS tells."""

from datetime import datetime
from decimal import Decimal

from apps.common import periods
from apps.common.badges import Badge
from apps.common.money import exact, unit_price
from apps.common.tables.columns import Column, Empty, Table
from apps.fleet.pricing.models import PriceFeed, PriceOverride
from apps.fleet.words import capacity_type


def contracts(now: datetime) -> Table:
    """Return the table of contracts, as they stand at a moment."""
    return Table(
        name="machine-contracts",
        noun=("contract", "contracts"),
        columns=(
            Column("machine", "Machine", "instance_type", sort=("instance_type", "region"),
                   sub=lambda row: f"{capacity_type(row.capacity_type)} · {row.region}",
                   csv_head="instance_type", css="nowrap", place="name"),
            Column("capacity_type", "Bought", "capacity_type", optional=True, at_first=False),
            Column("region", "Region", "region", optional=True, at_first=False),
            Column("price", "Price", price_words, place="figure", css="nowrap"),
            Column("from", f"From ({periods.ZONE_NAME})", lambda row: _day(row.active_from),
                   sort="active_from", csv="active_from", css="nowrap"),
            Column("to", f"To the end of ({periods.ZONE_NAME})", _last_day,
                   sort="active_to", csv="active_to", css="nowrap", unknown="open"),
            Column("state", "State", lambda row: state(row, now), kind="badge"),
            Column("reason", "Contract", "reason", css="min-w-40 wrap-anywhere"),
            Column("set_by", "Set by", "set_by.name", sort="set_by__name", css="nowrap"),
            Column("set_at", "Set", "set_at", kind="time", sort="set_at", optional=True,
                   at_first=False),
        ),
        search=("instance_type", "region", "reason"),
        search_words="Instance type, region or contract",
        order="-from",
        empty=Empty(
            "No contract yet",
            "Without one, a machine costs what its own label says, else what AWS lists.",
        ),
    )  # fmt: skip


FEEDS = Table(
    name="price-feeds",
    prefix="feeds",
    noun=("list", "lists"),
    columns=(
        Column("feed", "What AWS is asked", lambda row: feed_words(row), sort="name", csv="name",
               place="name"),
        Column("state", "State", lambda row: feed_badge(row), kind="badge"),
        Column("told_until", "Told until", kind="time", sort="told_until", unknown="never"),
        Column("tried_at", "Asked last", kind="time", sort="tried_at"),
        Column("error", "Why not", "error", unknown="", css="min-w-40 wrap-anywhere"),
    ),
    order="feed",
    empty=Empty(
        "AWS is not asked for prices here",
        "Where it is, every list that it was asked for stands here, with what went wrong.",
    ),
)  # fmt: skip


def price_words(row: PriceOverride) -> str:
    """Return "$31.50 an hour", or "12.5% off the list price"."""
    if row.usd_per_hour is not None:
        return f"{unit_price(row.usd_per_hour)} an hour"
    return f"{exact(row.discount_percent or Decimal(0))}% off the list price"


def state(row: PriceOverride, now: datetime) -> Badge:
    """Return whether a contract is in force at a moment."""
    if row.active_from > now:
        return Badge("draft", "", "Planned")
    if row.active_to is not None and row.active_to <= now:
        return Badge("idle", "", "Ended")
    return Badge("ok", "", "In force")


def feed_words(feed: PriceFeed) -> str:
    """Return what AWS is asked: "Price list of g6.xlarge in us-east-1", "Spot prices in
    us-east-1".
    """
    source, *rest = feed.name.split(" ")
    return (
        f"Price list of {rest[0]} in {rest[1]}" if source == "LIST" else f"Spot prices in {rest[0]}"
    )


def feed_badge(feed: PriceFeed) -> Badge:
    """Return whether AWS told it the last time."""
    return Badge("bad", "circle-x", "Failed") if feed.error else Badge("ok", "circle-check", "Told")


def _day(moment: datetime) -> str:
    return periods.day_words(periods.day_of(moment))


def _last_day(row: PriceOverride) -> str | None:
    return None if row.active_to is None else periods.day_words(periods.last_day(row.active_to))
