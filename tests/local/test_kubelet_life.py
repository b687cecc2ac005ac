"""A pod's whole life: a real loader, a real engine process, and the API as a kubelet sees it."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deploy.local.kubelet import pods, processes
from deploy.local.kubelet.__main__ import answers
from deploy.local.kubelet.api import Api
from deploy.local.kubelet.kubelet import Kubelet
from deploy.local.kubelet.settings import Settings
from tests.local.cluster_double import Cluster, Json
from tests.local.registry_double import KEYS, registry, version_objects
from tests.local.tiny_model import make_tiny_model

POD = "/api/v1/namespaces/models/pods/p"
WITHIN_SECONDS = 60
APPROVED = {"fieldPath": f"metadata.annotations['{pods.DIGEST_ANNOTATION}']"}
LOADER_ENV = [
    {"name": "APPROVED_DIGEST", "valueFrom": {"fieldRef": APPROVED}},
    {"name": "TRUSTED_KEYS", "value": KEYS.decode()},
]


@pytest.fixture
def model(tmp_path: Path) -> tuple[dict[str, bytes], str]:
    return version_objects(make_tiny_model(tmp_path / "made"), "m/v1")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("worker.SYNC_SECONDS", "reporter.RETRY_SECONDS", "api.RETRY_SECONDS"):
        monkeypatch.setattr(f"deploy.local.kubelet.{name}", 0.1)


@pytest.fixture
def settings(tmp_path: Path, model: tuple[dict[str, bytes], str]) -> Iterator[Settings]:
    with registry(model[0]) as environment:
        variables = {
            **os.environ,
            **environment,
            "ENGINE": "stand-in",
            "STAND_IN_TOKENS_PER_SECOND": "0",
        }
        yield Settings(tmp_path / "kubelet", variables, crash_base=0.4, first_probe=0.1)


def pod(digest: str, uid: str = "uid-1") -> Json:
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1}
    return {
        "metadata": {
            "namespace": "models",
            "name": "p",
            "uid": uid,
            "labels": {pods.SERVICE_LABEL: "m-v1"},
            "annotations": {pods.DIGEST_ANNOTATION: digest},
        },
        "spec": {
            "nodeName": "gpu-1",
            "terminationGracePeriodSeconds": 5,
            "initContainers": [
                {
                    "name": pods.INITIALIZER,
                    "image": "init:1",
                    "args": ["s3://r/m/v1/", pods.MODELS],
                    "env": LOADER_ENV,
                }
            ],
            "containers": [
                {
                    "name": pods.MAIN,
                    "image": "vllm:1",
                    "readinessProbe": probe,
                    "args": ["--port=8080", "--model=/mnt/models", "--served-model-name=m-v1"],
                }
            ],
        },
        "status": {},
    }


def loaded_pod(settings: Settings) -> Json:
    """A pod whose model is on this machine already: nothing is loaded, the engine starts at
    once.
    """
    document = pod("")
    del document["spec"]["initContainers"]
    model = settings.folder.parent / "made"
    document["spec"]["containers"][0]["args"] = [f"--model={model}", "--served-model-name=m-v1"]
    return document


class Run:
    """One kubelet against one cluster."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self.kubelet = Kubelet(Api(cluster.client()), settings, lambda: datetime.now(UTC))
        self.cluster = cluster
        self.life = asyncio.ensure_future(self.kubelet.run())

    async def until(self, what: Callable[[], Any]) -> Any:
        async with asyncio.timeout(WITHIN_SECONDS):
            while not (found := what()):
                assert not self.life.done()
                await asyncio.sleep(0.05)
            return found

    async def until_ready(self, restarts: int = 0) -> Json:
        def ready() -> Json | None:
            state = self.cluster.pod().get("status", {}).get("containerStatuses", [{}])[0]
            return state if state.get("ready") and state["restartCount"] >= restarts else None

        found: Json = await self.until(ready)
        return found

    async def leave(self) -> None:
        await self.kubelet.leave()
        self.life.cancel()
        await asyncio.gather(self.life, return_exceptions=True)


