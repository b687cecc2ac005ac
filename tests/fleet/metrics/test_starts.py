"""What engines say of their memory when they start, and what of it counts."""

import pytest

from apps.catalog.sizing.models import EngineReport
from apps.fleet import actions, sightings
from apps.fleet.metrics.scrape import Scraper
from apps.fleet.metrics.starts import CACHE_INFO, Cache, cache_of
from apps.fleet.models import Node, NodeClaim, Replica
from apps.integrations.prometheus.types import Point
from tests.factories import ModelVersionFactory, RegisteredModelFactory
from tests.fleet.metrics.test_scrape import ENGINE, World, serve
from tests.fleet.objects import at, claim, node

pytestmark = pytest.mark.django_db
SAYS = (
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",'
    'gpu_memory_utilization="0.9",num_gpu_blocks="28123"} 1\n'
)


@pytest.fixture
def version():
    return ModelVersionFactory(registered_model=RegisteredModelFactory(name="m"), number=1)


@pytest.fixture
def replica(version):
    actions.record_seen(model=Node, seen=[sightings.node(node())], now=at(40))
    seen = sightings.node_claim(claim(launched=3, registered=5, initialized=9))
    actions.record_seen(model=NodeClaim, seen=[seen], now=at(40))
    NodeClaim.objects.update(provider_id="aws:///us-east-1a/i-0a", instance_type="p5.4xlarge")
    found = serve()
    Replica.objects.update(engine="vllm 0.26.0", gpu_count=1)
    return found


def step(text=SAYS, times=1):
    world = World()
    world.texts["10.231.0.7:8000"] = ENGINE.format(running=0, tokens=0, finished=0) + text
    scraper = Scraper(world.source(), clock=world.now)
    for _ in range(times):
        scraper.step()


class TestRecordStarts:
    def test_keeps_a_start_once_with_where_it_was(self, replica, version):
        step(times=3)
        step()  # another term of the scraper
        (found,) = EngineReport.objects.all()
        assert (found.version, found.kv_tokens, found.fraction) == (version, 28123 * 16, 0.9)
        assert (found.gpu, found.ways, found.engine) == ("h100", 1, "vllm 0.26.0")
        assert found.gpu_bytes == pytest.approx(79.18 * 1024**3, rel=0.001)

    def test_counts_no_simulated_machine_no_stand_in_and_no_unknown_one(self, replica):
        for change, back in (
            ({"provider_id": "kwok://node-1"}, {"provider_id": "aws:///us-east-1a/i-0a"}),
            ({"instance_type": "x9.large"}, {"instance_type": "p5.4xlarge"}),
        ):
            NodeClaim.objects.update(**change)
            step()
            NodeClaim.objects.update(**back)
        Replica.objects.update(engine="stand-in")
        step()
        assert not EngineReport.objects.exists()

    def test_waits_until_the_engine_is_known(self, replica):
        Replica.objects.update(engine="")
        world = World()
        world.texts["10.231.0.7:8000"] = ENGINE.format(running=0, tokens=0, finished=0) + SAYS
        scraper = Scraper(world.source(), clock=world.now)
        scraper.step()
        assert not EngineReport.objects.exists()
        Replica.objects.update(engine="vllm 0.26.0")
        scraper.step()
        assert EngineReport.objects.count() == 1


class TestCacheOf:
    @pytest.mark.parametrize(
        "labels",
        [
            {},
            {"num_gpu_blocks": "None", "block_size": "16", "gpu_memory_utilization": "0.9"},
            {"num_gpu_blocks": "0", "block_size": "16", "gpu_memory_utilization": "0.9"},
            {"num_gpu_blocks": "10", "block_size": "16", "gpu_memory_utilization": "x"},
        ],
    )
    def test_is_none_where_it_says_nothing_that_can_be(self, labels):
        assert cache_of([Point(CACHE_INFO, labels)]) is None
        assert cache_of([Point("vllm:other", {"num_gpu_blocks": "9"})]) is None

    def test_is_blocks_times_their_size(self):
        labels = {"num_gpu_blocks": "10", "block_size": "16", "gpu_memory_utilization": "0.85"}
        assert cache_of([Point(CACHE_INFO, labels)]) == Cache(160, 0.85)
