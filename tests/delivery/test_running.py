"""The chart's own pods run: a real API server, its controllers and scheduler make them, the local
kubelet runs them as processes, on a database that the chart's own job migrated. Then they are
replaced while somebody asks.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from urllib.error import URLError
from urllib.request import Request, urlopen

import psycopg
import pytest
import yaml

from deploy.local.cluster import control_plane, layout
from deploy.local.kubelet import parts as kubelet
from deploy.local.kubelet import pods, processes
from deploy.local.stack import valkey
from tests.delivery import chart
from tests.delivery.test_release import JOB, Release, end
from tests.local.running import api_as, missing, own_context, running

pytestmark = [
    pytest.mark.delivery,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        chart.helm() is None,
        reason="helm is not built: python -m deploy.local.platform build --delivery",
    ),
]
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
READY_WITHIN_SECONDS = 300
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "here", "labels": {"topology.kubernetes.io/zone": "us-east-1a"}},
}
ROOM = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
FILES = (
    "AUDIT_PUBLIC_KEYS_FILE", "AUDIT_SIGNING_KEY_FILE", "PROMPT_KEY_FILE", "SCALING_TOKEN_FILE",
    "SIGNING_KEY_FILE", "USAGE_INGEST_TOKEN_FILE",
)  # fmt: skip
SMALL = {"least": 1, "most": 2, "cpuPercent": 90}
FIRST = yaml.safe_load(chart.EXAMPLE.read_text())["image"]["digest"]
OTHER = "sha256:" + "4" * 64
DONE = r"Task promotions\.reconcile_due_rollouts\[[0-9a-f-]+\] succeeded"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of one node, with a kubelet that runs the product's pods, and a broker."""
    if absent := missing(*PROGRAMS):
        pytest.skip(f"not built yet: {', '.join(absent)}; run make up once")
    context = own_context(tmp_path_factory.mktemp("running"))
    (node,) = kubelet.parts(context)
    given = {"POD_KUBECONFIG": str(layout.kubeconfig(context, "portal"))}
    node = replace(node, env={**node.env, **given})
    with (
        nothing_left(context),
        running(context, [valkey.part(context), *control_plane.parts(context), node]),
    ):
        with api_as(context) as api:
            api.request("POST", "/api/v1/nodes", json.dumps(NODE).encode())
        with beating(context):
            yield context


@contextmanager
def nothing_left(context):
    """End what the kubelet leaves running for the next one."""
    try:
        yield
    finally:
        for container in (context.state / "kubelet/pods").glob("*/*"):
            if process := processes.find(container):
                processes.kill(process)


@contextmanager
def beating(context):
    """Keep the node ready, as a kubelet of a real node does."""
    stop = threading.Event()

    def beat() -> None:
        with api_as(context) as api:
            while not stop.wait(5):
                report(api)

    with api_as(context) as api:
        report(api)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def report(api):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {
        "type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": at,
        "lastTransitionTime": "2026-11-27T00:00:00Z",
    }  # fmt: skip
    body = {"status": {"capacity": ROOM, "allocatable": ROOM, "conditions": [ready]}}
    api.request(
        "PATCH",
        "/api/v1/nodes/here/status",
        json.dumps(body).encode(),
        "application/strategic-merge-patch+json",
    )


class Installed(Release):
    """The release, whose migrations are done by the job's own containers."""

    def values(self, context, folder):
        """Write the example's values for this machine: files for Vault, and one copy of most."""
        values = yaml.safe_load(chart.EXAMPLE.read_text())
        values["variables"] |= {
            "DATABASE_URL": os.environ["DATABASE_URL"],
            "MIGRATIONS_DATABASE_URL": os.environ["MIGRATIONS_DATABASE_URL"],
            "REDIS_URL": valkey.url(context),
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
            "GITOPS_REMOTE": str(folder / "gitops.git"),
            "SIGNER": "file",
            "AUDIT_SIGNER": "file",
            "PROMPT_KEYS": "file",
            "GATE_DRAIN_SECONDS": 5,
        }
        for name in ("SERVICENOW_URL", "AWS_PRICES"):
            values["variables"].pop(name)
        (folder / "key").write_text("only-for-tests")
        own = {"SECRET_KEY", "PROMPT_SUBJECT_KEY", "OIDC_CLIENT_SECRET"}
        values["secrets"] = {name: {"file": str(folder / "key")} for name in own}
        values["secrets"] |= {name: {"file": os.environ[name]} for name in FILES}
        values["engineKeys"] = {
            namespace: {"file": str(folder / "key")} for namespace in ("models", "evals")
        }
        values["files"] = {}
        values["gate"] = {"certificate": {"path": ""}, "replicas": SMALL}
        values["web"] = {"replicas": {**SMALL, "least": 2, "most": 3}}
        values["worker"] = {"replicas": SMALL, "concurrency": 1}
        for name in ("beat", "observer", "scraper", "registry", "sealer"):
            values[name] = {"replicas": 1}
        path = folder / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    @contextmanager
    def migrated(self):
        """Do what each job of migrations says, container by container, and end it so."""
        stop = threading.Event()

        def play() -> None:
            with api_as(self.context) as api:
                while not stop.wait(0.2):
                    job = api.find(JOB)
                    if job and "conditions" not in job.get("status", {}):
                        end(api, job, "Complete" if migrate(job) else "Failed")

        thread = threading.Thread(target=play)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def pods(self, name, namespace="quartermaster"):
        """Return the pods of a process that are not told to end."""
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app.kubernetes.io/name%3D{name}"
        with api_as(self.context) as api:
            found = api.request("GET", path)["items"]
        return [one for one in found if "deletionTimestamp" not in one["metadata"]]

    def ready(self, name, namespace="quartermaster"):
        return [one for one in self.pods(name, namespace) if is_ready(one)]

    def wait_for(self, name, namespace="quartermaster", image="", copies=1):
        """Return a process's pods once there are so many, all are ready, and run an image where
        one is named.
        """
        until = time.monotonic() + READY_WITHIN_SECONDS
        while True:
            found = self.pods(name, namespace)
            runs = [image in one["spec"]["containers"][0]["image"] for one in found]
            if len(found) == copies and all(map(is_ready, found)) and all(runs):
                return found
            assert time.monotonic() < until, self.log(name, found)
            time.sleep(1)

    def log(self, name, found):
        """Return the end of what a process's pods wrote."""
        folders = [self.context.state / "kubelet/pods" / one["metadata"]["uid"] for one in found]
        logs = [folder / name / "log" for folder in folders]
        return (
            "\n".join(log.read_text()[-20_000:] for log in logs if log.exists())
            or str(found)[-2000:]
        )


