"""What a run is started with, for pages and API alike: which version it is measured against, how
much of the suite it asks, and what that may cost.

What serves a model's callers is told by promotions, and what a machine costs by the fleet: both are
above evaluations, so it is put together here.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings

from apps.catalog.models import ModelVersion
from apps.common.money import usd
from apps.evals import pace, queries
from apps.evals.actions import WHOLE, Wanted
from apps.evals.models import EvalRun, EvalSuite, Side
from apps.evals.pace import Pace
from apps.evals.runs import costs
from apps.evals.suites.queries import CPU
from apps.fleet.prices import BASIS, list_price
from apps.fleet.simulated import has_simulated_machine
from apps.manifests.names import EVALS
from apps.manifests.serving_settings import ServingSettings
from apps.promotions.queries import live_rollout

LEAST_BOUND = Decimal(1)  # dollars that are suggested at least
TIMES = 3  # as much as such a run usually costs is suggested


@dataclass(frozen=True)
class Estimate:
    """What a run may cost, before it starts. usually: dollars by earlier runs, None where nobody
    knows; bound: the suggested limit; words: both, and what they rest on.
    """

    usually: Decimal | None
    bound: Decimal
    words: str


def wanted_by(
    version: ModelVersion,
    *,
    whole: bool | None = None,
    concurrency: int | None = None,
    cost_limit_usd: Decimal | None = None,
    serving: ServingSettings | None = None,
) -> Wanted:
    """Return what a run of a version does: against the version that serves now, as it is served,
    unless that is quarantined: what may be served no more is no measure, and cannot be asked.

    whole: all packets of the suite, or the declared subset alone; None for what is usual here. None
    elsewhere: the usual, too.
    """
    live = live_rollout(version.registered_model)
    found = replace(
        WHOLE, subset=subset_of(whole), cost_limit_usd=cost_limit_usd or default_bound()
    )
    if concurrency is not None:
        found = replace(found, concurrency=concurrency)
    if serving is not None:
        found = replace(found, settings=serving)
    if live is None or live.model_version.status == ModelVersion.Status.QUARANTINED:
        return found
    return replace(found, baseline=live.model_version, baseline_settings=live.promotion.settings)


def subset_of(whole: bool | None) -> str:
    """Return which packets are asked: on a CPU the declared subset, whatever was wished."""
    if settings.ENGINES_ON_CPU or whole is False:
        return CPU
    return ""


def default_bound() -> Decimal:
    """Return the dollars at which a run ends where nobody chose another limit."""
    return Decimal(settings.EVALUATION_COST_LIMIT_USD)


def usual_pace(
    suite: EvalSuite, version: ModelVersion, *, before: datetime
) -> tuple[Pace, list[EvalRun]]:
    """Return how long such runs usually take, and those before a moment that it rests on."""
    earlier = queries.earlier_results(suite, version.registered_model, pace.MOST, before=before)
    services = [each.inference_service for each in earlier]
    made_up = bool(services) and has_simulated_machine(EVALS, services)
    return pace.pace_of(earlier, is_simulated=made_up), earlier


def estimate(usual: Pace, earlier: list[EvalRun], *, sides: int) -> Estimate:
    """Return what a run with so many sides may cost, by the machines and times of earlier ones."""
    kind = next(filter(None, (each.machine_of(Side.CANDIDATE) for each in earlier)), "")
    if not kind or usual.whole is None:
        why = "No earlier run tells how long it takes, or on which machine."
        return Estimate(None, default_bound(), f"{why} {_bound_words(default_bound())}")
    length = usual.whole + (usual.remove or timedelta())
    usually = costs.expected([kind] * sides, list_price, length)
    if usually is None:
        words = (
            f"Earlier runs took {kind}, which has no list price, so nobody knows what it costs. "
            f"{_bound_words(default_bound())}"
        )
        return Estimate(None, default_bound(), words)
    bound = max(LEAST_BOUND, (usually * TIMES).quantize(Decimal(1)))
    machines = f"{sides} × {kind}" if sides > 1 else kind
    words = (
        f"Usually about {usd(usually)}: {machines} at {usd(list_price(kind))} an hour ({BASIS})."
    )
    return Estimate(usually, bound, f"{words} {_bound_words(bound)}")


def _bound_words(bound: Decimal) -> str:
    return (
        f"The run ends by itself where its machines may have cost {usd(bound)}, as far as their "
        f"prices are known."
    )
