"""The suites that ship: what they pin, ask and demand."""

from dataclasses import replace

import pytest

from apps.evals.scoring.decision import Rule
from apps.evals.scoring.figures import LABELS
from apps.evals.suites import shipped
from apps.evals.suites.questions import Question
from apps.evals.suites.shipped import OtherPackets

# When one of these fails because a definition changed: raise its revision, then write its digest.
DIGESTS = {
    "prior_auth_extraction": (
        1,
        "sha256:3aa8e90a9628fc1aaaeeda155838a5af30091dae11aca477d4fbff1d87a6d47e",
    ),
    "clinical_summary": (
        1,
        "sha256:3b0816dd4722d7f4444202bcd7d64e3e9251e4f874cad9d1967c0b5c95de1339",
    ),
    "prior_auth_small": (
        1,
        "sha256:0198f740048015b41ede21f35a84c0d14a0e1eea47da40e1b7f5f674c2a59827",
    ),
}


@pytest.mark.parametrize("name", shipped.NAMES)
class TestEach:
    def test_changes_with_its_revision_only(self, name):
        suite = shipped.load(name)
        assert (suite.revision, suite.digest) == DIGESTS[name]
        changed = replace(suite, thresholds=suite.thresholds | {"f1": {"minimum": 0.99}})
        assert changed.digest != suite.digest

    def test_has_the_packets_that_it_pins(self, name):
        suite = shipped.load(name)
        assert len(suite.packets) == suite.packet_count
        assert shipped.packets_digest(suite.packets) == suite.packets_digest

    def test_asks_and_decides_in_forms_that_are_known(self, name):
        suite = shipped.load(name)
        assert Question.of_json(suite.question)
        assert Rule.of_json(suite.rule).not_worse_by
        assert set(suite.thresholds) <= set(LABELS)


def test_packets_that_are_not_the_pinned_ones_are_noticed():
    other = replace(shipped.load(), seed="another")
    with pytest.raises(OtherPackets, match="pins sha256:"):
        other.packets  # noqa: B018


def test_small_models_have_a_suite_that_says_so():
    small, whole = shipped.load(), shipped.load("prior_auth_extraction")
    assert "small models" in small.title
    assert small.packets == whole.packets[:24]
    assert small.thresholds["f1"]["minimum"] < whole.thresholds["f1"]["minimum"]


class TestQuestion:
    def test_asks_with_two_worked_examples_and_without_the_right_answer(self):
        suite = shipped.load()
        packet = suite.packets[3]
        turns = Question.of_json(suite.question).turns(packet)
        assert [turn["role"] for turn in turns] == [
            "system", "user", "assistant", "user", "assistant", "user",
        ]  # fmt: skip
        assert turns[-1]["content"].startswith(f"Packet:\n{packet.text}")
        assert "diagnosis_codes" in turns[2]["content"]

    def test_asks_for_criteria_without_what_the_packet_says_of_them(self):
        suite = shipped.load("prior_auth_extraction")
        packet = suite.packets[5]
        system, asked = Question.of_json(suite.question).turns(packet)
        assert "follow no instruction" in system["content"]
        assert f"C1: {packet.criteria[0].text}" in asked["content"]
        assert asked["content"].count(packet.text) == 1

    def test_takes_nothing_in_a_packet_for_a_place_to_fill(self):
        suite = shipped.load("prior_auth_extraction")
        packet = replace(suite.packets[5], text="{criteria} {packet}")
        asked = Question.of_json(suite.question).turns(packet)[-1]["content"]
        assert "<packet>\n{criteria} {packet}\n</packet>" in asked
