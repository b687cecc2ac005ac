"""The parts as the stack takes them, and Envoy's own judgment of every file that it is given."""

import asyncio
import json
import subprocess

import httpx
import pytest

from deploy.local.gateway import parts, proxy, publish
from deploy.local.gateway.bootstrap import bootstrap
from deploy.local.gateway.clusters import cluster_resources
from deploy.local.gateway.compile import compile_gateway
from deploy.local.gateway.listeners import listener_resource
from deploy.local.gateway.objects import Objects, read_folder
from deploy.local.gateway.routes import route_resource
from deploy.local.stack.part import Context
from deploy.local.stack.ports import free_port
from tests.local.gateway_doubles import Engine, served
from tests.local.gateway_objects import pod, policy, route, version
from tests.local.gateway_stand import ROOT as PROJECT


@pytest.fixture
def context(tmp_path):
    """A stack's place with the preferred ports."""
    return Context(
        root=PROJECT,
        state=tmp_path,
        binaries=tmp_path / "bin",
        python="python",
        ports=lambda name, preferred: preferred,
        env={},
    )


def full_tables():
    """Tables that use everything the gateway knows."""
    objects = [*read_folder(PROJECT / "deploy" / "gateway"), route("m", {"m-v1": 9, "m-v2": 1})]
    objects += [
        *policy("m", {"a": 5, "b": 6}),
        *version("m-v1"),
        *version("m-v2"),
        *pod("m-v1", 4242),
    ]
    objects += [route("other", {"out-v1": 1}), *version("out-v1", host="models.example.test")]
    objects += policy("other", {"a": 5}, jwks="https://idp.example.test/jwks")
    return compile_gateway(Objects(objects), gateway=parts.GATEWAY)


class TestParts:
    def test_are_the_four_processes(self, context):
        found = parts.parts(context)
        assert [part.name for part in found] == ["gateway-control", "envoy", "ratelimit", "otelcol"]
        assert {program for part in found for program in part.programs} == {"ratelimit", "otelcol"}

    def test_can_be_prepared_again_and_again(self, context):
        for _ in range(2):
            for part in parts.parts(context):
                part.prepare()
        assert (context.state / "secrets" / "usage-ingest-token").stat().st_mode & 0o777 == 0o600

    def test_keep_the_tables_that_were_served(self, context):
        wiring = parts.wiring_of(context)
        publish.write_all(full_tables(), wiring)
        before = (wiring.tables / "rds.json").read_text()
        parts.prepare_envoy(PROJECT, wiring)
        assert (wiring.tables / "rds.json").read_text() == before

    def test_begin_with_a_gateway_that_knows_no_model(self, context):
        wiring = parts.wiring_of(context)
        parts.prepare_envoy(PROJECT, wiring)
        (table,) = json.loads((wiring.tables / "rds.json").read_text())["resources"]
        assert [entry["name"] for entry in table["virtual_hosts"][0]["routes"]] == [
            "route-not-found"
        ]
        assert "gen_ai.usage.total_tokens" in (wiring.tables / "lds.json").read_text()


