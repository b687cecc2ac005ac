"""What is in front of a reviewer, of two versions with different figures, machines and engines."""

import hashlib
import json
from datetime import timedelta

import pytest

from apps.evals.scoring.figures import LABELS
from apps.manifests.serving_settings import USUAL, lines
from apps.promotions import actions, dossier
from apps.promotions.dossier import Change
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.policies import put_in_force
from tests.promotions.test_actions import approve

pytestmark = pytest.mark.django_db
STEPS = [{"step": "SERVE", "files": ["serving/models/m/v7.yaml"]}, {"step": "SHIFT", "files": []}]


@pytest.fixture(autouse=True)
def around(settings):
    settings.ROLLOUT_STEPS, settings.SERVING_IMAGE = (10, 50, 100), "vllm/vllm-openai:v9"
    settings.ROLLOUT_HOLD_SECONDS, settings.ROLLOUT_MINIMUM_CALLS = 90, 20


@pytest.fixture
def live(registered_model):
    """The first version, live; a run of another model's version is no run of it."""
    factories.live(RegisteredModelFactory(name="other-model"), 1)
    return factories.live(registered_model, 6)


def propose(model, owner, number=7, **more):
    version = factories.version(model, number)
    factories.run(version, f1=0.95, engine="vllm 0.11.0", instance_type="g6.xlarge")
    return actions.request_promotion(
        version=version, requester=owner, justification="Better codes", now=NOW, **more
    )


@pytest.fixture
def promotion(registered_model, alice, live):
    return propose(registered_model, alice)


class TestChange:
    def test_has_the_digest_of_its_steps(self):
        shown = Change(STEPS, "")
        canonical = json.dumps(STEPS, sort_keys=True, separators=(",", ":")).encode()
        assert shown.digest == "sha256:" + hashlib.sha256(canonical).hexdigest()
        assert Change(STEPS[:1], "").digest != shown.digest

    def test_has_none_where_it_could_not_be_shown(self):
        assert Change().digest == Change(STEPS, "Git cannot be reached.").digest == ""
        assert Change().problem == "Whoever decided was not shown the exact change."


class TestEvidence:
    def test_is_all_that_a_reviewer_sees(self, promotion, live):
        found = dossier.evidence(promotion, Change(tuple(STEPS), ""), NOW)
        assert (found["steps"], found["problem"]) == (STEPS, "")
        assert found["baseline_run"] == str(promotion.eval_run_id)
        assert promotion.eval_run.baseline == live.model_version
        f1 = next(line for line in found["metrics"] if line["label"] == LABELS["f1"])
        assert (f1["value"], f1["live"], f1["delta"], f1["met"]) == (
            "0.950",
            "0.900",
            "+0.050",
            True,
        )
        assert {item["name"]: item["passed"] for item in found["conditions"]} == {
            "Manifest": True, "Model card": True, "License": True, "Evaluation": True,
            "Measured against": True, "Report": True,
            "Baseline": True,
            "Rollout": True, "Serving settings": True, "Machines": True, "NodePool": True,
            "Same policy": True, "Same files": True,
            "Same thresholds": True, "Same image": True, "Same settings": True,
            "Same commits": True,
            "Same run": True, "Same baseline": True,
        }  # fmt: skip
        assert all(item["words"] for item in found["conditions"])
        assert ["Baseline", live.model_version.name] in found["facts"]
        assert ["Weights", "10 %, 50 %, 100 %"] in found["settings"]

    def test_tells_what_no_longer_holds(self, promotion):
        newer = factories.run(promotion.model_version, passed=False, at=NOW + timedelta(hours=1))
        found = dossier.evidence(promotion, Change(), NOW)
        failed = {item["name"] for item in found["conditions"] if not item["passed"]}
        assert newer.pk != promotion.eval_run_id
        assert failed == {"Evaluation", "Same run"}

    def test_compares_a_first_version_with_nothing(self, registered_model, alice):
        found = dossier.evidence(propose(registered_model, alice), Change(), NOW)
        assert found["baseline_run"] == ""
        assert {line["live"] for line in found["metrics"]} == {""}
        assert ["Baseline", "nothing serves yet"] in found["facts"]
        assert ["Weights", "100 %"] in found["settings"]
        assert found["problem"] == "Whoever decided was not shown the exact change."


