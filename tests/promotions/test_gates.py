"""What may be proposed, as a table of facts and refusals."""

from dataclasses import replace

import pytest

from apps.manifests.serving_settings import ServingSettings, changes_of_answers
from apps.promotions.binding.differences import GONE, SERVES, Difference
from apps.promotions.gates import Condition, Evidence, RunFacts, blocked, evaluate_gates

GOOD = Evidence(
    version="m-v7",
    verified=True,
    version_status="Verified",
    manifest_digest="sha256:" + "a" * 64,
    signature_digest="sha256:" + "c" * 64,
    run=RunFacts("run-1", True, "sha256:" + "b" * 64, baseline="m-v6"),
    suite="prior-auth r1",
    baseline="m-v6",
    model_card="README.md",
    license="LICENSE",
)
BOUND = replace(GOOD, is_bound=True)


class TestEvaluateGates:
    @pytest.mark.parametrize("facts", [GOOD, BOUND, replace(GOOD, baseline=None)])
    def test_lets_a_good_version_through(self, facts):
        assert blocked(evaluate_gates(facts)) == []

    @pytest.mark.parametrize(
        ("change", "name", "words"),
        [
            ({"verified": False, "version_status": "Quarantined"}, "Manifest", "quarantined"),
            ({"model_card": ""}, "Model card", "Publish a version with a README.md"),
            ({"license": ""}, "License", "with a LICENSE file"),
            ({"run": None}, "Evaluation", "Start one"),
            ({"run": RunFacts("r", False, "sha256:b")}, "Evaluation", "did not pass"),
            (
                {"run": replace(GOOD.run, passed=False, verdict="F1 is too low.")},
                "Evaluation",
                "F1 is too low. Publish a better version.",
            ),
            (
                {"run": replace(GOOD.run, partly="24 of 200 packets (the subset “cpu”)")},
                "Packets",
                "The run asked 24 of 200 packets (the subset “cpu”). Start a run that asks the "
                "whole suite.",
            ),
            (
                {"run": replace(GOOD.run, baseline=None)},
                "Measured against",
                "no other version served; now m-v6 does",
            ),
            ({"run": replace(GOOD.run, baseline="m-v5")}, "Measured against", "m-v5 served; now"),
            ({"more": [("summary r2", None)]}, "Evaluation", "current suite summary r2"),
            (
                {"more": [("summary r2", replace(GOOD.run, passed=False))]},
                "Evaluation",
                "on summary r2 did not pass",
            ),
            (
                {"more": [("summary r2", replace(GOOD.run, baseline="m-v5"))]},
                "Measured against",
                "m-v5 served",
            ),
            ({"suite": "", "run": None}, "Evaluation", "No suite judges this model."),
            ({"baseline": "m-v7"}, "Baseline", "already"),
            (
                {"baseline": "m-v7", "serving_class": "SCALE_TO_ZERO"},
                "Baseline",
                "cannot be changed while it serves",
            ),
            ({"open_rollout": "m-v7"}, "Rollout", "of this version is already under way"),
            ({"failed_rollout": "m-v5"}, "Rollout", "take it back"),
        ],
    )
    def test_says_what_is_wrong_and_what_to_do(self, change, name, words):
        found = blocked(evaluate_gates(replace(GOOD, **change)))
        assert [result.name for result in found] == [name]
        assert words in found[0].words

    def test_asks_for_an_evaluation_with_what_may_change_the_answers(self):
        usual = ServingSettings()
        other = replace(usual, quantization="fp8", engine_args={"--dtype": "half"}, cpu="8")
        otherwise = changes_of_answers(usual, other)
        facts = replace(GOOD, serving_class="WARM", evaluated_otherwise=otherwise)
        (found,) = blocked(evaluate_gates(facts))
        assert found.name == "Serving settings"
        assert found.words == (
            "Engine arguments: evaluated with none, proposed with --dtype=half; Quantization: "
            "evaluated with as the files are, proposed with fp8. This may change its answers: "
            "start an evaluation run with the settings that are proposed."
        )

    def test_takes_a_version_that_passed_every_suite(self):
        found = evaluate_gates(replace(GOOD, more=[("summary r2", GOOD.run)]))
        assert blocked(found) == []
        assert [one.name for one in found].count("Measured against") == 2

    def test_asks_for_no_baseline_where_nothing_would_be_replaced(self):
        found = evaluate_gates(replace(GOOD, baseline=None))
        assert "Measured against" not in [one.name for one in found]

    def test_measures_nothing_against_what_is_quarantined(self):
        run = replace(GOOD.run, baseline=None)
        found = evaluate_gates(replace(GOOD, run=run, baseline_quarantined=True))
        assert blocked(found) == []
        words = "m-v6 serves and is quarantined, so nothing is measured against it"
        assert Condition("Measured against", True, words) in found

    @pytest.mark.parametrize(
        ("serving_class", "only_spot", "holds"),
        [
            ("WARM", False, True),
            ("WARM", True, False),
            ("SCALE_TO_ZERO", True, True),
            ("SCALE_TO_ZERO", False, True),
        ],
    )
    def test_asks_for_machines_that_the_serving_class_runs_on(
        self, serving_class, only_spot, holds
    ):
        found = evaluate_gates(replace(GOOD, serving_class=serving_class, only_spot=only_spot))
        assert [item.passed for item in found if item.name == "Machines"] == [holds]
        assert [item.name for item in blocked(found)] == ([] if holds else ["Machines"])

    def test_lets_what_was_proposed_before_go_on_without_card_and_license(self):
        found = evaluate_gates(replace(BOUND, model_card="", license=""))
        assert blocked(found) == []
        said = {item.name: item.words for item in found}
        assert said["Model card"] == said["License"] == "proposed before it was asked for"

    def test_says_nothing_of_machines_while_no_class_was_chosen(self):
        assert "Machines" not in {
            item.name for item in evaluate_gates(replace(GOOD, only_spot=True))
        }

    def test_says_that_an_open_rollout_is_superseded(self):
        found = evaluate_gates(replace(GOOD, open_rollout="m-v5"))
        assert blocked(found) == []
        said = {item.name: item.words for item in found}
        assert "m-v5 under way is superseded" in said["Rollout"]

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            (Difference("Same files", "Signature", "aa", "bb"), "Signature: was aa, is bb. Reject"),
            (Difference("Same run", "Evaluation run", "1", "2"), "newer evaluation run"),
            (Difference("Same thresholds", "Thresholds", "aa", "bb"), "Thresholds: was aa, is bb."),
            (Difference("Same baseline", SERVES, "m-v6", "m-v8"), "m-v8 serves now"),
            (Difference("Same baseline", SERVES, "m-v6", GONE), "nothing serves now"),
            (Difference("Same image", "Engine image", "a:1", "a:2"), "was a:1, is a:2. Withdraw"),
            (Difference("Same settings", "Setting cpu", "3", "4"), "Setting cpu: was 3, is 4."),
            (Difference("Same commits", "x.yaml", "aa", "bb"), "x.yaml: was aa, is bb."),
        ],
    )
    def test_notices_what_is_no_longer_as_it_was_bound(self, changed, words):
        found = blocked(evaluate_gates(replace(BOUND, differences=[changed])))
        assert [result.name for result in found] == [changed.group]
        assert words in found[0].words

    def test_refuses_what_was_proposed_before_anything_was_bound(self):
        found = blocked(evaluate_gates(replace(BOUND, differences=None)))
        assert [(item.name, "make it again" in item.words) for item in found] == [("Binding", True)]

    def test_waits_until_the_signature_was_read(self):
        found = blocked(evaluate_gates(replace(GOOD, signature_digest="")))
        assert [(item.name, "signature" in item.words) for item in found] == [("Manifest", True)]


