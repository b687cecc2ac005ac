"""Charts on a rollout's page: what callers of both versions met, step by step, and the line that
the gate draws for the candidate.

The figures are those that the gate decides over (promotions/rollouts/health.py), from the gateway's
own records, in equal steps of time. The gate itself looks at all calls since a weight was accepted,
so its line stands as long as that weight does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.common.charts import MILLISECONDS, Chart, LineChart, Number, Series, Unit, counted
from apps.common.periods import HOUR
from apps.common.simulated import MARK
from apps.integrations.engine.identity import is_stand_in
from apps.metering.store import calls_over_time
from apps.promotions import pages
from apps.promotions.models import Rollout, RolloutCommit
from apps.promotions.rollouts.health import Bounds, Calls, Health, Limits

BEFORE, AFTER = timedelta(minutes=10), timedelta(minutes=10)  # shown beside the weights
POINTS = 60  # at most
STEPS = {
    timedelta(seconds=10): "10 s", timedelta(seconds=30): "30 s", timedelta(minutes=1): "minute",
    timedelta(minutes=5): "5 min", timedelta(minutes=15): "15 min", HOUR: "hour",
}  # fmt: skip
STOP_POLLING = 286  # htmx asks no more after this status
COMPARED = ("error_percent", "ttft_p95_ms", "tokens_per_second")
LONGEST = 24 * HOUR  # after that, a rollout that still holds shows its last day
FAILED = Unit("% of calls", lambda value: f"{value:.1f} %", places=1, sign="%")
SPEED = counted("tokens/s", 1)


@dataclass(frozen=True)
class Window:
    """The time that is shown, and the moments at which its steps begin."""

    start: datetime
    end: datetime
    step: timedelta

    @classmethod
    def of(cls, start: datetime, end: datetime) -> "Window":
        """Return the window from the step that `start` lies in, in few enough steps."""
        step = next((one for one in STEPS if (end - start) / one <= POINTS), HOUR)
        since_midnight = start - start.replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(start - since_midnight % step, end, step)

    @property
    def moments(self) -> list[datetime]:
        """Return when each step begins, oldest first."""
        count = -(-(self.end - self.start) // self.step)
        return [self.start + number * self.step for number in range(count)]


@dataclass(frozen=True)
class Held:
    """A weight, from when the gateway took it until it was decided over, with the gate's bounds."""

    start: datetime
    end: datetime
    bounds: Bounds


@require_GET
def rollout_charts(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show, as a fragment, TTFT, errors and tokens/s of both versions over the rollout; it asks
    again by itself while the rollout moves.
    """
    rows = Rollout.objects.visible_to(request.user).select_related(
        "registered_model", "model_version__registered_model", "baseline__registered_model",
        "promotion__policy_revision",
    )  # fmt: skip
    rollout = get_object_or_404(rows, pk=pk)
    commits = list(rollout.commits.select_related("gate"))
    window = window_of(rollout, commits, now())
    context = {
        "charts": charts(rollout, commits, window) if window else [],
        "baseline": rollout.baseline,
        "step": STEPS[window.step] if window else "",
    }
    status = 200 if pages.is_moving(rollout) or not request.htmx else STOP_POLLING
    return render(request, "promotions/_rollout_charts.html", context, status=status)


def window_of(
    rollout: Rollout, commits: Sequence[RolloutCommit], moment: datetime
) -> Window | None:
    """Return the time that says how the rollout went: from a little before its first weight was
    accepted until a little after it ended. None before the first weight.
    """
    accepted = [row.observed_at for row in commits if row.observed_at and row.weight]
    if not accepted:
        return None
    end = min(rollout.finished_at + AFTER, moment) if rollout.finished_at else moment
    return Window.of(max(min(accepted) - BEFORE, end - LONGEST), end)


def charts(rollout: Rollout, commits: Sequence[RolloutCommit], window: Window) -> list[Chart]:
    """Return the three charts. One query."""
    found = calls_over_time(
        rollout.registered_model.name, start=window.start, end=window.end, step=window.step
    )
    held = held_weights(rollout, commits, window.end)
    note = MARK if is_stand_in(rollout.engine) else ""
    return [
        _chart(name, title, unit, _lines(rollout, found, window, figure, bound, held), window, note)
        for name, title, unit, figure, bound in FIGURES
    ]


def held_weights(
    rollout: Rollout, commits: Sequence[RolloutCommit], moment: datetime
) -> list[Held]:
    """Return the weights at which the gate compared, or compares now, with what it allows there:
    beside the baseline's figures that it saw.
    """
    limits = Limits.of(rollout.promotion.policy_revision.rules)
    made = []
    for row in commits:
        gate = getattr(row, "gate", None)
        is_now = row.attempt == rollout.attempt and row.weight == rollout.weight
        baseline = gate.baseline if gate else rollout.health.get("baseline") if is_now else None
        if row.observed_at and baseline:
            end = gate.judged_at if gate else moment
            seen = {name: baseline[name] for name in COMPARED}
            made.append(Held(row.observed_at, end, Bounds.beside(limits, **seen)))
    return made


Figure = Callable[[Calls], Number | None]
FIGURES: tuple[tuple[str, str, Unit, Figure, Callable[[Bounds], Number | None]], ...] = (
    ("rollout-ttft", "TTFT p95", MILLISECONDS, lambda calls: calls.ttft_p95_ms,
     lambda bounds: bounds.ttft_ms),
    ("rollout-errors", "Errors", FAILED, lambda calls: Health(calls, 0).error_percent,
     lambda bounds: bounds.error_percent),
    ("rollout-speed", "Tokens/s", SPEED, lambda calls: calls.tokens_per_second,
     lambda bounds: bounds.tokens_per_second),
)  # fmt: skip


def _lines(
    rollout: Rollout,
    found: Mapping[str, Mapping[datetime, Calls]],
    window: Window,
    figure: Figure,
    bound: Callable[[Bounds], Number | None],
    held: Sequence[Held],
) -> list[Series]:
    """Return both versions' lines, and the gate's where it compares."""
    moments = window.moments
    versions = [rollout.model_version, *([rollout.baseline] if rollout.baseline else [])]
    lines = []
    for hue, version in enumerate(versions):
        met = found.get(version.name, {})
        values = [figure(met[at]) if at in met else None for at in moments]
        lines.append(Series(f"v{version.number}", values, hue=hue))
    allowed = [_bound_at(at, at + window.step, bound, held) for at in moments]
    if any(value is not None for value in allowed):
        lines.append(Series("Gate's limit", allowed, hue=len(lines), dashed=True))
    return lines


def _bound_at(
    start: datetime,
    end: datetime,
    bound: Callable[[Bounds], Number | None],
    held: Sequence[Held],
) -> Number | None:
    """Return what the gate allows in a step: of the last weight that was held in it."""
    over = [one for one in held if one.start < end and start < one.end]
    return bound(over[-1].bounds) if over else None


def _chart(
    name: str, title: str, unit: Unit, series: Sequence[Series], window: Window, note: str
) -> Chart:
    return LineChart(
        name=name, title=title, unit=unit, at=window.moments, series=series, note=note, size="small"
    )
