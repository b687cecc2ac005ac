"""What a proposed version would cost at the traffic that the version it replaces has now.

Estimate `replacement-cost-1`, a month being a twelfth of a year:

- the baseline costs what its machines cost, idling and starting included, on the whole days of the
  last thirty on which it alone served and which are shared out, brought to a month;
- a warm version's machine runs whatever the traffic, so the candidate costs the same times the list
  price of its evaluation's machine over that of the baseline's;
- a version that sleeps is awake as long as it works, so that is also multiplied by the baseline's
  tokens a second over the candidate's, both of the same suite and kind of engine;
- where a warm version asks for other machines or another number of replicas than the baseline, its
  machines are not those of the evaluation: the list prices are then of the cheapest machines that
  some NodePool buys for each, for the GPUs and the replicas that each asks for. Where demand sets
  the number of replicas, the cost at today's traffic is not known, but its bounds are.

Where something of it is not known, the estimate is not known, and says why.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum

from apps.capacity.queries import fit_of
from apps.chargeback.costs import known
from apps.chargeback.models import AllocatedDay, Allocation
from apps.common.counts import counted
from apps.common.money import about_usd
from apps.common.periods import DAY, HOURS_PER_DAY, HOURS_PER_MONTH, day_of, start_of_day
from apps.evals.models import Side
from apps.evals.runs.comparing import Measured
from apps.fleet.prices import list_price
from apps.integrations.engine.identity import is_stand_in
from apps.manifests.serving_settings import ServingSettings
from apps.promotions.dossier import measured_baseline
from apps.promotions.effects import Effect
from apps.promotions.models import Promotion, Rollout, ServingClass

METHOD = "replacement-cost-1"
LOOKED_AT = 30 * DAY


class NotKnown(Exception):
    """Something of the estimate is not known; its words say what."""


@dataclass(frozen=True)
class _Measured:
    live: Rollout
    usd_per_month: Decimal
    days: int
    is_simulated: bool


def effect_of(promotion: Promotion, now: datetime) -> Effect:
    """Return what the promotion does to the model's cost a month, as far as it is known."""
    try:
        measured = _measured(promotion, day_of(now))
    except NotKnown as error:
        return Effect(METHOD, now, words=str(error))
    words = f"Measured over {counted(measured.days, 'whole day')}."
    seen = Effect(METHOD, now, baseline_usd=measured.usd_per_month, words=words,
                  is_simulated=measured.is_simulated)  # fmt: skip
    try:
        factor, why = _factor(promotion, measured.live)
    except NotKnown as error:
        return seen.with_words(f"{words} {error}")
    return seen.with_candidate(measured.usd_per_month * factor, f"{words} {why}")


def _measured(promotion: Promotion, today: date) -> _Measured:
    """Return what the baseline cost. Raises NotKnown."""
    baseline = promotion.baseline
    if baseline is None:
        raise NotKnown("Nothing serves this model yet, so there is no traffic to price.")
    lives = Rollout.objects.live().select_related("promotion")
    live = lives.filter(model_version=baseline).first()
    if live is None or live.finished_at is None:
        raise NotKnown(f"{baseline.name} serves no more.")
    first = max(day_of(live.finished_at) + DAY, today - LOOKED_AT)
    days = AllocatedDay.objects.filter(day__gte=first, day__lt=today)
    shared = set(days.values_list("day", flat=True))
    if not shared:
        raise NotKnown(f"{baseline.name} has not served a whole day yet whose machines are priced.")
    rows = Allocation.objects.filter(day__in=shared, model=baseline.registered_model.name)
    sums = rows.order_by().aggregate(
        usd=Sum("cost_usd"), unpriced=Count("pk", filter=Q(is_priced=False)), rows=Count("pk")
    )
    if not sums["rows"]:
        raise NotKnown(f"No machine was seen that {baseline.name} ran on.")
    if sums["unpriced"]:
        raise NotKnown(f"Some of the machine time of {baseline.name} has no price.")
    a_day = sums["usd"] / len(shared)
    told = known(start=start_of_day(min(shared)), end=start_of_day(max(shared) + timedelta(days=1)))
    simulated = told.has_simulated_prices or told.has_simulated_machines
    return _Measured(live, a_day * HOURS_PER_MONTH / HOURS_PER_DAY, len(shared), simulated)


