"""The pace under a load, on figures that can be followed by hand, and against what was measured."""

import pytest

from apps.catalog.sizing import pace
from apps.catalog.sizing.compute import computed
from apps.catalog.sizing.figures import BATCHES, Figures, place
from apps.catalog.sizing.shapes import of_config
from tests.catalog import configs
from tests.catalog.sizing.test_fits import figures


class TestPlace:
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (1, (0, 1, 0.0)),
            (3, (1, 2, 0.5)),
            (4, (2, 3, 0.0)),
            (8, (2, 3, 1.0)),
            (12, (2, 3, 2.0)),
            (0, (0, 1, -1.0)),
        ],
    )
    def test_lies_between_two_points_and_goes_on_beyond(self, value, found):
        assert place((1, 2, 4, 8), value) == found

    def test_of_one_point_is_that_point(self):
        assert place((7,), 100) == (0, 0, 0.0)


class TestOfCallers:
    def test_one_caller_waits_for_nobody(self):
        found = pace.of_callers(figures(), 2048, 101, 1)
        assert found.ttft_ms == pytest.approx(5 + 2048 / 50)
        assert found.itl_ms == pytest.approx(5.1)
        assert found.tokens_per_second == pytest.approx(101 * 1000 / (45.96 + 100 * 5.1))

    @pytest.mark.parametrize("callers", [1, 2])
    def test_of_the_shortest_request_is_a_number(self, callers):
        """The line below the first measured length may fall to nothing."""
        lengths, none = (256, 512), [[0.0, 0.0] for _ in BATCHES]
        steep = Figures(lengths, BATCHES, none, [1.0, 3.0], none, none, 0, 1)
        found = pace.of_callers(steep, 1, 1, callers)
        assert 0 < found.tokens_per_second < 10**9

    def test_prompts_of_several_share_steps(self):
        found = pace.of_callers(figures(), 2000, 200, 32)
        mixed = 5 + 28 / 10 + 8192 / 50
        assert found.ttft_ms == pytest.approx(3 * mixed)  # two before its own
        cycle = 8 * mixed + (199 - 8) * (5 + 3.2)
        assert found.tokens_per_second == pytest.approx(32 * 200 * 1000 / cycle)
        assert found.itl_ms == pytest.approx((cycle - 3 * mixed) / 199)

    def test_a_prompt_longer_than_a_step_takes_several(self):
        one, four = (pace.of_callers(figures(), n, 10, 2).ttft_ms for n in (8192, 32768))
        assert four > 2.5 * one

    def test_an_answer_of_one_token_has_a_pace(self):
        for callers in (1, 4):
            assert pace.of_callers(figures(), 100, 1, callers).tokens_per_second > 0


class TestOfRate:
    def test_a_quiet_engine_answers_as_for_one(self):
        found = pace.of_rate(figures(), 2000, 200, 0.01)
        assert found.itl_ms == pytest.approx(5.1, rel=0.01)
        assert found.tokens_per_second == pytest.approx(2)

    def test_gets_slower_until_it_cannot_keep_up(self):
        paces = [pace.of_rate(figures(), 2000, 200, rate) for rate in (1, 8, 16, 20)]
        known = [found.ttft_ms for found in paces if found]
        assert known == sorted(known)
        assert pace.of_rate(figures(), 2000, 200, 30) is None


class TestLibrary:
    """The one test that calls it: about four seconds."""

    def test_comes_close_to_what_was_measured_on_an_h100(self):
        llama = of_config(configs.LLAMA_8B)
        found = {each.ways: each for each in computed(llama, [("h100_sxm", 1), ("h100_sxm", 4)])}
        one, four = found[1].figures, found[4].figures
        assert isinstance(one, Figures)
        assert tuple(one.batches) == BATCHES
        for callers, measured in ((1, 6.5), (8, 7.2), (32, 9.6), (64, 12.7), (128, 19.0)):
            assert one.decode_ms(callers, 2100) == pytest.approx(measured, rel=0.05)
        for callers, measured in ((8, 883.6), (32, 1890.4), (64, 2328.0)):
            found_pace = pace.of_callers(one, 2000, 200, callers)
            assert found_pace.tokens_per_second == pytest.approx(measured, rel=0.05)
        assert four.decode_ms(32, 2100) < one.decode_ms(32, 2100)
        assert (one.kv_bytes, four.kv_bytes) == (131072, 32768)
        assert (one.note, found[1].problem) == ("", "")

    def test_says_what_it_cannot_model(self):
        (found,) = computed(of_config(configs.UNKNOWN), [("h100_sxm", 1)])
        assert found.figures is None
        assert found.problem == ("the architecture NobodyKnowsThisForCausalLM was never measured")
