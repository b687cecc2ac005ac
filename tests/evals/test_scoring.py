"""Codes out of answers, and the figures of a run."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals.scoring.codes import normalized, parse_codes
from apps.evals.scoring.decision import Verdict, verdicts
from apps.evals.scoring.figures import LABELS, metrics, micro, percentile
from apps.evals.scoring.scores import PacketScore

codes = st.lists(
    st.sampled_from(["E11.9", "I10", "99213", "J1745", "M17.11", "27447"]), unique=True, max_size=5
)


def score(
    expected=(), predicted=(), grounded=0, ttft=100.0, latency=500.0, tokens=10
) -> PacketScore:
    return PacketScore(tuple(expected), tuple(predicted), grounded, ttft, latency, tokens)


scores = st.lists(st.builds(score, codes, codes), min_size=1, max_size=12)


class TestParseCodes:
    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (
                '{"diagnosis_codes": ["E11.9", "I10"], "procedure_codes": ["E2103"]}',
                ("E11.9", "I10", "E2103"),
            ),
            ('{"diagnosis_codes": ["E11.9", "E11.9"', ("E11.9",)),
            ("The codes are e11.9, 27447 and j1745.", ("E11.9", "27447", "J1745")),
            ("E119 and M1711", ("E11.9", "M1711")),
            ("M54.50", ("M54.50",)),
            ("C50.912, O24.410", ("C50.912", "O24.410")),
            ('{"diagnosis_codes": ["', ()),
            ("", ()),
            ("On 2026-08-14, SYN-204417, call 555-0142, NPI 1999999984", ()),
            ("U07.1", ()),
        ],
    )
    def test_reads_leniently(self, answer, found):
        assert parse_codes(answer) == found

    @given(st.text())
    def test_never_breaks_and_finds_each_code_once(self, answer):
        found = parse_codes(answer)
        assert len(set(found)) == len(found)
        assert all(normalized(code) == code for code in found)

    @given(codes)
    def test_finds_every_code_of_a_right_answer(self, expected):
        assert parse_codes(f"Codes: {', '.join(expected)}.") == tuple(expected)


class TestNormalized:
    @pytest.mark.parametrize(
        ("code", "same"),
        [
            (" e119 ", "E11.9"), ("I10", "I10"), ("e2103", "E2103"), ("J1745", "J1745"),
            ("99213", "99213"), ("M17.11", "M17.11"), ("A12345", "A12.345"), ("9921", ""),
            ("E1", ""), ("W1234", "W12.34"), ("E11.", ""), ("", ""),
        ],
    )  # fmt: skip
    def test_is_the_code_as_it_is_compared(self, code, same):
        assert normalized(code) == same

    @given(st.text(max_size=8))
    def test_is_stable(self, code):
        assert normalized(normalized(code)) == normalized(code)


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


class TestPercentile:
    @given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
    def test_is_a_value_that_enough_values_do_not_exceed(self, values, share):
        found = percentile(values, share)
        assert found in values
        assert sum(value <= found for value in values) >= share * len(values) - 1e-6

    def test_takes_the_nearest_rank(self):
        assert percentile([1, 2, 3, 4], 0.5) == 2
        assert percentile(list(range(1, 101)), 0.95) == 95


class TestVerdicts:
    def test_names_each_metric_with_its_value_and_limits(self):
        limits = {"f1": {"minimum": 0.2}, "ttft_p50_ms": {"maximum": 5}, "own": {"minimum": 1}}
        assert verdicts({"f1": 0.3, "ttft_p50_ms": 5}, limits) == [
            Verdict("f1", "F1 of codes", 0.3, 0.2, None),
            Verdict("ttft_p50_ms", "Time to first token, median", 5, None, 5),
            Verdict("own", "own", None, 1, None),
        ]
        assert [verdict.met for verdict in verdicts({"f1": 0.3, "ttft_p50_ms": 5}, limits)] == [
            True,
            True,
            False,
        ]

    @pytest.mark.parametrize(("value", "met"), [(0.24, False), (0.25, True), (0.26, True)])
    def test_includes_the_boundary(self, value, met):
        assert verdicts({"f1": value}, {"f1": {"minimum": 0.25}})[0].met is met

    def test_is_never_met_by_what_was_not_measured(self):
        limits = {"ttft_p95_ms": {"maximum": 2}, "f1": {"minimum": 0.1}, "recall": {"minimum": 0}}
        found = verdicts({"ttft_p95_ms": 3.0, "f1": None}, limits)
        assert [verdict.met for verdict in found] == [False, False, False]
