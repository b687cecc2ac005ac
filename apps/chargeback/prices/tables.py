"""Price lists as a table, and the badges of changes."""

from collections.abc import Callable
from datetime import datetime

from django.db.models import DecimalField, F, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.urls import reverse

from apps.chargeback.models import PriceChange
from apps.chargeback.prices.words import price_words
from apps.common import periods
from apps.common.badges import Badge
from apps.common.money import unit_price
from apps.common.tables.columns import Column, Empty, Table
from apps.metering.skus import Sku

Status = PriceChange.Status
SHOWN = (Sku.INPUT, Sku.CACHED_INPUT, Sku.OUTPUT)  # as columns; the others in words
BADGES = {
    Status.PENDING: Badge("busy", "", "Waiting"),
    Status.PUBLISHED: Badge("ok", "", "Published"),
    Status.REJECTED: Badge("bad", "", "Rejected"),
    Status.WITHDRAWN: Badge("idle", "", "Withdrawn"),
    Status.SET: Badge("ok", "", "Set"),
}


def change_badge(change: PriceChange) -> Badge:
    """Return what became of a change."""
    return BADGES[Status(change.status)]


def sortable(lists: QuerySet[PriceChange]) -> QuerySet[PriceChange]:
    """Return price lists with the columns that the table sorts by."""
    number = DecimalField(max_digits=20, decimal_places=10)
    prices = {f"{sku.lower()}_usd": Cast(KT(f"prices__{sku}"), number) for sku in SHOWN}
    return lists.annotate(**prices, ends=F("active_to"))


def price_table(now: datetime, *, with_links: bool) -> Table:
    """Return the table of price lists, as they stand at a moment. with_links: the model's name
    leads to the change that brought the list, for those who may see it.
    """

    def price(sku: Sku) -> Column:
        key = sku.lower()
        return Column(
            key,
            sku.label,
            lambda item: unit_price(item.proposed.by_sku.get(sku)),
            sort=f"{key}_usd",
            csv=lambda item: item.prices.get(sku),
            csv_head=f"{key}_usd_per_million",
            css="num",
            place="figure" if sku is Sku.INPUT else "",
        )

    detail: Callable[[PriceChange], str] = lambda item: reverse(  # noqa: E731
        "chargeback:price_change_detail", args=[item.pk]
    )
    return Table(
        name="prices",
        noun=("price list", "price lists"),
        columns=(
            Column("model", "Model", "registered_model.name", sort="registered_model__name",
                   css="nowrap", place="name", url=detail if with_links else None),
            *(price(sku) for sku in SHOWN),
            Column("others", "Others", _others, unknown="none", optional=True, at_first=False),
            Column("from", f"From ({periods.ZONE_NAME})", lambda item: hour_words(item.active_from),
                   sort="active_from", csv="active_from", css="nowrap"),
            Column("to", f"To ({periods.ZONE_NAME})", lambda item: hour_words(item.active_to),
                   sort="ends", csv="active_to", css="nowrap", unknown="open"),
            Column("state", "State", lambda item: state_badge(item, now), kind="badge"),
            Column("proposed_by", "Proposed by", "requested_by.name", unknown="Sample data",
                   sort="requested_by__name", css="nowrap", optional=True, at_first=False),
            Column("published_by", "Published by", "decided_by.name", unknown="one person set it",
                   sort="decided_by__name", css="nowrap", optional=True, at_first=False),
        ),
        search=("registered_model__name",),
        search_words="Model",
        order="-from",
        empty=Empty(
            "No prices yet", "Until finance publishes some, tokens are listed as unpriced."
        ),
    )  # fmt: skip


def _others(item: PriceChange) -> str | None:
    """Return in words the prices that have no column of their own."""
    known = item.proposed
    words = price_words(known)
    embedded = known.embedding_input
    parts = [f"{unit_price(embedded)} embedded / M tokens"] if embedded is not None else []
    return " · ".join([*parts, *filter(None, [words.others if words else ""])]) or None


def state_badge(item: PriceChange, now: datetime) -> Badge:
    """Return whether a price list is in force at a moment. item: one of `with_ends`."""
    if item.is_replaced:
        return Badge("idle", "", "Replaced")
    if item.active_from > now:
        return Badge("draft", "", "Planned")
    if item.active_to and item.active_to <= now:
        return Badge("idle", "", "Ended")
    return Badge("ok", "", "In force")


def hour_words(moment: datetime | None) -> str | None:
    """Return a whole hour in the one zone, for a place whose head names it."""
    if moment is None:
        return None
    return f"{periods.day_words(periods.day_of(moment))} {moment.astimezone(periods.ZONE):%H:%M}"
