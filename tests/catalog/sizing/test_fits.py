"""Which machines serve a load, on figures that can be checked by hand."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.capacity.fit import holds
from apps.catalog.facts.reading import Facts
from apps.catalog.sizing import pace
from apps.catalog.sizing.cards import Machine
from apps.catalog.sizing.figures import BATCHES, STEP_TOKENS, Figures
from apps.catalog.sizing.fits import Known, Load, answer
from apps.catalog.sizing.memory import Reported, room
from apps.catalog.sizing.shapes import Shape, of_config
from apps.catalog.sizing.suggestions import settings_of, suggest
from apps.fleet import prices
from tests.catalog import configs

GIB = 1024**3
WEIGHTS = 16_060_522_496


def figures(ways=1, slow=1.0, note="") -> Figures:
    """Return steps of 5 + batch / 10 ms, and 20 ms more for each 1,000 tokens of prompts."""
    lengths = (256, 2048, 8192, 131072)

    def step(batch, tokens):
        return slow * (5 + batch / 10 + tokens / 50) / ways

    return Figures(
        lengths=lengths,
        batches=BATCHES,
        decode=[[step(b, 0) for _ in lengths] for b in BATCHES],
        prefill=[step(0, n) for n in lengths],
        single=[[step(b, min(n, STEP_TOKENS)) for n in lengths] for b in BATCHES],
        full=[[step(b, STEP_TOKENS) for _ in lengths] for b in BATCHES],
        overhead_bytes=4 * GIB,
        kv_bytes=131072 // ways,
        note=note,
    )


def machine(name="p5.4xlarge", gpu="h100", gpus=1, mib=81920, usd="6.88", spot="2.50", **more):
    price, on_spot = (None if each is None else Decimal(each) for each in (usd, spot))
    return Machine(name, gpu, gpus, mib, 16 * gpus, 256 * gpus, price, on_spot, **more)


def shape(config=None, weights=WEIGHTS) -> Shape:
    return replace(of_config(config or configs.LLAMA_8B), weight_bytes=weights)


def known(config=None, weights=WEIGHTS, tables=None, problems=None, reported=None) -> Known:
    found = tables if tables is not None else {("h100_sxm", w): figures(w) for w in (1, 2, 4, 8)}
    return Known(shape(config, weights), found, problems or {}, reported or {})


LOAD = Load(2000, 200, callers=8, ttft_ms=1000, itl_ms=50)
P5 = machine("p5.48xlarge", gpus=8, usd="55.04", spot="20")
L4 = machine("g6.xlarge", "l4", mib=22888, usd="0.8048", spot="0.3")


class TestAnswer:
    def test_is_the_cheapest_first_on_demand_and_on_spot(self):
        found = answer(known(), LOAD, [P5, machine()])
        assert [fit.machine.name for fit in found.fits] == ["p5.4xlarge", "p5.48xlarge"]
        best = found.fits[0]
        assert (best.ways, best.replicas, best.machines, best.idle_gpus) == (1, 1, 1, 0)
        assert (best.usd, best.spot_usd) == (Decimal("6.88"), Decimal("2.50"))
        assert found.fits[1].idle_gpus == 7
        assert found.refusals == []

    def test_prices_a_million_tokens_at_that_load(self):
        best = answer(known(), LOAD, [machine()]).fits[0]
        assert best.pace
        tokens = best.pace.tokens_per_second / 200 * 2200 * 3600
        assert float(best.million_usd) == pytest.approx(6.88 * 1e6 / tokens, rel=0.001)
        by_rate = answer(known(), Load(2000, 200, rate=2), [machine()]).fits[0]
        assert float(by_rate.million_usd) == pytest.approx(6.88 * 1e6 / (2 * 2200 * 3600), rel=0.01)

    def test_takes_more_replicas_until_every_goal_is_kept(self):
        one = answer(known(), LOAD, [machine()]).fits[0]
        tight = replace(LOAD, itl_ms=one.pace.itl_ms * 0.9, callers=16)
        more = answer(known(), tight, [machine()]).fits[0]
        assert more.replicas > one.replicas
        assert more.pace.itl_ms <= tight.itl_ms
        fewer = pace.of_callers(figures(), 2000, 200, -(-16 // (more.replicas - 1)))
        assert fewer.itl_ms > tight.itl_ms  # one less would not do

    def test_splits_where_one_gpu_is_too_slow(self):
        alone = pace.of_callers(figures(), 2000, 200, 1)
        fast = replace(LOAD, ttft_ms=alone.ttft_ms * 0.7)
        found = answer(known(), fast, [machine(), P5])
        assert [(fit.machine.name, fit.ways > 1) for fit in found.fits] == [("p5.48xlarge", True)]
        (refusal,) = found.refusals
        assert refusal.why.startswith("the first token takes 45 ms however few call it")

    def test_puts_several_replicas_on_a_machine_and_counts_what_is_idle(self):
        busy = replace(LOAD, callers=100, ttft_ms=None, itl_ms=10.4)
        fit = answer(known(), busy, [P5]).fits[0]
        assert fit.machines == -(-fit.replicas * fit.ways // 8)
        assert fit.idle_gpus == fit.machines * 8 - fit.gpus
        assert fit.usd == Decimal("55.04") * fit.machines

    @pytest.mark.parametrize(
        ("load", "weights", "why"),
        [
            (LOAD, 90 * GIB, "its weights take 90.00 GiB, and the H100 has 80 GiB"),
            (LOAD, 67 * GIB, "room for"),
            (LOAD, None, "the size of its weights is not known"),
            (replace(LOAD, ttft_ms=10), WEIGHTS, "the first token takes"),
            (replace(LOAD, itl_ms=1), WEIGHTS, "each further token takes"),
            (Load(2000, 200, rate=90_000), WEIGHTS, "cannot keep up"),
        ],
    )
    def test_says_why_a_machine_does_not_do(self, load, weights, why):
        found = answer(known(weights=weights), load, [machine()])
        assert not found.fits
        assert why in found.refusals[0].why

    def test_splits_only_what_can_be_split(self):
        tables = {("h100_sxm", ways): figures(ways) for ways in (1, 2, 4, 8)}
        qwen = known(configs.QWEN_7B, weights=400 * GIB, tables=tables)
        (refusal,) = answer(qwen, LOAD, [P5]).refusals
        assert "weights" in refusal.why
        assert shape(configs.QWEN_7B).split_problem(8) == "its 28 heads cannot be shared by 8 GPUs"
        assert shape(configs.QWEN_7B).split_problem(4) == ""

    def test_says_of_a_gpu_that_nobody_measured_only_what_fits(self):
        small = replace(LOAD, callers=4)
        found = answer(known(), small, [L4, machine()])
        assert [fit.machine.name for fit in found.fits] == ["p5.4xlarge", "g6.xlarge"]
        unmeasured = found.fits[1]
        assert (unmeasured.pace, unmeasured.million_usd) == (None, None)
        assert "nobody measured this GPU" in unmeasured.note
        (refusal,) = answer(known(), Load(2000, 200, rate=1), [L4]).refusals
        assert "how many requests a second it takes is not known" in refusal.why

    def test_says_of_an_architecture_that_nobody_measured_only_what_fits(self):
        why = {("h100_sxm", 1): "the architecture X was never measured"}
        found = answer(known(configs.UNKNOWN, tables={}, problems=why), LOAD, [machine()])
        assert (found.fits[0].pace, found.fits[0].note) == (None, why["h100_sxm", 1])

    def test_puts_a_machine_without_a_price_last(self):
        free = machine("p5e.4xlarge", usd=None, spot=None)
        found = answer(known(), LOAD, [free, machine()])
        assert [fit.machine.name for fit in found.fits] == ["p5.4xlarge", "p5e.4xlarge"]
        assert (found.fits[1].usd, found.fits[1].million_usd) == (None, None)

    def test_marks_an_estimate(self):
        tables = {("h100_sxm", 1): figures(note="computed as a Llama of its shape")}
        fit = answer(known(configs.MISTRAL_7B, tables=tables), LOAD, [machine()]).fits[0]
        assert fit.note == "computed as a Llama of its shape"


class TestRoom:
    H100 = Reported(
        "m-v1", "vllm 0.26.0", "h100", 1, round(79.18 * GIB), 0.9, WEIGHTS, 131072, 449_968
    )

    def test_by_the_library_is_careful(self):
        found = room(shape(), machine(), 1, replace(figures(), overhead_bytes=4496293888), None)
        assert found.kv_tokens == found.by_library == pytest.approx(426_946, rel=0.001)

    def test_is_what_the_engine_reported_of_this_version(self):
        found = room(shape(), machine(), 1, figures(), self.H100)
        assert found.kv_tokens == pytest.approx(449_968, rel=0.0001)
        assert found.by_library < found.kv_tokens
        assert found.reported == self.H100

    def test_is_corrected_for_another_version_of_the_model(self):
        """The fp8 version of the same model, which the engine reported with 502,640 tokens."""
        found = room(shape(weights=round(8.54 * GIB)), machine(), 1, figures(), self.H100)
        assert found.kv_tokens == pytest.approx(502_640, rel=0.02)

    def test_of_a_token_is_halved_by_a_split_but_never_below_one_head(self):
        assert shape().kv_bytes(1) == 131072
        assert shape().kv_bytes(8) == 131072 // 8
        assert shape().kv_bytes(16) == 131072 // 8
        latent = of_config(configs.LLAMA_8B | {"kv_lora_rank": 512})
        assert latent.kv_bytes(1) is None

    def test_of_quantized_weights_keeps_keys_and_values_in_16_bits(self):
        assert of_config(configs.LLAMA_8B_FP8).kv_kind == "bfloat16"
        scheme = {"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}}
        assert of_config(configs.LLAMA_8B | {"quantization_config": scheme}).kv_kind == "fp8"


class TestSuggest:
    def test_is_what_the_cheapest_way_needs(self):
        found = answer(known(), LOAD, [machine()])
        made = suggest(found, LOAD)
        assert made is not None
        assert made.problems() == []
        assert (made.gpus, made.tensor_parallelism, made.replicas_least) == (1, 1, 1)
        assert (made.concurrency_target, made.instance_types) == (8, ("p5.4xlarge",))
        assert suggest(answer(known(weights=None), LOAD, [machine()]), LOAD) is None

    def test_of_a_split_version_is_taken_by_an_engine(self):
        fast = replace(LOAD, ttft_ms=30)
        fit = answer(known(), fast, [P5]).fits[0]
        made = settings_of(fit, fast)
        assert made.problems() == []
        assert made.gpus == made.tensor_parallelism == fit.ways > 1
        assert made.shm_mib < made.memory_mib

    @pytest.mark.parametrize("gib", [0.3, 6, 15, 40, 140, 400])
    def test_fits_what_each_machine_leaves_to_its_pods(self, gib):
        """Else the proposal that a page leads to is refused for want of a NodePool."""
        sold = [
            Machine(one.name, one.gpu_name, one.gpus, one.gpu_mib, one.vcpus, int(one.memory_gib),
                    one.usd_per_hour, None)
            for one in prices.instance_types()
        ]  # fmt: skip
        wanted = known(weights=round(gib * GIB), tables={})
        fits = answer(wanted, Load(2000, 200, callers=2), sold).fits
        assert fits
        for each in fits:
            made = settings_of(each, LOAD)
            assert holds(prices.instance_type(each.machine.name), made), (each.machine.name, made)

    def test_is_none_where_more_replicas_are_needed_than_a_proposal_may_ask_for(self):
        many = replace(LOAD, callers=100_000, ttft_ms=None, itl_ms=None)
        found = answer(known(tables={}), many, [machine()])
        assert found.fits[0].replicas > 100
        assert suggest(found, many) is None


class TestLongest:
    """vLLM does not start where one request of its longest does not fit."""

    def test_refuses_where_an_engine_would_not_start(self):
        wanted = replace(known(tables={}), longest=131_072)
        found = answer(wanted, LOAD, [L4, machine()])
        assert [each.machine.name for each in found.fits] == ["p5.4xlarge"]
        (refused,) = found.refusals
        assert refused.why.endswith(
            "does not start that cannot hold 131,072, the model's whole context"
        )
        assert [each.machine.name for each in answer(known(tables={}), LOAD, [L4]).fits] == [
            L4.name
        ]

    def test_asks_less_of_layers_that_look_back_no_further_than_a_window(self):
        assert not shape().is_windowed
        assert shape(configs.LLAMA_8B | {"layer_types": ["sliding_attention"]}).is_windowed
        assert shape(configs.LLAMA_8B | {"text_config": {"sliding_window": 4096}}).is_windowed


def test_facts_without_a_configuration_have_no_shape_to_compute():
    empty = Shape.of(Facts())
    assert (empty.kv_bytes(1), empty.architecture) == (None, "")
    assert "is not known" in empty.split_problem(2)
