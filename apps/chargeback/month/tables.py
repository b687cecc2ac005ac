"""A month's tables: one that leads from cost centers down to days, both bases side by side; its
teams by GPU-hours; its models with what became of their machines' time; its cards. Every figure of
calls leads to the calls that it is made of.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from apps.chargeback.costs import CostLine, Costs
from apps.chargeback.method import Kind
from apps.chargeback.month import breakdown
from apps.chargeback.month.breakdown import KINDS, Path, Row
from apps.common import periods
from apps.common.simulated import MARK
from apps.common.tables.columns import Column, Empty, Table, look_up
from apps.metering.tables import NONE, calls_url

PRICE_PLACES = 6  # of a price for a million tokens
NOT_NAMED = "not named"  # by the call's token, or by the call
NOBODYS = "—"  # idle and unallocated time, which the column "What" names
NOUNS = {
    "cost_center": ("cost center", "cost centers"),
    "team": ("team", "teams"),
    "model": ("model", "models"),
    "version": ("version", "versions"),
    "day": ("day", "days"),
}
WHOLE = ("line", "lines")
REFUSED = {401: "401 no token", 403: "403 no access", 404: "404 no model", 429: "429 limit"}
NO_USAGE = Empty(
    "No usage in this month",
    "Calls through the gateway appear here within seconds, priced by the rate of their hour.",
)


def path_url(path: Path, **more: str) -> str:
    """Return the address of the month's page at a path, where its lines begin."""
    chosen = {name: value or NONE for name, value in path.chosen.items()}
    found = {"month": f"{path.month:%Y-%m}"} | chosen | more
    return f"{reverse('chargeback:month')}?{urlencode(found)}#lines"


def words_of(level: str, value: str | None) -> str:
    """Return what a value of a level is called."""
    return KINDS[value or ""] if level == "kind" else value or NOT_NAMED


@dataclass(frozen=True)
class _Lines:
    """What the table of a path's lines has to know. dimensions: that they are grouped by.
    whole_usd: the real cost of all of them. played: the versions whose calls the stand-in answered.
    """

    path: Path
    dimensions: Sequence[str]
    whole_usd: Decimal | None
    played: Collection[str]

    @property
    def is_step(self) -> bool:
        """Tell whether its lines lead further down."""
        return tuple(self.dimensions) == self.path.dimensions and self.path.level != "day"

    def rows(self, found: Sequence[Any]) -> list[Row]:
        """Return the lines of a page."""
        return [breakdown.row_of(each) for each in found]

    def name(self, row: Row) -> Any:
        """Return what the step's line is called."""
        if self.path.level == "cost_center" and row.kind != Kind.WORK:
            return KINDS[row.kind or ""]
        value = getattr(row, self.path.level)
        return value if self.path.level == "day" else value or NOT_NAMED

    def url(self, row: Row) -> str:
        """Return what the name of a line leads to: a step further, else its calls."""
        return path_url(self.path.into(row)) if self.is_step else self.calls(row)

    def calls(self, row: Row, **more: str | int) -> str:
        """Return the address of the calls that a line is made of; "" where none are."""
        kind = row.kind or self.path.kind or Kind.WORK
        if kind != Kind.WORK:
            return ""
        start, end = periods.month_bounds(self.path.month)
        if row.day:
            start, end = periods.start_of_day(row.day), periods.end_of_day(row.day)
        named = {name: value for name, value in self.path.chosen.items() if name != "kind"}
        if self.path.scope.team is not None:
            named["team"] = self.path.scope.team
        own = {name: getattr(row, name) for name in breakdown.LEVELS[:-1]}
        named |= {name: value for name, value in own.items() if value is not None}
        return calls_url(start=start, end=end, **named, **more)

    def share(self, row: Row) -> str | None:
        """Return a line's part of the real cost, in words."""
        if not self.whole_usd or row.real_usd is None:
            return None
        return f"{row.real_usd / self.whole_usd:.1%}"

    def mark(self, row: Row) -> str:
        """Return what is simulated about a line."""
        return MARK if row.version in self.played else ""