def _factor(promotion: Promotion, live: Rollout) -> tuple[Decimal, str]:
    """Return what the baseline's cost is multiplied by, and why in words. live: the rollout by
    which it serves. Raises NotKnown.
    """
    run, before = Measured(promotion.eval_run, Side.CANDIDATE), measured_baseline(promotion)
    if live.promotion.serving_class != promotion.serving_class:
        raise NotKnown(
            "What it does while nobody calls changes too, so its cost does not follow from that of "
            "the baseline: see what a warm and a sleeping version cost under Evidence."
        )
    if _asked(live.promotion.settings) != _asked(promotion.settings):
        return _resized(live.promotion, promotion)
    if before is None:
        raise NotKnown("The baseline was not evaluated beside it, so no machines compare.")
    factor, words = _machines(run, before)
    if promotion.serving_class == ServingClass.WARM:
        return factor, f"{words} A warm version's machine runs whatever the traffic."
    faster, speed = _speed(run, before)
    return factor * faster, f"{words} {speed}"


def _asked(settings: ServingSettings) -> tuple[object, ...]:
    """Return those of the settings that cost: a replica's share of a machine, and the replicas."""
    return (
        settings.gpus, settings.cpu_millis, settings.memory_mib, settings.instance_types,
        settings.replicas_least, settings.replicas_most,
    )  # fmt: skip


def _resized(live: Promotion, promotion: Promotion) -> tuple[Decimal, str]:
    """Return what the baseline's cost is multiplied by where the candidate asks for other machines
    or replicas. Raises NotKnown.
    """
    if promotion.serving_class != ServingClass.WARM:
        raise NotKnown(
            "It asks for other machines than the baseline, and how long it would be awake on them "
            "is not known."
        )
    before, after = live.settings, promotion.settings
    usual, usual_words = _replica_usd(before, "the baseline")
    price, words = _replica_usd(after, "it")
    if before.scales and not after.scales:
        a_month = about_usd(price * after.replicas_most * HOURS_PER_MONTH)
        raise NotKnown(
            f"By list price it costs {a_month} a month, whatever the traffic. The baseline's "
            "replicas follow demand, so the two do not compare."
        )
    if after.scales:
        least, most = (
            about_usd(price * count * HOURS_PER_MONTH)
            for count in (after.replicas_least, after.replicas_most)
        )
        raise NotKnown(
            f"Its {after.replicas_least} to {after.replicas_most} replicas follow demand: by list "
            f"price {least} to {most} a month. What that is at today's traffic is not known."
        )
    factor = price * after.replicas_most / (usual * before.replicas_most)
    return factor, (
        f"It asks for {counted(after.replicas_most, 'replica')} on {words}, the baseline for "
        f"{counted(before.replicas_most, 'replica')} on {usual_words}, by list price."
    )


def _replica_usd(settings: ServingSettings, whose: str) -> tuple[Decimal, str]:
    """Return what a warm replica costs an hour by list price, and what of. Raises NotKnown."""
    machine = fit_of(settings, needs_on_demand=True).machine
    if machine is None or machine.usd_per_hour is None:
        raise NotKnown(
            f"No machine with a list price is known that some NodePool buys for {whose}."
        )
    share = machine.usd_per_hour * settings.gpus / machine.gpus
    if settings.gpus == machine.gpus:
        return share, machine.name
    return share, f"{settings.gpus} of the {counted(machine.gpus, 'GPU')} of {machine.name}"


def _machines(run: Measured, before: Measured) -> tuple[Decimal, str]:
    if not run.machine or not before.machine:
        raise NotKnown("An evaluation's machine was not recorded.")
    if run.machine == before.machine:
        return Decimal(1), f"Both run on {run.machine}."
    price, usual = list_price(run.machine), list_price(before.machine)
    if price is None or not usual:
        raise NotKnown(f"{run.machine} or {before.machine} has no list price.")
    words = f"It was evaluated on {run.machine}, the baseline on {before.machine}."
    return price / usual, words


def _speed(run: Measured, before: Measured) -> tuple[Decimal, str]:
    fast, usual = run.metrics.get("tokens_per_second"), before.metrics.get("tokens_per_second")
    if not fast or not usual:
        raise NotKnown("An evaluation did not measure tokens a second.")
    if run.machine != before.machine or is_stand_in(run.engine) != is_stand_in(before.engine):
        raise NotKnown("The evaluations ran on other machines or engines: speeds do not compare.")
    words = f"It is awake as long as it works: {fast:.1f} tokens/s instead of {usual:.1f}."
    return Decimal(str(usual)) / Decimal(str(fast)), words
