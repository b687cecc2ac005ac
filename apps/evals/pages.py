"""What the pages say about runs: badges, steps, the table of metrics. Pure: rows in, words out."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.common.badges import Badge
from apps.evals import scoring
from apps.evals.models import EvalRun
from apps.integrations.engine import identity

Status = EvalRun.Status
BADGES = {
    Status.PENDING: Badge("draft", "circle-dashed", "Waiting"),
    Status.STARTING: Badge("busy", "circle-dot", "Starting the candidate"),
    Status.RUNNING: Badge("busy", "circle-dot", "Running"),
    Status.PASSED: Badge("ok", "circle-check", "Passed"),
    Status.FAILED: Badge("warn", "triangle-alert", "Below threshold"),
    Status.ERROR: Badge("bad", "circle-x", "Error"),
}
REPORTED = (
    "f1",
    "precision",
    "recall",
    "groundedness",
    "ttft_p95_ms",
    "latency_p95_ms",
    "tokens_per_second",
)


def run_badge(run: EvalRun) -> Badge:
    """Return a run's badge."""
    return BADGES[Status(run.status)]


def run_lines(runs: Iterable[EvalRun]) -> list[tuple[EvalRun, dict[str, str], str]]:
    """Return runs with their badge and their F1, for evals/_rows.html."""
    return [(run, run_badge(run), figure("f1", run.metrics.get("f1"))) for run in runs]


def measured(run: EvalRun | None) -> str:
    """Return what an evaluation measured, and on what: "TTFT p95 0.42 s · 31.0 tokens/s on
    g5.xlarge"; "" without a result.
    """
    if run is None or run.metrics.get("ttft_p95_ms") is None:
        return ""
    parts = [f"TTFT p95 {figure('ttft_p95_ms', run.metrics['ttft_p95_ms'])}"]
    if run.metrics.get("tokens_per_second") is not None:
        speed = figure("tokens_per_second", run.metrics["tokens_per_second"])
        parts.append(f"{speed} tokens/s")
    words = " · ".join(parts)
    return f"{words} on {run.instance_type}" if run.instance_type else words


def is_stand_in(run: EvalRun) -> bool:
    """Tell whether the labelled stand-in answered instead of a model."""
    return identity.is_stand_in(run.engine)


def figure(name: str, value: float | None) -> str:
    """Return a metric as people read it: shares with 3 decimals, times in s."""
    if value is None:
        return "—"
    if name.endswith("_ms"):
        return f"{value / 1000:.2f} s"
    return f"{value:.1f}" if name == "tokens_per_second" else f"{value:.3f}"


def threshold(limits: Mapping[str, float] | None, name: str) -> str:
    """Return a threshold in words; "" when the suite has none for the metric."""
    if not limits:
        return ""
    if "minimum" in limits:
        return f"at least {figure(name, limits['minimum'])}"
    return f"at most {figure(name, limits['maximum'])}"


def metric_lines(run: EvalRun, live: EvalRun | None) -> list[dict[str, Any]]:
    """Return one line per metric: value, threshold, verdict, and the change against the live
    version's run.
    """
    met = {
        verdict.metric: verdict.met for verdict in scoring.judge(run.metrics, run.suite.thresholds)
    }
    lines = []
    for name in REPORTED:
        value, before = run.metrics.get(name), live.metrics.get(name) if live else None
        lines.append(
            {
                "label": scoring.LABELS[name],
                "value": figure(name, value),
                "threshold": threshold(run.suite.thresholds.get(name), name),
                "met": met.get(name),
                "live": figure(name, before) if live else "",
                "delta": _delta(name, value, before),
            }
        )
    return lines


def _delta(name: str, value: float | None, before: float | None) -> str:
    if value is None or before is None:
        return ""
    if name.endswith("_ms"):
        change = f"{(value - before) / 1000:+.2f} s"
    else:
        change = (
            f"{value - before:+.1f}" if name == "tokens_per_second" else f"{value - before:+.3f}"
        )
    return change.replace("-", "−")


def packet_lines(run: EvalRun, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one line per answered packet: right, missed and wrong codes. texts: the synthetic
    packets by id.
    """
    lines = []
    for result in run.packet_results.all():
        expected, predicted = set(result.expected), set(result.predicted)
        lines.append(
            {
                "id": result.packet_id,
                "text": texts.get(result.packet_id, ""),
                "right": [code for code in result.expected if code in predicted],
                "missed": [code for code in result.expected if code not in predicted],
                "wrong": [code for code in result.predicted if code not in expected],
                "ttft": figure("ttft_ms", result.ttft_ms),
                "latency": figure("latency_ms", result.latency_ms),
                "output_tokens": result.output_tokens,
            }
        )
    return lines


def steps(run: EvalRun) -> list[dict[str, object]]:
    """Return the stepper: committed, serving, asked, scored, removed."""
    finished = run.status in (Status.PASSED, Status.FAILED)
    done = [
        bool(run.deploy_commit),
        run.serving_at is not None,
        finished,
        run.removed_at is not None,
    ]
    times = [None, run.serving_at, run.finished_at if finished else None, run.removed_at]
    labels = [
        "Candidate committed to Git",
        "Candidate serves, without any route",
        "Packets asked and scored",
    ]
    now = done.index(False) if False in done else len(done)
    found: list[dict[str, object]] = []
    for place, label in enumerate([*labels, "Candidate removed"]):
        failed = run.status == Status.ERROR and not done[place] and place < 3
        state = (
            "done"
            if done[place]
            else "failed"
            if failed and place == now
            else "now"
            if place == now
            else "next"
        )
        detail = (
            run.message if place == now and run.status not in (Status.PASSED, Status.FAILED) else ""
        )
        if place == 2 and run.status == Status.RUNNING:
            detail = (
                f"{run.packets_done} of {run.suite.packet_count} packets. {run.message}".strip()
            )
        found.append(
            {"label": label, "state": state, "detail": detail, "at": times[place], "since": None}
        )
    return found