def lines_table(
    path: Path,
    dimensions: Sequence[str],
    *,
    whole_usd: Decimal | None,
    played: Collection[str],
) -> Table:
    """Return the table of a path's lines, grouped by these dimensions: the path's own for its next
    step, else all of a line.
    """
    found = _Lines(path, dimensions, whole_usd, played)
    is_step = tuple(dimensions) == path.dimensions
    return Table(
        name=f"chargeback-{path.month:%Y-%m}",
        noun=NOUNS[path.level] if is_step and path.level != "cost_center" else WHOLE,
        columns=[
            *(_step(found) if is_step else _whole_line(found)),
            *_figures(found, is_wide=not is_step),
        ],
        search=[name for name in dimensions if name not in ("day", "kind")],
        search_words=_search_words(dimensions),
        order="day" if "day" in dimensions else "-real_usd",
        page_size=31 if path.level == "day" else 25,
        ties=dimensions,
        with_facts=found.rows,
        empty=NO_USAGE,
    )


def _search_words(dimensions: Sequence[str]) -> str:
    names = [NOUNS[name][0] for name in dimensions if name not in ("day", "kind")]
    return ", ".join(names).capitalize()


def _step(found: _Lines) -> list[Column]:
    level = found.path.level
    label = NOUNS[level][0].capitalize()
    if level == "day":
        return [Column("day", label, kind="date", sort="day", csv_head="day", css="nowrap",
                       url=found.url, place="name")]  # fmt: skip
    return [Column(level, label, found.name, sort=found.dimensions[::-1], csv_head=level,
                   css="nowrap", url=found.url, sub=found.mark, place="name")]  # fmt: skip


def _whole_line(found: _Lines) -> list[Column]:
    def name(key: str, **more: Any) -> Column:
        def words(row: Row) -> str:
            return getattr(row, key) or (NOT_NAMED if row.is_work else NOBODYS)

        label = NOUNS[key][0].capitalize()
        return Column(key, label, words, sort=key, csv=key, csv_head=key, css="nowrap", **more)

    kind = Column("kind", "What", lambda row: KINDS[row.kind], sort="kind", csv_head="kind",
                  css="nowrap")  # fmt: skip
    day = Column("day", "Day", kind="date", sort="day", csv_head="day", css="nowrap")
    return [
        name("cost_center"),
        name("team"),
        name("model", url=found.calls, place="name"),
        name("version", sub=found.mark),
        kind,
        *([day] if "day" in found.dimensions else []),
    ]


def _figures(found: _Lines, *, is_wide: bool) -> list[Column]:
    """Return the columns of figures. is_wide: many columns stand before them, so that some of these
    are there for those who choose them.
    """
    less: dict[str, Any] = {"optional": True, "at_first": not is_wide}

    def calls(**more: str | int) -> Callable[[Row], str]:
        return lambda row: found.calls(row, **more)

    def money(key: str, label: str, **more: Any) -> Column:
        return Column(key, label, kind="money", total=key, csv_head=key, **{"sort": key} | more)

    def count(key: str, label: str, **more: Any) -> Column:
        return Column(key, label, kind="figure", sort=f"sum_{key}", total=f"sum_{key}",
                      csv_head=key, **more)  # fmt: skip

    of_metered = calls(outcome="METERED")
    return [
        money("list_usd", "Price list (USD)", url=of_metered, unknown="no price"),
        money("real_usd", "Real cost (USD)", sort=("real_usd", "list_usd"), unknown="not known",
              place="figure"),
        money("margin_usd", "Margin (USD)", unknown="not known", **less),
        Column("share", "Share", found.share, kind="figure", csv_head="share", unknown="not known"),
        _hours("gpu_hours", "GPU-hours", "gpu_hours", "sum_gpu_hours", **less),
        count("input_tokens", "Tokens in", url=of_metered),
        count("cached_input_tokens", "Cached", url=of_metered),
        count("embedding_input_tokens", "Embedded", url=calls(operation="EMBEDDING"),
              optional=True, at_first=False),
        count("output_tokens", "Tokens out", url=of_metered),
        count("rerank_requests", "Reranks", url=calls(operation="RERANK"), optional=True,
              at_first=False),
        count("metered_calls", "Calls", url=of_metered, **less),
        count("unmetered_calls", "Unmetered", url=calls(outcome="UNMETERED"), optional=True,
              at_first=False),
        count("estimated_calls", "Of them estimated", url=calls(outcome="UNMETERED"),
              optional=True, at_first=False),
        count("estimated_input_tokens", "Tokens in, estimated", optional=True, at_first=False),
        count("estimated_output_tokens", "Tokens out, estimated", optional=True, at_first=False),
        money("estimated_usd", "Price list of estimates (USD)", unknown="not priced",
              optional=True, at_first=False),
        count("refused_calls", "Refused", url=calls(outcome="REFUSED"), optional=True,
              at_first=False),
        *(
            count(f"refused_{code}_calls", label, url=calls(code=code), optional=True,
                  at_first=False)
            for code, label in REFUSED.items()
        ),
        count("failed_calls", "Failed", url=calls(outcome="FAILED"), optional=True,
              at_first=False),
        count("unpriced_tokens", "Unpriced tokens", optional=True, at_first=False),
        count("unpriced_requests", "Unpriced reranks", optional=True, at_first=False),
        _hours("unpriced_gpu_hours", "GPU-hours without a price", "unpriced_gpu_hours",
               "sum_unpriced_gpu_hours", optional=True, at_first=False),
    ]  # fmt: skip


