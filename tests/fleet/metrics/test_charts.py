"""The charts' coordinates: gaps are gaps."""

from apps.fleet.metrics import charts
from apps.fleet.metrics.models import GpuDevice, ReplicaSample, UtilizationSample
from tests.fleet.objects import at


def row(minute, **values):
    return ReplicaSample(minute=at(60 * minute), samples=4, **values)


def drawn(rows, power=(), minutes=10):
    view = charts.window(rows, at(0), at(60 * minutes))
    return view, {chart.title: chart for chart in charts.charts(rows, list(power), view)}


class TestWindow:
    def test_joins_unobserved_minutes(self):
        view, _ = drawn([row(2), row(3), row(7)])
        assert view.minutes == 10
        assert view.dark == [(0, 2), (4, 3), (8, 2)]


class TestCharts:
    def test_break_where_nobody_measured_and_never_fall_to_zero(self):
        _, found = drawn([row(0, kv_use=0.5), row(1, kv_use=1.0), row(5, kv_use=0.25)])
        chart = found["KV-cache use"]
        assert chart.lines == ["0.5,50.0 1.5,0.0"]
        assert chart.dots == [("5.5", "75.0")]
        assert (chart.newest, chart.top, chart.limit) == ("25 %", "100 %", "10.0")

    def test_break_where_the_engine_did_not_say(self):
        _, found = drawn([row(0, ttft_p95=0.2), row(1), row(2, ttft_p95=0.4)])
        chart = found["Time to first token, p95"]
        assert (chart.lines, len(chart.dots), chart.limit) == ([], 2, "")

    def test_say_in_words_that_there_is_nothing(self):
        _, found = drawn([row(0)])
        assert (
            found["Requests running, mean"].words == "Requests running, mean: nothing was measured"
        )

    def test_measure_power_against_the_cards_limit(self):
        device = GpuDevice(model_name="NVIDIA H100 80GB HBM3", is_simulated=True)
        power = [UtilizationSample(device=device, minute=at(60), power_watts=350)]
        _, found = drawn([row(1)], power)
        chart = found["GPU power, simulated"]
        assert (chart.dots, chart.top, chart.newest, chart.limit) == (
            [("1.5", "50.0")],
            "700 W",
            "350 W",
            "11.0",
        )
