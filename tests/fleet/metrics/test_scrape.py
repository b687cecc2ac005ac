"""The scraper's steps, against engines and exporters that answer over HTTP."""

from datetime import timedelta

import httpx
import pytest
from django.conf import settings

from apps.fleet import actions, sightings
from apps.fleet.metrics import scrape, signals
from apps.fleet.metrics.models import GpuDevice, ReplicaSample, ScrapeTarget, UtilizationSample
from apps.fleet.metrics.scrape import Endpoints, Scraper, Server, Target
from apps.fleet.models import Node, Replica
from apps.integrations.errors import TemporaryError
from apps.integrations.prometheus.client import ExporterClient, PrometheusClient
from tests.fleet.objects import at, node, pod

pytestmark = pytest.mark.django_db

ENGINE = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0"}} {running}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0"}} 0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="0"}} 0.25
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{{engine="0"}} {tokens}
# TYPE vllm:request_success_total counter
vllm:request_success_total{{engine="0",finished_reason="stop"}} {finished}
"""
HELD = 'gpu="0",UUID="GPU-1",Hostname="node-1",namespace="models",pod="m-v1-predictor-pod-1",simulated="true"'  # noqa: E501
GPU = f"""# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge
DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{HELD}}} 0.5
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{{{HELD}}} 60
"""


def serve(uid="pod-1", ip="10.231.0.7"):
    """Write a ready replica with an address, as the observer would."""
    document = pod(uid=uid, node="node-1", scheduled=13, ready=30)
    document["status"]["podIP"] = ip
    document["spec"]["containers"][0]["ports"] = [{"containerPort": 8000}]
    actions.record_seen(model=Replica, seen=[sightings.replica(document)], now=at(40))
    return Replica.objects.get(uid=uid)


@pytest.fixture
def replica():
    actions.record_seen(model=Node, seen=[sightings.node(node())], now=at(40))
    return serve()


class World:
    """What engines and the exporter answer, and what time it is."""

    def __init__(self):
        self.moment = at(60)
        self.texts = {}
        self.asked = []

    def now(self):
        return self.moment

    def engine(self, ip="10.231.0.7", port=8000, running=0, tokens=0, finished=0):
        self.texts[f"{ip}:{port}"] = ENGINE.format(
            running=running, tokens=tokens, finished=finished
        )

    def handle(self, request):
        place = f"{request.url.host}:{request.url.port}"
        self.asked.append(place)
        if place not in self.texts:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, text=self.texts[place])

    def source(self):
        def client():
            return ExporterClient(transport=httpx.MockTransport(self.handle))

        gpus = Target(ScrapeTarget.Kind.GPU, "DCGM exporter", "http://127.0.0.1:9400/metrics")
        return Endpoints(client(), client(), lambda: [gpus], self.now)


@pytest.fixture
def world():
    found = World()
    found.engine()
    found.texts["127.0.0.1:9400"] = GPU
    return found


def scraper(world):
    return Scraper(world.source(), clock=world.now)


class TestStep:
    def test_keeps_one_row_a_minute_of_what_was_counted(self, world, replica):
        found = scraper(world)
        for second, tokens, running in (
            (60, 1000, 1),
            (75, 1300, 3),
            (90, 1300, 0),
            (105, 1450, 2),
        ):
            world.moment = at(second)
            world.engine(tokens=tokens, running=running, finished=tokens // 100)
            assert found.step() == 2
        row = ReplicaSample.objects.get(replica=replica)
        assert (row.minute, row.samples, row.running, row.running_max) == (at(60), 4, 1.5, 3)
        assert (row.prompt_tokens, row.counted_seconds, row.prompt_rate) == (450, 45, 10)
        assert (row.requests, row.kv_use, row.generation_tokens) == ({"stop": 4}, 0.25, None)
        sample = UtilizationSample.objects.get()
        assert (sample.samples, sample.active, sample.active_source) == (4, 0.5, "GR_ENGINE_ACTIVE")
        device = GpuDevice.objects.get()
        assert (device.node_name, device.pod, device.is_simulated) == ("node-1", replica.name, True)
        assert (device.first_seen_at, device.seen_at) == (at(60), at(105))

    def test_changes_nothing_when_the_same_is_read_again(self, world, replica):
        found = scraper(world)
        found.step()
        before = list(ReplicaSample.objects.values()), list(UtilizationSample.objects.values())
        world.moment = at(60)
        again = scraper(world)
        again.step()
        assert (
            list(ReplicaSample.objects.values()),
            list(UtilizationSample.objects.values()),
        ) == before

    def test_leaves_the_minute_of_a_restart_to_the_term_before(self, world, replica):
        first = scraper(world)
        for second in (60, 75, 90):
            world.moment = at(second)
            world.engine(tokens=second * 10, running=1)
            first.step()
        world.moment = at(105)
        second_term = scraper(world)
        second_term.step()
        assert ReplicaSample.objects.get().samples == 3
        world.moment = at(120)
        world.engine(tokens=1200, running=1)
        second_term.step()
        late = ReplicaSample.objects.get(minute=at(120))
        assert (late.samples, late.prompt_tokens) == (1, 1200 - 900)

    def test_leaves_minutes_that_nobody_measured_without_a_row(self, world, replica):
        found = scraper(world)
        found.step()
        world.moment = at(300)
        world.engine(tokens=5_000_000)
        found.step()
        rows = {row.minute: row.prompt_tokens for row in ReplicaSample.objects.all()}
        assert rows == {at(60): None, at(300): None}  # nobody saw when those tokens were read

    def test_counts_what_a_restarted_engine_did_since(self, world, replica):
        found = scraper(world)
        world.engine(tokens=9_000_000, finished=10)
        found.step()
        world.moment = at(75)
        world.engine(tokens=60, finished=1)
        found.step()
        row = ReplicaSample.objects.get()
        assert (row.prompt_tokens, row.requests) == (60, {"stop": 1})

    def test_counts_the_first_calls_of_an_engine_that_began_to_take_calls_since_the_last_step(
        self, world, replica
    ):
        found = scraper(world)
        found.step()
        serve("pod-2", "10.231.0.8")
        Replica.objects.filter(uid="pod-2").update(ready_at=at(65))
        world.moment = at(75)
        world.engine(ip="10.231.0.8", tokens=500, finished=2)
        found.step()
        row = ReplicaSample.objects.get(replica__uid="pod-2")
        assert (row.prompt_tokens, row.requests, row.counted_seconds) == (500, {"stop": 2}, 10)

    def test_counts_nothing_of_an_engine_that_took_calls_before_anybody_measured(
        self, world, replica
    ):
        world.engine(tokens=500, finished=2)
        Replica.objects.update(ready_at=at(59))
        scraper(world).step()
        row = ReplicaSample.objects.get()
        assert (row.prompt_tokens, row.requests, row.counted_seconds) == (None, {}, 0)

    def test_shows_a_dead_engine_and_goes_on_with_the_others(self, world, replica):
        other = serve("pod-2", "10.231.0.8")
        found = scraper(world)
        assert found.step() == 2
        dead = ScrapeTarget.objects.get(replica=other)
        assert (dead.seen_at, dead.error) == (None, "The endpoint cannot be reached.")
        assert ScrapeTarget.objects.get(replica=replica).error == ""
        assert not ReplicaSample.objects.filter(replica=other).exists()
        world.moment = at(75)
        world.engine(ip="10.231.0.8")
        found.step()
        dead.refresh_from_db()
        assert (dead.seen_at, dead.observed_from, dead.error) == (at(75), at(75), "")

    def test_says_what_it_found_where_metrics_should_be(self, world, replica):
        world.texts["10.231.0.7:8000"] = "<html>"
        scraper(world).step()
        assert "none of the expected metrics" in ScrapeTarget.objects.get(replica=replica).error

    def test_remembers_when_a_request_was_seen_last(self, world, replica):
        found = scraper(world)
        for second, running, finished in ((60, 0, 0), (75, 1, 0), (90, 0, 1), (105, 0, 1)):
            world.moment = at(second)
            world.engine(running=running, finished=finished)
            found.step()
        row = ScrapeTarget.objects.get(replica=replica)
        assert (row.observed_from, row.active_at, row.seen_at) == (at(60), at(90), at(105))
        world.moment = at(120)
        again = scraper(world)
        again.step()
        row.refresh_from_db()
        assert (row.observed_from, row.active_at, row.seen_at) == (at(60), at(90), at(120))

    def test_writes_two_exporters_of_one_name_once(self, world, replica):
        source = world.source()
        (target,) = source.find_exporters()
        source.find_exporters = lambda: [target, target]
        assert Scraper(source, clock=world.now).step() == 3
        assert ScrapeTarget.objects.filter(kind="GPU").count() == 1
        assert UtilizationSample.objects.get().samples == 1

    def test_asks_no_engine_that_is_not_ready_and_no_exporter_without_gpus(self, world):
        Replica.objects.create(
            uid="x",
            name="x",
            namespace="models",
            created_at=at(0),
            learned_at=at(0),
            address="10.231.0.9:8080",
        )
        assert scraper(world).step() == 0
        assert world.asked == []

    def test_gives_a_new_pod_of_an_old_name_a_history_of_its_own(self, world, replica):
        found = scraper(world)
        world.engine(running=1)
        found.step()
        actions.record_listed(model=Replica, seen=[], scope={}, seen_until=at(70), now=at(70))
        newer = pod(uid="pod-9", name=replica.name, node="node-1", scheduled=71, ready=73)
        newer["status"]["podIP"] = "10.231.0.7"
        newer["spec"]["containers"][0]["ports"] = [{"containerPort": 8000}]
        actions.record_seen(model=Replica, seen=[sightings.replica(newer)], now=at(74))
        world.moment = at(75)
        world.engine(running=0)
        found.step()
        row = ScrapeTarget.objects.get(kind="ENGINE")
        assert (row.replica.uid, row.active_at, row.observed_from) == ("pod-9", None, at(75))

    def test_forgets_what_is_older_than_the_setting(self, world, replica):
        found = scraper(world)
        found.step()
        world.moment = at(60) + timedelta(days=settings.METRICS_RETENTION_DAYS, minutes=1)
        found.step()
        assert [row.minute for row in ReplicaSample.objects.all()] == [world.moment]
        assert UtilizationSample.objects.count() == GpuDevice.objects.count() == 1

    def test_asks_few_queries_however_many_replicas_there_are(
        self, world, replica, django_assert_num_queries
    ):
        for number in range(20):
            serve(f"many-{number}", f"10.231.1.{number}")
            world.engine(ip=f"10.231.1.{number}")
        found = scraper(world)
        found.step()
        # replicas, whether there is a GPU · minutes of replicas, GPUs and theirs (with their
        # savepoint), targets
        with django_assert_num_queries(8):
            assert found.step() == 22


class TestServer:
    def answers(self, vectors):
        moment = at(60)

        def handle(request):
            query = request.url.params["query"]
            result = vectors["gpu" if "DCGM" in query else "engine"]
            return httpx.Response(
                200, json={"status": "success", "data": {"resultType": "vector", "result": result}}
            )

        client = PrometheusClient("http://prometheus", transport=httpx.MockTransport(handle))
        return Scraper(Server(client, lambda: moment), clock=lambda: moment)

    def test_takes_the_same_figures_from_prometheus(self, replica):
        labels = {"namespace": "models", "pod": replica.name}
        engine = {"__name__": "vllm:num_requests_running", **labels}
        gpu = {
            "__name__": "DCGM_FI_DEV_GPU_UTIL",
            "UUID": "GPU-1",
            "Hostname": "node-1",
            "pod": "dcgm-x",
            "exported_namespace": "models",
            "exported_pod": replica.name,
        }
        found = self.answers(
            {
                "engine": [{"metric": engine, "value": [0, "7"]}],
                "gpu": [{"metric": gpu, "value": [0, "88"]}],
            }
        )
        assert found.step() == 2
        assert ReplicaSample.objects.get().running == 7
        assert UtilizationSample.objects.get().active == 0.88
        assert GpuDevice.objects.get().pod == replica.name

    def test_says_which_pod_prometheus_does_not_know(self, replica):
        self.answers({"engine": [], "gpu": []}).step()
        errors = dict(ScrapeTarget.objects.values_list("kind", "error"))
        assert errors == {
            "ENGINE": "Prometheus has no such series.",
            "GPU": "Prometheus has no such series.",
        }

    def test_asks_for_buckets_and_plain_names(self):
        assert scrape.selector([signals.TTFT, "vllm:prompt_tokens_total", signals.STARTED]) == (
            '{__name__=~"vllm:time_to_first_token_seconds_bucket|vllm:prompt_tokens_total"}'
        )


class TestFindExporters:
    class Reader:
        def __init__(self, pods):
            self.pods, self.labels = pods, None

        def list(self, kind, labels=None):
            self.labels = labels
            if isinstance(self.pods, Exception):
                raise self.pods
            return self.pods

    def find(self, monkeypatch, pods):
        reader = self.Reader(pods)
        monkeypatch.setattr(scrape, "client_from_settings", lambda: reader)
        return scrape.find_exporters(), reader

    def test_finds_the_exporters_pods_by_their_label(self, monkeypatch):
        there = {"status": {"podIP": "10.0.0.4"}, "spec": {"nodeName": "node-1"}}
        pods = [
            there,
            {"status": {}, "spec": {}},
            there | {"metadata": {"deletionTimestamp": "2026-11-02T09:00:00Z"}},
        ]
        (found,), reader = self.find(monkeypatch, pods)
        assert (found.url, found.node_name) == ("http://10.0.0.4:9400/metrics", "node-1")
        assert reader.labels == {"app.kubernetes.io/name": "dcgm-exporter"}

    def test_takes_the_one_that_a_setting_names(self, settings):
        settings.DCGM_URL = "http://127.0.0.1:19020"
        (found,) = scrape.find_exporters()
        assert (found.url, found.node_name) == ("http://127.0.0.1:19020/metrics", "")

    @pytest.mark.parametrize(
        ("pods", "words"),
        [([], "No GPU exporter was found"), (TemporaryError("The cluster is away."), "is away")],
    )
    def test_says_why_there_is_none(self, monkeypatch, pods, words):
        (found,), _ = self.find(monkeypatch, pods)
        assert words in found.error
