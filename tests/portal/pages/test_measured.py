"""Speeds in words: callers' figures before those of an evaluation, and nothing made up."""

from types import SimpleNamespace

import pytest

from apps.evals.models import EvalRun
from apps.metering.performance.models import Performance
from portal.pages.catalog import Card
from portal.pages.measured import NOT_MEASURED, Speed
from tests.factories import NOW

RUN = EvalRun(
    metrics={"ttft_p95_ms": 420.0, "tokens_per_second": 31.04},
    instance_type="g6.xlarge", engine="vllm 0.32.0", packets_done=24,
)  # fmt: skip


def by_callers(**figures):
    values = {
        "calls": 1234, "timed": 900, "ttft_p95_ms": 2100.0, "tokens_per_second": 12.5,
        "hardware": "1 × L4 on g6.xlarge", "engine": "vllm 0.32.0", "until": NOW,
    } | figures  # fmt: skip
    return Performance(**values)


class TestCard:
    @pytest.mark.parametrize(("engine", "made_up"), [("stand-in 1", True), ("vllm 0.32.0", False)])
    def test_marks_what_callers_met_of_the_stand_in(self, engine, made_up):
        """Though its evaluation was by a real engine, and a real one may answer by now."""
        serving = SimpleNamespace(sleep=None, is_stand_in=False)
        card = Card(None, serving, None, None, RUN, None, by_callers(engine=engine), None)
        assert (card.simulated.engine, bool(card.mark)) == (made_up, made_up)


class TestSpeed:
    def test_says_what_callers_met_where_it_is_known(self):
        speed = Speed(by_callers(), RUN)
        assert speed.words == "TTFT p95 2.10 s · 12.5 tokens/s on 1 × L4 on g6.xlarge"
        assert (speed.source, speed.facets) == ("by its callers", ("3",))

    def test_says_what_the_evaluation_measured_else(self):
        speed = Speed(None, RUN)
        assert speed.words == "TTFT p95 0.42 s · 31.0 tokens/s on g6.xlarge"
        assert (speed.source, speed.facets) == ("in its evaluation", ("0.5", "1", "3"))

    def test_says_nothing_where_nothing_was_measured(self):
        speed = Speed()
        assert (speed.words, speed.source, speed.facets) == ("", "", ("none",))
        assert speed.lines()[0] == ("TTFT p95", NOT_MEASURED, NOT_MEASURED)

    def test_sets_both_side_by_side(self):
        lines = Speed(by_callers(concurrency=2.5, concurrency_max=7), RUN).lines()
        assert lines == [
            ("TTFT p95", "2.10 s", "0.42 s"),
            ("Tokens per second", "12.5", "31.0"),
            ("Requests at once", "2.5 on average while any ran, 7 at most", ""),
            ("On", "1 × L4 on g6.xlarge", "g6.xlarge"),
            ("Engine", "vllm 0.32.0", "vllm 0.32.0"),
            ("Measured over", "1,234 calls of a day", "24 packets"),
        ]

    @pytest.mark.parametrize(
        ("ms", "fits"), [(500, ("0.5", "1", "3")), (501, ("1", "3")), (3000.5, ())]
    )
    def test_fits_the_facet_up_to_its_limit(self, ms, fits):
        assert Speed(by_callers(ttft_p95_ms=ms)).facets == fits
