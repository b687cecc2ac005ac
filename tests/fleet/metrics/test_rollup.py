"""A minute's scrapes → the row."""

import math

import pytest

from apps.fleet.metrics import rollup, signals
from apps.fleet.metrics.rollup import Minute, minute_of
from apps.fleet.metrics.signals import Counted, EngineReading, GpuReading
from tests.fleet.objects import at


def reading(running, waiting=0.0, kv=0.0, second=0.0):
    return EngineReading(at(second), running, waiting, kv, None, {})


def counts(seconds=15.0, **more):
    return Counted(seconds=seconds, **more)


class TestReplicaValues:
    def test_keeps_means_and_maxima_and_sums(self):
        minute = Minute(at(0))
        minute.add(reading(2, 0, 0.1), None)
        ttft = {0.1: 3.0, 0.2: 4.0, math.inf: 4.0}
        minute.add(
            reading(4, 3, 0.5),
            counts(
                prompt_tokens=100,
                requests={"stop": 2},
                ttft=ttft,
                cache_asked=100,
                cache_hit=25,
                generation_tokens=30,
            ),
        )
        minute.add(
            reading(0, 0, 0.3),
            counts(prompt_tokens=50, requests={"stop": 1, "abort": 1}, ttft=ttft),
        )
        found = rollup.replica_values(minute)
        assert (found["samples"], found["running"], found["running_max"]) == (3, 2, 4)
        assert (found["waiting"], found["waiting_max"]) == (1, 3)
        assert found["kv_use"] == pytest.approx(0.3)
        assert (found["kv_use_max"], found["prompt_tokens"], found["generation_tokens"]) == (
            0.5,
            150,
            30,
        )
        assert found["requests"] == {"stop": 3, "abort": 1}
        assert (found["counted_seconds"], found["cache_hit"]) == (30, 0.25)
        assert found["ttft_p50"] == pytest.approx(0.1 * 4 / 6)
        assert found["ttft_p95"] == pytest.approx(0.1 + 0.1 * 1.6 / 2)

    def test_leaves_unknown_what_the_first_scrape_cannot_tell(self):
        minute = Minute(at(0))
        minute.add(reading(0), None)
        found = rollup.replica_values(minute)
        assert (found["samples"], found["running"], found["counted_seconds"]) == (1, 0, 0)
        assert (
            found["prompt_tokens"]
            is found["ttft_p95"]
            is found["cache_hit"]
            is found["preemptions"]
            is None
        )

    def test_counts_what_was_told_and_not_what_was_not(self):
        minute = Minute(at(0))
        minute.add(reading(None, None, None), counts(preemptions=2, cache_asked=10))
        minute.add(reading(4, 2, 0.5), counts(seconds=5.0, preemptions=1))
        found = rollup.replica_values(minute)
        assert (found["samples"], found["counted_seconds"], found["preemptions"]) == (2, 20, 3)
        assert (found["running"], found["waiting"], found["kv_use"]) == (4, 2, 0.5)
        assert found["cache_hit"] is None, "how much was hit was not told"

    @pytest.mark.parametrize(
        ("asked", "hit", "share"), [(100, 0, 0), (100, 120, 1), (0, 0, None), (None, 5, None)]
    )
    def test_shares_of_the_cache_are_within_the_whole(self, asked, hit, share):
        minute = Minute(at(0))
        minute.add(reading(0), counts(cache_asked=asked, cache_hit=hit))
        assert rollup.replica_values(minute)["cache_hit"] == share


class TestGpuValues:
    def gpu(self, active=None, source="GPU_UTIL", **more):
        return GpuReading("GPU-1", "", "", "n", "0", "", "", "", "", False, active, source, **more)

    def test_keeps_the_highest_and_the_newest_error(self):
        found = rollup.gpu_values(
            [
                self.gpu(0.5, xid=31, memory_used_mib=30.0, memory_total_mib=80.0),
                self.gpu(xid=79, memory_used_mib=10.0, temperature_c=60),
                self.gpu(0.0, memory_total_mib=40.0, temperature_c=70),
            ]
        )
        assert (found["samples"], found["active"], found["xid"]) == (3, 0.25, 79)
        assert (found["memory_used_mib"], found["memory_total_mib"]) == (30, 80)
        assert (found["temperature_c"], found["power_watts"]) == (70, None)
        assert found["power_watts_max"] is None

    def test_keeps_what_the_last_one_measured_by(self):
        newer = "GR_ENGINE_ACTIVE"
        found = rollup.gpu_values([self.gpu(0.1, newer), self.gpu(0.3, newer), self.gpu(1.0)])
        assert (found["active"], found["active_source"]) == (1.0, "GPU_UTIL")

    def test_leaves_unknown_what_nothing_told(self):
        found = rollup.gpu_values([self.gpu()])
        assert {name for name, value in found.items() if value is not None} == {
            "samples",
            "active_source",
        }

    def test_never_mixes_two_ways_of_measuring(self):
        def gpu(active, source, **more):
            return GpuReading(
                "GPU-1", "", "", "n", "0", "", "", "", "", False, active, source, **more
            )

        rows = [
            gpu(1.0, "GPU_UTIL", power_watts=100, temperature_c=50),
            gpu(0.2, "GR_ENGINE_ACTIVE", power_watts=300, temperature_c=40, xid=0),
            gpu(0.4, "GR_ENGINE_ACTIVE", memory_used_mib=10.0, memory_total_mib=20.0),
        ]
        found = rollup.gpu_values(rows)
        assert (found["active"], found["active_source"]) == (pytest.approx(0.3), "GR_ENGINE_ACTIVE")
        assert (found["power_watts"], found["power_watts_max"], found["temperature_c"]) == (
            200,
            300,
            50,
        )
        assert (found["memory_used_mib"], found["memory_total_mib"], found["xid"]) == (10, 20, 0)


class TestIsActive:
    @pytest.mark.parametrize(
        ("seen", "counted", "active"),
        [
            (reading(1), None, True),
            (reading(0, 1), None, True),
            (reading(0), counts(requests={"stop": 1}), True),
            (reading(0), counts(requests={}, prompt_tokens=5), True),
            (reading(None, None), counts(requests={}, prompt_tokens=None), False),
            (reading(None, 1), None, True),
            (reading(0), counts(requests={"stop": 0}, prompt_tokens=0), False),
            (reading(0), None, False),
        ],
    )
    def test_sees_requests_between_scrapes_too(self, seen, counted, active):
        assert rollup.is_active(seen, counted) is active


def test_minute_of_is_its_begin():
    assert minute_of(at(119.5)) == at(60)
    assert at(45) - at(0) < signals.LONGEST_GAP
