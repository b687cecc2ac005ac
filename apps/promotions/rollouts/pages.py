"""What the page of a rollout says: weights with their decisions, both versions' health, what stands
in the way.

Pure: rows in, words and numbers for the template out.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from apps.catalog.models import ModelVersion
from apps.common.badges import Badge
from apps.gitops import trouble
from apps.promotions.models import GateResult, Rollout, RolloutCommit, shift_to
from apps.promotions.rollouts import drift
from apps.promotions.rollouts.plan import HoldCode

TITLES = {
    "NO_CAPACITY": "No GPU capacity.",
    "NODEPOOL_LIMIT": "The NodePool's limit is reached.",
    "QUOTA": "The AWS quota is used up.",
    "SPOT": "AWS took the Spot node back.",
    "CONSOLIDATED": "Karpenter moved it to another node.",
    "NODE_LOST": "Its node is gone.",
    "IMAGE": "The image cannot be pulled.",
    "S3_DENIED": "S3 denies access to the weights.",
    "OBJECT_MISSING": "A file is missing in the registry.",
    "LOAD_FAILED": "The weights could not be pulled.",
    "CHECKSUM": "The weights are not the approved ones.",
    "BAD_ARGUMENT": "The engine does not know an argument.",
    "OUT_OF_MEMORY": "The engine ran out of memory.",
    "LOAD_TIMEOUT": "Loading took too long.",
    "ENGINE_CRASHED": "The engine crashed.",
    "CRASH_LOOP": "The engine crashes again and again.",
    "ROUTE": "The gateway refuses the route.",
    "NO_APPLICATION": "Argo CD does not know the models.",
    "COMPARISON": "Argo CD cannot read Git.",
    "SYNC_FAILED": "Argo CD cannot apply it.",
    "SYNC_BLOCKED": "Another change blocks this one.",
    "OUT_OF_SYNC": "The cluster is not what Git says.",
    "GIT_REFUSED": "Git refused the commit.",
    "GIT_DIVERGED": "Git's history was rewritten.",
    "AWAY": "Something it needs cannot be reached; nothing is lost.",
    "DRIFT": "What serves is not what was approved.",
    "UNMEASURED": "Nobody measured what it serves.",
    "OTHER_REPLICAS": "Its replicas are not as committed yet.",
    "NOT_AS_APPROVED": "It would write something else than what was approved.",
    "GATE": "It was worse than the baseline, so callers went back.",
    "RETURNING": "Callers go back to the baseline.",
    "NO_TRAFFIC": "Too few calls arrived to compare it; it waits here until somebody decides.",
    HoldCode.CHANGE: "Its change in ServiceNow does not allow it to go on.",
    HoldCode.OBJECTED: "Its emergency was found not justified.",
    HoldCode.HELD: "What serves of the model is in trouble, so nothing of it goes forward.",
}
VERDICTS = {
    GateResult.Verdict.PASSED: Badge("ok", "circle-check", "Passed"),
    GateResult.Verdict.NO_TRAFFIC: Badge("warn", "triangle-alert", "Not enough traffic"),
    GateResult.Verdict.FAILED: Badge("bad", "circle-x", "Failed"),
}
SERVED = {
    drift.Verdict.SAME: Badge("ok", "circle-check", "As approved"),
    drift.Verdict.DIFFERENT: Badge("bad", "circle-x", "Differs"),
    drift.Verdict.UNKNOWN: Badge("warn", "eye-off", "Not known"),
}
FIGURES = (
    ("Calls", "calls", ""),
    ("Errors", "error_percent", "%"),
    ("TTFT p95", "ttft_p95_ms", "ms"),
    ("Tokens/s", "tokens_per_second", ""),
    ("Ready replicas", "ready_replicas", ""),
)


def problem(rollout: Rollout, back_to: ModelVersion | None = None) -> dict[str, str] | None:
    """Return what stands in the way, as a notice; None while nothing does. A failed rollout has its
    own.

    back_to: the version that the reader may roll back to.
    """
    if rollout.status == Rollout.Status.FAILED or not rollout.reason:
        return None
    if rollout.reason == "RETURNING" or (rollout.return_reason and rollout.status in Rollout.OPEN):
        return {"tone": "bad", "title": TITLES["RETURNING"], "text": rollout.message}
    title = TITLES.get(rollout.reason, "")
    if rollout.reason == "AWAY":
        unseen = (
            " Whether it answers callers cannot be seen meanwhile."
            if rollout.status == Rollout.Status.LIVE
            else ""
        )
        return {"tone": "warn", "title": title, "text": f"{rollout.message}{unseen}"}
    if rollout.unready_since and (rollout.weight or rollout.status == Rollout.Status.LIVE):
        who = (
            "Callers"
            if rollout.status == Rollout.Status.LIVE
            else f"{rollout.weight} % of the callers"
        )
        since = f"since {rollout.unready_since:%H:%M:%S} UTC"
        way_out = f" Where callers cannot wait, roll back to v{back_to.number}." if back_to else ""
        words = f"{who} are not answered {since}. {title}".strip()
        return {"tone": "bad", "title": words, "text": f"{rollout.message}{way_out}"}
    if rollout.reason == "DRIFT":
        return {"tone": "bad", "title": title, "text": rollout.message}
    if rollout.status == Rollout.Status.LIVE or rollout.reason in (
        *trouble.PROBLEMS,
        "GIT_REFUSED",
        "GIT_DIVERGED",
        "NO_TRAFFIC",
        *HoldCode,
    ):
        other = (
            "The last look failed." if rollout.reason == "REFUSED" else "A replica is not ready."
        )
        return {"tone": "warn", "title": title or other, "text": rollout.message}
    return None


def served(rollout: Rollout) -> list[dict[str, Any]]:
    """Return what serves, held against what was approved: first what differs, then as last seen."""
    known = [one | {"verdict": "DIFFERENT"} for one in rollout.differences]
    differing = {one["what"] for one in known}
    lines = known + [one for one in rollout.checks if one["what"] not in differing]
    return [
        {
            **line,
            "badge": SERVED[drift.Verdict(line["verdict"])],
            "is_same": line["verdict"] == drift.Verdict.SAME,
            "is_known": line["verdict"] == drift.Verdict.DIFFERENT,
        }
        for line in lines
    ]


def looked(rollout: Rollout) -> str:
    """Return when what serves was held against what was approved, and whether it could be."""
    if rollout.status not in (*Rollout.OPEN, Rollout.Status.LIVE):
        return "As it was seen last." if rollout.checks else "Nothing was compared."
    if rollout.observed_at is None or (not rollout.checks and rollout.reason != "AWAY"):
        return "Compared with the approval as soon as it runs, and for as long as it serves."
    at = f"{rollout.observed_at:%H:%M:%S} UTC"
    if rollout.reason == "AWAY":
        return f"It could not be checked at {at}. This is how it was before."
    if rollout.drifted_at is not None:
        return f"It differs since {rollout.drifted_at:%d %b %H:%M:%S} UTC; looked at {at}."
    return f"Compared with the approval at {at}, and for as long as it serves."


def failure_title(rollout: Rollout) -> str:
    """Return what failed, in a few words."""
    return TITLES.get(rollout.reason, "The rollout failed.")


def needs_new_version(rollout: Rollout) -> bool:
    """Tell whether trying again cannot help: what was published is not what was approved."""
    return rollout.status == Rollout.Status.FAILED and rollout.reason == "CHECKSUM"


def lead(rollout: Rollout) -> str:
    """Return what the rollout does now, in a sentence; "" where a notice says it, or nothing
    moves.
    """
    return rollout.message if rollout.status in Rollout.OPEN and problem(rollout) is None else ""


def advice(rollout: Rollout) -> str:
    """Return what to do about a rollout that failed or was aborted; "" for others."""
    name = rollout.model_version.name
    if rollout.status == Rollout.Status.ABORTED:
        after = f"{rollout.baseline} answers all callers. " if rollout.baseline else ""
        return f"{after}To try again, propose {name} again."
    if rollout.status != Rollout.Status.FAILED:
        return ""
    if rollout.return_reason:
        again = (
            "Retry to begin again at its first weight, or abort: it is taken back and its GPU is "
            "free."
        )
        return f"{name} still runs, without callers. {again}"
    if needs_new_version(rollout):
        return (
            "Abort: the version is taken back and its GPU is free. A retry pulls the same files "
            "again."
        )
    return (
        "Correct what it names and retry, or abort: the version is taken back and its GPU is free."
    )


def weight_steps(
    rollout: Rollout, commits: Iterable[RolloutCommit], ready_at: datetime | None
) -> list[dict[str, Any]]:
    """Return 0 → 10 → 50 → 100 as steps, of the present attempt: committed, accepted, and what was
    decided there.

    ready_at: when the version became ready, None while it is not.
    """
    ready = ready_at is not None
    made = {row.step: row for row in commits if row.attempt == rollout.attempt}
    back = made.get(str(Rollout.Step.RETURN))
    zero = (
        f"started beside {rollout.baseline}"
        if rollout.baseline
        else "started; nobody can call it yet"
    )
    state = "done" if ready else "now" if rollout.status in Rollout.OPEN else "next"
    steps: list[dict[str, Any]] = [
        {
            "label": "0 %",
            "state": state,
            "detail": zero,
            "at": ready_at,
            "since": rollout.started_at,
        }
    ]
    reached = ready
    for percent in rollout.steps:
        row = made.get(shift_to(percent))
        steps.append(
            {"label": f"{percent} %", **_weight(rollout, percent, row, reached and back is None)}
        )
        reached = reached and row is not None and (hasattr(row, "gate") or percent == 100)
    if back is not None:
        words = f"all callers back with {rollout.baseline}"
        steps.append({"label": "0 %", "state": "failed", "detail": words, "typical": ""})
    return steps


def _weight(
    rollout: Rollout, percent: int, row: RolloutCommit | None, reached: bool
) -> dict[str, Any]:
    """Return one weight: done with its decision, now, or to come."""
    gate: GateResult | None = getattr(row, "gate", None)
    if row is not None and gate is not None:
        state = "failed" if gate.verdict == GateResult.Verdict.FAILED else "done"
        return {
            "state": state,
            "at": gate.judged_at,
            "detail": VERDICTS[_verdict(gate)].words.lower(),
        }
    if (
        row is not None
        and percent == 100
        and rollout.status in (Rollout.Status.LIVE, Rollout.Status.REPLACED)
    ):
        return {"state": "done", "at": rollout.finished_at, "detail": "all callers"}
    if row is not None and rollout.status in Rollout.OPEN and not rollout.return_reason:
        since = row.observed_at or row.committed_at
        return {"state": "now", "since": since, "detail": rollout.message}
    if row is not None:
        return {
            "state": "done",
            "at": row.observed_at,
            "detail": "not judged: the rollout ended here",
        }
    if reached and rollout.status in Rollout.OPEN and not rollout.return_reason:
        # that is about the weight before
        words = "" if rollout.reason == "HOLDING" else rollout.message
        return {"state": "now", "since": rollout.moved_at, "detail": words}
    return {"state": "next", "typical": ""}


def _verdict(gate: GateResult) -> GateResult.Verdict:
    return GateResult.Verdict(gate.verdict)


def decisions(commits: Iterable[RolloutCommit]) -> list[dict[str, Any]]:
    """Return each decision with its numbers, oldest first, those of earlier attempts too."""
    return [
        {
            "weight": row.weight,
            "attempt": row.attempt,
            "gate": row.gate,
            "badge": VERDICTS[_verdict(row.gate)],
            "figures": figures(row.gate.candidate, row.gate.baseline),
        }
        for row in commits
        if hasattr(row, "gate")
    ]


def health(rollout: Rollout, commits: Iterable[RolloutCommit]) -> dict[str, Any] | None:
    """Return both versions side by side while a weight is held; afterwards the decisions have the
    numbers.
    """
    found = rollout.health
    here = [
        row for row in commits if row.attempt == rollout.attempt and row.weight == rollout.weight
    ]
    judged = any(hasattr(row, "gate") for row in here)
    if rollout.status not in Rollout.OPEN or not found or rollout.return_reason or judged:
        return None
    return {"figures": figures(found["candidate"], found["baseline"]), "words": found["words"]}


def figures(candidate: dict[str, Any], baseline: dict[str, Any]) -> list[dict[str, str]]:
    """Return the figures of both versions, with their units; "—" where none was measured."""
    return [
        {
            "label": label,
            "candidate": _figure(candidate, key, unit),
            "baseline": _figure(baseline, key, unit),
        }
        for label, key, unit in FIGURES
    ]


def _figure(numbers: dict[str, Any], key: str, unit: str) -> str:
    value = numbers.get(key)
    if value is None or (key == "error_percent" and not numbers.get("calls")):
        return "—"
    return f"{value:,g} {unit}".strip()
