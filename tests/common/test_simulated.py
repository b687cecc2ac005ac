"""What is made up, in words; where they stand on pages is tests/portal/test_simulated.py."""

from itertools import product

from apps.common.simulated import ENGINE_WORDS, MACHINE_WORDS, PRICE_WORDS, Simulated, marked


class TestSimulated:
    def test_says_each_thing_that_is_made_up_and_no_other(self):
        for engine, machines, prices in product((False, True), repeat=3):
            found = Simulated(engine=engine, machines=machines, prices=prices)
            assert (ENGINE_WORDS in found.words) is engine
            assert (MACHINE_WORDS in found.words) is machines
            assert (PRICE_WORDS in found.words) is prices
            assert bool(found) is bool(found.words) is (engine or machines or prices)

    def test_warns_where_no_model_answered(self):
        assert Simulated(engine=True, machines=True).tone == "warn"
        assert Simulated(machines=True, prices=True).tone == "draft"


class TestMarked:
    def test_marks_a_figure_that_is_made_up(self):
        assert marked("≈ 40 s", True) == "≈ 40 s (simulated)"
        assert marked("≈ 40 s", False) == "≈ 40 s"