def migrate(job):
    """Run the containers of a job one after the other; False where one fails."""
    pod = job["spec"]["template"]["spec"]
    for container in [*pod["initContainers"], *pod["containers"]]:
        env = {one["name"]: one["value"] for one in container["env"]}
        answer = subprocess.run(
            [sys.executable, *container["args"][1:]],
            env={"PATH": os.environ["PATH"], **env},
            cwd=chart.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            print(container["name"], answer.stderr[-2000:])
            return False
    return True


def is_ready(pod):
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def address(pod):
    return pod["metadata"]["annotations"][pods.LISTEN_ANNOTATION]


def ask(pod, path="/healthz", host="10.231.0.7"):
    """Return the status with which a pod's web server or gate answers; 0 where nobody does."""
    request = Request(f"http://{address(pod)}{path}", headers={"Host": host})
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310 - the loopback
            return answer.status
    except URLError as error:
        return getattr(error, "code", 0)


@pytest.fixture(scope="module")
def installed(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("values")
    release = Installed(cluster, folder)
    path = str(release.values(cluster, folder))
    release.arguments = (str(chart.CHART), "-f", path, "--take-ownership", "--timeout", "10m")
    with release.migrated():
        release.helm("upgrade", "--install", *release.arguments)
    return release


class TestRunning:
    """One cluster; each test goes on where the one before ended."""

    def test_the_web_server_answers_probes_by_any_name_and_people_by_its_own(self, installed):
        for pod in installed.wait_for("web", copies=2):  # the autoscaler's least
            assert ask(pod) == ask(pod, "/healthz/alive") == 200
            assert ask(pod, "/") == 400
            assert ask(pod, "/signed-out/", host="quartermaster.example.com") == 200

    def test_the_gate_takes_calls(self, installed):
        (gate,) = installed.wait_for("gate", "ai-gateway")
        assert ask(gate) == 200

    def test_the_worker_does_what_the_clock_sends(self, installed):
        beat, worker = installed.wait_for("beat"), installed.wait_for("worker")
        until = time.monotonic() + READY_WITHIN_SECONDS
        while not re.search(DONE, said := installed.log("worker", worker)):
            assert time.monotonic() < until, said + installed.log("beat", beat)
            time.sleep(1)

    def test_the_observer_sees_the_node_with_its_pods_own_credential(self, installed):
        installed.wait_for("observer")
        until = time.monotonic() + READY_WITHIN_SECONDS
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
            while not database.execute("SELECT 1 FROM fleet_node WHERE name = 'here'").fetchone():
                assert time.monotonic() < until, installed.log(
                    "observer", installed.pods("observer")
                )
                time.sleep(1)

    def test_an_upgrade_loses_no_request(self, installed):
        with asking(installed) as answers, installed.migrated():
            installed.helm("upgrade", *installed.arguments, "--set", f"image.digest={OTHER}")
            installed.wait_for("web", image=OTHER, copies=2)
        assert set(answers) == {200}
        assert len(answers) > 20

    def test_neither_does_the_way_back(self, installed):
        with asking(installed) as answers:
            installed.helm("rollback", "1", "--timeout", "10m")
            installed.wait_for("web", image=FIRST, copies=2)
        assert set(answers) == {200}
        assert len(answers) > 20


@contextmanager
def asking(release):
    """Ask ready pods again and again, as a load balancer would; yield the answers."""
    stop, answers = threading.Event(), []

    def go_on() -> None:
        turn = 0
        while not stop.wait(0.3):
            found = release.ready("web")
            answers.append(ask(found[turn % len(found)]) if found else 0)
            turn += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()