@dataclass(frozen=True)
class TeamRow:
    """What a team's work took: by the columns of breakdown.by_team."""

    team: str
    gpu_hours: Decimal
    list_usd: Decimal | None
    real_usd: Decimal | None
    margin_usd: Decimal | None


def _team_row(found: dict[str, Any]) -> TeamRow:
    amounts = (found[name] for name in ("list_usd", "real_usd", "margin_usd"))
    return TeamRow(found["team"], found["sum_gpu_hours"], *amounts)


def team_table(path: Path) -> Table:
    """Return the table of the teams by GPU-hours that their work took. Its rows:
    breakdown.by_team.
    """

    def money(key: str, label: str, **more: Any) -> Column:
        return Column(key, label, kind="money", sort=key, total=key, csv_head=key, **more)

    return Table(
        name=f"teams-{path.month:%Y-%m}",
        prefix="teams",
        noun=NOUNS["team"],
        columns=(
            Column("team", "Team", sort="team", csv_head="team", unknown=NOT_NAMED, css="nowrap",
                   url=lambda row: path_url(_of_team(path, row)), place="name"),
            _hours("gpu_hours", "GPU-hours", "gpu_hours", "sum_gpu_hours", place="figure"),
            money("real_usd", "Real cost (USD)", unknown="not known"),
            money("list_usd", "Price list (USD)", unknown="no price"),
            money("margin_usd", "Margin (USD)", unknown="not known"),
        ),
        order="-gpu_hours",
        ties=("team",),
        page_size=10,
        with_facts=lambda rows: [_team_row(row) for row in rows],
        empty=NO_USAGE,
    )  # fmt: skip


def _of_team(path: Path, row: TeamRow) -> Path:
    return Path(path.month, path.scope, team=row.team)


@dataclass(frozen=True)
class MachineRow:
    """A model's machines, or what is no model's: by the columns of breakdown.by_model."""

    found: dict[str, Any]
    month: date

    @property
    def name(self) -> str:
        """Return the model, or what became of the time that is no model's."""
        return self.found["model"] or KINDS[self.found["whose"]]

    @property
    def url(self) -> str:
        """Return where the model's money is shown by whom it belongs to; "" for no model."""
        model = self.found["model"]
        return path_url(Path(self.month, model=model)) if model else ""

    @property
    def cards(self) -> str:
        """Return the cards that it ran on."""
        return ", ".join(sorted(name.upper() for name in self.found["cards"] or ()))

    @property
    def use(self) -> str:
        """Return which part of the ready time work took."""
        hours = (self.found[f"{name}_gpu_hours"] for name in ("used", "unsplit", "ready"))
        return use_words(*(each or Decimal(0) for each in hours))


