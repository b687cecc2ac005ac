"""The product's own pods: which the kubelet runs, and what of them is translated for this
machine.
"""

import json
import os
import time

import pytest
import yaml

from deploy.local.kubelet import pods, processes, product
from deploy.local.kubelet.settings import Settings
from tests.delivery.chart import RENDERED

SAYS = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]), flush=True)"


def pod_of(name, **changes):
    """Return a pod as the chart's Deployment of a process would make it."""
    (deployment,) = [
        one
        for one in yaml.safe_load_all(RENDERED.read_text())
        if one and (one["kind"], one["metadata"]["name"]) == ("Deployment", name)
    ]
    template = deployment["spec"]["template"]
    metadata = template["metadata"] | {"name": name, "namespace": "q", "uid": f"uid-{name}"}
    return {"metadata": metadata, "spec": template["spec"] | {"nodeName": "n"} | changes}


@pytest.fixture
def settings(tmp_path):
    given = {"PATH": os.environ["PATH"], "POD_KUBECONFIG": "/k/portal"}
    return Settings(tmp_path, given | {"CLUSTER_HTTP_PROXY": "http://127.0.0.1:9"})


@pytest.fixture
def started(settings):
    """Start a pod whose program says what it was given, and return that."""

    def start(document):
        (container,) = document["spec"]["containers"]
        container["args"] = ["python", "-c", SAYS, *container["args"]]
        made = product.start(pods.read_pod(document), "10.231.0.1", settings)
        log, until = made.process.folder / "log", time.monotonic() + 30
        while not (log.exists() and log.read_text().endswith("\n")):
            assert time.monotonic() < until
            time.sleep(0.05)
        processes.kill(made.process)
        words, environment = json.loads("[[" + log.read_text().partition("[[")[2])
        return made, words, environment

    return start


class TestWhichPods:
    def test_are_those_of_engines_and_of_the_product(self):
        assert pods.is_run_here(pod_of("web"))
        assert pods.is_run_here({"metadata": {"labels": {pods.SERVICE_LABEL: "m-v1"}}})

    def test_are_no_others(self):
        assert not pods.is_run_here({"metadata": {"labels": {"app.kubernetes.io/part-of": "keda"}}})
        assert not pods.is_run_here({"metadata": {}})

    def test_are_told_apart(self):
        assert pods.read_pod(pod_of("web")).is_product
        engine = {"name": "m", "namespace": "models", "uid": "u"}
        engine["labels"] = {pods.SERVICE_LABEL: "m-v1", pods.PART_LABEL: pods.PRODUCT}
        found = pods.read_pod({"metadata": engine, "spec": {"containers": [{"name": "c"}]}})
        assert not found.is_product


class TestStart:
    def test_listens_on_a_free_port_of_the_loopback_where_its_probes_ask(self, started):
        made, words, _ = started(pod_of("web"))
        assert words[words.index("--host") + 1] == "127.0.0.1"
        assert words[words.index("--port") + 1] == str(made.port) != "8000"

    def test_translates_addresses_that_variables_name_and_each_port_for_itself(self, started):
        made, _, environment = started(pod_of("gate"))
        host, port = environment["GATE_LISTEN"].split(":")
        assert host == "127.0.0.1"
        assert environment["GATE_HEALTH_LISTEN"] == f"127.0.0.1:{made.port}"
        assert port not in ("9003", str(made.port))

    def test_gives_it_folders_of_its_own_for_those_that_it_may_write_to(self, started, settings):
        _, _, environment = started(pod_of("worker"))
        volumes = settings.pod("uid-worker") / "volumes"
        assert environment["HOME"] == str(volumes / "tmp")
        assert environment["GITOPS_WORKDIR"] == str(volumes / "work")
        assert (volumes / "work").is_dir()

    def test_leaves_every_other_word_and_value_as_it_is(self, started):
        _, words, environment = started(pod_of("worker"))
        assert words[words.index("--concurrency") + 1] == "2"
        assert words[-1] == "--without-heartbeat"
        assert environment["PORTAL_URL"] == "https://quartermaster.example.com"

    @pytest.mark.parametrize(("name", "reads"), [("observer", True), ("beat", False)])
    def test_gives_the_clusters_credential_to_those_that_read_it(self, started, name, reads):
        _, _, environment = started(pod_of(name))
        assert environment.get("KUBECONFIG") == ("/k/portal" if reads else None)
        assert environment["CLUSTER_HTTP_PROXY"] == "http://127.0.0.1:9"

    def test_has_no_port_where_nothing_is_probed(self, started):
        made, _, _ = started(pod_of("sealer"))
        assert made.port == 0
