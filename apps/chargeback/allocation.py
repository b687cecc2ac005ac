"""A day's machines shared out: who used them, and what nobody used, with the same sum.

The method "gpu-work-1" (METHOD says it in words) takes the intervals of machines, what pods held
of them, and the measured work, and returns rows that sum to the cost of all machine time. Time is
divided in whole ticks of a GPU and money in exact fractions, rounded once, at the end. Pure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from apps.chargeback.method import Basis, Kind
from apps.chargeback.speeds import Weights
from apps.common import shares
from apps.fleet.holdings import Holding
from apps.metering.queries import HourOfWork

PLACES = 12
HOUR = timedelta(hours=1)
# An attosecond: so short that what a third or a seventh of it loses is in no figure.
TICKS_PER_SECOND = 10**18
TICKS_PER_MICROSECOND = 10**12
TICKS_PER_PICOSECOND = 10**6
TICKS_PER_HOUR = 3600 * TICKS_PER_SECOND


@dataclass(frozen=True, order=True)
class Origin:
    """The machines that a cost comes from. gpu_name: "" without a GPU, or of a kind not known."""

    instance_type: str
    capacity_type: str
    gpu_name: str
    is_priced: bool


@dataclass(frozen=True)
class Stretch:
    """A machine over [from_at, to_at) at one price. claim: its key.

    usd_per_hour: None without a price. on_demand_usd_per_hour: what the same costs on demand by
    the price list; None where it is not listed.
    """

    claim: int
    instance_type: str
    capacity_type: str
    gpu_name: str
    gpus: int
    from_at: datetime
    to_at: datetime
    usd_per_hour: Decimal | None
    on_demand_usd_per_hour: Decimal | None
    is_observed: bool

    @property
    def ticks(self) -> int:
        """Return how long it is."""
        return _ticks(self.from_at, self.to_at)

    @property
    def origin(self) -> Origin:
        """Return which machines it is one of."""
        is_priced = self.usd_per_hour is not None
        return Origin(self.instance_type, self.capacity_type, self.gpu_name, is_priced)


@dataclass(frozen=True, order=True)
class Share:
    """Whose a part of the day is: the columns of a row but its figures."""

    origin: Origin
    kind: Kind
    basis: Basis = Basis.NONE
    model: str = ""
    version: str = ""
    team: str = ""
    cost_center: str = ""


@dataclass(frozen=True)
class Row:
    """One share of a day. cost_usd: None without a price; ratio: its part of its origin.

    on_demand_usd: what the same GPU time costs on demand; None where it is not listed. Tokens are
    those that the share worked for; input_tokens includes the cached ones.
    """

    share: Share
    gpu_hours: Decimal
    cost_usd: Decimal | None
    on_demand_usd: Decimal | None
    ratio: Decimal
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Day:
    """A day shared out. Seconds are machine time, unobserved time included in the first two.

    unplaced_tokens: of calls to versions of which no ready replica was seen in that hour.
    """

    rows: list[Row]
    total_usd: Decimal
    priced_seconds: Decimal
    unpriced_seconds: Decimal
    unobserved_seconds: Decimal
    unplaced_tokens: int

    def usd_of(self, kind: str) -> Decimal:
        """Return what became of its money in one way."""
        costs = (row.cost_usd for row in self.rows if row.share.kind == kind)
        return sum((usd for usd in costs if usd is not None), Decimal(0))


Weigh = Callable[[str, str, Fraction], Weights]  # model, card, GPUs held → weights


@dataclass(frozen=True)
class _Unit:
    """What a tick costs: of one GPU, or of the machine where it has none."""

    usd: Fraction | None
    on_demand: Fraction | None
    gpus: int  # that a tick counts as: 1, or 0 without a GPU


@dataclass(frozen=True)
class _Up:
    """GPU time of a ready version in one hour on one kind of machine, not divided yet."""

    share: Share
    unit: _Unit
    hour: datetime
    weights: Weights


@dataclass
class _Figures:
    """What a share has come to. amount: ticks of GPUs, or of machines without one."""

    amount: int = 0
    gpu_ticks: int = 0
    usd: Fraction = Fraction(0)
    on_demand: Fraction | None = Fraction(0)
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def is_something(self) -> bool:
        """Tell whether a row has to be made of it."""
        return bool(self.amount or self.input_tokens or self.output_tokens)

    def add(self, amount: int, unit: _Unit) -> None:
        """Count so many ticks."""
        self.amount += amount
        self.gpu_ticks += amount * unit.gpus
        self.usd += amount * (unit.usd or 0)
        if self.on_demand is not None and unit.on_demand is not None:
            self.on_demand += amount * unit.on_demand
        else:
            self.on_demand = None


def allocate(
    *,
    stretches: Iterable[Stretch],
    holdings: Iterable[Holding],
    work: Iterable[HourOfWork],
    weigh: Weigh,
    evaluations: str,
) -> Day:
    """Share a day's machine time out by METHOD.

    stretches, holdings: within the day; several stretches of one machine do not overlap. work: of
    the day's hours. evaluations: the namespace of replicas under evaluation. The costs of the rows
    sum to the cost of all stretches with a price, rounded once to 12 decimals; the ratios of an
    origin sum to 1.
    """
    spans = [stretch for stretch in stretches if stretch.from_at < stretch.to_at]
    figures: dict[Share, _Figures] = {}
    up: dict[_Up, int] = {}
    for piece, unit, amount in _pieces(spans, holdings, weigh, evaluations):
        if isinstance(piece, _Up):
            up[piece] = up.get(piece, 0) + amount
        else:
            figures.setdefault(piece, _Figures()).add(amount, unit)
    unplaced = _divide(up, work, figures)
    rows = _rows(figures)
    return Day(
        rows=rows,
        total_usd=sum((row.cost_usd for row in rows if row.cost_usd is not None), Decimal(0)),
        priced_seconds=_seconds(span for span in spans if span.origin.is_priced),
        unpriced_seconds=_seconds(span for span in spans if not span.origin.is_priced),
        unobserved_seconds=_seconds(span for span in spans if not span.is_observed),
        unplaced_tokens=unplaced,
    )


def _pieces(
    spans: Iterable[Stretch], holdings: Iterable[Holding], weigh: Weigh, evaluations: str
) -> Iterator[tuple[Share | _Up, _Unit, int]]:
    """Yield what every tick of the machines was: whose, its price, how many."""
    by_claim: dict[int, list[Holding]] = {}
    for holding in holdings:
        by_claim.setdefault(holding.claim, []).append(holding)
    for span in spans:
        unit = _unit(span)
        if not span.is_observed:
            share = Share(span.origin, Kind.RESIDUAL, Basis.UNOBSERVED)
            yield share, unit, span.ticks * max(span.gpus, 1)
        elif not span.gpus:
            yield Share(span.origin, Kind.PLATFORM), unit, span.ticks
        else:
            yield from _held(span, unit, by_claim.get(span.claim, []), weigh, evaluations)


def _unit(span: Stretch) -> _Unit:
    parts = TICKS_PER_HOUR * max(span.gpus, 1)
    price, listed = (
        None if usd is None else Fraction(usd) / parts
        for usd in (span.usd_per_hour, span.on_demand_usd_per_hour)
    )
    return _Unit(price, listed, gpus=1 if span.gpus else 0)


def _held(
    span: Stretch, unit: _Unit, holdings: Sequence[Holding], weigh: Weigh, evaluations: str
) -> Iterator[tuple[Share | _Up, _Unit, int]]:
    """Yield what the GPUs of a machine were, between any two moments at which something changed."""
    there = [one for one in holdings if one.from_at < span.to_at and one.to_at > span.from_at]
    for begin, end in pairwise(_cuts(span, there)):
        here = [one for one in there if one.from_at <= begin < one.to_at]
        free = max(Fraction(span.gpus) - sum(one.gpus for one in here), Fraction(0))
        parts = shares.split(_ticks(begin, end) * span.gpus, [*(one.gpus for one in here), free])
        for holding, amount in zip(here, parts, strict=False):
            yield _use(span, unit, holding, begin, weigh, evaluations), unit, amount
        yield Share(span.origin, Kind.UNALLOCATED), unit, parts[-1]


def _cuts(span: Stretch, holdings: Sequence[Holding]) -> list[datetime]:
    """Return the moments, first and last of the stretch included, between which nothing changes."""
    cuts = {span.from_at, span.to_at}
    for holding in holdings:
        cuts |= {holding.from_at, holding.to_at, holding.ready_at or span.from_at}
    if holdings:
        hour = _hour(span.from_at) + HOUR
        while hour < span.to_at:
            cuts.add(hour)
            hour += HOUR
    return sorted(cut for cut in cuts if span.from_at <= cut <= span.to_at)


def _use(
    span: Stretch, unit: _Unit, holding: Holding, at: datetime, weigh: Weigh, evaluations: str
) -> Share | _Up:
    """Return what GPUs that a pod holds are at a moment."""
    whose = Share(span.origin, Kind.WORK, model=holding.model, version=holding.version)
    if holding.ready_at is None or at < holding.ready_at:
        return replace(whose, kind=Kind.START)
    if holding.namespace == evaluations:
        return replace(whose, basis=Basis.EVALUATION)
    weights = weigh(holding.model, span.gpu_name, holding.gpus)
    return _Up(whose, unit, _hour(at), weights)


def _divide(
    up: Mapping[_Up, int], work: Iterable[HourOfWork], figures: dict[Share, _Figures]
) -> int:
    """Divide the time of ready replicas among those who used it; return the tokens of work for
    which there was none.
    """
    times: dict[tuple[datetime, str], dict[_Up, int]] = {}
    for piece, amount in up.items():
        times.setdefault((piece.hour, piece.share.version), {})[piece] = amount
    done: dict[tuple[datetime, str], list[HourOfWork]] = {}
    unplaced = 0
    for item in work:
        key = (item.hour, item.version)
        done.setdefault(key, []).append(item)
        unplaced += 0 if key in times else item.input_tokens + item.output_tokens
    for key, pieces in times.items():
        _divide_hour(pieces, done.get(key, []), figures)
    return unplaced


def _divide_hour(
    pieces: Mapping[_Up, int], work: Sequence[HourOfWork], figures: dict[Share, _Figures]
) -> None:
    """Divide one hour of one version, on whatever machines it was."""
    room = room_of(_time_by_weights(pieces), work)
    tokens = _tokens(pieces, work)
    for place, (piece, amount) in enumerate(pieces.items()):
        basis, weights = _weights_in(piece, work, room)
        *parts, rest = shares.split(amount, weights)
        for item, part, (inputs, outputs) in zip(work, parts, tokens, strict=True):
            whose = replace(piece.share, basis=basis, team=item.team, cost_center=item.cost_center)
            found = figures.setdefault(whose, _Figures())
            found.add(part, piece.unit)
            found.input_tokens += inputs[place]
            found.output_tokens += outputs[place]
        whose = replace(piece.share, kind=Kind.IDLE, basis=basis)
        figures.setdefault(whose, _Figures()).add(rest, piece.unit)


def _tokens(
    pieces: Mapping[_Up, int], work: Sequence[HourOfWork]
) -> list[tuple[list[int], list[int]]]:
    """Return the input and output tokens of each item of work by piece: as much as each piece could
    do in its time.
    """
    flows: list[shares.Weight] = []
    for piece, amount in pieces.items():
        takes = sum(_takes(item, piece.weights) for item in work)
        flows.append(Fraction(amount, takes or 1))
    if not any(flows):
        flows = [1] * len(flows)
    return [
        (shares.split(item.input_tokens, flows), shares.split(item.output_tokens, flows))
        for item in work
    ]


def _time_by_weights(pieces: Mapping[_Up, int]) -> dict[Weights, int]:
    found: dict[Weights, int] = {}
    for piece, amount in pieces.items():
        found[piece.weights] = found.get(piece.weights, 0) + amount
    return found


def room_of(times: Mapping[Weights, int], work: Sequence[HourOfWork]) -> Fraction | None:
    """Return how many times the hour's work would have fit into the time that its replicas were
    ready, 1 at least; None where there is no work, or a speed was not measured.

    times: weights → GPU-ticks. On several kinds of machines every one is taken to be equally
    busy. Its inverse is the utilization by work.
    """
    if not all(weights.is_measured for weights in times):
        return None
    takes = {weights: sum(_takes(item, weights) for item in work) for weights in times}
    if not all(takes.values()):
        return None
    fits = sum(
        (Fraction(time, takes[weights] * TICKS_PER_PICOSECOND) for weights, time in times.items()),
        Fraction(0),
    )
    return max(fits, Fraction(1))


def _weights_in(
    piece: _Up, work: Sequence[HourOfWork], room: Fraction | None
) -> tuple[Basis, list[shares.Weight]]:
    """Return by what an hour is divided, and the weights: of each item of work, then of idling."""
    takes: list[shares.Weight] = [_takes(item, piece.weights) for item in work]
    if sum(takes):
        if room is None:
            return Basis.NOT_SPLIT, [*takes, 0]
        return Basis.MEASURED, [*takes, sum(takes) * (room - 1)]
    calls = [item.untold_calls for item in work]
    if sum(calls):
        return Basis.CALLS, [*calls, 0]
    return Basis.NO_CALLS, [*takes, 1]


def _takes(item: HourOfWork, weights: Weights) -> int:
    """Return the picoseconds of one GPU that work takes."""
    return weights.work(
        input_tokens=item.input_tokens,
        cached_input_tokens=item.cached_input_tokens,
        output_tokens=item.output_tokens,
    )


def _rows(figures: Mapping[Share, _Figures]) -> list[Row]:
    """Return the rows, rounded so that all of their sums hold."""
    known = sorted(share for share in figures if figures[share].is_something)
    priced = [share for share in known if share.origin.is_priced]
    listed = [share for share in known if figures[share].on_demand is not None]
    hours = _rounded(known, lambda item: Fraction(item.gpu_ticks, TICKS_PER_HOUR), figures)
    costs = _rounded(priced, lambda item: item.usd, figures)
    on_demand = _rounded(listed, lambda item: item.on_demand or Fraction(0), figures)
    ratios = _ratios(known, figures)
    return [
        Row(
            share=share,
            gpu_hours=hours[share],
            cost_usd=costs.get(share),
            on_demand_usd=on_demand.get(share),
            ratio=ratios[share],
            input_tokens=figures[share].input_tokens,
            output_tokens=figures[share].output_tokens,
        )
        for share in known
    ]


def _rounded(
    known: Sequence[Share],
    figure: Callable[[_Figures], Fraction],
    figures: Mapping[Share, _Figures],
) -> dict[Share, Decimal]:
    amounts = [figure(figures[share]) for share in known]
    return dict(zip(known, shares.decimals(amounts, places=PLACES), strict=True))


def _ratios(known: Sequence[Share], figures: Mapping[Share, _Figures]) -> dict[Share, Decimal]:
    """Return each share's part of its origin: of its cost, else of its time."""
    by_origin: dict[Origin, list[Share]] = {}
    for share in known:
        by_origin.setdefault(share.origin, []).append(share)
    found: dict[Share, Decimal] = {}
    for mine in by_origin.values():
        costs: list[shares.Weight] = [figures[share].usd for share in mine]
        times: list[shares.Weight] = [figures[share].amount for share in mine]
        parts = shares.ratios(costs if any(costs) else times, places=PLACES)
        found |= dict(zip(mine, parts, strict=True))
    return found


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ticks(begin: datetime, end: datetime) -> int:
    return (end - begin) // timedelta(microseconds=1) * TICKS_PER_MICROSECOND


def _seconds(spans: Iterable[Stretch]) -> Decimal:
    return Decimal(sum(span.ticks // TICKS_PER_MICROSECOND for span in spans)).scaleb(-6)
