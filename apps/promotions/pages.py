"""What the pages say about promotions and rollouts: badges, phases as steps, what sleeping
costs. Pure.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils.html import format_html

from apps.common.money import about_usd, shown, unit_price
from apps.fleet.words import short_name
from apps.promotions.models import Promotion, Rollout, RolloutPhase
from apps.promotions.rollouts.phases import TYPICAL
from apps.promotions.sleep import Sleep

PHASES = RolloutPhase.Phase
NAMES_NODE = (PHASES.REGISTERED, PHASES.SCHEDULED)  # whose detail is a node's whole name


def sleep_facts(sleep: Sleep) -> list[tuple[str, object]]:
    """Return what waking takes and costs, for a rollout's page."""
    starts = sleep.starts
    simulated = " (simulated price)" if starts.is_price_simulated else ""
    return [
        (
            "A start takes",
            f"{sleep.wakes_in}, median of {starts.count}" if starts.count else "not measured yet",
        ),
        (
            "A start costs",
            f"{about_usd(starts.usd_per_start)}{simulated}"
            if starts.usd_per_start is not None
            else "—",
        ),
        (
            "While awake",
            f"{unit_price(starts.usd_per_hour)} an hour{simulated}"
            if starts.usd_per_hour is not None
            else "—",
        ),
        ("While idle", "$0"),
        ("Started in 24 h", f"{sleep.woken} times" if sleep.woken != 1 else "once"),
        (
            "Awake in 24 h cost",
            format_html("{}{}", shown(sleep.awake_usd), simulated)
            if sleep.awake_usd is not None
            else "no price",
        ),
    ]


def is_moving(rollout: Rollout) -> bool:
    """Tell whether the rollout's page should look again by itself."""
    leaving = rollout.status in Rollout.LEAVING and rollout.next_check_at is not None
    troubled = rollout.status == Rollout.Status.LIVE and rollout.reason != ""
    return rollout.status in Rollout.OPEN or leaving or troubled


def steps(rollout: Rollout, reached: Iterable[RolloutPhase]) -> list[dict[str, Any]]:
    """Return the phases as steps: done with their own time, one under way (or failed), the rest to
    come.
    """
    known = {row.phase: row for row in reached}
    last = max((index for index, phase in enumerate(PHASES) if phase in known), default=-1)
    moment = max((row.reached_at for row in known.values()), default=rollout.started_at)
    made = []
    for index, phase in enumerate(PHASES):
        row = known.get(phase)
        step: dict[str, Any] = {"label": str(phase.label), "typical": TYPICAL[phase]}
        if row is not None:
            step |= {
                "state": "done",
                "at": row.reached_at,
                "detail": _detail(row, rollout.started_at),
                "title": row.detail if row.phase in NAMES_NODE else "",
            }
        elif index < last:
            step |= {"state": "done", "at": None, "detail": "not observed"}
        elif index == last + 1:
            step |= _current(rollout, max(moment, rollout.started_at))
        else:
            step["state"] = "next"
            if rollout.status not in Rollout.OPEN:
                step["typical"] = ""
        made.append(step)
    return made


def _detail(row: RolloutPhase, started_at: datetime) -> str:
    seconds = int((row.reached_at - started_at).total_seconds())
    what = short_name(row.detail) if row.phase in NAMES_NODE else row.detail
    if seconds < 0 and row.phase != PHASES.COMMITTED:
        return " · ".join(part for part in (what, "was there already") if part)
    after = f"{max(seconds, 0)} s after the start"
    return " · ".join(part for part in (what, after) if part)


def _current(rollout: Rollout, since: datetime) -> dict[str, Any]:
    if rollout.status in Rollout.OPEN:
        return {"state": "now", "since": since, "detail": rollout.message}
    if rollout.status == Rollout.Status.FAILED:
        return {"state": "failed", "typical": "", "detail": rollout.message}
    return {"state": "next", "typical": "not reached"}


def without_traffic(promotion: Promotion) -> str:
    """Return what its rollout does where too few calls come to compare it with the baseline."""
    if promotion.without_traffic:
        return "It continues without a comparison"
    return "It waits until somebody who did not propose it decides"
