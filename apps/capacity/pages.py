"""What the capacity pages show, from loaded rows: badges, the diff, the effect in words. Formats,
never decides.
"""

from decimal import Decimal

from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from apps.capacity import effect
from apps.capacity.models import CapacityRequest
from apps.capacity.queries import MEASURED, Effect, Pool
from apps.common import diffs
from apps.common.badges import Badge
from apps.common.money import usd
from apps.common.periods import HOURS_PER_MONTH
from apps.fleet import prices
from apps.fleet.pages import meters as meters_of
from apps.manifests.capacity import NodePool, pool_path

Fact = tuple[str, object]
BADGES = {
    "PENDING": Badge("warn", "clock", "Waiting for a decision"),
    "APPROVED": Badge("busy", "circle-dot", "Approved, to be committed"),
    "COMMITTED": Badge("busy", "git-commit-horizontal", "Committed, to be applied"),
    "APPLIED": Badge("ok", "circle-check", "Applied"),
    "FAILED": Badge("bad", "circle-x", "Failed"),
    "REJECTED": Badge("bad", "ban", "Rejected"),
    "WITHDRAWN": Badge("idle", "undo-2", "Withdrawn"),
}


def badge(request: CapacityRequest) -> Badge:
    """Return how far a request is."""
    return BADGES[request.status]


def diff(request: CapacityRequest) -> list[diffs.File]:
    """Return the exact change of the file, for components/_diff.html."""
    return diffs.between(pool_path(request.pool), request.base.text, request.text)


def spend_words(spend: effect.Spend) -> str:
    """Return the most that a pool may cost, in words."""
    words = f"{usd(spend.usd_per_hour)} per hour, {usd(spend.usd_per_month)} per month"
    return words + (
        f", without {', '.join(spend.unpriced)}: no list price" if spend.unpriced else ""
    )


def spend_facts(found: Effect) -> list[Fact]:
    """Return the money of a change: the most before and after, and what Spot was worth."""
    facts: list[Fact] = [
        ("At most before", spend_words(found.before)),
        ("At most after", spend_words(found.after)),
        ("Difference", _difference(found.before, found.after)),
    ]
    spot = found.spot
    if spot is None:
        return [
            *facts,
            (
                "Spot, measured",
                f"nothing yet: this pool had no machine in the last {MEASURED.days} days",
            ),
        ]
    share = (
        f"{spot.share_percent:.0f} % of {spot.hours:,.1f} machine hours of the last "
        f"{MEASURED.days} days"
    )
    facts.append(("Spot share, measured", share))
    if spot.discount_percent is not None:
        words = (
            f"{spot.discount_percent:.0f} % below the list price, over {spot.spot_hours:,.1f} Spot "
            f"hours"
        )
        facts.append(
            ("Spot price, measured", words + (" (simulated prices)" if spot.is_simulated else ""))
        )
    return facts


def _difference(before: effect.Spend, after: effect.Spend) -> str:
    hour = after.usd_per_hour - before.usd_per_hour
    month = (after.usd_per_month - before.usd_per_month).quantize(Decimal(1))
    return f"{_signed(hour)} per hour, {_signed(month)} per month" if hour else "none"


def _signed(amount: Decimal) -> str:
    return f"+{usd(amount)}" if amount > 0 else usd(amount)


def spend_basis() -> str:
    """Return what the estimate is made of."""
    return (
        f"An upper bound, not a forecast: as much of the most expensive machine as the limits "
        f"allow, at the {prices.BASIS}. Spot is cheaper, and a pool without work costs nothing. A "
        f"month is {HOURS_PER_MONTH} hours."
    )


def pool_line(pool: Pool) -> dict[str, object]:
    """Return a pool's card: its settings, what its limits leave, what is under way."""
    spec = pool.spec
    return {
        "pool": pool,
        "badge": _pool_badge(pool),
        "facts": _facts(spec) if spec else [],
        "meters": meters_of(pool.seen) if pool.seen else [],
        "request_badge": badge(pool.request) if pool.request else None,
    }


def _facts(spec: NodePool) -> list[Fact]:
    budgets = format_html_join(
        mark_safe("<br>"), "{}", ((effect.budget_words(each),) for each in spec.budgets)
    )
    shown: dict[str, object] = {**effect.settings(spec), "Disruption budgets": budgets}
    return [*shown.items(), ("Cost at most", spend_words(effect.most(spec)))]


def _pool_badge(pool: Pool) -> Badge:
    if pool.seen is None:
        return Badge("idle", "circle-dashed", "Not seen in the cluster")
    if not pool.seen.is_ready:
        return Badge("bad", "circle-x", "Not ready")
    return Badge("ok", "circle-check", "Ready")
