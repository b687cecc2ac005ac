"""What points mean: counts between scrapes, quantiles, GPUs, and the state that is named."""

import math

import pytest

from apps.fleet.metrics import signals
from apps.fleet.metrics.signals import Load
from apps.integrations.prometheus.types import Point
from tests.fleet.objects import at


def engine(running=1.0, waiting=0.0, kv=0.1, core="0", **counts):
    labels = {"engine": core, "model_name": "m-v1"}
    points = [
        Point("vllm:num_requests_running", labels, running),
        Point("vllm:num_requests_waiting", labels, waiting),
        Point("vllm:kv_cache_usage_perc", labels, kv),
    ]
    for name, value in counts.items():
        points.append(Point(f"vllm:{name}_total", labels, value))
    return points


def finished(**outcomes):
    return [
        Point("vllm:request_success_total", {"finished_reason": name}, n)
        for name, n in outcomes.items()
    ]


def first_tokens(**below):
    return [Point(f"{signals.TTFT}_bucket", {"le": bound}, count) for bound, count in below.items()]


def count(before, after, seconds=15.0):
    return signals.counted(
        signals.engine_reading(before, at(0)), signals.engine_reading(after, at(seconds))
    )


class TestEngineReading:
    def test_sums_the_queue_over_cores_and_takes_the_fullest_cache(self):
        found = signals.engine_reading([*engine(3, 1, 0.2), *engine(4, 2, 0.6, core="1")], at(0))
        assert (found.running, found.waiting, found.kv_use) == (7, 3, 0.6)

    def test_leaves_what_is_not_told_unknown(self):
        found = signals.engine_reading([Point("vllm:prompt_tokens_total", {}, 5)], at(0))
        assert (found.running, found.waiting, found.kv_use) == (None, None, None)

    def test_reads_the_older_name_of_the_cache(self):
        assert (
            signals.engine_reading([Point("vllm:gpu_cache_usage_perc", {}, 0.3)], at(0)).kv_use
            == 0.3
        )


class TestCounted:
    def test_counts_between_two_scrapes(self):
        before = [
            *engine(prompt_tokens=100, generation_tokens=10, num_preemptions=0),
            *finished(stop=1, length=0),
        ]
        after = [
            *engine(prompt_tokens=400, generation_tokens=70, num_preemptions=2),
            *finished(stop=4, length=1),
        ]
        found = count(before, after)
        assert (found.seconds, found.prompt_tokens, found.generation_tokens, found.preemptions) == (
            15,
            300,
            60,
            2,
        )
        assert found.requests == {"stop": 3, "length": 1}

    @pytest.mark.parametrize("second", [0, -5, 61])
    def test_says_nothing_about_a_gap(self, second):
        assert count(engine(prompt_tokens=1), engine(prompt_tokens=9), second) is None
        assert signals.counted(None, signals.engine_reading(engine(prompt_tokens=9), at(0))) is None

    def test_takes_a_counter_that_fell_as_a_restart_of_all(self):
        before = engine(prompt_tokens=1_000_000, generation_tokens=5)
        found = count(before, engine(prompt_tokens=40, generation_tokens=6))
        assert (found.prompt_tokens, found.generation_tokens) == (40, 6)

    def test_takes_a_newer_process_as_a_restart_though_no_counter_fell(self):
        before = [*engine(prompt_tokens=40), Point(signals.STARTED, {}, 1000)]
        found = count(before, [*engine(prompt_tokens=50), Point(signals.STARTED, {}, 2000)])
        assert found.prompt_tokens == 50

    def test_counts_an_outcome_from_zero_that_appears_and_no_metric_that_appears(self):
        before = [*engine(), *finished(stop=1)]
        found = count(before, [*engine(prompt_tokens=900), *finished(stop=1, abort=2)])
        assert found.requests == {"stop": 0, "abort": 2}
        assert found.prompt_tokens is None

    def test_believes_cached_tokens_rather_than_the_cache_that_is_asked_twice(self):
        names = {
            "prompt_tokens": 0,
            "prompt_tokens_cached": 0,
            "prefix_cache_queries": 0,
            "prefix_cache_hits": 0,
        }
        after = names | {"prompt_tokens": 100, "prompt_tokens_cached": 30}
        found = count(
            engine(**names),
            engine(**after | {"prefix_cache_queries": 3000, "prefix_cache_hits": 2900}),
        )
        assert (found.cache_asked, found.cache_hit) == (100, 30)

    def test_tells_cached_prompt_tokens_by_where_they_came_from(self):
        def by_source(compute, hit, transfer):
            told = {
                "local_compute": compute,
                "local_cache_hit": hit,
                "external_kv_transfer": transfer,
            }
            name = "vllm:prompt_tokens_by_source_total"
            return [
                *engine(prompt_tokens=compute + hit + transfer, prompt_tokens_cached=9),
                *(Point(name, {"source": source}, tokens) for source, tokens in told.items()),
            ]

        found = count(by_source(10, 5, 1), by_source(110, 45, 3))
        assert (found.prompt_tokens, found.cached_tokens) == (142, 42)
        assert (found.cache_asked, found.cache_hit) == (142, 42)

    def test_knows_no_cached_tokens_of_an_engine_that_tells_none(self):
        names = {"prompt_tokens": 0, "prefix_cache_queries": 0, "prefix_cache_hits": 0}
        found = count(engine(**names), engine(**dict.fromkeys(names, 90)))
        assert (found.cached_tokens, found.further_answers) == (None, None)
        assert found.cache_hit == 90

    def test_counts_the_answers_that_calls_asked_for_beyond_one(self):
        def asked(answers, requests):
            return [
                *engine(prompt_tokens=1),
                Point("vllm:request_params_n_sum", {}, answers),
                Point("vllm:request_params_n_count", {}, requests),
            ]

        assert count(asked(7, 3), asked(15, 7)).further_answers == 4
        assert count(asked(3, 3), asked(7, 7)).further_answers == 0


