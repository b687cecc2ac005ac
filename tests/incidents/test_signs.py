"""What is wrong with a rollout, from its row."""

import pytest

from apps.incidents.models import Episode
from apps.incidents.signs import ENDED, over, signs_of
from apps.promotions.models import Rollout
from tests.factories import NOW

DIFFERENCES = [
    {"what": "weights", "approved": "sha256:aa", "found": "sha256:bb"},
    {"what": "image", "approved": "vllm:1", "found": "vllm:2"},
]


def rollout(**facts):
    return Rollout(**({"status": "LIVE"} | facts))


class TestSignsOf:
    @pytest.mark.parametrize("status", Rollout.Status)
    def test_finds_nothing_wrong_with_a_rollout_that_is_right(self, status):
        signs = signs_of(rollout(status=status))
        assert bool(signs) == (status == "FAILED")

    def test_says_everything_that_differs(self):
        (sign,) = signs_of(rollout(drifted_at=NOW, differences=DIFFERENCES))
        assert sign.kind == "DRIFT"
        assert "weights: approved sha256:aa, found sha256:bb; image: approved vllm:1" in sign.words

    def test_quotes_digests_as_people_do(self):
        lines = [{"what": "weights", "approved": "sha256:" + "a" * 64, "found": "not known"}]
        (sign,) = signs_of(rollout(drifted_at=NOW, differences=lines))
        assert sign.words.endswith("weights: approved aaaaaaaaaaaa, found not known.")

    def test_drift_is_of_what_serves(self):
        facts = {"drifted_at": NOW, "differences": DIFFERENCES}
        assert signs_of(rollout(status="REPLACED", **facts)) == []

    def test_a_failure_begins_when_callers_go_back(self):
        returning = rollout(status="PROGRESSING", return_reason="ERRORS", return_message="5 %.")
        (sign,) = signs_of(returning)
        assert (sign.kind, sign.words) == (
            "ROLLOUT_FAILED",
            "Callers go back to the baseline. 5 %.",
        )
        (sign,) = signs_of(rollout(status="FAILED", message="No GPU."))
        assert sign.words == "No GPU."


class TestOver:
    @pytest.mark.parametrize("kind", Episode.Kind)
    @pytest.mark.parametrize("status", [*ENDED, "LIVE", "PROGRESSING"])
    def test_says_why(self, kind, status):
        assert over(kind, rollout(status=status)).endswith(".")

    def test_tells_a_repair_from_a_removal(self):
        assert "approved again" in over("DRIFT", rollout())
        assert "another version" in over("DRIFT", rollout(status="REPLACED")).lower()
        assert "taken back" in over("ROLLOUT_FAILED", rollout(status="ABORTED"))
        assert "serves all callers" in over("ROLLOUT_FAILED", rollout())
