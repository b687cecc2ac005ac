"""What a version that sleeps does now and what that costs, from the replicas and claims that the
observer saw.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from django.db.models import Q

from apps.capacity.queries import fit_of
from apps.common.counts import counted
from apps.common.money import about_usd, unit_price
from apps.common.periods import HOURS_PER_MONTH
from apps.common.progress import about
from apps.common.simulated import marked
from apps.fleet.costs import (
    ColdStarts,
    MachinePrices,
    Price,
    cold_starts_of,
    listed_price,
    machine_prices,
    priced_claims,
    replicas_usd,
)
from apps.fleet.models import Replica
from apps.manifests.names import MODELS
from apps.manifests.scaling import pre_warm_of
from apps.manifests.serving_settings import ServingSettings
from apps.promotions.gates import ONLY_SPOT
from apps.promotions.models import Promotion, Rollout, ServingClass

DAY = timedelta(hours=24)


class State(StrEnum):
    """IDLE: scaled to zero, which is no fault. WAKING: a replica starts. AWAKE: one takes calls."""

    IDLE = "IDLE"
    WAKING = "WAKING"
    AWAKE = "AWAKE"


@dataclass(frozen=True)
class Sleep:
    """starts: how long waking takes and costs. woken: how often in the last 24 h; awake_usd: their
    cost.

    awake_usd: None where a machine has no price. kept_ready: the hours in which it does not sleep,
    in words, or "".
    """

    state: State
    starts: ColdStarts
    woken: int
    awake_usd: Decimal | None
    kept_ready: str = ""

    @property
    def wakes_in(self) -> str:
        """Return "≈ 40 s", marked where it rests on simulated machines; or that it was never
        measured.
        """
        return waking(self.starts)


def waking(starts: ColdStarts) -> str:
    """Return how long a start takes, marked where it rests on simulated machines."""
    if starts.median is None:
        return "a time not measured yet"
    return marked(about(starts.median.total_seconds()), starts.is_simulated)


def sleeps_of(rollouts: Iterable[Rollout], *, now: datetime) -> dict[UUID, Sleep]:
    """Return rollout → what its version does, of those whose version sleeps: four queries, or none
    where no version does.

    The rollouts need their promotion, model and version loaded.
    """
    sleepers = [rollout for rollout in rollouts if rollout.sleeps]
    if not sleepers:
        return {}
    since = now - DAY
    rows = Replica.objects.filter(
        Q(ended_at__isnull=True) | Q(ended_at__gt=since),
        namespace=MODELS,
        service__in={rollout.model_version.name for rollout in sleepers},
    )
    lately: dict[str, list[Replica]] = {}
    for row in rows:
        lately.setdefault(row.service, []).append(row)
    claims = priced_claims((row for found in lately.values() for row in found), now)
    starts = cold_starts_of({rollout.registered_model.name for rollout in sleepers}, now)
    found = {}
    for rollout in sleepers:
        replicas = lately.get(rollout.model_version.name, [])
        found[rollout.pk] = Sleep(
            state=_state(replicas),
            starts=starts[rollout.registered_model.name],
            woken=sum(row.created_at > since for row in replicas),
            awake_usd=replicas_usd(replicas, since, now, claims),
            kept_ready=_kept_ready(rollout),
        )
    return found


def _state(replicas: Iterable[Replica]) -> State:
    """Return what a version does whose replicas these are, those that ended lately too."""
    present = [row.is_ready for row in replicas if row.ended_at is None and row.deleting_at is None]
    return State.AWAKE if any(present) else State.WAKING if present else State.IDLE


def _kept_ready(rollout: Rollout) -> str:
    hours = rollout.promotion.pre_warm
    return pre_warm_of(hours).words if hours else ""


def prices_of(
    model: str, settings: ServingSettings, serving_class: str, now: datetime
) -> MachinePrices:
    """Return what a replica with these settings costs: as the fleet paid for one of the model where
    that asked for as many GPUs and such a machine, else the list price of the cheapest machine
    that some NodePool buys for it. Thirteen queries at most.
    """
    seen = machine_prices(model, now)
    of_such = not settings.instance_types or seen.instance_type in settings.instance_types
    if seen.gpus == settings.gpus and of_such:
        return seen
    machine = fit_of(settings, needs_on_demand=serving_class == ServingClass.WARM).machine
    return MachinePrices() if machine is None else listed_price(machine, settings.gpus)


def warm_words(prices: MachinePrices, *, only_spot: bool = False) -> str:
    """Return what the warm class costs, in words. only_spot: no pool buys the machines that it
    needs.
    """
    words = (
        "A replica always runs and the first token comes at once, on a machine that is never Spot."
    )
    if only_spot:
        return f"{words} It cannot be chosen now: {ONLY_SPOT}."
    if prices.on_demand is None:
        return f"{words} Its machine has no known price yet."
    price = (
        f"{price_words(prices.on_demand)} × {HOURS_PER_MONTH} h = "
        f"{about_usd(prices.on_demand.usd_per_month)} a month"
    )
    return f"{words} {prices.machine} on demand: {price}, called or not."


def warm_price(prices: MachinePrices) -> str:
    """Return what the warm class costs, as the figure to decide by."""
    if prices.on_demand is None:
        return "price not known yet"
    return f"{about_usd(prices.on_demand.usd_per_month)} a month"


def sleeping_price(prices: MachinePrices) -> str:
    """Return what scale-to-zero costs, as the figure to decide by."""
    price = prices.spot or prices.on_demand
    return "$0 while idle" + (f", {price_words(price)} an hour awake" if price else "")


def sleeping_words(starts: ColdStarts, prices: MachinePrices, cooldown_seconds: int) -> str:
    """Return what scale-to-zero costs, in words."""
    start = (
        f"{about_usd(starts.usd_per_start)} a start, and "
        if starts.usd_per_start is not None
        else ""
    )
    minutes = max(round(cooldown_seconds / 60), 1)
    return (
        "No replica runs while nobody calls: $0 while idle. The first caller gets 503 with "
        f"Retry-After, comes back, and waits {waking(starts)}; then it costs "
        f"{start}{_per_hour(prices)} until {minutes} min after "
        "the last call. Spot first: when AWS takes the machine back, callers wait for the next one."
    )


def _per_hour(prices: MachinePrices) -> str:
    """Return what an hour awake costs: on Spot, and where there is none."""
    spot = (
        f"{price_words(prices.spot)} an hour on Spot"
        if prices.spot
        else "the Spot price an hour (none seen yet)"
    )
    if prices.on_demand is None:
        return spot
    return f"{spot}, or {price_words(prices.on_demand)} on demand where there is no Spot,"


def price_words(price: Price) -> str:
    """Return a price with what kind of price it is."""
    return unit_price(price.usd_per_hour) + (f" ({price.note})" if price.note else "")


def pre_warm_words(hours: str, prices: MachinePrices) -> str:
    """Return when a version that sleeps is kept ready without a call, and what that costs a month.
    hours: or "".
    """
    if not hours:
        return "never: only a call wakes it"
    found = pre_warm_of(hours)
    length = Decimal(str(found.hours_per_month))
    costs = [
        f"{about_usd(price.usd_per_hour * length)} {where}"
        f"{f' ({price.note})' if price.note else ''}"
        for price, where in ((prices.spot, "on Spot"), (prices.on_demand, "on demand"))
        if price is not None
    ]
    cost = f"{' or '.join(costs)} a month" if costs else "at a price not known yet"
    return f"{found.words}: {length:,.0f} hours a month, {cost}, called or not"


def class_facts(promotion: Promotion, now: datetime) -> list[tuple[str, object]]:
    """Return what an approval makes a model cost while nobody calls it, for the pages. Thirteen
    queries at most.
    """
    label, settings = promotion.get_serving_class_display(), promotion.settings
    model = promotion.registered_model.name
    prices = prices_of(model, settings, promotion.serving_class, now)
    if promotion.serving_class == ServingClass.SCALE_TO_ZERO:
        ready = ("Kept ready", pre_warm_words(promotion.pre_warm, prices))
        return [("While nobody calls", f"{label}, $0"), ready]
    price = prices.on_demand
    if price is None:
        return [("While nobody calls", f"{label}, at a price not known yet")]
    note = f" ({price.note})" if price.note else ""
    words = f"{label}, {about_usd(price.usd_per_month)} a month a replica{note}"
    if settings.replicas_least > 1:
        least = about_usd(price.usd_per_month * settings.replicas_least)
        words += f": {least} for {counted(settings.replicas_least, 'replica')}"
    return [("While nobody calls", words)]
