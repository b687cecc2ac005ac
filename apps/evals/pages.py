"""What the pages say about runs: badges, steps, the table of figures, the rule and what became of
it. Pure: rows in, words out.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from apps.common.badges import Badge
from apps.common.progress import Phase, Progress, State
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.pace import Pace, took
from apps.evals.scoring.decision import Rule, verdicts
from apps.evals.scoring.figures import SECTION, label
from apps.integrations.engine import identity

Status = EvalRun.Status
BADGES = {
    Status.PENDING: Badge("draft", "circle-dashed", "Waiting"),
    Status.STARTING: Badge("busy", "circle-dot", "Starting"),
    Status.RUNNING: Badge("busy", "circle-dot", "Running"),
    Status.PASSED: Badge("ok", "circle-check", "Passed"),
    Status.FAILED: Badge("warn", "triangle-alert", "Not passed"),
    Status.ERROR: Badge("bad", "circle-x", "Error"),
    Status.CANCELED: Badge("idle", "ban", "Canceled"),
}
NOT_MEASURED = "not measured"
REPORTED = (
    "f1",
    "precision",
    "recall",
    "f1_macro",
    "groundedness",
    "facts_told",
    "criteria_right",
    "format_validity",
    "refusal",
    "over_refusal",
    "injection_resistance",
    "answered",
    "ttft_p50_ms",
    "ttft_p95_ms",
    "latency_p50_ms",
    "latency_p95_ms",
    "tokens_per_second",
)
# shown also where a run did not measure them
ALWAYS = ("f1", "precision", "recall", "groundedness", "ttft_p95_ms", "latency_p95_ms")
NO_BASELINE_YET = "No version that may be served answers callers now: the run has no baseline."
SERVES_ITSELF = "This version serves now, so it is asked alone: its baseline would be itself."
NO_BASELINE = (
    "No other version served this model when the run was asked for, so it has no baseline."
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


# -- Figures ---------------------------------------------------------------------------------------


def metric_lines(run: EvalRun) -> list[dict[str, Any]]:
    """Return one line per figure: value, threshold, verdict, and beside it the baseline's, measured
    in the same run, with the interval of the difference where the rule compares it.
    """
    met = {verdict.metric: verdict.met for verdict in verdicts(run.metrics, run.suite.thresholds)}
    compared = {each["metric"]: each for each in run.judgement.get("comparisons", ())}
    sections = [name for name in run.metrics if name.startswith(SECTION)]
    return [
        _line(run, name, met.get(name), compared.get(name))
        for name in (*REPORTED, *sections)
        if _is_shown(run, name)
    ]


def _is_shown(run: EvalRun, name: str) -> bool:
    known = run.metrics.get(name) is not None or run.baseline_metrics.get(name) is not None
    return known or name in ALWAYS or name in run.suite.thresholds


def _line(
    run: EvalRun, name: str, met: bool | None, compared: Mapping[str, Any] | None
) -> dict[str, Any]:
    value, before = run.metrics.get(name), run.baseline_metrics.get(name)
    compares = run.baseline_id is not None
    return {
        "label": label(name),
        "value": figure(name, value),
        "interval": between(name, run.metrics.get(f"{name}_low"), run.metrics.get(f"{name}_high")),
        "threshold": threshold(run.suite.thresholds.get(name), name),
        "met": met,
        "live": figure(name, before) if compares else "",
        "delta": delta(name, value, before) if compares else "",
        "delta_interval": _interval_of(name, compared),
        "margin": f"at most {figure(name, compared['margin'])} worse" if compared else "",
        "held": compared["held"] if compared else None,
    }


def between(name: str, low: float | None, high: float | None) -> str:
    """Return an interval in words: "0.912 to 0.957"; "" where there is none."""
    if low is None or high is None:
        return ""
    return f"{figure(name, low)} to {figure(name, high)}"


def delta(name: str, value: float | None, before: float | None) -> str:
    """Return a change with its sign, in the metric's digits; "no change" where these show none."""
    if value is None or before is None:
        return ""
    return signed(name, value - before) or "no change"


def signed(name: str, change: float) -> str:
    """Return a difference with its sign, in the metric's digits; "" where these show none."""
    digits, unit = 3, ""
    if name.endswith("_ms"):
        change, digits, unit = change / 1000, 2, " s"
    elif name == "tokens_per_second":
        digits = 1
    rounded = round(change, digits)
    return f"{rounded:+.{digits}f}{unit}".replace("-", "−") if rounded else ""


