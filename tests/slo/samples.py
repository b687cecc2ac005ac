"""Objectives, and calls that meet or miss them."""

from datetime import timedelta
from decimal import Decimal

from apps.common.periods import hour_of
from apps.metering.met.models import BOUNDS, HOUR, STEP, MetCalls
from apps.slo.actions import Terms, set_objective
from apps.slo.burn import Kind
from apps.slo.models import Window
from tests.factories import NOW

REASON = "As agreed with the callers."
AVAILABLE = Terms(Decimal(99), window_days=28)
FAST = Terms(Decimal(95), threshold_ms=800, window_days=28)


def objective(
    model, actor, kind=Kind.AVAILABILITY, window=Window.ROLLING, terms=AVAILABLE, now=NOW
):
    return set_objective(
        model=model, kind=kind, window=window, terms=terms, reason=REASON, actor=actor, now=now
    )


def met(model, at, good, bad=0, unknown=0, grain=STEP):
    """Store what callers of a model met: so many good calls and bad ones, by each measure."""
    within = [good if bound >= 800 else 0 for bound in BOUNDS]
    return MetCalls.objects.create(
        grain=grain, at=at, model=model.name, completed=good, failed=bad, undecided=unknown,
        ttft_timed=good + bad, ttft_untimed=unknown, ttft_within=within,
        duration_timed=good + bad, duration_untimed=unknown, duration_within=within,
    )  # fmt: skip


def hours(model, good, bad=0, now=NOW, days=3):
    """Store the hours before a moment, each with so many calls, and the steps of the last six."""
    for back in range(1, days * 24 + 1):
        met(model, hour_of(now) - back * timedelta(hours=1), good, bad, grain=HOUR)
    step = timedelta(minutes=5)
    last = now - (now - hour_of(now)) % step
    for back in range(1, 73):
        met(model, last - back * step, good, bad)
