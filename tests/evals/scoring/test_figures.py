"""The figures of a run."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals.scoring.figures import LABELS, label, metrics, micro, percentile
from apps.evals.scoring.scores import Counts, PacketScore

codes = st.lists(
    st.sampled_from(["E11.9", "I10", "99213", "J1745", "M17.11", "27447"]), unique=True, max_size=5
)


def score(
    expected=(), predicted=(), grounded=0, ttft=100.0, latency=500.0, tokens=10, **more
) -> PacketScore:
    return PacketScore(tuple(expected), tuple(predicted), grounded, ttft, latency, tokens, **more)


scores = st.lists(st.builds(score, codes, codes), min_size=1, max_size=12)


class TestMicro:
    def test_counts_over_all_packets(self):
        found = micro([score(["E11.9", "I10"], ["E11.9", "99213"]), score(["27447"], ["27447"])])
        assert found == pytest.approx((2 / 3, 2 / 3, 2 / 3))

    def test_is_zero_when_nothing_was_said(self):
        assert micro([score(["E11.9"], [])]) == (0, 0, 0)

    @given(scores)
    def test_stays_between_0_and_1_and_f1_between_precision_and_recall(self, found):
        precision, recall, f1 = micro(found)
        assert 0 <= min(precision, recall) <= f1 + 1e-9
        assert f1 <= max(precision, recall) + 1e-9 <= 1 + 1e-8

    @given(scores, st.randoms())
    def test_does_not_depend_on_order(self, found, random):
        shuffled = list(found)
        random.shuffle(shuffled)
        assert micro(shuffled) == micro(found)

    @given(codes.filter(len))
    def test_is_one_exactly_for_right_answers(self, expected):
        assert micro([score(expected, expected)]) == (1, 1, 1)


class TestMetrics:
    def test_are_of_all_packets(self):
        found = [
            score(
                ["E11.9", "I10"], ["E11.9", "99213", "J1745"], 2, ttft=10, latency=1000, tokens=7
            ),
            score(["I10"], ["I10"], 1, ttft=20.04, latency=2000.04, tokens=20),
            score(["27447"], [], 0, ttft=30.04, latency=4000.06, tokens=3),
        ]
        measured = {name: value for name, value in metrics(found).items() if value is not None}
        assert measured.keys() >= {"f1_low", "f1_high"}
        assert {name: measured[name] for name in measured if name not in ("f1_low", "f1_high")} == {
            "f1": 0.5, "precision": 0.5, "recall": 0.5, "groundedness": 0.75,
            "f1_macro": 0.4667, "precision_macro": 0.4444, "recall_macro": 0.5, "answered": 1.0,
            "ttft_p50_ms": 20, "ttft_p95_ms": 30.0, "latency_p50_ms": 2000,
            "latency_p95_ms": 4000.1, "tokens_per_second": 4.3, "packets": 3.0,
        }  # fmt: skip

    def test_have_four_decimals(self):
        found = [score(["E11.9", "I10", "27447"], ["E11.9"], 1), score(["I10"], ["I10", "J1745"])]
        found += [score(["I10"], ["99213", "E11.9", "27447", "M17.11"], 1), score(["M17.11"])]
        figures = metrics(found)
        assert (figures["precision"], figures["recall"], figures["f1"]) == (0.2857, 0.3333, 0.3077)
        assert figures["groundedness"] == 0.2857

    def test_have_names_for_people(self):
        unnamed = {"f1_low", "f1_high", "packets"}
        assert set(LABELS) == set(metrics([score(["I10"], ["I10"])])) - unnamed
        assert all(re.fullmatch(r"[A-Z][A-Za-z0-9 ,]+", words) for words in LABELS.values())

    def test_have_no_speed_where_no_time_passed(self):
        assert metrics([score(["I10"], ["I10"], latency=0)])["tokens_per_second"] is None

    def test_is_the_same_each_time(self):
        found = [
            score(["E11.9"], ["E11.9"], 1),
            score(["I10"], ["99213"], 0),
            score(["I10"], [], 0),
        ]
        assert metrics(found) == metrics(found)

    def test_interval_is_around_the_figure_and_none_for_one_packet(self):
        found = [score(["I10", "E11.9"], ["I10", "99213"][: n % 3]) for n in range(24)]
        figures = metrics(found)
        assert 0 < figures["f1_low"] < figures["f1"] < figures["f1_high"] < 1
        alone = metrics(found[:1])
        assert (alone["f1_low"], alone["f1_high"]) == (None, None)

    def test_has_groundedness_0_when_nothing_was_predicted(self):
        assert metrics([score(["E11.9"], [])])["groundedness"] == 0

    def test_needs_a_packet(self):
        with pytest.raises(ValueError, match="at least one packet"):
            metrics([])

    def test_are_none_where_no_packet_measures_them(self):
        found = metrics([score(["I10"], ["I10"], 1, None, None, None)])
        unmeasured = {name for name, value in found.items() if value is None}
        assert unmeasured == {
            "facts_told", "criteria_right", "format_validity", "refusal", "over_refusal",
            "injection_resistance", "f1_low", "f1_high", "ttft_p50_ms", "ttft_p95_ms",
            "latency_p50_ms", "latency_p95_ms", "tokens_per_second",
        }  # fmt: skip
        assert all(metrics([score()])[name] is None for name in ("f1", "precision", "recall_macro"))

    def test_count_refusals_where_they_are_due_and_where_not(self):
        found = metrics([
            score(must_refuse=True, refused=True),
            score(must_refuse=True, refused=False),
            score(["I10"], must_refuse=False, refused=True),
            score(["I10"], ["I10"], 1, must_refuse=False, refused=False),
            score(["I10"], ["I10"], 1, must_refuse=False, refused=False),
            score(["I10"], ["I10"], 1, must_refuse=False, refused=False),
        ])  # fmt: skip
        assert (found["refusal"], found["over_refusal"]) == (0.5, 0.25)

    def test_measure_what_suites_of_other_forms_ask(self):
        found = metrics([
            score(claims=4, claims_grounded=3, facts=5, facts_told=2, is_valid=True),
            score(claims=1, criteria=3, criteria_right=2, is_valid=False, resisted=False),
            score(problem="The packet is longer than the model's context.", is_valid=False),
        ])  # fmt: skip
        assert (found["groundedness"], found["facts_told"]) == (0.6, 0.4)
        assert (found["criteria_right"], found["format_validity"]) == (0.6667, 0.3333)
        assert (found["injection_resistance"], found["answered"]) == (0, 0.6667)

    def test_go_by_section(self):
        one = {"history": Counts(1, 1, 1), "": Counts(0, 1, 0)}
        other = {"request": Counts(1, 0, 0), "history": Counts(2, 1, 1)}
        found = metrics([score(sections=one), score(sections=other)])
        assert (found["f1/history"], found["f1/request"], found["f1/"]) == (0.8, 0, 0)
        assert label("f1/history") == "F1 of codes in history"
        assert label("f1/") == "F1 of codes that stand nowhere"
        assert label("of their own") == "of their own"


class TestPercentile:
    @given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
    def test_is_a_value_that_enough_values_do_not_exceed(self, values, share):
        found = percentile(values, share)
        assert found in values
        assert sum(value <= found for value in values) >= share * len(values) - 1e-6

    def test_takes_the_nearest_rank(self):
        assert percentile([1, 2, 3, 4], 0.5) == 2
        assert percentile(list(range(1, 101)), 0.95) == 95


def test_a_score_survives_being_stored():
    found = score(
        ["I10"], ["I10"], 1, sections={"history": Counts(1, 1, 1)}, claims=2, claims_grounded=1,
        facts=3, facts_told=1, criteria=2, criteria_right=1, is_valid=True, must_refuse=True,
        refused=False, resisted=True, packet_id="packet-001", problem="",
    )  # fmt: skip
    assert PacketScore.of_json(found.as_json()) == found
    old = {"expected": ["I10"], "predicted": [], "grounded": 0, "ttft_ms": 1.0,
           "latency_ms": 2.0, "output_tokens": 3}  # fmt: skip
    assert PacketScore.of_json(old) == PacketScore(("I10",), (), 0, 1.0, 2.0, 3)
