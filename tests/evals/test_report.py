"""The report of a finished run: what it says, and that it is the same whenever it is made."""

import hashlib
import json

import pytest

from apps.evals import report
from apps.evals.models import EvalRun
from apps.evals.scoring.scores import PacketScore
from tests.database import unguarded
from tests.factories import ModelVersionFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db
ANSWERS = {
    "packet-02": (["I10"], [], 0, 11.5, 30.0, 4),
    "packet-01": (["E11.9", "I10"], ["E11.9"], 1, 10.0, 20.0, 5),
}
NAMES = ("expected", "predicted", "grounded", "ttft_ms", "latency_ms", "output_tokens")


@pytest.fixture
def finished(registered_model):
    """A run of v7 with two answers, compared with a run of v6; beside it one of v8."""
    baseline = factories.run(factories.version(registered_model, 6))
    run, other = (
        factories.run(ModelVersionFactory(registered_model=registered_model, number=number))
        for number in (7, 8)
    )
    with unguarded():
        EvalRun.objects.filter(pk=run.pk).update(
            baseline_run=baseline,
            engine="vllm 0.32.0",
            instance_type="g5.xlarge",
            metrics={"f1": 0.5, "ttft_p95_ms": 30_000.0},
        )
        for each in (run, other):
            for packet, answer in ANSWERS.items():
                each.packet_results.create(
                    packet_id=packet, **dict(zip(NAMES, answer, strict=True))
                )
    return EvalRun.objects.get(pk=run.pk)


class TestReport:
    def test_says_what_was_run_how_good_it_was_and_beside_what(self, finished):
        baseline, version, suite = finished.baseline_run, finished.model_version, finished.suite
        assert report.report(finished) == {
            "run": str(finished.pk),
            "suite": {
                "slug": "prior-auth",
                "revision": suite.revision,
                "digest": suite.digest,
            },
            "model": "prior-auth-extract",
            "version": 7,
            "manifest_digest": version.manifest_digest,
            "engine": "vllm 0.32.0",
            "instance_type": "g5.xlarge",
            "metrics": {"f1": 0.5, "ttft_p95_ms": 30_000.0},
            "thresholds": factories.THRESHOLDS,
            "baseline": {
                "run": str(baseline.pk),
                "version": "prior-auth-extract-v6",
                "digest": baseline.report_digest,
            },
            "met": {"f1": True, "ttft_p95_ms": False},
            "packets": [
                {"packet_id": packet, **dict(zip(NAMES, ANSWERS[packet], strict=True))}
                for packet in ("packet-01", "packet-02")
            ],
        }

    def test_names_no_baseline_where_there_was_none(self, finished):
        assert report.report(finished.baseline_run)["baseline"] is None

    def test_is_the_bytes_of_its_digest(self, finished):
        content = report.content(finished)
        assert json.loads(content) == report.report(finished)
        assert report.digest(finished) == f"sha256:{hashlib.sha256(content).hexdigest()}"

    def test_scores_what_was_stored(self, finished):
        first, second = finished.packet_results.order_by("packet_id")
        assert report.score(first) == PacketScore(("E11.9", "I10"), ("E11.9",), 1, 10.0, 20.0, 5)
        assert report.score(second) == PacketScore(("I10",), (), 0, 11.5, 30.0, 4)
