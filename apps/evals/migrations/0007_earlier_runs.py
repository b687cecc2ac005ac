"""Runs of before: they had one side and asked every packet, their scores stood in columns, and their
reports were made anew at each look. They are kept as they would have been made then.
"""

from typing import Any

from django.db import migrations

from apps.common.canonical import canonical, digest_of_bytes

TOTALS = """
UPDATE evals_evalrun SET packets_total = suite.packet_count
    FROM evals_evalsuite suite WHERE suite.id = suite_id;
UPDATE evals_evalpacketresult SET score = jsonb_build_object(
    'packet_id', packet_id, 'expected', expected, 'predicted', predicted, 'grounded', grounded,
    'ttft_ms', ttft_ms, 'latency_ms', latency_ms, 'output_tokens', output_tokens);
"""
PACKET = (
    "packet_id", "expected", "predicted", "grounded", "ttft_ms", "latency_ms", "output_tokens",
)  # fmt: skip


def keep_reports(apps: Any, _: object) -> None:
    """Keep the report of each finished run, where it still is what its digest tells."""
    runs = apps.get_model("evals", "EvalRun").objects.exclude(report_digest="")
    reports = apps.get_model("evals", "EvalReport")
    related = ("suite", "model_version__registered_model")
    before = tuple(f"baseline_run__{name}" for name in related)
    for run in runs.select_related(*related, *before):
        content = canonical(_report(run))
        if digest_of_bytes(content) == run.report_digest:
            reports.objects.create(run=run, content=content)


def _report(run: Any) -> dict[str, Any]:
    suite, version, before = run.suite, run.model_version, run.baseline_run
    return {
        "run": str(run.pk),
        "suite": {"slug": suite.slug, "revision": suite.revision, "digest": suite.digest},
        "model": version.registered_model.name,
        "version": version.number,
        "manifest_digest": version.manifest_digest,
        "engine": run.engine,
        "instance_type": run.instance_type,
        "metrics": run.metrics,
        "thresholds": suite.thresholds,
        "baseline": _before(before) if before else None,
        "met": {name: _met(run.metrics.get(name, 0.0), limits)
                for name, limits in suite.thresholds.items()},
        "packets": [{name: getattr(result, name) for name in PACKET}
                    for result in run.packet_results.order_by("packet_id")],
    }  # fmt: skip


def _before(run: Any) -> dict[str, str]:
    version = run.model_version
    name = f"{version.registered_model.name}-v{version.number}"
    return {"run": str(run.pk), "version": name, "digest": run.report_digest}


def _met(value: float, limits: dict[str, float]) -> bool:
    low, high = limits.get("minimum"), limits.get("maximum")
    return (low is None or value >= low) and (high is None or value <= high)


class Migration(migrations.Migration):
    dependencies = [("evals", "0006_side_by_side")]
    operations = [
        migrations.RunPython(keep_reports, migrations.RunPython.noop),
        migrations.RunSQL(TOTALS, migrations.RunSQL.noop),
    ]