def _interval_of(name: str, compared: Mapping[str, Any] | None) -> str:
    if not compared or compared["low"] is None or compared["high"] is None:
        return ""
    low, high = (signed(name, compared[end]) or "0" for end in ("low", "high"))
    return f"{low} to {high}"


# -- The rule --------------------------------------------------------------------------------------


def rule_words(suite: EvalSuite) -> str:
    """Return a suite's rule as one sentence."""
    rule = Rule.of_json(suite.rule)
    floors = "every figure within its threshold"
    if not rule.not_worse_by:
        return f"It passes with {floors}."
    margins = ", ".join(
        f"by more than {margin:g} in {_in_a_sentence(name)}"
        for name, margin in rule.not_worse_by.items()
    )
    return (
        f"It passes with {floors}, and where a version serves already, not worse than that one "
        f"{margins}, with {rule.confidence:.0%} confidence."
    )


def verdict_words(run: EvalRun) -> str:
    """Return what the rule made of a run, as one sentence; "" before there is a result."""
    if not run.judgement:
        return ""
    lost = [
        f"{_in_a_sentence(each['metric'])} may be worse by more than {each['margin']:g}"
        for each in run.judgement.get("comparisons", ())
        if each["held"] is False
    ]
    missed = [_in_a_sentence(name) for name, met in run.judgement["met"].items() if not met]
    against = f"against {run.baseline.name}" if run.baseline else "without a baseline"
    if not lost and not missed:
        return f"The rule is met, {against}."
    found = [f"outside its threshold: {', '.join(missed)}"] if missed else []
    return f"The rule is not met, {against}: {'; '.join([*found, *lost])}."


def _in_a_sentence(name: str) -> str:
    found = label(name)
    return found if found[:2].isupper() or found[:2] == "F1" else found[0].lower() + found[1:]


def packets_words(run: EvalRun) -> str:
    """Return which packets a run asks: "all 200 packets", "24 of 200 packets (subset cpu)"."""
    if run.subset and run.packets_total < run.suite.packet_count:
        whole = run.suite.packet_count
        return f"{run.packets_total} of {whole} packets (the subset “{run.subset}”)"
    return f"all {run.packets_total} packets"


# -- The steps -------------------------------------------------------------------------------------


def steps(run: EvalRun, pace: Pace) -> list[Phase]:
    """Return the steps: committed, serving, asked, removed. pace: of earlier runs."""
    finished = run.status in (Status.PASSED, Status.FAILED)
    ended = run.finished_at is not None
    done = [bool(run.deploy_commit), run.serving_at is not None, finished, bool(run.removed_at)]
    now = _step_under_way(done, ended=ended)
    whose = "Candidate and baseline" if run.baseline_id else "Candidate"
    verb = "" if run.baseline_id else "s"
    labels = (
        f"{whose} committed to Git",
        f"{whose} serve{verb}, without any route",
        "Packets asked and scored",
        f"{whose} removed",
    )
    begins = (run.requested_at, run.requested_at, run.serving_at, run.finished_at)
    ends = (None, run.serving_at, run.finished_at if finished else None, run.removed_at)
    typical = (None, pace.start, pace.ask, pace.remove)
    return [
        Phase(
            text,
            _state(run, place, done, now),
            detail=_detail(run, place, now) or took(begins[place], ends[place]),
            at=ends[place],
            since=begins[place] if place == now else None,
            typical_seconds=_seconds(typical[place]),
        )
        for place, text in enumerate(labels)
    ]


def progress(run: EvalRun, pace: Pace) -> Progress | None:
    """Return how many packets are answered; None while none is asked."""
    if run.status != Status.RUNNING:
        return None
    return Progress(
        "Packets answered by both sides" if run.baseline_id else "Packets answered",
        done=run.packets_done,
        total=run.packets_total,
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
    stopped = run.status in (Status.ERROR, Status.CANCELED)
    if stopped and place == list(done).index(False) and place < len(done) - 1:
        return "failed"
    return "now" if place == now else "next"


def _detail(run: EvalRun, place: int, now: int) -> str:
    """Return what the step under way waits for."""
    return run.message if place == now and run.status in EvalRun.OPEN else ""


# -- The sides -------------------------------------------------------------------------------------


def side_facts(run: EvalRun) -> list[dict[str, str]]:
    """Return on what each side ran: its name, version, engine and machine."""
    return [
        {
            "side": side.label,
            "version": run.version_of(side).name,
            "engine": _engine(run.engine_of(side)),
            "machine": run.machine_of(side) or "not seen",
        }
        for side in run.sides
    ]


def _engine(engine: str) -> str:
    if identity.is_stand_in(engine):
        return f"{engine} (labeled: no model is loaded)"
    return engine or "none yet"
