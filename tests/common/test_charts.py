"""Charts as data: gaps stay gaps, colors stay with their model, the table says what is drawn."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import Context, Template

from apps.common.charts import (
    HUES,
    LENGTH,
    MILLISECONDS,
    PERCENT,
    SECONDS,
    TOKENS,
    USD,
    Flow,
    HeatMap,
    Limit,
    LineChart,
    Sankey,
    Series,
    Span,
    StackChart,
    TimeLine,
    counted,
    length,
)
from tests.pages import joined

AT = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
MINUTES = [AT + timedelta(minutes=place) for place in range(3)]


def line(*series, **more):
    return LineChart(name="x", title="X", unit=TOKENS, at=MINUTES, series=series, **more)


def cells(chart):
    return [list(row) for _, row in chart.table().rows]


class TestLineChart:
    def test_keeps_a_gap_in_the_figures_and_says_it_in_the_table(self):
        chart = line(Series("a", [1, None, 3]), Series("b", [None, 0, 2]))
        drawn = chart.data()
        assert [each["values"] for each in drawn["series"]] == [[1, None, 3], [None, 0, 2]]
        assert cells(chart) == [
            ["1 token", "not measured"],
            ["not measured", "0 tokens"],
            ["3 tokens", "2 tokens"],
        ]

    def test_says_the_bounds_of_a_band(self):
        chart = line(Series("a", [5, 6, None], band=([1, None, None], [9, None, None])))
        assert cells(chart) == [["5 tokens (1 token to 9 tokens)"], ["6 tokens"], ["not measured"]]

    def test_refuses_figures_of_another_length(self):
        with pytest.raises(ValueError, match="b: 3 moments"):
            line(Series("a", [1, 2, 3]), Series("b", [1, 2]))
        with pytest.raises(ValueError, match="a: 3 moments"):
            line(Series("a", [1, 2, 3], band=([1], [2])))

    def test_gives_a_series_without_a_hue_the_next_that_is_free(self):
        chart = line(
            *(
                Series(name, [1, 2, 3], hue=hue)
                for name, hue in zip("abcd", (1, None, 0, None), strict=True)
            )
        )
        assert [each["hue"] for each in chart.data()["series"]] == [1, 2, 0, 3]

    def test_dashes_the_ninth_model_which_shares_a_hue(self):
        chart = line(Series("first", [1, 2, 3], hue=0), Series("ninth", [1, 2, 3], hue=HUES))
        assert [(each["hue"], each["dashed"]) for each in chart.data()["series"]] == [
            (0, False),
            (0, True),
        ]
        assert [key.css for key in chart.keys] == ["hue-1", "hue-1 look-dashed"]

    def test_is_empty_only_without_any_figure(self):
        assert line(Series("a", [None] * 3), Series("b", [None] * 3)).is_empty
        assert not line(Series("a", [None] * 3), Series("b", [None, 0, None])).is_empty

    def test_carries_its_limit(self):
        found = line(Series("a", [1, 2, 3]), limit=Limit(Decimal("2.5"), "objective")).data()
        assert found["limit"] == {"value": 2.5, "words": "objective"}
        assert line(Series("a", [1, 2, 3])).data()["limit"] is None

    def test_tells_the_script_what_it_draws(self):
        band = ([Decimal("0.5"), None, 2], [1.5, None, 4])
        found = line(
            Series("p50", [1, None, Decimal("2.5")], hue=2, band=band, band_words="p5 to p95"),
            Series("Idle", [0, 0, 1], look="idle"),
            Series("limit", [3, 3, 3], hue=5, dashed=True),
        ).data()
        assert found == {
            "kind": "lines",
            "unit": {"name": "tokens", "places": 0, "sign": ""},
            "at": [at.isoformat() for at in MINUTES],
            "months": False,
            "days": False,
            "limit": None,
            "series": [
                {
                    "name": "p50", "values": [1, None, 2.5], "hue": 2, "dashed": False, "look": "",
                    "band": [[0.5, None, 2], [1.5, None, 4]], "band_words": "p5 to p95",
                },
                {
                    "name": "Idle", "values": [0, 0, 1], "hue": 0, "dashed": False, "look": "idle",
                    "band": None, "band_words": "lowest to highest",
                },
                {
                    "name": "limit", "values": [3, 3, 3], "hue": 5, "dashed": True, "look": "",
                    "band": None, "band_words": "lowest to highest",
                },
            ],
        }  # fmt: skip

    def test_has_a_legend_of_more_than_one(self):
        assert line(Series("a", [1, 2, 3])).keys == []
        found = line(
            Series("a", [1, 2, 3]),
            Series("Idle", [1, 2, 3], look="idle"),
            Series("p95", [1, 2, 3], hue=7, dashed=True),
            Series("ninth", [1, 2, 3], hue=HUES),
        ).keys
        # what has a look leaves its hue to the next
        assert [(key.name, key.css) for key in found] == [
            ("a", "hue-2"),
            ("Idle", "hue-3 look-idle"),
            ("p95", "hue-8 look-dashed"),
            ("ninth", "hue-1 look-dashed"),
        ]

    def test_begins_again_where_all_hues_are_taken(self):
        taken = [Series(str(hue), [1, 2, 3], hue=hue) for hue in range(HUES)]
        found = line(*taken, Series("a", [1, 2, 3]), Series("b", [1, 2, 3])).data()
        assert [each["hue"] for each in found["series"]][HUES:] == [0, 1]

    def test_has_its_figures_under_the_names_of_its_series(self):
        chart = line(Series("a", [1, None, 3]), Series("b", [None, 0, 2]))
        assert chart.table().head == ["Time", "a", "b"]
        assert [at for at, _ in chart.table().rows] == MINUTES
        empty = LineChart(name="x", title="X", unit=TOKENS, at=[], series=[])
        assert (empty.table().head, empty.is_empty) == (["Time"], True)


class TestUnits:
    @pytest.mark.parametrize(
        ("unit", "value", "words"),
        [
            (TOKENS, 1, "1 token"),
            (TOKENS, 1.4, "1 token"),
            (TOKENS, 1234, "1,234 tokens"),
            (TOKENS, None, "not measured"),
            (USD, Decimal("1234.5"), "$1,234.50"),
            (USD, 0.1, "$0.10"),
            (PERCENT, 49.6, "50 %"),
            (SECONDS, 1, "1.00 s"),
            (MILLISECONDS, 1, "1 ms"),
            (MILLISECONDS, 1234.4, "1,234 ms"),
            (LENGTH, 42, "42 s"),
        ],
    )
    def test_say_a_figure_in_words(self, unit, value, words):
        assert unit.words(value) == words

    def test_are_made_of_any_name(self):
        hours = counted("GPU-hours", 1, one="GPU-hour")
        assert (hours.name, hours.places, hours.sign) == ("GPU-hours", 1, "")
        assert [hours.words(value) for value in (2.55, 1234, 1, None)] == [
            "2.5 GPU-hours",
            "1,234.0 GPU-hours",
            "1.0 GPU-hours",
            "not measured",
        ]
        nodes = counted("nodes", one="node")
        assert [nodes.words(value) for value in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
        assert counted("s").words(1) == "1 s"

    def test_tell_the_script_how_to_write_an_axis(self):
        said = [(unit.name, unit.places, unit.sign) for unit in (USD, PERCENT, SECONDS, LENGTH)]
        assert said == [("USD", 2, "$"), ("%", 0, "%"), ("s", 2, ""), ("", 0, "")]


class TestStackChart:
    @pytest.mark.parametrize("shape", ["area", "bars"])
    def test_is_areas_or_bars(self, shape):
        parts = [Series("a", [1, 2, 3]), Series("b", [Decimal(1), None, 3])]
        chart = StackChart(name="x", title="X", unit=TOKENS, at=MINUTES, series=parts, shape=shape)
        assert (chart.kind, chart.data()["kind"], chart.data()["days"]) == (shape, shape, False)
        usual = StackChart(name="x", title="X", unit=TOKENS, at=MINUTES, series=parts)
        assert usual.kind == "area"
        assert cells(chart)[1:] == [
            ["2 tokens", "not measured", "not measured"],
            ["3 tokens", "3 tokens", "6 tokens"],
        ]

    def test_sums_a_moment_only_where_every_part_is_known(self):
        days = [date(2026, 11, 1), date(2026, 11, 2)]
        parts = [Series("a", [Decimal("1.10"), 2]), Series("Idle", [3, None], look="idle")]
        chart = StackChart(name="x", title="X", unit=USD, at=days, series=parts, shape="bars")
        assert chart.table().head == ["Day", "a", "Idle", "Together"]
        assert [row[-1] for row in cells(chart)] == ["$4.10", "not measured"]
        assert (chart.data()["kind"], chart.data()["days"]) == ("bars", True)


class TestHeatMap:
    def test_draws_no_cell_for_what_nobody_measured(self):
        chart = HeatMap(
            name="x", title="X", unit=PERCENT, at=MINUTES, rows=["a", "b"],
            values=[[0, None, 50], [None, 7, None]],
        )  # fmt: skip
        assert chart.data()["cells"] == [[0, 0, 0], [2, 0, 50], [1, 1, 7]]
        assert cells(chart)[1] == ["not measured", "7 %"]
        assert (chart.table().head, chart.is_empty) == (["Time", "a", "b"], False)
        assert [at for at, _ in chart.table().rows] == MINUTES

    def test_tells_the_script_its_rows_and_days(self):
        days = [date(2026, 11, 1), date(2026, 11, 2)]
        chart = HeatMap(
            name="x", title="X", unit=PERCENT, at=days, rows=("a", "b"),
            values=[[None, None], [None, Decimal("0.5")]],
        )  # fmt: skip
        assert chart.data() == {
            "kind": "heat",
            "unit": {"name": "%", "places": 0, "sign": "%"},
            "at": ["2026-11-01", "2026-11-02"],
            "days": True,
            "rows": ["a", "b"],
            "cells": [[1, 1, 0.5]],
        }
        assert (chart.table().head[0], chart.is_empty, chart.keys) == ("Day", False, [])
        nothing = replace(chart, values=[[None, None], [None, None]])
        assert nothing.is_empty


class TestSankey:
    def test_leaves_out_what_carries_nothing(self):
        flows = [Flow("GPU", "a", Decimal(3)), Flow("GPU", "b", 0), Flow("a", "Idle", 1)]
        chart = Sankey(
            name="x", title="X", unit=USD, flows=flows, hues={"a": 4}, looks={"Idle": "idle"}
        )
        assert [(node["name"], node["hue"], node["look"]) for node in chart.data()["nodes"]] == [
            ("GPU", None, ""),
            ("a", 4, ""),
            ("Idle", None, "idle"),
        ]
        assert cells(chart) == [["a", "$3.00"], ["Idle", "$1.00"]]
        assert [source for source, _ in chart.table().rows] == ["GPU", "a"]
        assert (chart.table().head, chart.is_empty) == (["From", "To", "USD"], False)
        assert chart.data() == {
            "kind": "sankey",
            "unit": {"name": "USD", "places": 2, "sign": "$"},
            "heads": [],
            "nodes": [
                {"name": "GPU", "hue": None, "look": ""},
                {"name": "a", "hue": 4, "look": ""},
                {"name": "Idle", "hue": None, "look": "idle"},
            ],
            "links": [["GPU", "a", 3.0], ["a", "Idle", 1]],
        }
        named = replace(chart, heads=("GPU type", "Model"), flows=[Flow("GPU", "a", 0)])
        assert (named.data()["heads"], named.is_empty) == (["GPU type", "Model"], True)


class TestTimeLine:
    def test_cuts_to_its_window_and_tells_whole_lengths(self):
        spans = [
            Span("b", "Served", AT - timedelta(hours=2), AT + timedelta(minutes=1)),
            Span("a", "Served", AT, None, hue=9, look="idle"),
        ]
        chart = TimeLine(
            name="x", title="X", unit=LENGTH, from_at=AT, to_at=MINUTES[2], spans=spans
        )
        first, second = chart.data()["spans"]
        assert (first["row"], first["from"], second["row"], second["hue"]) == (
            0,
            AT.isoformat(),
            1,
            1,
        )
        assert second["to"] == MINUTES[2].isoformat()
        assert cells(chart)[0][-1] == "2 h 01 min"
        assert cells(chart)[1][-2:] == ["goes on", "2 min 00 s"]

    def test_tells_the_script_its_window_rows_and_stretches(self):
        served = Span("b", "Served v7", AT, AT + timedelta(minutes=9), hue=3, kind="Serving")
        spans = [
            served,
            replace(served, row="a", words="Served v8", hue=11),
            Span("b", "Nobody looked", AT, None, look="idle"),
        ]
        chart = TimeLine(
            name="x", title="X", unit=LENGTH, from_at=AT, to_at=MINUTES[2], spans=spans
        )
        start, end = AT.isoformat(), MINUTES[2].isoformat()
        assert chart.data() == {
            "kind": "spans",
            "unit": {"name": "", "places": 0, "sign": ""},
            "from": start,
            "to": end,
            "rows": ["b", "a"],
            "spans": [
                {"row": 0, "words": "Served v7", "from": start, "to": end, "hue": 3, "look": ""},
                {"row": 1, "words": "Served v8", "from": start, "to": end, "hue": 3, "look": ""},
                {
                    "row": 0, "words": "Nobody looked", "from": start, "to": end, "hue": 0,
                    "look": "idle",
                },
            ],
        }  # fmt: skip
        assert [(key.name, key.css) for key in chart.keys] == [
            ("Serving", "hue-4"),
            ("Nobody looked", "hue-1 look-idle"),
        ]
        assert replace(chart, spans=spans[:2]).keys == []
        assert (chart.is_empty, replace(chart, spans=()).is_empty) == (False, True)
        assert chart.table().head == ["Of", "What", "From (UTC)", "To (UTC)", "Length"]
        assert chart.table().rows[0] == (
            "b",
            ["Served v7", "2026-11-24 14:00:00", "2026-11-24 14:09:00", "9 min 00 s"],
        )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 0 h"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_lengths_are_said_as_people_do(seconds, words):
    assert length(seconds) == words


class TestTag:
    def test_shows_the_chart_with_the_same_figures_as_a_table_and_as_data(self):
        chart = line(Series("</script><b>", [1, None, 3]), ranges=(), note="simulated")
        html = joined(Template("{% chart c %}").render(Context({"c": chart})))
        assert "&lt;/script&gt;&lt;b&gt;" in html
        data = html.partition('<script type="application/json">')[2].partition("</script>")[0]
        assert json.loads(data)["series"][0]["values"] == [1, None, 3]
        assert html.count('<td class="num">') == 3
        assert html.count("<time") == 3
        assert "simulated" in html

    def test_says_that_nothing_was_measured(self):
        html = Template("{% chart c %}").render(Context({"c": line(Series("a", [None] * 3))}))
        assert "Nothing was measured in this time." in html
        assert "data-chart-canvas" not in html


class TestMonths:
    def test_are_named_as_months_and_drawn_so(self):
        months = [date(2026, 9, 1), date(2026, 10, 1)]
        series = [Series("a", [1, 2]), Series("b", [3, None])]
        for kind in (LineChart, StackChart):
            chart = kind(name="m", title="M", unit=TOKENS, at=months, series=series,
                         is_monthly=True)  # fmt: skip
            assert chart.table().head[0] == "Month"
            assert [head for head, _ in chart.table().rows] == ["Sep 2026", "Oct 2026"]
            assert chart.data()["months"] is True
