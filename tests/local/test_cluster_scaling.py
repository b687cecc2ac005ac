"""A warm version's replicas follow the load that the portal tells: one, two, and one again, by the
real KEDA, its metrics adapter and the cluster's own autoscaler.

The portal's door is a double here, and no node runs the pods: how many there shall be is what is
asked. tests/story/test_scaling.py has the whole way, from callers to replicas that answer.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.manifests import scaling
from apps.manifests.serving_settings import ServingSettings
from deploy.local.cluster import control_plane, keda
from deploy.local.cluster.api import Api
from deploy.local.stack import credentials
from deploy.local.stack.part import Context
from tests.local.running import api_as, control_plane_of, missing, own_context
from tests.manifests.objects import VERSION

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "keda-operator", "keda-adapter")
FOLLOWS = replace(VERSION, settings=ServingSettings(replicas_most=2, concurrency_target=4))
DEPLOYMENT = f"/apis/apps/v1/namespaces/models/deployments/{FOLLOWS.name}-predictor"
LABELS = {"app": "isvc"}
WITHIN = 240.0


class Door:
    """Answers as the portal does; the credential is asked for."""

    def __init__(self, token: str) -> None:
        door, self.load, self.asked = self, 0.0, 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers["Authorization"] == f"Bearer {token}"
                door.asked += known and self.path == f"/v1/scaling/models/{FOLLOWS.name}"
                body = json.dumps({"demand": 1, "load": door.load}).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/scaling"


@pytest.fixture
def context(tmp_path) -> Iterator[Context]:
    """A control plane with KEDA and its adapter."""
    if missing(*PROGRAMS):
        pytest.skip("KEDA's metrics adapter is not built yet: run make up once")
    own = own_context(tmp_path)
    parts = [control_plane.parts(own)[2], *keda.parts(own)]
    with control_plane_of(tmp_path, context=own, more=parts):
        yield own


@pytest.fixture
def door(context) -> Iterator[Door]:
    """Where KEDA asks."""
    made = Door(credentials.scaling_token_file(context).read_text().strip())
    yield made
    made.server.shutdown()
    made.server.server_close()


def deployment() -> bytes:
    """Return what KServe makes of a version, as far as its number of replicas goes."""
    container = {"name": "kserve-container", "image": "none"}
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    name = {"name": f"{FOLLOWS.name}-predictor", "namespace": "models"}
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": name, "spec": spec}
    return json.dumps(made).encode()


def until(api: Api, holds: Callable[[int], bool], what: str) -> None:
    """Wait until the number of replicas that there shall be holds."""
    deadline = time.monotonic() + WITHIN
    while not holds(found := api.request("GET", DEPLOYMENT)["spec"]["replicas"]):
        if time.monotonic() > deadline:
            hpas = "/apis/autoscaling/v2/namespaces/models/horizontalpodautoscalers"
            said = [each["status"] for each in api.request("GET", hpas)["items"]]
            pytest.fail(f"not within {WITHIN:.0f} s: {what}. Replicas: {found}. HPA: {said}")
        time.sleep(1)


def test_replicas_follow_the_load(context, door):
    around = scaling.Scaling(door.url, polling_seconds=1, cooldown_seconds=1)
    scaled = scaling.scaled_object(FOLLOWS, around)
    with api_as(context) as api:
        api.request("POST", DEPLOYMENT.rpartition("/")[0], deployment())
        path = "/apis/keda.sh/v1alpha1/namespaces/models/scaledobjects?fieldValidation=Strict"
        api.request("POST", path, json.dumps(scaled).encode())
        door.load = 7.0
        until(api, lambda count: count == 2, "two for seven requests, four of which are enough")
        door.load = 1.0
        until(api, lambda count: count == 1, "one for one request")
        assert door.asked > 0
        door.load = 70.0
        until(api, lambda count: count == 2, "two, which is the most, for any load")