def machine_table(path: Path) -> Table:
    """Return the table of a month's machines by model, with both bases. Its rows:
    breakdown.by_model.
    """

    def of(key: str) -> Callable[[MachineRow], Any]:
        return lambda row: row.found[key]

    def money(key: str, label: str, **more: Any) -> Column:
        return Column(key, label, of(key), kind="money", sort=key, total=key, csv_head=key, **more)

    return Table(
        name=f"machines-{path.month:%Y-%m}",
        prefix="machines",
        noun=WHOLE,
        columns=(
            Column("model", "Model", "name", sort=("model", "whose"), sub="cards",
                   csv_head="model", url=lambda row: row.url, css="nowrap", place="name"),
            Column("cards", "Cards", "cards", csv_head="cards", optional=True, at_first=False),
            _hours("gpu_hours", "GPU-hours", of("sum_gpu_hours"), "sum_gpu_hours"),
            money("list_usd", "Price list (USD)", unknown="no price"),
            money("real_usd", "Real cost (USD)", unknown="not known", place="figure"),
            money("margin_usd", "Margin (USD)", unknown="not known"),
            money("work_usd", "Used by calls (USD)"),
            money("idle_usd", "Idle (USD)"),
            money("start_usd", "Starting (USD)"),
            Column("use", "In use", kind="figure", css="nowrap", csv_head="use"),
            _hours("unpriced_gpu_hours", "GPU-hours without a price", of("sum_unpriced_gpu_hours"),
                   "sum_unpriced_gpu_hours", optional=True, at_first=False),
        ),
        order="-real_usd",
        ties=("model", "whose"),
        page_size=10,
        with_facts=lambda rows: [MachineRow(row, path.month) for row in rows],
        empty=Empty(
            "No machine was seen in this month",
            "What machines cost appears here some minutes after they were launched.",
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class CardRow:
    """A model on one kind of card."""

    model: str
    card: str
    costs: Costs
    usd_per_million: Decimal | None

    @property
    def use(self) -> str:
        """Return which part of the ready time work took."""
        found = self.costs
        return use_words(found.used_gpu_hours, found.unsplit_gpu_hours, found.ready_gpu_hours)


def card_row(line: CostLine) -> CardRow:
    """Return a line of the table of cards."""
    cost = line.costs.usd_per_million
    return CardRow(
        model=line.model,
        card=line.gpu_name.upper(),
        costs=line.costs,
        usd_per_million=None if cost is None else round(cost, PRICE_PLACES),
    )


def card_table(path: Path) -> Table:
    """Return the table of what a million tokens cost by model and card."""
    return Table(
        name=f"cards-{path.month:%Y-%m}",
        prefix="cards",
        noun=WHOLE,
        columns=(
            Column("model", "Model", sort="model", csv_head="model", css="nowrap", place="name"),
            Column("card", "Card", sort="card", csv_head="card", unknown="not known"),
            Column("usd_per_million", "USD per million tokens", kind="money", place="figure",
                   sort="usd_per_million", csv_head="usd_per_million_tokens", unknown="not known"),
            Column("tokens", "Tokens", "costs.tokens", kind="figure", sort="costs.tokens",
                   total="costs.tokens", csv_head="tokens"),
            _hours("gpu_hours", "GPU-hours", "costs.gpu_hours", "costs.gpu_hours"),
            Column("use", "In use", kind="figure", css="nowrap", csv_head="use"),
            Column("spot_saved_usd", "Saved by Spot (USD)", "costs.spot_saved_usd", kind="money",
                   sort="costs.spot_saved_usd", total="costs.spot_saved_usd",
                   csv_head="spot_saved_usd"),
        ),
        order="-gpu_hours",
        page_size=10,
        empty=Empty(
            "No model had a machine in this month",
            "What a million tokens cost on each card appears here once a replica was ready.",
        ),
    )  # fmt: skip


def use_words(used: Decimal, unsplit: Decimal, ready: Decimal) -> str:
    """Return which part of their ready hours replicas worked: "31%", or "0% to 33%" where some of
    them were not measured; "" where nothing was ready.
    """
    if not ready:
        return ""
    low, high = f"{used / ready:.0%}", f"{(used + unsplit) / ready:.0%}"
    return low if low == high else f"{low} to {high}"


def _hours(
    key: str, label: str, path: str | Callable[[Any], Any], summed: str, **more: Any
) -> Column:
    """Return a column of GPU-hours: one decimal on the page, all of them as CSV. summed: what its
    rows are sorted by, and its total is of.
    """

    def words(row: object) -> str | None:
        found = look_up(row, path)
        return None if found is None else f"{found:,.1f}"

    return Column(
        key, label, words, kind="figure", sort=summed, total=summed, csv=path, csv_head=key, **more
    )
