"""Scores and judges a run from its rows: the same rows give the same figures and the same
verdict.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.evals.models import EvalPacketResult, EvalRun, Side
from apps.evals.packets.packet import Packet
from apps.evals.runs.asking import Ended
from apps.evals.scoring.answers import Form
from apps.evals.scoring.decision import Judgement, Rule, judge
from apps.evals.scoring.figures import metrics
from apps.evals.scoring.packets import score, unanswered
from apps.evals.scoring.scores import PacketScore

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Judged:
    """What a run found out. baseline_metrics: {} where it has no baseline."""

    metrics: Figures
    baseline_metrics: Figures
    judgement: Judgement


def result_of(
    run: EvalRun, packet: Packet, ended: Ended, form: Form, at: datetime
) -> EvalPacketResult:
    """Return the row of a call that ended, not saved yet. form: what the suite asks for."""
    if ended.problem:
        scored = unanswered(packet, ended.words, form)
    else:
        scored = score(packet, ended.text, ended.timing, form)
    return EvalPacketResult(
        run=run,
        side=ended.call.side,
        packet_id=packet.id,
        answer=ended.text,
        score=scored.as_json(),
        problem=ended.problem,
        problem_words=ended.words[:300],
        answered_at=at,
    )


def judged(run: EvalRun) -> Judged:
    """Return the figures of each side, and what the suite's rule makes of them. Needs the run's
    suite; one query. Raises ValueError where the sides were not asked the same packets.
    """
    results = list(run.packet_results.all())
    mine = scores_of(results, Side.CANDIDATE)
    theirs = scores_of(results, Side.BASELINE) if run.baseline_id else None
    found = metrics(mine)
    rule = Rule.of_json(run.suite.rule)
    return Judged(
        metrics=found,
        baseline_metrics=metrics(theirs) if theirs is not None else {},
        judgement=judge(mine, theirs, rule, run.suite.thresholds, found),
    )


def scores_of(results: Iterable[EvalPacketResult], side: Side) -> Sequence[PacketScore]:
    """Return the scores of one side, as they are kept."""
    return [PacketScore.of_json(each.score) for each in results if each.side == side]
