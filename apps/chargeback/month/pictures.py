"""A month's money as pictures: from cards over models to cost centers, and day by day."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from apps.chargeback import costs
from apps.chargeback.costs import CostLine
from apps.chargeback.method import Basis, Kind
from apps.chargeback.queries import Scope
from apps.common.charts import USD, Flow, Look, Sankey, Series, StackChart
from apps.common.periods import DAY, day_of
from apps.common.simulated import MARK

FLOWS_BY = ("gpu_name", "model", "cost_center", "kind", "basis")
SHOWN = 9  # of the nodes of a step, or of the parts of a day; the others stand together
NOT_NAMED = "Cost center not named"
IDLE = "Idle and starting"
EVALUATIONS = "Evaluations"
NO_CARD = "No GPU, or not known which"
STEPS = ("GPU type", "model", "cost center")
LOOKS: dict[str, Look] = {IDLE: "idle", Kind.UNALLOCATED.label: "unallocated"}
DAY_LOOKS: dict[str, Look] = {Kind.IDLE: "idle", Kind.UNALLOCATED: "unallocated"}
_Way = tuple[str, str, str]  # card, model ("": none's), cost center or what became of it


def flow(
    found: Mapping[tuple[str, ...], Decimal], *, hues: Mapping[str, int], is_simulated: bool
) -> Sankey:
    """Return where money went. found: USD by FLOWS_BY. What has no price is in no flow."""
    ways: dict[_Way, Decimal] = {}
    for names, usd in found.items():
        way = _way(*names)
        ways[way] = ways.get(way, Decimal(0)) + usd
    named = _names(ways)
    flows: dict[tuple[str, str], Decimal] = {}
    for way, usd in ways.items():
        nodes = [named[step, name] for step, name in enumerate(way) if name]
        for pair in zip(nodes, nodes[1:], strict=False):
            flows[pair] = flows.get(pair, Decimal(0)) + usd
    return Sankey(
        name="month-flow",
        title="GPU type → model → cost center",
        unit=USD,
        size="tall",
        note=MARK if is_simulated else "",
        heads=STEPS,
        flows=[Flow(*pair, usd) for pair, usd in sorted(flows.items(), key=lambda one: -one[1])],
        hues=hues,
        looks=LOOKS,
    )


def _way(gpu_name: str, model: str, cost_center: str, kind: str, basis: str) -> _Way:
    card = gpu_name.upper() or NO_CARD
    if not model:
        return card, "", str(Kind(kind).label) if kind != Kind.WORK else NOT_NAMED
    if kind in (Kind.IDLE, Kind.START):
        return card, model, IDLE
    return card, model, EVALUATIONS if basis == Basis.EVALUATION else cost_center or NOT_NAMED


def _names(ways: Mapping[_Way, Decimal]) -> dict[tuple[int, str], str]:
    """Return what each node of each step is called: the dearest of a step by their own names, the
    others of it together. No name is in two steps, for a picture knows a node by it alone.
    """
    found: dict[tuple[int, str], str] = {}
    taken: set[str] = set()
    for step, word in enumerate(STEPS):
        sums: dict[str, Decimal] = {}
        for way, usd in ways.items():
            sums[way[step]] = sums.get(way[step], Decimal(0)) + usd
        dearest = set(_dearest(sums))
        for name in sums:
            own = f"{name} ({word})" if name in taken else name
            found[step, name] = own if name in dearest else f"Other {word}s"
        taken |= set(sums)
    return found


def _dearest(sums: Mapping[str, Decimal]) -> list[str]:
    """Return the names that stand for themselves: the dearest, and what is nobody's."""
    ranked = sorted(sums, key=lambda name: -sums[name])
    if len(ranked) <= SHOWN + 1:
        return ranked
    return [*ranked[:SHOWN], *(name for name in ranked[SHOWN:] if name in LOOKS)]


def days(
    start: datetime, end: datetime, *, scope: Scope, hues: Mapping[str, int], is_simulated: bool
) -> StackChart:
    """Return what the machines of each day of [start, end) cost, by what became of their time; for
    a team what its work took, by model. Days between that are not shared out have no figure; one
    query, for a team two.
    """
    found = costs.days(start=start, end=end)
    first, last = (min(found), max(found)) if found else (day_of(start), day_of(start))
    at = [first + place * DAY for place in range((last - first).days + 1)]
    if scope.team is None:
        series = _kinds(at, found)
    else:
        mine = costs.lines(start=start, end=end, scope=scope, by=["day", "model"])
        series = _models(at, found, mine, hues)
    return StackChart(
        name="machine-days",
        title="What the machines cost by day",
        unit=USD,
        shape="bars",
        size="tall",
        note=MARK if is_simulated else "",
        at=at,
        series=series,
    )


def _kinds(at: Sequence[date], found: Mapping[date, Mapping[str, Decimal]]) -> list[Series]:
    return [
        Series(
            str(Kind(kind).label),
            [found[day][kind] if day in found else None for day in at],
            look=DAY_LOOKS.get(kind, ""),
        )
        for kind in Kind.values
        if any(amounts[kind] for amounts in found.values())
    ]


def _models(
    at: Sequence[date],
    known: Collection[date],
    mine: Iterable[CostLine],
    hues: Mapping[str, int],
) -> list[Series]:
    sums: dict[str, dict[date, Decimal]] = {}
    for line in mine:
        if line.day is not None and line.costs.total_usd is not None:
            sums.setdefault(line.model, {})[line.day] = line.costs.total_usd
    return [
        Series(
            name,
            [amounts.get(day, Decimal(0)) if day in known else None for day in at],
            hue=hues.get(name),
        )
        for name, amounts in sorted(sums.items())
    ]
