"""Which machines serve a model under a load, how many, at what price, and why the others do not.
Pure: facts, figures, machines and prices in, an answer for each machine out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from apps.catalog.facts.words import size_words
from apps.catalog.sizing import pace
from apps.catalog.sizing.cards import Machine
from apps.catalog.sizing.figures import Figures
from apps.catalog.sizing.memory import Reported, Room, room
from apps.catalog.sizing.pace import Pace
from apps.catalog.sizing.shapes import Shape

MOST_REPLICAS = 256
MILLION = Decimal(10**6)
SECONDS = Decimal(3600)
NOT_MEASURED = "nobody measured this GPU: what fits is memory alone"
Key = tuple[str, int]  # a table, and over how many GPUs a layer is split


@dataclass(frozen=True)
class Load:
    """What is to be served. prompt, answer: tokens of one request. Either callers, who ask again
    when they have their answer, or rate: requests a second. ttft_ms: that the 95th percentile keeps
    to; itl_ms: the mean time between tokens; None for no goal.
    """

    prompt: int
    answer: int
    callers: int | None = None
    rate: float | None = None
    ttft_ms: float | None = None
    itl_ms: float | None = None

    @property
    def context(self) -> int:
        """Return the tokens of one request, prompt and answer."""
        return self.prompt + self.answer


@dataclass(frozen=True)
class Known:
    """Everything that an answer rests on. figures: by table and split; problems: why a table has
    none, by the same; reported: by kind of GPU and split. longest: the tokens of one request that
    an engine must hold to start at all; 0 where that is not known.
    """

    shape: Shape
    figures: Mapping[Key, Figures]
    problems: Mapping[Key, str]
    reported: Mapping[Key, Reported]
    longest: int = 0


@dataclass(frozen=True)
class Fit:
    """One way to serve the load on one kind of machine. pace: of one replica, None where nobody
    measured; note: why the pace is an estimate. usd: per hour for all machines, None without a
    price; per million tokens, prompts and answers together.
    """

    machine: Machine
    ways: int
    replicas: int
    machines: int
    room: Room
    pace: Pace | None
    note: str
    usd: Decimal | None
    spot_usd: Decimal | None
    million_usd: Decimal | None
    spot_million_usd: Decimal | None

    @property
    def gpus(self) -> int:
        """Return how many GPUs work; the machines may have more."""
        return self.replicas * self.ways

    @property
    def is_unmeasured(self) -> bool:
        """Tell whether nobody knows how fast it is."""
        return self.pace is None

    @property
    def idle_gpus(self) -> int:
        """Return how many GPUs of the machines are paid for and do nothing."""
        return self.machines * self.machine.gpus - self.gpus


@dataclass(frozen=True)
class Refusal:
    """A machine that does not serve the load, with why."""

    machine: Machine
    why: str


@dataclass(frozen=True)
class Answer:
    """Machines that serve the load, measured ones first, cheapest first; and those that do not."""

    fits: Sequence[Fit]
    refusals: Sequence[Refusal]


def answer(known: Known, load: Load, machines: Iterable[Machine]) -> Answer:
    """Return what serves the load. Each machine stands in one of the two lists, once."""
    fits: list[Fit] = []
    refusals: list[Refusal] = []
    for machine in machines:
        found = [_on(known, load, machine, ways) for ways in machine.splits]
        good = [each for each in found if isinstance(each, Fit)]
        if good:
            fits.append(min(good, key=_order))
        else:
            refusals.append(Refusal(machine, _nearest(found)))
    return Answer(sorted(fits, key=_order), refusals)


def _order(fit: Fit) -> tuple[bool, bool, Decimal, int, str]:
    """Measured before not, priced before not, cheap before dear, few GPUs before many."""
    return (
        fit.pace is None,
        fit.usd is None,
        fit.usd or Decimal(0),
        fit.gpus,
        fit.machine.name,
    )


def _nearest(found: Sequence[Fit | tuple[int, str]]) -> str:
    """Return the reason of the split that came furthest."""
    reasons = [each for each in found if not isinstance(each, Fit)]
    return max(reasons, key=lambda each: each[0])[1]


MEMORY, SPLIT, UNKNOWN, GOAL = 1, 0, 2, 3  # how far a refused split came


def _on(known: Known, load: Load, machine: Machine, ways: int) -> Fit | tuple[int, str]:
    """Return how one split of one machine serves the load, or how far it came and why not."""
    shape, key = known.shape, (machine.card.table, ways)
    if problem := shape.split_problem(ways):
        return SPLIT, problem
    figures = known.figures.get(key) if machine.card.table else None
    place = room(shape, machine, ways, figures, known.reported.get((machine.gpu, ways)))
    if problem := _memory_problem(place, load, machine, ways, known.longest):
        return MEMORY, problem
    assert place is not None, "a room that is not known is a problem"  # noqa: S101
    if figures is None:
        return _by_memory(known, load, machine, ways, place)
    replicas = _replicas(load, lambda count: _serves(figures, load, place, count) == "")
    if replicas is None:
        return GOAL, _serves(figures, load, place, _most(load))
    shown = _pace(figures, load, replicas)
    return _fit(load, machine, ways, replicas, place, shown, figures.note)


def _memory_problem(
    place: Room | None, load: Load, machine: Machine, ways: int, longest: int
) -> str:
    if place is None:
        return "the size of its weights is not known"
    split = f" on each of {ways} GPUs" if ways > 1 else ""
    if place.free_bytes <= 0:
        return (
            f"its weights take {size_words(place.weight_bytes)}{split}, and the "
            f"{machine.card.title} has {machine.gpu_mib / 1024:,.0f} GiB for them and all else"
        )
    if place.kv_tokens is None:
        return "how much memory a token takes is not known"
    if place.kv_tokens < load.context:
        return (
            f"beside its weights there is room for {place.kv_tokens:,} tokens{split}, and one "
            f"request has {load.context:,}"
        )
    if place.kv_tokens < longest:
        return (
            f"beside its weights there is room for {place.kv_tokens:,} tokens{split}, and an "
            f"engine does not start that cannot hold {longest:,}, the model's whole context"
        )
    return ""


def _by_memory(
    known: Known, load: Load, machine: Machine, ways: int, place: Room
) -> Fit | tuple[int, str]:
    """Return what memory alone says, where nobody measured how fast it is."""
    why = known.problems.get((machine.card.table, ways), "")
    if load.rate is not None:
        words = why or NOT_MEASURED
        return UNKNOWN, f"{words}; how many requests a second it takes is not known"
    at_once = (place.kv_tokens or 0) // load.context
    replicas = ceil((load.callers or 1) / at_once)
    return _fit(load, machine, ways, replicas, place, None, why or NOT_MEASURED)


def _most(load: Load) -> int:
    """Return the largest number of replicas that is tried: a caller each, or a bound."""
    return min(load.callers or MOST_REPLICAS, MOST_REPLICAS)


def _replicas(load: Load, serves: Callable[[int], bool]) -> int | None:
    """Return the least number of replicas that serve the load; None where no number does."""
    low, high = 1, _most(load)
    if not serves(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if serves(middle) else (middle + 1, high)
    return low


def _pace(figures: Figures, load: Load, replicas: int) -> Pace | None:
    """Return the pace of one of so many replicas; None where it cannot keep up."""
    if load.rate is not None:
        return pace.of_rate(figures, load.prompt, load.answer, load.rate / replicas)
    callers = ceil((load.callers or 1) / replicas)
    return pace.of_callers(figures, load.prompt, load.answer, callers)


def _serves(figures: Figures, load: Load, place: Room, replicas: int) -> str:
    """Return why so many replicas do not serve the load; "" where they do."""
    found = _pace(figures, load, replicas)
    if found is None:
        return f"{replicas} replicas cannot keep up"
    if found.in_flight * load.context > (place.kv_tokens or 0):
        return (
            f"requests under way at once need {found.in_flight * load.context:,.0f} tokens of KV "
            f"cache, and there is room for {place.kv_tokens:,}"
        )
    if load.ttft_ms is not None and found.ttft_ms > load.ttft_ms:
        return (
            f"the first token takes {found.ttft_ms:,.0f} ms {_at_best(load, replicas)}, and "
            f"{load.ttft_ms:,.0f} is the goal"
        )
    if load.itl_ms is not None and found.itl_ms > load.itl_ms:
        return (
            f"each further token takes {found.itl_ms:,.1f} ms {_at_best(load, replicas)}, and "
            f"{load.itl_ms:,.1f} is the goal"
        )
    return ""


def _at_best(load: Load, replicas: int) -> str:
    """Return, in words, under which load a goal is missed that more replicas do not reach."""
    if load.callers is not None and load.callers <= replicas:
        return "however few call it"
    return f"with {replicas} replicas"


def _fit(
    load: Load,
    machine: Machine,
    ways: int,
    replicas: int,
    place: Room,
    found: Pace | None,
    note: str,
) -> Fit:
    machines = ceil(replicas / (machine.gpus // ways))
    usd, spot = (
        None if price is None else price * machines
        for price in (machine.on_demand_usd, machine.spot_usd)
    )
    tokens = _tokens_per_hour(load, found, replicas)
    return Fit(
        machine, ways, replicas, machines, place, found, note, usd, spot,
        _per_million(usd, tokens), _per_million(spot, tokens),
    )  # fmt: skip


def _tokens_per_hour(load: Load, found: Pace | None, replicas: int) -> Decimal | None:
    """Return the tokens of prompts and answers at this load; None where nobody measured."""
    if found is None:
        return None
    requests = load.rate or replicas * found.tokens_per_second / load.answer
    return Decimal(str(round(requests * load.context, 3))) * SECONDS


def _per_million(usd: Decimal | None, tokens: Decimal | None) -> Decimal | None:
    if usd is None or not tokens:
        return None
    return (usd * MILLION / tokens).quantize(Decimal("0.0001"))
