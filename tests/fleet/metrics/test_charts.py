"""The charts of a replica's signs: gaps are gaps."""

from apps.fleet.metrics import charts
from apps.fleet.metrics.models import GpuDevice, ReplicaSample, UtilizationSample
from tests.fleet.objects import at


def row(minute, **values):
    return ReplicaSample(minute=at(60 * minute), samples=4, **values)


def drawn(rows, power=(), minutes=10):
    found = charts.charts(rows, list(power), at(0), at(60 * minutes))
    return {chart.title: chart for chart in found}


class TestCharts:
    def test_break_where_nobody_measured_and_never_fall_to_zero(self):
        found = drawn([row(0, kv_use=0.5), row(1, kv_use=1.0), row(5, kv_use=0.25)])
        chart = found["KV-cache use"]
        assert chart.at == [at(60 * minute) for minute in range(10)]
        assert chart.series[0].values == [50, 100, None, None, None, 25, None, None, None, None]
        assert (chart.newest, chart.limit.value) == ("25 %", 90)
        assert [cells for _, cells in chart.table().rows][4:6] == [["not measured"], ["25 %"]]

    def test_break_where_the_engine_did_not_say(self):
        found = drawn([row(0, ttft_p95=0.2), row(1), row(2, ttft_p95=0.4)], minutes=3)
        chart = found["Time to first token, p95"]
        assert chart.series[0].values == [0.2, None, 0.4]
        assert chart.newest == "0.40 s"

    def test_say_that_there_is_nothing(self):
        chart = drawn([row(0)])["Requests running, mean"]
        assert (chart.is_empty, chart.newest) == (True, "")

    def test_measure_power_against_the_cards_limit(self):
        device = GpuDevice(model_name="NVIDIA H100 80GB HBM3", is_simulated=True)
        power = [UtilizationSample(device=device, minute=at(60), power_watts=350)]
        chart = drawn([row(1)], power)["GPU power, simulated"]
        assert chart.series[0].values[:3] == [None, 350, None]
        assert (chart.newest, round(chart.limit.value)) == ("350 W", 623)

    def test_over_many_hours_stand_for_five_minutes_within_their_band(self):
        rows = [row(0, waiting=1), row(4, waiting=3), row(5, waiting=7), row(400, running=1)]
        chart = drawn(rows, minutes=401)["Requests waiting, mean"]
        (series,) = chart.series
        assert (len(chart.at), chart.at[1] - chart.at[0]) == (81, 5 * charts.MINUTE)
        assert (series.values[:3], series.band[0][:2], series.band[1][:2]) == (
            [2, 7, None],
            [1, 7],
            [3, 7],
        )
        assert chart.newest == "7"
