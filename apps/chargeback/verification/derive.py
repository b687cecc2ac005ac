"""What a month comes to by its calls and its machines, worked out anew: no day, line or statement
that was kept is read, and nothing is written.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal

from apps.chargeback.allocation import allocate
from apps.chargeback.closing.statements import COST, LIST, NOTHING, Amount, Key
from apps.chargeback.inputs import inputs
from apps.chargeback.models import Rate, Spend
from apps.chargeback.prices.estimates import prices_estimates
from apps.common.periods import DAY, end_of_day, month_bounds, next_month, start_of_day
from apps.integrations.s3.client import RegistryStore
from apps.manifests.names import EVALS
from apps.metering.models import HourlyUsage
from apps.metering.queries import HourOfWork
from apps.metering.recount import count_day
from apps.metering.skus import UNITS, Sku, estimated_quantities, quantities

EXACT = Context(prec=80)
PLACES = Decimal(1).scaleb(-Spend._meta.get_field("list_cost_usd").decimal_places)
Lines = dict[Key, Amount]
Tell = Callable[[date], None]


@dataclass
class Derived:
    """A month worked out anew: as it was known at a moment, and as it is known now. sources: where
    the calls are → how many days of them.
    """

    month: date
    then: Lines = field(default_factory=dict)
    now: Lines = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def derive(
    month: date, *, known_at: datetime, archive: RegistryStore, tell: Tell = lambda day: None
) -> Derived:
    """Work a month out anew, a day in memory at a time. tell: is called with each day.

    Raises NotWhole, NotParquet, TemporaryError and PermanentError as recount.count_day.
    """
    found, prices = Derived(month), _prices(month)
    estimates = prices_estimates(month)
    then: defaultdict[Key, Amount] = defaultdict(lambda: NOTHING)
    now: defaultdict[Key, Amount] = defaultdict(lambda: NOTHING)
    day = month
    while day < next_month(month):
        tell(day)
        counted = count_day(day, known_at=known_at, archive=archive)
        found.sources[counted.source] += 1
        for lines, hours, is_then in ((then, counted.then, True), (now, counted.now, False)):
            _add(lines, _listed(month, hours, prices, estimates=estimates))
            _add(lines, _shared(month, day, counted.work(then=is_then)))
        day += DAY
    found.then, found.now = _without_nothing(then), _without_nothing(now)
    return found


def _add(lines: dict[Key, Amount], more: Iterable[tuple[Key, Amount]]) -> None:
    for key, amount in more:
        lines[key] += amount


def _without_nothing(lines: Lines) -> Lines:
    return {key: amount for key, amount in lines.items() if amount.quantity or amount.usd}


Prices = dict[tuple[str, str], list[Rate]]


def _prices(month: date) -> Prices:
    """Return model and SKU → the rates that count in a month; one query."""
    start, end = month_bounds(month)
    rates = Rate.objects.current().filter(active_from__lt=end).exclude(active_to__lte=start)
    found: defaultdict[tuple[str, str], list[Rate]] = defaultdict(list)
    for rate in rates.select_related("registered_model"):
        found[rate.registered_model.name, rate.sku].append(rate)
    return found


def _listed(
    month: date, hours: Iterable[HourlyUsage], prices: Prices, *, estimates: bool
) -> Iterable[tuple[Key, Amount]]:
    """Yield what the hours of a day cost by the price list, a line for each rate. estimates:
    whether what is estimated is priced.
    """
    used: defaultdict[Key, Decimal] = defaultdict(Decimal)
    rates: dict[Key, Rate] = {}
    for hour in hours:
        whose = (hour.team, hour.model, hour.version)
        used_here = [(sku, quantity, False) for sku, quantity in quantities(hour)]
        if estimates:
            used_here += [(sku, quantity, True) for sku, quantity in estimated_quantities(hour)]
        for sku, quantity, is_estimated in used_here:
            rate = _in_force(prices.get((hour.model, sku), []), hour.hour)
            if rate is not None:
                key = Key(hour.cost_center, LIST, month, *whose, str(sku), rate.pk, is_estimated)
                used[key] += Decimal(quantity)
                rates[key] = rate
    for key, total in used.items():
        yield key, Amount(total, _usd(rates[key], total))


def _in_force(rates: Iterable[Rate], at: datetime) -> Rate | None:
    for rate in rates:
        if rate.active_from <= at and (rate.active_to is None or at < rate.active_to):
            return rate
    return None


def _usd(rate: Rate, quantity: Decimal) -> Decimal:
    """Return what a day's quantity costs, with the digits that the ledger keeps."""
    exact = EXACT.divide(
        EXACT.multiply(quantity, rate.unit_price_usd), Decimal(UNITS[Sku(rate.sku)].per)
    )
    return exact.quantize(PLACES, ROUND_HALF_UP, EXACT)


def _shared(month: date, day: date, work: list[HourOfWork]) -> Iterable[tuple[Key, Amount]]:
    """Yield what a day's machines cost, shared out by the work that was counted anew."""
    found = replace(inputs(start_of_day(day), end_of_day(day)), work=work)
    shared = allocate(
        stretches=found.stretches,
        holdings=found.holdings,
        work=found.work,
        weigh=found.weigh,
        evaluations=EVALS,
    )
    for row in shared.rows:
        share = row.share
        if row.cost_usd is not None:
            whose = (share.team, share.model, share.version, str(share.kind))
            yield Key(share.cost_center, COST, month, *whose), Amount(row.gpu_hours, row.cost_usd)
