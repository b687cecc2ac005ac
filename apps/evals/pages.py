"""What the pages say about runs: badges, steps, the table of metrics. Pure: rows in, words out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apps.common.badges import Badge
from apps.common.progress import Phase, Progress, State
from apps.evals.models import EvalRun
from apps.evals.pace import Pace, took
from apps.evals.scoring.decision import verdicts
from apps.evals.scoring.figures import LABELS
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


def run_lines(runs: Iterable[EvalRun]) -> list[tuple[EvalRun, Badge, str]]:
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
    """Tell whether the labeled stand-in answered instead of a model."""
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
    met = {verdict.metric: verdict.met for verdict in verdicts(run.metrics, run.suite.thresholds)}
    lines = []
    for name in REPORTED:
        value, before = run.metrics.get(name), live.metrics.get(name) if live else None
        lines.append(
            {
                "label": LABELS[name],
                "value": figure(name, value),
                "threshold": threshold(run.suite.thresholds.get(name), name),
                "met": met.get(name),
                "live": figure(name, before) if live else "",
                "delta": _delta(name, value, before),
            }
        )
    return lines


def _delta(name: str, value: float | None, before: float | None) -> str:
    """Return a change with its sign, in the metric's digits; "no change" where these show none."""
    if value is None or before is None:
        return ""
    change, digits = value - before, 3
    unit = ""
    if name.endswith("_ms"):
        change, digits, unit = change / 1000, 2, " s"
    elif name == "tokens_per_second":
        digits = 1
    rounded = round(change, digits)
    if not rounded:
        return "no change"
    return f"{rounded:+.{digits}f}{unit}".replace("-", "−")


@dataclass(frozen=True)
class Code:
    """A code of a packet's right answer, or of the candidate's. fault: "missed", "wrong" or ""."""

    text: str
    fault: str = ""


@dataclass(frozen=True)
class PacketLine:
    """An answered packet: the codes of the right answer beside those of the candidate's."""

    id: str
    text: str
    expected: list[Code]
    predicted: list[Code]
    ttft: str
    latency: str
    output_tokens: int

    @property
    def badge(self) -> Badge:
        """Return whether all codes were right, or how many were missed and wrong."""
        missed = sum(bool(code.fault) for code in self.expected)
        wrong = sum(bool(code.fault) for code in self.predicted)
        counted = ((missed, "missed"), (wrong, "wrong"))
        words = ", ".join(f"{count} {name}" for count, name in counted if count)
        return Badge("warn", "", words) if words else Badge("ok", "", "All correct")


def packet_lines(run: EvalRun, texts: Mapping[str, str]) -> list[PacketLine]:
    """Return one line per answered packet. texts: the synthetic packets by id."""
    lines = []
    for result in run.packet_results.all():
        expected, predicted = set(result.expected), set(result.predicted)
        lines.append(
            PacketLine(
                id=result.packet_id,
                text=texts.get(result.packet_id, ""),
                expected=[
                    Code(code, "" if code in predicted else "missed") for code in result.expected
                ],
                predicted=[
                    Code(code, "" if code in expected else "wrong") for code in result.predicted
                ],
                ttft=figure("ttft_ms", result.ttft_ms),
                latency=figure("latency_ms", result.latency_ms),
                output_tokens=result.output_tokens,
            )
        )
    return lines


def steps(run: EvalRun, pace: Pace) -> list[Phase]:
    """Return the steps: committed, serving, asked, removed. pace: of earlier runs."""
    finished = run.status in (Status.PASSED, Status.FAILED)
    ended = run.finished_at is not None
    done = [bool(run.deploy_commit), run.serving_at is not None, finished, bool(run.removed_at)]
    now = _step_under_way(done, ended=ended)
    labels = (
        "Candidate committed to Git",
        "Candidate serves, without any route",
        "Packets asked and scored",
        "Candidate removed",
    )
    begins = (run.requested_at, run.requested_at, run.serving_at, run.finished_at)
    ends = (None, run.serving_at, run.finished_at if finished else None, run.removed_at)
    typical = (None, pace.start, pace.ask, pace.remove)
    return [
        Phase(
            label,
            _state(run, place, done, now),
            detail=_detail(run, place, now) or took(begins[place], ends[place]),
            at=ends[place],
            since=begins[place] if place == now else None,
            typical_seconds=_seconds(typical[place]),
        )
        for place, label in enumerate(labels)
    ]


def progress(run: EvalRun, pace: Pace) -> Progress | None:
    """Return how many packets are answered; None while none is asked."""
    if run.status != Status.RUNNING:
        return None
    return Progress(
        "Packets answered",
        done=run.packets_done,
        total=run.suite.packet_count,
        since=run.serving_at,
        typical_seconds=_seconds(pace.ask),
    )


def _seconds(length: timedelta | None) -> float | None:
    return length.total_seconds() if length is not None else None


def _step_under_way(done: Sequence[bool], *, ended: bool) -> int:
    """Return the step that is under way; after the end only the removal is."""
    if ended:
        return len(done) if done[-1] else len(done) - 1
    return done.index(False)


def _state(run: EvalRun, place: int, done: Sequence[bool], now: int) -> State:
    if done[place]:
        return "done"
    if run.status == Status.ERROR and place == list(done).index(False) and place < len(done) - 1:
        return "failed"
    return "now" if place == now else "next"


def _detail(run: EvalRun, place: int, now: int) -> str:
    """Return what the step under way waits for."""
    return run.message if place == now and run.status in EvalRun.OPEN else ""