def play(
    settings: Settings,
    story: Callable[[Run], Coroutine[Any, Any, None]],
    cluster: Cluster | None = None,
) -> None:
    """Play a story, and leave no process behind whatever happens."""

    async def played() -> None:
        run = Run(settings, cluster or Cluster())
        try:
            await story(run)
        finally:
            await run.leave()

    try:
        asyncio.run(played())
    finally:
        for folder in (settings.folder / "pods").glob("*/*"):
            if process := processes.find(folder):
                processes.kill(process)


def main_folder(settings: Settings) -> Path:
    return settings.pod("uid-1") / pods.MAIN


class TestGpuMetrics:
    def test_tells_who_holds_which_gpu_and_that_it_is_simulated(self, settings: Settings) -> None:
        async def story(run: Run) -> None:
            node = {
                "metadata": {
                    "name": "gpu-1",
                    "labels": {
                        "karpenter.k8s.aws/instance-gpu-name": "l4",
                        "karpenter.k8s.aws/instance-gpu-memory": "22888",
                    },
                },
                "status": {"capacity": {"nvidia.com/gpu": "2"}},
            }
            run.cluster.put("/api/v1/nodes/gpu-1", node)
            document = loaded_pod(settings)
            document["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
            run.cluster.put(POD, document)
            await run.until_ready()
            server = await asyncio.start_server(answers(run.kubelet), "127.0.0.1", 0)
            async with server, httpx.AsyncClient(trust_env=False) as client:
                url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                text = (await client.get(f"{url}/metrics")).text
                assert (await client.get(f"{url}/healthz")).status_code == 200
            used = [line for line in text.splitlines() if line.startswith("DCGM_FI_DEV_FB_USED{")]
            assert ['pod="p"' in line for line in used] == [True, False]
            assert all('simulated="true"' in line for line in used)
            run.cluster.put(POD, with_deletion(run.cluster.pod()), "MODIFIED")
            await run.until(lambda: run.cluster.deleted)
            assert 'pod="p"' not in await run.kubelet.gpu_metrics()

        make_tiny_model(settings.folder.parent / "made")
        play(settings, story)


class TestKubelet:
    def test_takes_a_pod_from_its_network_to_its_end(
        self, settings: Settings, model: tuple[Any, str]
    ) -> None:
        async def story(run: Run) -> None:
            run.cluster.put(POD, pod(model[1]))
            await run.until_ready()
            annotations = run.cluster.pod()["metadata"]["annotations"]
            assert annotations[pods.ENGINE_ANNOTATION] == "stand-in"
            address = annotations[pods.LISTEN_ANNOTATION]
            async with httpx.AsyncClient(trust_env=False) as client:
                models = (await client.get(f"http://{address}/v1/models")).json()
            assert models["data"][0]["id"] == "m-v1"
            assert run.cluster.pod()["status"]["podIP"] == "10.231.0.1"
            assert "stdout F" in (main_folder(settings) / "log").read_text()
            loaded = run.cluster.pod()["status"]["initContainerStatuses"][0]["state"]["terminated"]
            said = json.loads(loaded["message"])
            assert (said["digest"], said["files"]) == (model[1], 5)
            kept = settings.cache / model[1].removeprefix("sha256:") / "model.safetensors"
            served = settings.pod("uid-1") / "mnt-models" / "model.safetensors"
            assert kept.samefile(served)
            assert "/apis/kwok.x-k8s.io/v1alpha1/namespaces/models/logs/p" in run.cluster.objects
            run.cluster.put(POD, with_deletion(run.cluster.pod()), "MODIFIED")
            await run.until(lambda: run.cluster.deleted)
            await run.until(lambda: not settings.pod("uid-1").exists())

            removed = next(
                item for item in run.cluster.deleted if item["metadata"].get("uid") == "uid-1"
            )
            assert removed["options"]["gracePeriodSeconds"] == 0
            assert removed["options"]["preconditions"] == {"uid": "uid-1"}
            ended = run.cluster.seen[-1]["containerStatuses"][0]["state"]["terminated"]
            assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
            assert [reason for reason, _ in run.cluster.events()] == [
                "Pulling", "Pulled", "Created", "Started", "Pulling", "Pulled", "Created",
                "Started", "Killing",
            ]  # fmt: skip

        play(settings, story)

    def test_keeps_a_version_that_fails_its_check_from_starting(
        self, settings: Settings, model: tuple[Any, str]
    ) -> None:
        async def story(run: Run) -> None:
            run.cluster.put(POD, pod("sha256:approved"))
            waiting = await run.until(lambda: crash_loop(run.cluster, "initContainerStatuses"))
            message = waiting["lastState"]["terminated"]["message"]
            assert "approved was sha256:approved" in message
            assert waiting["lastState"]["terminated"]["exitCode"] == 1
            assert not main_folder(settings).exists()

        play(settings, story)

    def test_starts_an_engine_that_ended_again(self, settings: Settings) -> None:
        async def story(run: Run) -> None:
            run.cluster.put(POD, loaded_pod(settings))
            await run.until_ready()
            shim = processes.find(main_folder(settings))
            assert shim is not None
            os.kill(psutil.Process(shim.pid).children()[0].pid, signal.SIGKILL)
            state = await run.until_ready(restarts=1)
            assert state["lastState"]["terminated"]["exitCode"] == 137
            assert (main_folder(settings) / "log.previous").exists()

        play(settings, story)

    def test_takes_up_a_running_engine_after_its_own_restart(self, settings: Settings) -> None:
        cluster = Cluster()

        async def first(run: Run) -> None:
            run.cluster.put(POD, loaded_pod(settings))
            await run.until_ready()
            await run.leave()
            again = Run(settings, cluster)
            try:
                before = cluster.pod()["status"]["containerStatuses"][0]
                statuses = len(cluster.seen)
                await again.until(lambda: len(cluster.seen) > statuses)
                after = await again.until_ready()
                assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
            finally:
                await again.leave()

        play(settings, first, cluster)

    def test_reports_what_happened_while_the_api_was_away(self, settings: Settings) -> None:
        async def story(run: Run) -> None:
            run.cluster.put(POD, loaded_pod(settings))
            await run.until(lambda: run.cluster.seen)
            run.cluster.down = True
            await run.until(lambda: processes.find(main_folder(settings)))
            run.cluster.down = False
            await run.until_ready()

        play(settings, story)

    def test_stops_the_engines_of_a_node_that_is_gone(self, settings: Settings) -> None:
        async def story(run: Run) -> None:
            node = {"metadata": {"name": "gpu-1", "uid": "n"}}
            run.cluster.put("/api/v1/nodes/gpu-1", node)
            run.cluster.put(POD, loaded_pod(settings))
            await run.until_ready()
            run.cluster.put("/api/v1/nodes/gpu-1", node, "DELETED")
            await run.until(lambda: not settings.pod("uid-1").exists())
            assert not run.cluster.deleted

        play(settings, story)

    @pytest.mark.parametrize(
        ("fault", "code", "reason"), [("bad-argument", 2, "Error"), ("oom", 137, "OOMKilled")]
    )
    def test_plays_an_ordered_failure(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: str, code: int,
        reason: str,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("deploy.local.kubelet.faults.KILL_AFTER_SECONDS", 0.5)
        settings.folder.mkdir(parents=True)
        settings.faults.write_text(json.dumps({"m-v1": fault}))

        async def story(run: Run) -> None:
            run.cluster.put(POD, loaded_pod(settings))
            waiting = await run.until(lambda: crash_loop(run.cluster, "containerStatuses"))
            ended = waiting["lastState"]["terminated"]
            assert (ended["exitCode"], ended["reason"]) == (code, reason)
            assert (
                "Rehearsal",
                f"A failure was ordered for this container: {fault}",
            ) in run.cluster.events()

        play(settings, story)


def with_deletion(document: Json) -> Json:
    metadata = {
        **document["metadata"],
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 5,
    }
    return {**document, "metadata": metadata}


def crash_loop(cluster: Cluster, field: str) -> Json | None:
    entries = cluster.pod().get("status", {}).get(field) or [{}]
    state = entries[0].get("state", {}).get("waiting", {})
    return entries[0] if state.get("reason") == "CrashLoopBackOff" else None
