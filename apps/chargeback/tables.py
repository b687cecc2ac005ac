"""A month's lines and its machines as tables. Every figure of a line leads to the calls that it is
made of.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.chargeback.costs import CostLine, Costs, Machines, ModelCost
from apps.chargeback.method import Kind
from apps.chargeback.queries import Line
from apps.common import periods
from apps.common.simulated import MARK
from apps.common.tables.columns import Column, Empty, Table, look_up
from apps.metering.tables import calls_url

PRICE_PLACES = 6  # of a price for a million tokens
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
        count(
            "embedding_input_tokens",
            "Embedded",
            url=calls(operation="EMBEDDING"),
            optional=True,
            at_first=False,
        ),
        count("output_tokens", "Tokens out", url=calls(outcome="METERED")),
        count(
            "rerank_requests",
            "Reranks",
            url=calls(operation="RERANK"),
            optional=True,
            at_first=False,
        ),
        count("unpriced_tokens", "Unpriced tokens", optional=True, at_first=False),
        count("unpriced_requests", "Unpriced reranks", optional=True, at_first=False),
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


@dataclass(frozen=True)
class MachineRow:
    """A model's machines, or what is no model's. Amounts are None where they are not known; work,
    idle and start are 0 for what is no model's.
    """

    name: str
    url: str
    cards: str
    costs: Costs | None
    list_usd: Decimal | None
    real_usd: Decimal | None
    margin_usd: Decimal | None

    @property
    def gpu_hours(self) -> Decimal | None:
        """Return the GPU time."""
        return self.costs.gpu_hours if self.costs else None

    @property
    def unpriced_gpu_hours(self) -> Decimal | None:
        """Return the GPU time that is in no amount."""
        return self.costs.unpriced_gpu_hours if self.costs else None

    @property
    def use(self) -> str:
        """Return which part of the ready time work took."""
        return use_words(self.costs) if self.costs else ""


@dataclass(frozen=True)
class CardRow:
    """A model on one kind of card."""

    model: str
    card: str
    costs: Costs
    usd_per_million: Decimal | None


def machine_rows(found: Machines, start: datetime, end: datetime) -> list[MachineRow]:
    """Return a line for each model, then one for each thing that is no model's. [start, end): the
    month.
    """
    return [
        *(_model_row(line, start, end) for line in found.models),
        *(_other_row(line) for line in found.others),
    ]


def _model_row(line: ModelCost, start: datetime, end: datetime) -> MachineRow:
    return MachineRow(
        name=line.model,
        url=calls_url(start=start, end=end, model=line.model),
        cards=", ".join(card.upper() for card in line.cards),
        costs=line.real,
        list_usd=line.list_usd,
        real_usd=line.real_usd,
        margin_usd=line.margin_usd,
    )


def _other_row(line: CostLine) -> MachineRow:
    total = line.costs.total_usd
    return MachineRow(
        name=str(Kind(line.kind).label),
        url="",
        cards="",
        costs=line.costs,
        list_usd=Decimal(0),
        real_usd=total,
        margin_usd=None if total is None or line.costs.unpriced_gpu_hours else -total,
    )


def card_row(line: CostLine) -> CardRow:
    """Return a line of the table of cards."""
    cost = line.costs.usd_per_million
    return CardRow(
        model=line.model,
        card=line.gpu_name.upper(),
        costs=line.costs,
        usd_per_million=None if cost is None else round(cost, PRICE_PLACES),
    )


def use_words(found: Costs) -> str:
    """Return which part of their ready time replicas worked: "31%", or "0% to 33%" where some of it
    was not measured; "" where nothing was ready.
    """
    least, most = found.least_use, found.most_use
    if least is None or most is None:
        return ""
    low, high = f"{least:.0%}", f"{most:.0%}"
    return low if low == high else f"{low} to {high}"


def machine_table(start: datetime) -> Table:
    """Return the table of a month's machines by model, with both bases. start: of the month."""

    def money(key: str, label: str, path: str = "", **more: object) -> Column:
        return Column(key, label, path or key, kind="money", sort=path or key, total=path or key,
                      csv_head=key, **more)  # type: ignore[arg-type]  # fmt: skip

    return Table(
        name=f"machines-{start:%Y-%m}",
        prefix="machines",
        noun=("line", "lines"),
        columns=(
            Column("model", "Model", "name", sort="name", sub="cards", csv_head="model",
                   url=lambda row: row.url, css="nowrap", place="name"),
            Column("cards", "Cards", "cards", csv_head="cards", optional=True, at_first=False),
            _hours("gpu_hours", "GPU-hours", "gpu_hours"),
            money("list_usd", "Price list (USD)", unknown="no price"),
            money("real_usd", "Real cost (USD)", unknown="not known", place="figure"),
            money("margin_usd", "Margin (USD)", unknown="not known"),
            money("work_usd", "Used by calls (USD)", "costs.work_usd"),
            money("idle_usd", "Idle (USD)", "costs.idle_usd"),
            money("start_usd", "Starting (USD)", "costs.start_usd"),
            Column("use", "In use", kind="figure", css="nowrap", csv_head="use"),
            _hours("unpriced_gpu_hours", "GPU-hours without a price", "unpriced_gpu_hours",
                   optional=True, at_first=False),
        ),
        order="-real_usd",
        empty=Empty(
            "No machine was seen in this month",
            "What machines cost appears here some minutes after they were launched.",
        ),
    )  # fmt: skip


def card_table(start: datetime) -> Table:
    """Return the table of what a million tokens cost by model and card. start: of the month."""
    return Table(
        name=f"cards-{start:%Y-%m}",
        prefix="cards",
        noun=("line", "lines"),
        columns=(
            Column("model", "Model", sort="model", csv_head="model", css="nowrap", place="name"),
            Column("card", "Card", sort="card", csv_head="card", unknown="not known"),
            Column("usd_per_million", "USD per million tokens", kind="money", place="figure",
                   sort="usd_per_million", csv_head="usd_per_million_tokens", unknown="not known"),
            Column("tokens", "Tokens", "costs.tokens", kind="figure", sort="costs.tokens",
                   total="costs.tokens", csv_head="tokens"),
            _hours("gpu_hours", "GPU-hours", "costs.gpu_hours"),
            Column("use", "In use", lambda row: use_words(row.costs), kind="figure", css="nowrap",
                   csv_head="use"),
            Column("spot_saved_usd", "Saved by Spot (USD)", "costs.spot_saved_usd", kind="money",
                   sort="costs.spot_saved_usd", total="costs.spot_saved_usd",
                   csv_head="spot_saved_usd"),
        ),
        order="-gpu_hours",
        empty=Empty(
            "No model had a machine in this month",
            "What a million tokens cost on each card appears here once a replica was ready.",
        ),
    )  # fmt: skip


def _hours(key: str, label: str, path: str, **more: object) -> Column:
    """Return a column of GPU-hours: one decimal on the page, all of them as CSV."""

    def words(row: object) -> str | None:
        found = look_up(row, path)
        return None if found is None else f"{found:,.1f}"

    return Column(key, label, words, kind="figure", sort=path, csv=path, csv_head=key, **more)  # type: ignore[arg-type]
