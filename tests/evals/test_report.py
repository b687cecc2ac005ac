"""The report of a finished run: what it says of both sides, and that it is kept byte for byte."""

import json

import pytest

from apps.common.canonical import canonical, digest_of_bytes
from apps.evals import actions, report
from apps.evals.models import EvalReport, EvalRun, Side
from apps.evals.scoring.scores import PacketScore
from tests.evals.samples import RIGHT, WRONG, answer, serves
from tests.factories import NOW, ModelVersionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def finished(registered_model, suite, alice):
    """A run of v7 against v6 over two packets, one of which the baseline failed at."""
    candidate, live = (
        ModelVersionFactory(registered_model=registered_model, number=number) for number in (7, 6)
    )
    run = actions.start_eval_run(
        version=candidate, suite=suite, actor=alice, now=NOW, wanted=actions.Wanted(baseline=live)
    )
    serves(run)
    for side in Side:
        answer(run, "packet-002", RIGHT, side=side, answer="E11.9")
    answer(run, "packet-001", RIGHT, answer="Codes: E11.9")
    answer(run, "packet-001", WRONG, side=Side.BASELINE, problem="ENDLESS", problem_words="Long.")
    actions.record_eval_run(run=run, cost=None, now=NOW)
    return EvalRun.objects.get(pk=run.pk)


class TestReport:
    def test_says_of_each_side_what_ran_where_and_what_it_answered(self, finished):
        found = json.loads(report.content(finished))
        assert (found["format"], found["run"]) == (report.FORMAT, str(finished.pk))
        assert found["suite"] == {
            "slug": finished.suite.slug,
            "revision": finished.suite.revision,
            "digest": finished.suite.digest,
            "subset": "all packets",
            "thresholds": finished.suite.thresholds,
            "rule": finished.suite.rule,
        }
        mine, theirs = found["candidate"], found["baseline"]
        assert [mine["version"], theirs["version"]] == [7, 6]
        assert mine["manifest_digest"] == finished.model_version.manifest_digest
        assert theirs["manifest_digest"] == finished.baseline.manifest_digest
        assert mine["engine"] == theirs["engine"] == "stand-in"
        assert mine["instance_type"] == theirs["instance_type"] == "g5.xlarge"
        assert (mine["metrics"], theirs["metrics"]) == (
            finished.metrics, finished.baseline_metrics,
        )  # fmt: skip
        assert [each["packet_id"] for each in mine["packets"]] == ["packet-001", "packet-002"]
        assert mine["packets"][0]["answer"] == "Codes: E11.9"
        assert PacketScore.of_json(mine["packets"][1]) == PacketScore.of_json(
            RIGHT.as_json() | {"packet_id": "packet-002"}
        )
        failed = theirs["packets"][0]
        assert (failed["problem"], failed["problem_words"]) == ("ENDLESS", "Long.")
        assert found["judgement"] == finished.judgement
        assert found["cost_usd_at_most"] is None

    def test_names_no_baseline_where_there_was_none(self, run):
        serves(run)
        answer(run)
        actions.record_eval_run(run=run, cost=None, now=NOW)
        assert json.loads(report.content(run))["baseline"] is None

    def test_is_canonical_and_kept_with_its_digest(self, finished):
        content = report.content(finished)
        assert content == canonical(json.loads(content)) == report.made(finished)
        assert digest_of_bytes(content) == finished.report_digest

    def test_is_found_beside_the_versions_and_in_none_of_their_folders(self, finished):
        key = report.key_of(finished)
        assert key == f"prior-auth-extract/evals/{finished.pk}.json"
        assert not key.startswith(finished.model_version.prefix)

    def test_is_not_there_before_there_is_a_result(self, run):
        with pytest.raises(EvalReport.DoesNotExist):
            report.content(run)
