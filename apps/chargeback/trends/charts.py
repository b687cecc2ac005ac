"""The trends as charts, each with its table, and the totals beside them. Pure: what is told in,
charts out. A day of which nothing is told is a gap, and never 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from apps.chargeback.method import FACTS, Fact, Kind, Method
from apps.chargeback.trends.queries import OnCard, Span, Told, line, together
from apps.common.charts import (
    PERCENT,
    USD,
    Chart,
    LineChart,
    Look,
    Series,
    StackChart,
    Unit,
    counted,
)
from apps.common.money import unit_price, usd
from apps.common.simulated import MARK

GPU_HOURS = counted("GPU-hours", 1)
EVENTS = counted("times", one="time")
PER_MILLION = Unit("USD for a million tokens", lambda value: unit_price(_short(value)), 2, "$")
HUNDRED = Decimal(100)
IDLE: Sequence[tuple[str, Fact | Kind, Look]] = (
    ("No call in the hour", Fact.NO_CALLS, "idle"),
    ("Less work than it could do", Fact.LESS_WORK, ""),
    ("Starting", Kind.START, ""),
    ("GPUs without a replica", Kind.UNALLOCATED, "unallocated"),
    ("Platform", Kind.PLATFORM, ""),
    ("Nobody saw the machine", Kind.RESIDUAL, ""),
)
SAVINGS = (Fact.SPOT, Fact.SLEEP, Fact.CONSOLIDATION)
LOSSES = (Fact.RECLAIM, Fact.START)
AGAINST = {
    Fact.SPOT: "against on demand",
    Fact.SLEEP: "against always on",
    Fact.CONSOLIDATION: "against the machines that were replaced",
}


@dataclass(frozen=True)
class Figure:
    """A saving or a loss of the whole time. amount: in words. note: against what, and what of it is
    in no amount.
    """

    label: str
    amount: str
    note: str
    method: Method


def _over(span: Span) -> dict[str, Any]:
    """Return what every chart is drawn over."""
    return {"at": span.places, "is_monthly": span.is_monthly}


def _short(value: int | float | Decimal) -> Decimal:
    return round(Decimal(str(value)), 4)


def hours_by_team(
    span: Span, found: Mapping[str, Mapping[date, Decimal]], known: set[date]
) -> Chart:
    """Return the GPU-hours that each team's work took. known: the places that are shared out."""
    series = [
        Series(team, [hours.get(at, Decimal(0)) if at in known else None for at in span.places])
        for team, hours in found.items()
    ]
    return StackChart(
        name="hours-by-team", title="GPU-hours by team", unit=GPU_HOURS, shape="bars",
        **_over(span), series=series,
    )  # fmt: skip


def per_million(
    span: Span, found: Mapping[tuple[str, str], Mapping[date, OnCard]], hues: Mapping[str, int]
) -> Chart:
    """Return what a million tokens cost, by model and card."""
    cards: dict[str, int] = {}
    series = []
    for (model, card), at in sorted(found.items()):
        cards[model] = cards.get(model, 0) + 1
        values = line(span, {day: each.per_million_usd for day, each in at.items()})
        name = f"{model} on {card.upper() or 'a card not known'}"
        series.append(Series(name, values, hue=hues.get(model), dashed=cards[model] > 1))
    return LineChart(
        name="per-million", title="A million tokens, by model and card", unit=PER_MILLION,
        **_over(span), series=series,
    )  # fmt: skip


def use_by_work(span: Span, found: Mapping[date, Told]) -> Chart:
    """Return which part of the ready time work took: what was measured, up to what it was at most
    where the speed of some work was not.
    """
    least: list[Decimal | None] = []
    most: list[Decimal | None] = []
    for at in span.places:
        facts = found[at].facts if at in found else {}
        ready = facts[Fact.READY].gpu_hours if Fact.READY in facts else None
        if not ready:
            least.append(None)
            most.append(None)
            continue
        used = facts[Fact.USED].gpu_hours
        least.append(HUNDRED * used / ready)
        most.append(HUNDRED * (used + facts[Fact.UNSPLIT].gpu_hours) / ready)
    return LineChart(
        name="use-by-work", title="Ready time that work took", unit=PERCENT, **_over(span),
        series=[Series("Used by work", least, band=(least, most), band_words="measured to most")],
    )  # fmt: skip


def idle_money(span: Span, found: Mapping[date, Told]) -> Chart:
    """Return what nobody used cost, by its cause."""
    series = [
        Series(label, [_idle(found.get(at), what) for at in span.places], look=look)
        for label, what, look in IDLE
    ]
    return StackChart(
        name="idle-money", title="Idle money by cause", unit=USD, shape="bars", **_over(span),
        series=[each for each in series if any(each.values)], note=_mark(found),
    )  # fmt: skip


def _idle(told: Told | None, what: Fact | Kind) -> Decimal | None:
    if told is None:
        return None
    if isinstance(what, Kind):
        return told.kinds[what]
    return told.facts[what].usd if what in told.facts else None


def savings(span: Span, found: Mapping[date, Told]) -> Chart:
    """Return what Spot, sleeping and consolidation saved."""
    return LineChart(
        name="savings", title="Saved", unit=USD, **_over(span), note=_mark(found),
        series=[_of_fact(span, found, fact, lambda point: point.usd) for fact in SAVINGS],
    )  # fmt: skip


def losses(span: Span, found: Mapping[date, Told]) -> list[Chart]:
    """Return how often machines were taken back and replicas started, and what that cost."""
    return [
        LineChart(
            name="losses", title="Cold starts and reclaims, what they cost", unit=USD,
            **_over(span), note=_mark(found),
            series=[_of_fact(span, found, fact, lambda point: point.usd) for fact in LOSSES],
        ),
        LineChart(
            name="loss-events", title="Cold starts and reclaims, how often", unit=EVENTS,
            **_over(span),
            series=[
                _of_fact(span, found, fact, lambda point: Decimal(point.events)) for fact in LOSSES
            ],
        ),
    ]  # fmt: skip


def _of_fact(
    span: Span,
    found: Mapping[date, Told],
    fact: Fact,
    value: Callable[..., Decimal | None],
) -> Series:
    known = {at: value(each.facts[fact]) for at, each in found.items() if fact in each.facts}
    return Series(str(fact.label), line(span, known))


def figures(found: Mapping[date, Told]) -> list[Figure]:
    """Return each saving and loss over the whole time, with the method that it is told by."""
    return [_figure(found, fact) for fact in (*SAVINGS, *LOSSES)]


def _figure(found: Mapping[date, Told], fact: Fact) -> Figure:
    points = [each.facts[fact] for each in found.values() if fact in each.facts]
    amount = together(point.usd for point in points)
    events = sum(point.events for point in points)
    unpriced = sum((point.unpriced_gpu_hours for point in points), Decimal(0))
    parts = [AGAINST.get(fact, "")]
    if fact != Fact.SPOT:
        parts.append(EVENTS.say(events))
    if unpriced:
        parts.append(f"{unpriced:,.1f} GPU-hours have no price, and are in no amount")
    missing = len(found) - len(points)
    if missing and points:
        parts.append(f"not known before {min(_days(found, fact)):%d %b %Y}")
    return Figure(
        label=str(fact.label),
        amount="not known" if amount is None else usd(amount),
        note=" · ".join(part for part in parts if part),
        method=FACTS[fact],
    )


def _days(found: Mapping[date, Told], fact: Fact) -> list[date]:
    return [at for at, each in found.items() if fact in each.facts]


def _mark(found: Mapping[date, Told]) -> str:
    return MARK if any(each.is_simulated for each in found.values()) else ""