class TestWords:
    """What a reviewer reads where everything holds."""

    def test_say_what_was_found(self):
        found = evaluate_gates(
            replace(GOOD, run=RunFacts("run-1-of-many", True, "sha256:b", baseline="m-v6"))
        )
        assert [(item.name, item.passed, item.words) for item in found] == [
            ("Manifest", True, "aaaaaaaaaaaa, every file verified"),
            ("Model card", True, "README.md"),
            ("License", True, "LICENSE"),
            ("Evaluation", True, "run run-1-of on prior-auth r1: the rule is met"),
            ("Measured against", True, "asked the same packets beside m-v6, in the same run"),
            ("Report", True, "stored, b"),
            ("Baseline", True, "compared with m-v6, live now"),
            ("Rollout", True, "no other rollout of this model"),
        ]

    def test_say_that_what_was_proposed_still_stands(self):
        assert [(item.name, item.words) for item in evaluate_gates(BOUND)[-7:]] == [
            ("Same files", "manifest and signature are the proposed ones"),
            ("Same run", "the proposal's run is still the newest"),
            ("Same thresholds", "suite and thresholds have not changed"),
            ("Same baseline", "the live version has not changed"),
            ("Same image", "the engine's image has not changed"),
            ("Same settings", "what it is served with has not changed"),
            ("Same commits", "every step still writes the bytes that were proposed"),
        ]

    def test_ask_for_the_report_and_for_a_run_that_is_still_there(self):
        bare = replace(GOOD, run=RunFacts("run-1", True, "", baseline="m-v6"))
        assert [(item.name, item.words) for item in blocked(evaluate_gates(bare))] == [
            ("Report", "The run's report was not stored. Start a new run.")
        ]
        gone = blocked(evaluate_gates(replace(BOUND, run=None)))
        assert [item.name for item in gone] == ["Evaluation"]

    def test_say_what_a_class_runs_on(self):
        def machines(**facts):
            return evaluate_gates(replace(GOOD, **facts))[-1].words

        assert machines(serving_class="WARM").startswith("on demand")
        assert machines(serving_class="SCALE_TO_ZERO").startswith("Spot first")

    def test_name_a_failed_rollout_before_one_under_way(self):
        both = replace(GOOD, failed_rollout="m-v4", open_rollout="m-v5")
        (found,) = blocked(evaluate_gates(both))
        assert "failed rollout of m-v4" in found.words
        said = {item.name: item.words for item in evaluate_gates(replace(GOOD, baseline=None))}
        assert said["Baseline"] == "nothing serves this model yet"
