"""How the stand-in answers a suite's questions: mostly right, sometimes wrong, always the same."""

import json

import pytest

from apps.evals.scoring.figures import metrics
from apps.evals.scoring.packets import score
from apps.evals.scoring.scores import Timing
from apps.evals.suites import shipped
from apps.evals.suites.questions import Question
from deploy.local.engine.stand_in.answers import answer
from deploy.local.engine.stand_in.packets import Luck

PACKETS = slice(0, 120, 2)  # enough to see slips, few enough to be quick


def ask(name, model, which=PACKETS):
    suite = shipped.load(name)
    question = Question.of_json(suite.question)
    for packet in suite.packets[which]:
        turns = [(turn["role"], turn["content"]) for turn in question.turns(packet)]
        yield packet, answer(turns, model), question.form


def figures(name, model):
    found = [score(packet, text, Timing(), form) for packet, text, form in ask(name, model)]
    return metrics(found)


@pytest.mark.parametrize("name", ["prior_auth_extraction", "clinical_summary"])
def test_versions_differ_and_neither_is_perfect(name):
    one, other = figures(name, "model-v1"), figures(name, "model-v2")
    assert one != other
    for found in (one, other):
        assert 0.6 < found["f1"] < 1
        assert 0.7 < found["groundedness"] < 1
        assert 0.8 < found["format_validity"] <= 1
        assert found["refusal"] > 0.5


def test_slips_do_not_depend_on_the_run_that_asks():
    first = [text for _, text, _ in ask("prior_auth_small", "model-v1-0a1b2c3d")]
    again = [text for _, text, _ in ask("prior_auth_small", "model-v1-ffffffff")]
    assert first == again != [text for _, text, _ in ask("prior_auth_small", "model-v2")]


def test_luck_is_none_without_a_name_and_rare_with_one():
    assert not any(Luck(f"packet {n}", "").slips("x") for n in range(500))
    assert 5 < sum(Luck(f"packet {n}", "m").slips("x") for n in range(500)) < 50


def test_answers_in_the_form_that_is_asked_for():
    for name, keys in (
        ("prior_auth_extraction", {"codes", "criteria", "refusal"}),
        ("clinical_summary", {"summary", "codes", "refusal"}),
        ("prior_auth_small", {"diagnosis_codes", "procedure_codes"}),
    ):
        for _, text, _ in ask(name, "", slice(0, 3)):
            assert set(json.loads(text)) == keys


def test_declines_what_cannot_be_read_or_mixes_two_members():
    asked = ask("prior_auth_extraction", "", slice(0, 208))
    refused = [(packet.refuse, json.loads(text)["refusal"]) for packet, text, _ in asked]
    assert all(bool(reason) == bool(said) for reason, said in refused)