class TestQuantile:
    def test_interpolates_as_prometheus_does(self):
        buckets = {0.1: 0.0, 0.2: 10.0, 0.5: 10.0, math.inf: 10.0}
        assert signals.quantile(0.5, buckets) == pytest.approx(0.15)
        assert signals.quantile(0.95, buckets) == pytest.approx(0.195)

    def test_is_the_highest_bound_for_what_is_beyond_it(self):
        assert signals.quantile(0.95, {0.1: 1.0, math.inf: 10.0}) == 0.1

    @pytest.mark.parametrize("buckets", [{}, {0.1: 0.0, math.inf: 0.0}, {0.1: 5.0}])
    def test_is_unknown_without_observations(self, buckets):
        assert signals.quantile(0.5, buckets) is None

    def test_reads_the_counts_of_a_minute(self):
        before, after = first_tokens(**{"0.1": 5, "+Inf": 5}), first_tokens(**{"0.1": 5, "+Inf": 9})
        assert count(before, after).ttft == {0.1: 0, math.inf: 4}


def gpu(name, value, **labels):
    return Point(
        name,
        {"UUID": "GPU-1", "gpu": "0", "modelName": "NVIDIA L4", "Hostname": "ip-1"} | labels,
        value,
    )


class TestGpuReadings:
    def test_reads_a_card_and_who_holds_it(self):
        points = [
            gpu("DCGM_FI_DEV_GPU_UTIL", 97, pod="p", namespace="models", container="c"),
            gpu("DCGM_FI_DEV_FB_USED", 900),
            gpu("DCGM_FI_DEV_FB_FREE", 100),
            gpu("DCGM_FI_DEV_XID_ERRORS", 79),
        ]
        (found,) = signals.gpu_readings(points)
        assert (found.active, found.active_source) == (0.97, "GPU_UTIL")
        assert (found.memory_used_mib, found.memory_total_mib, found.xid) == (900, 1000, 79)
        assert (found.namespace, found.pod, found.node_name, found.is_simulated) == (
            "models",
            "p",
            "ip-1",
            False,
        )

    def test_prefers_the_engine_active_ratio_and_says_so(self):
        points = [gpu("DCGM_FI_DEV_GPU_UTIL", 100), gpu("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0.4)]
        (found,) = signals.gpu_readings(points)
        assert (found.active, found.active_source) == (0.4, "GR_ENGINE_ACTIVE")

    def test_keeps_mig_instances_of_one_card_apart(self):
        points = [
            gpu("DCGM_FI_PROF_GR_ENGINE_ACTIVE", share, GPU_I_ID=instance, GPU_I_PROFILE=profile)
            for instance, profile, share in (
                ("1", "3g.40gb", 0.1),
                ("2", "3g.40gb", 0.9),
                ("1", "7g.80gb", 0.5),
            )
        ]
        found = {
            (each.instance_id, each.profile): each.active for each in signals.gpu_readings(points)
        }
        assert found == {("1", "3g.40gb"): 0.1, ("2", "3g.40gb"): 0.9, ("1", "7g.80gb"): 0.5}

    def test_takes_the_pod_that_a_prometheus_renamed_and_the_node_it_was_told(self):
        labels = {
            "pod": "dcgm-exporter-x",
            "exported_pod": "p",
            "exported_namespace": "models",
            "simulated": "true",
        }
        (found,) = signals.gpu_readings(
            [gpu("DCGM_FI_DEV_GPU_TEMP", 40, **labels)], node_name="node-1"
        )
        assert (found.pod, found.namespace, found.node_name, found.is_simulated) == (
            "p",
            "models",
            "node-1",
            True,
        )
        assert found.active is None


class TestPowerCap:
    @pytest.mark.parametrize(
        ("name", "watts"),
        [
            ("NVIDIA H100 80GB HBM3", 700),
            ("NVIDIA L4", 72),
            ("NVIDIA L40S", 350),
            ("NVIDIA A100-SXM4-80GB", 400),
        ],
    )
    def test_knows_cards_by_the_drivers_names(self, name, watts):
        assert signals.power_cap(name) == watts

    def test_does_not_guess(self):
        assert signals.power_cap("NVIDIA X9") is None


class TestState:
    def test_is_unobserved_without_figures(self):
        assert signals.state(None).name == signals.state(Load()).name == "UNOBSERVED"

    def test_is_idle_without_a_request(self):
        assert signals.state(Load(running_max=0, waiting_max=0)).name == "IDLE"

    def test_works_with_one_request_however_slow_and_however_busy_the_card(self):
        load = Load(running_max=1, ttft_p95=9.4, power_share=0.99, kv_use_max=0.5)
        assert signals.state(load) == signals.State("WORKING")

    def test_works_where_requests_came_and_went_between_scrapes(self):
        assert signals.state(Load(running_max=0, finished=3)).name == "WORKING"

    @pytest.mark.parametrize(
        ("load", "sign"),
        [
            (Load(running_max=1, waiting=1.5), "1.5 requests wait"),
            (Load(running_max=1, waiting=1.0), "1 request waits"),
            (Load(running_max=1, waiting=12.0), "12 requests wait"),
            (Load(running_max=1, kv_use_max=0.93), "KV cache 93 % full"),
            (Load(running_max=1, preemptions=2), "2 preemptions"),
            (Load(running_max=32, ttft_p95=0.61), "first token p95 0.61 s"),
            (Load(running_max=32, power_share=0.9), "power 90 % of the card's limit"),
        ],
    )
    def test_is_saturated_by_each_sign(self, load, sign):
        assert signals.state(load) == signals.State("SATURATED", (sign,))

    def test_is_not_saturated_where_each_measured_figure_was_still_good(self):
        measured = Load(
            running_max=32,
            waiting=0,
            kv_use_max=0.62,
            ttft_p95=0.586,
            preemptions=0,
            power_share=0.83,
        )
        assert signals.state(measured).name == "WORKING"


class TestBusyShare:
    def test_is_the_caches_use_and_all_of_it_while_requests_wait(self):
        assert signals.busy_share(0.3, 0.2) == 0.3
        assert signals.busy_share(0.3, 1) == 1
        assert signals.busy_share(None, None) is None