class TestFacts:
    def test_say_what_is_proposed_and_by_whom(self, promotion, alice, live):
        version, run = promotion.model_version, promotion.eval_run
        assert dossier.facts(promotion, NOW) == [
            ("Manifest", version.manifest_digest),
            ("Signed by", "not signed"),
            ("Version", "prior-auth-extract-v7"),
            ("Evaluation", f"run {str(run.pk)[:8]} on {run.suite}"),
            ("Report", "e" * 12),
            ("Baseline", live.model_version.name),
            ("While nobody calls", "Warm, at a price not known yet"),
            ("If too few calls arrive", "It waits until somebody who did not propose it decides"),
            ("Proposed by", f"{alice} (alice)"),
            ("Why", "Better codes"),
        ]

    def test_say_what_was_chosen(self, registered_model, alice, live):
        chosen = {"serving_class": "SCALE_TO_ZERO", "without_traffic": True}
        promotion = propose(registered_model, alice, **chosen)
        promotion.model_version.signer = "release@ml-platform"
        found = dict(dossier.facts(promotion, NOW))
        assert found["Signed by"] == "release@ml-platform"
        assert found["While nobody calls"] == "Scale to zero, $0"
        assert found["Kept ready"] == "never: only a call wakes it"
        assert found["If too few calls arrive"] == "It continues without a comparison"


class TestServingSettings:
    def test_say_with_what_it_was_evaluated_and_is_served(self, promotion):
        length = promotion.registered_model.context_length
        assert dossier.serving_settings(promotion) == [
            ["Engine of the evaluation", "vllm 0.11.0"],
            ["Machine of the evaluation", "g6.xlarge"],
            ["Image", "vllm/vllm-openai:v9"],
            ["Context", f"{length:,} tokens"],
            *([label, words] for label, words in lines(USUAL)),
            ["Weights", "10 %, 50 %, 100 %"],
            ["Each is held for", "90 s"],
            ["Calls needed of each", "20"],
        ]

    def test_say_what_was_not_recorded(self, promotion):
        promotion.eval_run.engine = promotion.eval_run.instance_type = ""
        found = dict(dossier.serving_settings(promotion))
        assert found["Engine of the evaluation"] == "not recorded"
        assert found["Machine of the evaluation"] == "not recorded"


class TestKept:
    """What was in front of whoever decided."""

    def decide(self, promotion, approver, evidence):
        promotion.approvals.create(
            approver=approver, requested_by=promotion.requested_by, decision="REJECT", reason="No.",
            decided_at=NOW + timedelta(minutes=promotion.approvals.count()), evidence=evidence,
            manifest_digest=promotion.manifest_digest, eval_run=promotion.eval_run,
            binding_digest=promotion.binding_digest,
        )  # fmt: skip

    def test_is_nothing_before_a_decision(self, promotion, live):
        assert live.promotion.approvals.exists()
        assert dossier.kept(promotion) == {}

    def test_is_the_last_that_was_kept(self, promotion):
        self.decide(promotion, UserFactory(), {"problem": "first"})
        self.decide(promotion, UserFactory(), {"problem": "second"})
        self.decide(promotion, UserFactory(), {})
        promotion.status = "REJECTED"
        assert dossier.kept(promotion) == {"problem": "second"}

    def test_is_nothing_while_another_approval_is_needed(self, registered_model, alice, carol):
        put_in_force("PHI", approvals=2)
        promotion = propose(registered_model, alice)
        approve(promotion, carol)
        assert promotion.approvals.exclude(evidence={}).exists()
        assert dossier.kept(promotion) == {}
