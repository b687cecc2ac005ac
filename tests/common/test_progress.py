"""Progress: no percent of an unknown whole, no typical time that nobody knows."""

from datetime import timedelta

import pytest

from apps.common.progress import Phase, Progress, about, took


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [(0, 10, 0), (1, 3, 33), (10, 10, 100), (11, 10, 100), (5, None, None), (0, 0, None)],
)
def test_tells_the_share_rounded_down_and_none_of_an_unknown_whole(done, total, percent):
    assert Progress("x", done, total).percent == percent


def test_says_typical_times_and_what_they_rest_on():
    said = {
        None: "",
        40: "≈ 40 s",
        119: "≈ 119 s",
        120: "≈ 2 min",
        180: "≈ 3 min",
        7199: "≈ 120 min",
        7200: "≈ 2 h",
    }
    assert {seconds: about(seconds) for seconds in said} == said
    assert (
        Phase("x", "next", typical_seconds=5, typical_note="2 starts").typical == "≈ 5 s (2 starts)"
    )
    copied = Progress("x", 1, 10, typical_seconds=300, typical_note="simulated")
    assert (copied.typical, Progress("x", 1, 10).typical) == ("≈ 5 min (simulated)", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (42.4, "42 s"),
        (119.4, "119 s"),
        (119.6, "2 min 00 s"),
        (120, "2 min 00 s"),
        (179.6, "3 min 00 s"),
        (185, "3 min 05 s"),
        (3700, "61 min 40 s"),
        (7199, "119 min 59 s"),
        (7200, "2 h 00 min"),
        (97_560, "27 h 06 min"),
    ],
)
def test_says_how_long_something_took_in_whole_seconds(seconds, words):
    assert took(timedelta(seconds=seconds)) == words
