"""What pages say of what was read back."""

from datetime import datetime

from apps.common.badges import Badge
from apps.gateway.effective.compare import Standing
from apps.gateway.effective.models import SETTLES_WITHIN, GatewayDrift, GatewayLook

NOT_READ = Badge("draft", "eye-off", "Not read")
GATES = {
    Standing.ACCEPTED: Badge("ok", "", "In front of every call"),
    Standing.REFUSED: Badge("bad", "", "Refused by the gateway"),
    Standing.WAITING: Badge("warn", "clock", "Not seen by the gateway yet"),
    Standing.ABSENT: Badge("bad", "", "Not there"),
}
# nobody looks any more after so many missed looks
STALE_AFTER = 3 * SETTLES_WITHIN


def drift_badge(drift: GatewayDrift, now: datetime) -> Badge:
    """Return how a difference stands: a change needs some time to arrive."""
    if drift.ended_at is not None:
        return Badge("idle", "history", "Over")
    if now - drift.since < SETTLES_WITHIN:
        return Badge("busy", "", "Settling")
    return Badge("bad", "", "Differs")


def state_badge(places: list[str], *, is_settling: bool, problem: str) -> Badge:
    """Return how a model's gateway stands. places: where something differs; problem: why a place
    was not read.
    """
    if places and is_settling:
        return Badge("busy", "", "Settling")
    if places:
        return Badge("bad", "", f"Differs in {' and '.join(sorted(places))}")
    if problem:
        return Badge("draft", "eye-off", "Not all read", title=problem)
    return Badge("ok", "", "As declared")


def gate_badge(look: GatewayLook | None) -> Badge:
    """Return what became of the policy that puts the gate in front of every call."""
    if look is None or look.cluster_read_at is None or not look.gate:
        return NOT_READ
    return GATES[Standing(look.gate)]


def problem_of(look: GatewayLook | None, now: datetime) -> tuple[str, str]:
    """Return why the cluster, and why Envoy, is not known as of now; "" where it is."""
    if look is None:
        return ("Nobody has looked yet.",) * 2
    if now - look.looked_at > STALE_AFTER:
        words = f"Nobody has looked since {look.looked_at:%d %b %H:%M} UTC: no worker runs."
        return words, words
    return look.cluster_problem, look.envoy_problem
