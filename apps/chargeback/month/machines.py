"""What a month's machines cost, in words: the equation of its total, and what stands behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.template.defaultfilters import pluralize

from apps.chargeback import costs
from apps.chargeback.costs import CostLine, Costs, Known
from apps.chargeback.method import METHOD, Basis, Kind
from apps.chargeback.queries import Scope
from apps.common.money import usd
from apps.common.periods import SECONDS_PER_HOUR, ZONE, day_words

CAUSES = {
    Kind.WORK: "what the calls of teams took, and evaluations",
    Kind.IDLE: "replicas that were ready and had nothing, or less, to do",
    Kind.START: "from the machine's launch, or the pod's scheduling, until it was ready",
    Kind.UNALLOCATED: "no pod held them",
    Kind.PLATFORM: "machines without a GPU",
    Kind.RESIDUAL: "time in which nobody saw the machine",
}
IDLE_CAUSES = (
    (Basis.NO_CALLS, "in hours without a call"),
    (Basis.MEASURED, "in hours with less work than they could do"),
)
# The three terms of a month's total, each of some kinds.
EQUATION: tuple[tuple[str, tuple[Kind, ...], str], ...] = (
    ("Allocated", (Kind.WORK,), "used by teams, and by evaluations"),
    ("Idle", (Kind.IDLE, Kind.START), "replicas without enough work, and starting ones"),
    (
        "Unallocated",
        (Kind.UNALLOCATED, Kind.PLATFORM, Kind.RESIDUAL),
        "GPUs without a replica, machines without a GPU, unseen time",
    ),
)


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
class Machines:
    """A month's machines. equation: the three terms of the total, terms: the same by what became of
    the time; none for a team, whose total is what its own work took.
    """

    total: Costs
    note: str
    equation: list[Term]
    terms: list[Term]
    figures: list[tuple[str, str]]
    troubles: list[str]
    method: str
    has_simulated_machines: bool
    has_simulated_prices: bool

    @property
    def is_something(self) -> bool:
        """Tell whether any machine time is known."""
        return bool(self.total.shares)


def machines(start: datetime, end: datetime, *, scope: Scope) -> Machines:
    """Return a month's machines for a person; three queries."""
    found = costs.lines(start=start, end=end, scope=scope, by=["kind", "basis"])
    known = costs.known(start=start, end=end)
    total = costs.added(line.costs for line in found)
    whole = scope.team is None
    return Machines(
        total=total,
        note=_until(known),
        equation=_equation(total) if whole else [],
        terms=_terms(total, found) if whole else [],
        figures=_figures(total),
        troubles=_troubles(total, known, whole=whole),
        method=f"{METHOD.id}, version {METHOD.version}. {METHOD.text}",
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


def _equation(total: Costs) -> list[Term]:
    amounts = [sum((total.usd_of(kind) for kind in kinds), Decimal(0)) for _, kinds, _ in EQUATION]
    return [
        _term(total, label, amount, cause, is_first=not place)
        for place, ((label, _, cause), amount) in enumerate(zip(EQUATION, amounts, strict=True))
    ]


def _terms(total: Costs, found: Sequence[CostLine]) -> list[Term]:
    terms = []
    for kind in Kind:
        amount = total.usd_of(kind)
        cause = _idle_words(found) if kind == Kind.IDLE and amount else CAUSES[kind]
        terms.append(_term(total, str(kind.label), amount, cause, is_first=kind == Kind.WORK))
    return terms


def _term(total: Costs, label: str, amount: Decimal, cause: str, *, is_first: bool) -> Term:
    whole = total.total_usd
    share = f"{amount / whole:.1%}" if whole else ""
    return Term("=" if is_first else "+", label, amount, share, cause)


def _idle_words(found: Sequence[CostLine]) -> str:
    """Return why replicas idled, each cause with its money."""
    idle = {line.basis: line.costs.idle_usd for line in found if line.kind == Kind.IDLE}
    return " · ".join(
        f"{usd(idle[basis])} {words}" for basis, words in IDLE_CAUSES if idle.get(basis)
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
