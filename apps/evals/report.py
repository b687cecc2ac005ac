"""A finished run as one JSON document whose digest is kept with the run: rebuilt from the rows, it
is the same.
"""

from typing import Any

from apps.common.canonical import canonical, digest_of
from apps.evals.models import EvalPacketResult, EvalRun
from apps.evals.scoring.decision import verdicts
from apps.evals.scoring.scores import PacketScore


def report(run: EvalRun) -> dict[str, Any]:
    """Return everything a run found out. Needs suite and model_version__registered_model loaded;
    one query.
    """
    version = run.model_version
    found = verdicts(run.metrics, run.suite.thresholds)
    return {
        "run": str(run.pk),
        "suite": {
            "slug": run.suite.slug,
            "revision": run.suite.revision,
            "digest": run.suite.digest,
        },
        "model": version.registered_model.name,
        "version": version.number,
        "manifest_digest": version.manifest_digest,
        "engine": run.engine,
        "instance_type": run.instance_type,
        "metrics": run.metrics,
        "thresholds": run.suite.thresholds,
        "baseline": _baseline(run.baseline_run),
        "met": {verdict.metric: verdict.met for verdict in found},
        "packets": [_packet(result) for result in run.packet_results.all()],
    }


def content(run: EvalRun) -> bytes:
    """Return the report as the bytes that its digest is of."""
    return canonical(report(run))


def digest(run: EvalRun) -> str:
    """Return "sha256:<hex>" of the report."""
    return digest_of(report(run))


def score(result: EvalPacketResult) -> PacketScore:
    """Return a stored packet result as the scoring takes it."""
    return PacketScore(
        expected=tuple(result.expected),
        predicted=tuple(result.predicted),
        grounded=result.grounded,
        ttft_ms=result.ttft_ms,
        latency_ms=result.latency_ms,
        output_tokens=result.output_tokens,
    )


def _baseline(run: EvalRun | None) -> dict[str, Any] | None:
    """Return what the run was compared with when it finished; None for nothing."""
    if run is None:
        return None
    return {"run": str(run.pk), "version": str(run.model_version), "digest": run.report_digest}


def _packet(result: EvalPacketResult) -> dict[str, Any]:
    names = (
        "packet_id",
        "expected",
        "predicted",
        "grounded",
        "ttft_ms",
        "latency_ms",
        "output_tokens",
    )
    return {name: getattr(result, name) for name in names}
