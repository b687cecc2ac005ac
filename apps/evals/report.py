"""A finished run as one JSON document. It is made once, when the run comes to its result, and kept
byte for byte: its digest is with the run, and the registry has it beside the version, locked.
"""

from collections.abc import Iterable
from typing import Any

from apps.common.canonical import canonical
from apps.evals.models import EvalPacketResult, EvalReport, EvalRun, Side
from apps.evals.scoring.scores import PacketScore

FORMAT = "quartermaster.dev/evaluation-report/v2"
LARGEST = 256 * 1024 * 1024  # bytes, of one that is read back


def made(run: EvalRun) -> bytes:
    """Return the report of a run whose figures and judgement are set: its canonical JSON. Needs
    suite and the versions with their models; one query.
    """
    return canonical(_report(run))


def content(run: EvalRun) -> bytes:
    """Return the report as it is kept. Raises DoesNotExist for a run without one."""
    return bytes(EvalReport.objects.get(run=run).content)


def key_of(run: EvalRun) -> str:
    """Return where the registry keeps a run's report: beside the versions of its model, in none of
    their folders, for whatever is found in one that its manifest does not list is taken for a
    change.
    """
    return f"{run.model_version.registered_model.name}/evals/{run.pk}.json"


def _report(run: EvalRun) -> dict[str, Any]:
    suite = run.suite
    results = list(run.packet_results.all())
    return {
        "format": FORMAT,
        "run": str(run.pk),
        "suite": {
            "slug": suite.slug,
            "revision": suite.revision,
            "digest": suite.digest,
            "subset": run.subset or "all packets",
            "thresholds": suite.thresholds,
            "rule": suite.rule,
        },
        "candidate": _side(run, Side.CANDIDATE, results),
        "baseline": _side(run, Side.BASELINE, results) if run.baseline_id else None,
        "concurrency": run.concurrency,
        "cost_usd_at_most": None if run.cost_usd is None else str(run.cost_usd),
        "judgement": run.judgement,
    }


def _side(run: EvalRun, side: Side, results: Iterable[EvalPacketResult]) -> dict[str, Any]:
    """Return one side: which version, with what it was served and on what, and each packet."""
    version = run.version_of(side)
    settings = run.serving_settings if side == Side.CANDIDATE else run.baseline_settings
    return {
        "model": version.registered_model.name,
        "version": version.number,
        "manifest_digest": version.manifest_digest,
        "engine": run.engine_of(side),
        "instance_type": run.machine_of(side),
        "serving_settings": settings,
        "metrics": run.metrics_of(side),
        "packets": [_packet(each) for each in results if each.side == side],
    }


def _packet(result: EvalPacketResult) -> dict[str, Any]:
    """Return one packet: what was answered, and how it is scored."""
    score = PacketScore.of_json(result.score)
    return score.as_json() | {
        "packet_id": result.packet_id,
        "answer": result.answer,
        "problem": result.problem,
        "problem_words": result.problem_words,
    }
