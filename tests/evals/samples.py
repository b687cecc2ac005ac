"""Answers of runs, as rows, and a run brought to where all is answered."""

from apps.evals import actions
from apps.evals.models import EvalPacketResult, EvalRun, Side
from apps.evals.scoring.scores import PacketScore
from tests.factories import NOW

RIGHT = PacketScore(("E11.9",), ("E11.9",), 1, 10.0, 20.0, 5)
WRONG = PacketScore(("E11.9",), (), 0, 10.0, 20.0, 5)
MACHINE = {
    "instance_type": "g5.xlarge", "capacity_type": "spot", "zone": "us-east-1a",
    "since": NOW.isoformat(),
}  # fmt: skip


def result(run, packet="packet-001", score=RIGHT, *, side=Side.CANDIDATE, **more):
    """Return the row of an answer, not saved."""
    return EvalPacketResult(
        run=run, side=side, packet_id=packet, score=score.as_json() | {"packet_id": packet},
        **{"answered_at": NOW} | more,
    )  # fmt: skip


def answer(run, packet="packet-001", score=RIGHT, *, side=Side.CANDIDATE, **more):
    """Keep an answer of a run that is asking."""
    row = result(run, packet, score, side=side, **more)
    return actions.record_packets(run=run, results=[row], stumbles=run.stumbles, now=NOW)


def serves(run, *, now=NOW):
    """Bring a run to where it asks."""
    actions.record_deployed(run=run, commit="c" * 40, now=NOW)
    machines = {side: MACHINE for side in run.sides}
    actions.record_machines(run=run, machines=machines, now=NOW)
    run.refresh_from_db()
    actions.record_serving(run=run, engines=dict.fromkeys(run.sides, "stand-in"), now=now)


def answered(run, score=RIGHT, baseline=RIGHT):
    """Bring a run to where one packet is all that is asked, and answered."""
    serves(run)
    answer(run, score=score)
    if run.baseline_id:
        answer(run, score=baseline, side=Side.BASELINE)


def judged(run, score=RIGHT, baseline=RIGHT, *, now=NOW) -> EvalRun:
    """Bring a run to its result."""
    answered(run, score, baseline)
    actions.record_eval_run(run=run, cost=None, now=now)
    return run
