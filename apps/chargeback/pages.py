"""What pages of money show: a month's machines in words, figures and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.template.defaultfilters import pluralize

from apps.chargeback import costs, tables
from apps.chargeback.costs import Costs, Known, Machines
from apps.chargeback.method import METHOD, Basis, Kind
from apps.chargeback.queries import Scope
from apps.common.charts import USD, Series, StackChart
from apps.common.money import usd
from apps.common.periods import DAY, SECONDS_PER_HOUR, ZONE, day_of, day_words
from apps.common.requests import PageRequest
from apps.common.simulated import MARK
from apps.common.tables import page as shown
from apps.common.tables.columns import Table
from apps.common.tables.reading import read

CAUSES = {
    Kind.WORK: "what the calls of teams took, and evaluations",
    Kind.IDLE: "replicas that were ready and had nothing, or less, to do",
    Kind.START: "from the machine's launch, or the pod's scheduling, until it was ready",
    Kind.UNALLOCATED: "no pod held them",
    Kind.PLATFORM: "machines without a GPU",
    Kind.RESIDUAL: "time in which nobody saw the machine",
}


@dataclass(frozen=True)
class Term:
    """A term of a month's equation. sign: what stands before it. share: its part of the total, in
    words; "" where that is nothing.
    """

    sign: str
    label: str
    amount_usd: Decimal
    share: str
    cause: str


@dataclass(frozen=True)
class MachineSection:
    """The section "What the machines cost" of a month. terms: sum to the total; none for a team.
    models, cards: its tables as asked for. chart: the terms by day; None for a team.
    """

    total_usd: Decimal | None
    note: str
    terms: list[Term]
    figures: list[tuple[str, str]]
    troubles: list[str]
    method: str
    models: shown.Page
    cards: shown.Page
    chart: StackChart | None
    has_simulated_machines: bool
    has_simulated_prices: bool

    @property
    def total_words(self) -> str:
        """Return the total as the equation ends with it."""
        return usd(self.total_usd)


def machine_tables(
    found: Machines, start: datetime, end: datetime
) -> tuple[tuple[Table, Sequence[object]], tuple[Table, Sequence[object]]]:
    """Return the two tables of a month's machines, each with its rows: by model, and by card."""
    return (
        (tables.machine_table(start), tables.machine_rows(found, start, end)),
        (tables.card_table(start), [tables.card_row(line) for line in found.cards]),
    )


def machine_section(
    request: PageRequest, found: Machines, *, start: datetime, end: datetime, scope: Scope
) -> MachineSection:
    """Return the section for a person; three queries. A team is shown what its own work took."""
    known = costs.known(start=start, end=end)
    whole = scope.team is None
    models, cards = (
        read(table, request, rows) for table, rows in machine_tables(found, start, end)
    )
    return MachineSection(
        total_usd=found.total.total_usd,
        note=_until(known),
        terms=_terms(found) if whole else [],
        figures=_figures(found.total),
        troubles=_troubles(found.total, known, whole=whole),
        method=f"{METHOD.id}, version {METHOD.version}. {METHOD.text}",
        models=models,
        cards=cards,
        chart=_chart(start, end, is_simulated=known.has_simulated_prices) if whole else None,
        has_simulated_machines=known.has_simulated_machines,
        has_simulated_prices=known.has_simulated_prices,
    )


def _until(known: Known) -> str:
    if known.until is None:
        return "no day is shared out yet"
    until = known.until.astimezone(ZONE)
    words = f"shared out until {until:%H:%M} UTC on {day_words(until)}"
    if not known.changing:
        return words
    return f"{words} · {known.changing} day{pluralize(known.changing)} still being shared out"


def _terms(found: Machines) -> list[Term]:
    whole = found.total.total_usd
    return [
        Term(
            sign="=" if kind == Kind.WORK else "+",
            label=str(Kind(kind).label),
            amount_usd=(amount := getattr(found.total, f"{kind.lower()}_usd")),
            share=f"{amount / whole:.1%}" if whole else "",
            cause=_idle_words(found.idle) if kind == Kind.IDLE and amount else CAUSES[Kind(kind)],
        )
        for kind in Kind.values
    ]


def _idle_words(idle: Mapping[str, Decimal]) -> str:
    """Return why replicas idled, each cause with its money."""
    causes = (
        (Basis.NO_CALLS, "in hours without a call"),
        (Basis.MEASURED, "in hours with less work than they could do"),
    )
    return " · ".join(f"{usd(idle[basis])} {words}" for basis, words in causes if idle.get(basis))


def _chart(start: datetime, end: datetime, *, is_simulated: bool) -> StackChart:
    """Return what the machines of each day cost, by what became of their time; days between that
    are not shared out have no figure.
    """
    found = costs.days(start=start, end=end)
    first, last = (min(found), max(found)) if found else (day_of(start), day_of(start))
    at = [first + place * DAY for place in range((last - first).days + 1)]
    return StackChart(
        name="machine-days",
        title="What the machines cost by day",
        unit=USD,
        shape="bars",
        note=MARK if is_simulated else "",
        at=at,
        series=[
            Series(
                str(Kind(kind).label), [found[day][kind] if day in found else None for day in at]
            )
            for kind in Kind.values
            if any(amounts[kind] for amounts in found.values())
        ],
    )


def _figures(total: Costs) -> list[tuple[str, str]]:
    """Return what else people ask about the machines: label and words."""
    found = [("GPU-hours", f"{total.gpu_hours:,.1f}")]
    if total.usd_per_million is not None:
        found.append(("A million tokens", f"{usd(total.usd_per_million)}, all of it paid by them"))
    if total.spot_usd:
        words = f"{usd(total.spot_saved_usd)} against the same machines on demand"
        if total.unlisted_spot_gpu_hours:
            words += (
                f"; {total.unlisted_spot_gpu_hours:,.1f} GPU-hours of Spot have no price to compare"
            )
        found.append(("Saved by Spot", words))
    return found


def _troubles(total: Costs, known: Known, *, whole: bool) -> list[str]:
    """Return, in sentences, what is in no amount, or explained by none."""
    found = []
    if total.unpriced_gpu_hours:
        found.append(
            f"{total.unpriced_gpu_hours:,.1f} GPU-hours ran on machines without a price: they are "
            "in no amount."
        )
    if whole and known.unpriced_seconds and not total.unpriced_gpu_hours:
        hours = known.unpriced_seconds / SECONDS_PER_HOUR
        found.append(f"{hours:,.1f} hours of machines have no price: they are in no amount.")
    if whole and known.unobserved_seconds:
        hours = known.unobserved_seconds / SECONDS_PER_HOUR
        found.append(f"Nobody saw the machines for {hours:,.1f} of their hours: the residual.")
    if whole and known.unplaced_tokens:
        found.append(
            f"{known.unplaced_tokens:,} tokens came from versions of which no ready replica was "
            "seen: no machine time is theirs."
        )
    return found
