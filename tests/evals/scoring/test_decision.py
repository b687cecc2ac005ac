"""What decides: thresholds, and the rule over candidate and baseline."""

import time

import pytest

from apps.evals.scoring.decision import BadRule, Rule, Verdict, judge, verdicts
from apps.evals.scoring.figures import metrics
from apps.evals.scoring.scores import PacketScore


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


def answers(right, of, first=0):
    """Return scores of packets with two codes each; of the first ones both are right."""
    return [
        PacketScore(
            ("I10", "E11.9"), ("I10", "E11.9") if n < right else ("I10", "J1745"),
            2 if n < right else 1, 10.0, 20.0, 5, packet_id=f"packet-{n:03d}",
        )
        for n in range(first, of)
    ]  # fmt: skip


def judged(candidate, baseline, margin=0.05, floor=0.5, **rule):
    decides = Rule({"f1": margin}, **rule)
    limits = {"f1": {"minimum": floor}}
    return judge(candidate, baseline, decides, limits, metrics(candidate))


class TestJudge:
    def test_holds_for_the_same_answers_with_no_doubt(self):
        found = judged(answers(30, 40), answers(30, 40))
        (each,) = found.comparisons
        assert (each.difference, each.low, each.high, each.held) == (0, 0, 0, True)
        assert (each.packets, each.metric, found.passed) == (40, "f1", True)

    def test_pairs_packets_so_that_what_both_get_wrong_casts_no_doubt(self):
        found = judged(answers(100, 200), answers(101, 200))
        (each,) = found.comparisons
        assert -0.011 < each.low <= each.difference < 0
        assert each.held

    def test_is_lost_by_a_margin_that_is_too_wide_or_in_doubt(self):
        worse = judged(answers(20, 40), answers(36, 40))
        assert worse.comparisons[0].held is False
        assert not worse.passed
        # the difference alone is within the margin; that it is, is not sure
        doubtful = judged(answers(36, 40), answers(39, 40), margin=0.05)
        each = doubtful.comparisons[0]
        assert each.difference > -0.05 > each.low
        assert not doubtful.passed
        assert judged(answers(36, 40), answers(39, 40), margin=0.1).passed

    def test_needs_the_floor_too(self):
        found = judged(answers(1, 40), answers(1, 40), floor=0.9)
        assert found.comparisons[0].held
        assert not found.passed

    def test_goes_by_the_floor_alone_where_nothing_serves(self):
        found = judged(answers(30, 40), None)
        assert found.comparisons == ()
        assert found.passed
        assert found.as_json() == {
            "passed": True, "confidence": 0.95, "met": {"f1": True}, "comparisons": [],
        }  # fmt: skip

    def test_does_not_depend_on_the_order_of_answers_and_is_the_same_each_time(self):
        candidate, baseline = answers(30, 40), answers(33, 40)
        again = judged(candidate[::-1], baseline)
        assert judged(candidate, baseline).as_json() == again.as_json()

    def test_refuses_other_packets(self):
        for other in (answers(3, 5), answers(3, 6, first=1), answers(3, 6) + answers(1, 1)):
            if len(other) != 6:
                with pytest.raises(ValueError, match="same packets"):
                    judged(answers(3, 6), other)

    def test_counts_what_one_side_alone_says(self):
        silent = [PacketScore((), (), 0, None, None, None, packet_id=f"{n}") for n in range(9)]
        says = [PacketScore((), ("I10",), 0, None, None, None, packet_id=f"{n}") for n in range(9)]
        found = judge(says, silent, Rule({"groundedness": 0.1, "refusal": 0.1}), {}, metrics(says))
        grounded, refusal = found.comparisons
        assert (grounded.candidate, grounded.baseline) == (0, 0)
        assert (refusal.held, refusal.difference, refusal.packets) == (None, None, 0)
        assert found.passed

    def test_turns_around_for_what_is_better_when_lower(self):
        def refused(count):
            return [
                PacketScore((), (), 0, None, None, None, packet_id=f"{n:02d}", refused=n < count)
                for n in range(40)
            ]

        rule = Rule({"over_refusal": 0.05})
        more = judge(refused(20), refused(0), rule, {}, metrics(refused(20)))
        fewer = judge(refused(0), refused(20), rule, {}, metrics(refused(0)))
        assert (more.comparisons[0].held, fewer.comparisons[0].held) == (False, True)

    def test_takes_little_time_for_two_hundred_packets(self):
        candidate, baseline = answers(150, 200), answers(160, 200)
        judged(candidate, baseline)  # loads scipy
        begun = time.process_time()
        judged(candidate, baseline)
        assert time.process_time() - begun < 0.3


class TestRule:
    def test_is_data(self):
        data = {"confidence": 0.9, "not_worse_by": {"f1": 0.02}}
        assert Rule.of_json(data).as_json() == data
        assert Rule.of_json({}) == Rule({}, 0.95)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ([], "has the fields"),
            ({"delta": 1}, "has the fields"),
            ({"confidence": 1}, "from 0.8"),
            ({"confidence": True}, "from 0.8"),
            ({"confidence": "0.95"}, "from 0.8"),
            ({"not_worse_by": ["f1"]}, "names figures"),
            ({"not_worse_by": {"speed": 0.1}}, "any of these figures: f1,"),
            ({"not_worse_by": {"f1": 2}}, "share from 0 to 1"),
            ({"not_worse_by": {"f1": -0.1}}, "share from 0 to 1"),
        ],
    )
    def test_refuses_what_is_none(self, data, words):
        with pytest.raises(BadRule, match=words):
            Rule.of_json(data)