class TestEnvoyFiles:
    @pytest.mark.parametrize(
        "tables", [full_tables, lambda: compile_gateway(Objects(), gateway=parts.GATEWAY)]
    )
    def test_are_valid_in_envoys_own_eyes(self, context, tables):
        wiring, made = parts.wiring_of(context), tables()
        listener = listener_resource(made, wiring)
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        manager["route_config"] = {**route_resource(made), "validate_clusters": True}
        del manager["route_config"]["@type"]
        whole = bootstrap(wiring)
        del whole["dynamic_resources"]
        resources = whole["static_resources"]
        resources["clusters"] += [_untyped(cluster) for cluster in cluster_resources(made, wiring)]
        resources["listeners"] = [_untyped(listener)]
        path = context.state / "all.json"
        path.write_text(json.dumps(whole))
        command = [
            parts.envoy_command(wiring)[0],
            "--mode",
            "validate",
            "-c",
            str(path),
            "--disable-hot-restart",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def test_start_file_is_valid(self, context):
        wiring = parts.wiring_of(context)
        parts.prepare_envoy(PROJECT, wiring)
        command = [*parts.envoy_command(wiring), "--mode", "validate"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def _untyped(resource):
    return {key: value for key, value in resource.items() if key != "@type"}


class TestPublish:
    def test_keeps_old_clusters_until_they_are_retired(self, context):
        wiring, before = parts.wiring_of(context), full_tables()
        publish.write_all(before, wiring)
        empty = compile_gateway(Objects(), gateway=parts.GATEWAY)
        assert asyncio.run(publish.publish(empty, wiring))
        assert "m-v1" in (wiring.tables / "cds.json").read_text()
        assert "m-v1" not in (wiring.tables / "rds.json").read_text()
        publish.retire(empty, wiring)
        assert "m-v1" not in (wiring.tables / "cds.json").read_text()

    def test_writes_nothing_twice(self, context):
        wiring = parts.wiring_of(context)
        publish.write_all(full_tables(), wiring)
        before = {path: path.stat().st_mtime_ns for path in wiring.folder.rglob("*.*")}
        assert not asyncio.run(publish.publish(full_tables(), wiring))
        assert {path: path.stat().st_mtime_ns for path in wiring.folder.rglob("*.*")} == before


class TestProxy:
    def through(self, objects, check):
        """Run the proxy over these objects and check it from another thread."""

        async def scenario():
            port = free_port()
            server = await proxy.serve(Objects(objects), port, lambda: {"source": "test"})
            try:
                return await asyncio.to_thread(check, port)
            finally:
                server.close()
                await self.settled()

        return asyncio.run(scenario())

    async def settled(self):
        """Wait until the calls under way are over and their connections closed; the loop ends with
        the scenario.
        """
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)
        await asyncio.sleep(0.05)

    def ask(self, method, url, port, **more):
        """Send one call through the proxy."""
        with httpx.Client(proxy=f"http://127.0.0.1:{port}", trust_env=False) as client:
            return client.request(method, url, **more)

    @pytest.mark.parametrize(
        "url",
        ["http://m-v1-predictor.models.svc.cluster.local/x?y=1", "http://10.244.0.9:8080/x?y=1"],
    )
    def test_leads_to_the_process_behind_a_name_or_pod(self, url):
        engine = Engine("m-v1")
        with served(engine.handler()) as running:
            answer = self.through(
                pod("m-v1", running.server_port),
                lambda port: self.ask(
                    "POST", url, port, json={"model": "m", "messages": [{"content": "x" * 300_000}]}
                ),
            )
        assert answer.json()["model"] == "m"
        assert engine.calls[0]["path"] == "/x?y=1"
        assert len(engine.calls[0]["body"]["messages"][0]["content"]) == 300_000

    def test_streams(self):
        with served(Engine("m-v1").handler()) as running:
            body = {"model": "m", "stream": True, "messages": [{"content": "pieces=20"}]}
            url = "http://m-v1-predictor.models.svc/v1/chat/completions"
            answer = self.through(
                pod("m-v1", running.server_port),
                lambda port: self.ask("POST", url, port, json=body),
            )
        assert answer.text.count("data:") == 21

    @pytest.mark.parametrize(
        ("url", "status", "words"),
        [
            ("http://m-v1-predictor.models.svc/", 503, "No replica behind"),
            ("http://10.244.0.77:8080/", 503, "No pod with the address"),
            ("http://example.test/", 502, "leads nowhere else"),
        ],
    )
    def test_says_why_a_call_leads_nowhere(self, url, status, words):
        answer = self.through(pod("m-v1", 1, ready=False), lambda port: self.ask("GET", url, port))
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True)

    def test_says_when_the_replica_takes_no_calls(self):
        url = "http://m-v1-predictor.models.svc/"
        answer = self.through(pod("m-v1", free_port()), lambda port: self.ask("GET", url, port))
        assert (answer.status_code, "does not take calls" in answer.text) == (503, True)

    def test_tells_its_own_health(self):
        answer = self.through(
            [], lambda port: httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        )
        assert answer.json() == {"source": "test"}
