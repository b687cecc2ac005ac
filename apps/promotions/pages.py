"""What the pages say about promotions and rollouts: badges, phases as steps, diffs as lines.
Pure.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from apps.common.money import about_usd, usd
from apps.promotions.models import Promotion, Rollout, RolloutPhase
from apps.promotions.rollouts.phases import TYPICAL
from apps.promotions.sleep import Sleep

PROMOTION_BADGES = {
    Promotion.Status.PENDING: {"tone": "warn", "icon": "clock", "label": "Needs 1 approval"},
    Promotion.Status.APPROVED: {"tone": "ok", "icon": "circle-check", "label": "Approved"},
    Promotion.Status.REJECTED: {"tone": "bad", "icon": "circle-x", "label": "Rejected"},
    Promotion.Status.WITHDRAWN: {"tone": "idle", "icon": "undo-2", "label": "Withdrawn"},
}
PHASES = RolloutPhase.Phase


def promotion_badge(promotion: Promotion) -> dict[str, str]:
    """Return a promotion's badge."""
    return PROMOTION_BADGES[Promotion.Status(promotion.status)]


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
            f"{usd(starts.usd_per_hour)} an hour{simulated}"
            if starts.usd_per_hour is not None
            else "—",
        ),
        ("While idle", "$0"),
        ("Started in 24 h", f"{sleep.woken} times" if sleep.woken != 1 else "once"),
        (
            "Awake in 24 h cost",
            f"{usd(sleep.awake_usd)}{simulated}" if sleep.awake_usd is not None else "no price",
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
    if seconds < 0 and row.phase != PHASES.COMMITTED:
        return " · ".join(part for part in (row.detail, "was there already") if part)
    after = f"{max(seconds, 0)} s after the start"
    return " · ".join(part for part in (row.detail, after) if part)


def _current(rollout: Rollout, since: datetime) -> dict[str, Any]:
    if rollout.status in Rollout.OPEN:
        return {"state": "now", "since": since, "detail": rollout.message}
    if rollout.status == Rollout.Status.FAILED:
        return {"state": "failed", "typical": "", "detail": rollout.message}
    return {"state": "next", "typical": "not reached"}


def diff_files(text: str) -> list[dict[str, Any]]:
    """Return a unified diff as files with lines for the unified view and rows for the side-by-side
    one.
    """
    files: list[dict[str, Any]] = []
    for line in text.splitlines():
        if line.startswith("diff --git "):
            files.append({"path": line.rpartition(" b/")[2], "lines": []})
        elif files and not line.startswith(
            ("index ", "--- ", "+++ ", "new file", "deleted file", "old mode", "new m")
        ):
            kinds = {"+": "add", "-": "del", "@": "hunk"}
            files[-1]["lines"].append({"kind": kinds.get(line[:1], "same"), "text": line})
    for file in files:
        file["rows"] = _side_by_side(file["lines"])
        file["added"] = sum(line["kind"] == "add" for line in file["lines"])
        file["removed"] = sum(line["kind"] == "del" for line in file["lines"])
    return files


def _side_by_side(lines: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Pair removed with added lines: [{left, right, left_kind, right_kind}]; hunk heads stand on
    both sides.
    """
    rows: list[dict[str, str]] = []
    removed: list[str] = []
    added: list[str] = []

    def flush() -> None:
        for index in range(max(len(removed), len(added))):
            left = removed[index] if index < len(removed) else ""
            right = added[index] if index < len(added) else ""
            kinds = {"left_kind": "del" if left else "", "right_kind": "add" if right else ""}
            rows.append({"left": left[1:], "right": right[1:], **kinds})
        removed.clear()
        added.clear()

    for line in lines:
        if line["kind"] in ("del", "add"):
            (removed if line["kind"] == "del" else added).append(line["text"])
            continue
        flush()
        kind = "hunk" if line["kind"] == "hunk" else ""
        text = line["text"] if kind else line["text"][1:]
        rows.append({"left": text, "right": text, "left_kind": kind, "right_kind": kind})
    flush()
    return rows


def without_traffic(promotion: Promotion) -> str:
    """Return what its rollout does where too few calls come to compare it with the baseline."""
    if promotion.without_traffic:
        return "It goes on without a comparison"
    return "It holds until somebody who did not propose it decides"
