"""Whether a candidate gets more callers, as a table of numbers."""

from dataclasses import replace

import pytest

from apps.promotions.policy.rules import Rules
from apps.promotions.rollouts.health import Calls, Health, Limits, Measured, Verdict, decide

LIMITS = Limits.of(Rules(minimum_calls=20))
USUAL = Calls(calls=200, failed=2, timed=150, ttft_p95_ms=400.0, tokens_per_second=50.0)


def judge(candidate=USUAL, baseline=USUAL, ready=1):
    return decide(candidate=Health(candidate, ready), baseline=Health(baseline, 1), limits=LIMITS)


class TestDecide:
    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"ttft_p95_ms": 600.0},  # 1.25 * 400 + 100
            {"failed": 6},  # 3 %: baseline 1 % and two points
            {"tokens_per_second": 40.0},
            {"tokens_per_second": None},
            {"timed": 3, "ttft_p95_ms": 9000.0},  # too few streamed calls to say
        ],
    )
    def test_lets_go_on_what_is_as_good(self, change):
        assert judge(replace(USUAL, **change)).verdict == Verdict.PASSED

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"ttft_p95_ms": 601.0}, "TTFT p95 601 ms (400 ms baseline, at most 600 ms)."),
            ({"failed": 7}, "Errors 3.5 % (1.0 % baseline, at most 3.0 %)."),
            ({"tokens_per_second": 39.0}, "Tokens/s 39.0 (50.0 baseline, at least 40.0)."),
        ],
    )
    def test_sends_back_what_is_worse_at_once_with_the_number_that_says_so(self, change, words):
        found = judge(replace(USUAL, **change))
        assert (found.verdict, found.words, found.final) == (Verdict.FAILED, words, True)

    @pytest.mark.parametrize(
        ("candidate", "baseline", "ready", "verdict", "words"),
        [
            (
                Calls(),
                Calls(),
                1,
                Verdict.NO_TRAFFIC,
                "0 calls to the candidate and 0 to the baseline; 20 to each",
            ),
            (replace(USUAL, calls=19, failed=0), USUAL, 1, Verdict.NO_TRAFFIC, "no call failed"),
            (Calls(calls=1), USUAL, 1, Verdict.NO_TRAFFIC, "1 call to the candidate and 200"),
            (USUAL, Calls(), 1, Verdict.NO_TRAFFIC, "200 calls to the candidate and 0"),
            (
                Calls(calls=3, failed=1),
                USUAL,
                1,
                Verdict.FAILED,
                "But 1 of 3 calls failed; of the baseline's, 2 of 200 calls failed.",
            ),
            (
                Calls(calls=14, failed=14),
                Calls(calls=14, failed=14),
                1,
                Verdict.NO_TRAFFIC,
                "14 of 14 calls failed, no worse than the baseline's: 14 of 14 calls failed.",
            ),
            # 10 % is two points above 8 %, and 15 % is not
            (Calls(calls=10, failed=1), Calls(calls=100, failed=8), 1, Verdict.NO_TRAFFIC, "worse"),
            (Calls(calls=19, failed=3), Calls(calls=100, failed=8), 1, Verdict.FAILED, "3 of 19"),
            (Calls(), USUAL, 0, Verdict.FAILED, "none of its replicas is ready"),
        ],
    )
    def test_says_when_too_few_called_and_stays_careful(
        self, candidate, baseline, ready, verdict, words
    ):
        found = judge(candidate, baseline, ready)
        assert (found.verdict, found.final) == (verdict, False)
        assert words in found.words

    def test_need_not_wait_for_the_hold_where_enough_of_its_own_calls_failed(self):
        found = judge(Calls(calls=20, failed=10), Calls(calls=3))
        assert (found.verdict, found.final) == (Verdict.FAILED, True)

    def test_never_passes_without_a_ready_replica(self):
        assert judge(ready=0).verdict == Verdict.FAILED


class TestWhatIsCompared:
    def test_is_said_in_full_where_all_is_well(self):
        found = judge()
        assert (found.verdict, found.final) == (Verdict.PASSED, False)
        assert found.words == (
            "Errors 1.0 % (1.0 % baseline, at most 3.0 %). "
            "TTFT p95 400 ms (400 ms baseline, at most 600 ms). "
            "Tokens/s 50.0 (50.0 baseline, at least 40.0)."
        )

    def test_is_only_what_both_have(self):
        for change in ({"tokens_per_second": None}, {"ttft_p95_ms": None}, {"timed": 19}):
            other = replace(USUAL, **change)
            assert judge(other).words == judge(USUAL, other).words
            assert "not compared" in judge(other).words
        assert "not compared" not in judge(replace(USUAL, timed=20)).words

    def test_is_compared_from_the_minimum_of_calls_on(self):
        just = replace(USUAL, calls=20, failed=0)
        assert judge(just, just).verdict == Verdict.PASSED
        assert judge(replace(just, calls=19), just).verdict == Verdict.NO_TRAFFIC
        assert judge(just, replace(just, calls=19)).verdict == Verdict.NO_TRAFFIC

    def test_is_all_that_is_bad_at_once(self):
        bad = replace(USUAL, failed=20, tokens_per_second=1.0)
        assert judge(bad).words == (
            "Errors 10.0 % (1.0 % baseline, at most 3.0 %). "
            "Tokens/s 1.0 (50.0 baseline, at least 40.0)."
        )

    def test_says_that_no_replica_is_ready(self):
        assert judge(ready=0).words == "No replica of the candidate is ready."
        assert judge(ready=0).final is False

    def test_lets_a_few_failures_be_no_worse_than_the_baselines(self):
        found = judge(Calls(calls=10, failed=1), Calls(calls=1, failed=1))
        assert found.words == (
            "Not enough traffic to compare: 10 calls to the candidate and 1 to the baseline; 20 to "
            "each are needed. 1 of 10 calls failed, no worse than the baseline's: 1 of 1 call "
            "failed."
        )


class TestMeasured:
    def test_rounds_what_is_kept(self):
        odd = Calls(calls=3, failed=1, timed=1, ttft_p95_ms=1.26, tokens_per_second=2.345678)
        kept = Health(odd, 2).as_json()
        assert (kept["error_percent"], kept["ttft_p95_ms"], kept["tokens_per_second"]) == (
            33.33,
            1.3,
            2.35,
        )
        assert Health(Calls(), 0).as_json()["error_percent"] == 0
        found = Measured.of(Health(USUAL, 1), Health(odd, 1), LIMITS)
        assert (found.candidate.calls, found.baseline.calls) == (USUAL, odd)
        assert found.as_json()["words"] == found.decision.words

    def test_keeps_the_numbers_with_the_words(self):
        found = Measured.of(Health(USUAL, 1), Health(Calls(), 1), LIMITS).as_json()
        assert found["candidate"] == {
            "calls": 200, "failed": 2, "error_percent": 1.0, "ttft_p95_ms": 400.0,
            "tokens_per_second": 50.0,
            "ready_replicas": 1,
        }  # fmt: skip
        assert found["baseline"]["ttft_p95_ms"] is None
