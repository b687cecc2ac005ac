"""Sparklines: gaps are gaps, and what is above the mark stands out."""

from apps.common.sparklines import HEIGHT, LEAST, Sparkline


def drawn(*values):
    return Sparkline.of(values, mark=1.0, words="Burn by day")


class TestOf:
    def test_draws_a_bar_for_each_value_and_none_for_a_gap(self):
        found = drawn(0.0, None, 1.0)
        assert [bar.x for bar in found.bars] == [0, 8]
        assert found.width == 11

    def test_draws_nothing_as_a_line_at_the_foot(self):
        (bar,) = drawn(0.0).bars
        assert (bar.height, bar.y) == (LEAST, HEIGHT - LEAST)

    def test_marks_what_is_above_the_mark(self):
        found = drawn(1.0, 1.1, 4.0)
        assert [bar.is_over for bar in found.bars] == [False, True, True]
        assert found.bars[2].height == HEIGHT
        assert found.mark_y == HEIGHT * 3 / 4

    def test_keeps_the_mark_at_half_where_all_is_low(self):
        assert drawn(0.2, 0.4).mark_y == HEIGHT / 2

    def test_is_empty_without_values(self):
        found = drawn(None, None)
        assert (found.bars, found.words) == ((), "Burn by day")
