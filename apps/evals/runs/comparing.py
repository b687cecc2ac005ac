"""Any two versions that were asked the same suite, compared over the packets that both answered: in
one run where they stood side by side, else each in its newest run. Reads rows, decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.catalog.models import ModelVersion
from apps.evals.models import EvalRun, EvalSuite, Side
from apps.evals.pages import between, delta, figure, signed
from apps.evals.runs.judging import scores_of
from apps.evals.scoring.decision import Comparison, Rule, judge
from apps.evals.scoring.figures import label, metrics
from apps.evals.scoring.scores import PacketScore

SHOWN = (
    "f1", "precision", "recall", "groundedness", "facts_told", "criteria_right",
    "format_validity", "refusal", "injection_resistance", "ttft_p50_ms", "ttft_p95_ms",
    "latency_p95_ms", "tokens_per_second",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A version as a run measured it."""

    run: EvalRun
    side: Side

    @property
    def version(self) -> ModelVersion:
        """Return the version."""
        return self.run.version_of(self.side)

    @property
    def engine(self) -> str:
        """Return which engine answered."""
        return self.run.engine_of(self.side)

    @property
    def machine(self) -> str:
        """Return the instance type; "" where it was not recorded."""
        return self.run.machine_of(self.side)

    @property
    def metrics(self) -> dict[str, Any]:
        """Return its figures."""
        return self.run.metrics_of(self.side)

    @property
    def words(self) -> str:
        """Return on what it was measured."""
        engine, machine = self.engine or "engine not recorded", self.machine
        return f"{engine} on {machine or 'a machine not recorded'}"


@dataclass(frozen=True)
class Compared:
    """Two versions over the same packets. lines: {label, left, right, delta, interval}."""

    left: Measured
    right: Measured
    packets: int
    lines: list[dict[str, str]]

    @property
    def is_one_run(self) -> bool:
        """Tell whether both were asked in the same run."""
        return self.left.run == self.right.run

    @property
    def runs_differ_in(self) -> list[str]:
        """Return what else than the version differs between the two."""
        found = ["engine"] if self.left.engine != self.right.engine else []
        found += ["machine"] if self.left.machine != self.right.machine else []
        one, other = self.left.run.concurrency, self.right.run.concurrency
        return found + (["packets at once"] if one != other else [])


def measured_on(suite: EvalSuite, *, visible: Any) -> dict[int, list[Measured]]:
    """Return version → where it was measured on a suite, newest first; one query. visible: the runs
    that the person may see.
    """
    rows = visible.deciding().filter(suite=suite)
    rows = rows.select_related("model_version__registered_model", "baseline__registered_model")
    found: dict[int, list[Measured]] = {}
    for run in rows:
        for side in run.sides:
            found.setdefault(run.version_of(side).pk, []).append(Measured(run, side))
    return found


def pair_of(
    found: Mapping[int, list[Measured]], left: int, right: int
) -> tuple[Measured, Measured] | None:
    """Return where two versions are best compared: in the newest run that asked both, else in the
    newest of each; None where one was never measured.
    """
    mine, theirs = found.get(left, []), found.get(right, [])
    if not mine or not theirs:
        return None
    for one in mine:
        for other in theirs:
            if one.run == other.run:
                return one, other
    return mine[0], theirs[0]


def compared(left: Measured, right: Measured, suite: EvalSuite) -> Compared | None:
    """Return two versions compared over the packets that both were asked; None where there are
    none. One query, or two.
    """
    mine, theirs = _scores(left), _scores(right)
    common = sorted(mine.keys() & theirs.keys())
    if not common:
        return None
    one, other = [mine[name] for name in common], [theirs[name] for name in common]
    first, second = metrics(one), metrics(other)
    rule = Rule.of_json(suite.rule)
    judged = judge(one, other, rule, {}, first)
    intervals = {each.metric: each for each in judged.comparisons}
    lines = [
        {
            "label": label(name),
            "left": figure(name, first.get(name)),
            "left_interval": between(name, first.get(f"{name}_low"), first.get(f"{name}_high")),
            "right": figure(name, second.get(name)),
            "right_interval": between(name, second.get(f"{name}_low"), second.get(f"{name}_high")),
            "delta": delta(name, first.get(name), second.get(name)),
            "interval": _interval(name, intervals.get(name)),
        }
        for name in SHOWN
        if first.get(name) is not None or second.get(name) is not None
    ]
    return Compared(left, right, len(common), lines)


def _scores(measured: Measured) -> dict[str, PacketScore]:
    results = measured.run.packet_results.defer("answer").filter(side=measured.side)
    return {each.packet_id: each for each in scores_of(results, measured.side)}


def _interval(name: str, found: Comparison | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ""
    low, high = (signed(name, end) or "0" for end in (found.low, found.high))
    return f"{low} to {high}"
