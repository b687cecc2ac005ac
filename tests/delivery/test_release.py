"""A release of the chart on a real API server: installed, upgraded under way, failed, rolled back.

Nothing runs pods there, so the test plays the one part that Helm waits for: it lets the migrations'
job succeed or fail.
"""

import json
import threading
import time
from contextlib import contextmanager

import pytest
import yaml

from deploy.local.cluster import layout
from deploy.local.cluster.api import ApiError
from tests.delivery import chart
from tests.delivery.chart import HelmRefused
from tests.local.running import api_as, control_plane_of, missing, own_context

pytestmark = [
    pytest.mark.delivery,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        chart.helm() is None,
        reason="helm is not built: python -m deploy.local.platform build --delivery",
    ),
]
JOB = "/apis/batch/v1/namespaces/quartermaster/jobs/migrations"
OTHER = "sha256:" + "2" * 64
BROKEN = "sha256:" + "3" * 64


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """An API server with what a cluster has before the portal comes."""
    absent = missing("etcd", "kube-apiserver", "kubectl")
    if absent:
        pytest.skip(f"not built yet: {', '.join(absent)}; run make up once")
    context = own_context(tmp_path_factory.mktemp("release"))
    with control_plane_of(context.state, context=context):
        yield context


@pytest.fixture(scope="module")
def release(cluster, tmp_path_factory):
    """Helm with the release's own arguments."""
    return Release(cluster, tmp_path_factory.mktemp("helm"))


class Release:
    def __init__(self, context, home) -> None:
        self.context = context
        self.env = {"KUBECONFIG": str(layout.kubeconfig(context, "admin")), "HOME": str(home)}

    def helm(self, command, *arguments):
        return chart.run(command, "quartermaster", *arguments, "-n", "quartermaster", env=self.env)

    def upgrade(self, *arguments):
        # the local cluster has the roles of rbac.yaml already
        files = (str(chart.CHART), "-f", str(chart.EXAMPLE), "--take-ownership")
        return self.helm("upgrade", *files, "--install", "--timeout", "60s", *arguments)

    def history(self):
        return [
            (one["revision"], one["status"])
            for one in json.loads(self.helm("history", "-o", "json"))
        ]

    def image(self, name, namespace="quartermaster"):
        with api_as(self.context) as api:
            found = api.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        if found is None:
            return None
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return container["image"].partition("@")[2]

    @contextmanager
    def migrations(self, condition):
        """Let each job of migrations end with a condition, as a cluster would."""
        stop, seen = threading.Event(), []

        def play() -> None:
            with api_as(self.context) as api:
                while not stop.is_set():
                    job = api.find(JOB)
                    if job and "conditions" not in job.get("status", {}):
                        end(api, job, condition)
                        seen.append(job["metadata"]["uid"])
                    time.sleep(0.2)

        thread = threading.Thread(target=play)
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join()


def end(api, job, condition):
    """Give a job the status that its controller would give it at its end."""
    at = "2026-11-27T00:00:00Z"
    before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[condition]
    status = {
        "startTime": at,
        "conditions": [
            {"type": each, "status": "True", "reason": "Played", "lastTransitionTime": at}
            for each in (before, condition)
        ],
        "succeeded" if condition == "Complete" else "failed": 1,
    }
    if condition == "Complete":
        status["completionTime"] = at
    body = json.dumps({"status": status}).encode()
    api.request("PATCH", f"{JOB}/status", body, "application/merge-patch+json")


EXAMPLES = yaml.safe_load(chart.EXAMPLE.read_text())["image"]["digest"]


class TestRelease:
    """One release from its first day on; each test goes on where the one before ended."""

    def test_is_installed_once_its_tables_are_there(self, release):
        with release.migrations("Complete") as jobs:
            said = release.upgrade()
        assert "STATUS: deployed" in said
        assert len(jobs) == 1
        assert release.image("web") == release.image("gate", "ai-gateway") == EXAMPLES

    def test_takes_every_object_as_it_was_rendered(self, release):
        with api_as(release.context) as api:
            for one in chart.kept():
                if one["kind"] == "Deployment":
                    where = f"namespaces/{one['metadata']['namespace']}/deployments"
                    found = api.find(f"/apis/apps/v1/{where}/{one['metadata']['name']}")
                    managers = {each["manager"] for each in found["metadata"]["managedFields"]}
                    assert managers == {"helm"}

    def test_is_upgraded_after_its_migrations(self, release):
        with release.migrations("Complete") as jobs:
            release.upgrade("--set", f"image.digest={OTHER}")
        assert len(jobs) == 1  # the former job made room for a new one
        assert release.image("web") == OTHER

    def test_changes_nothing_that_runs_where_its_migrations_fail(self, release):
        with (
            release.migrations("Failed"),
            pytest.raises(HelmRefused, match="pre-upgrade hooks failed"),
        ):
            release.upgrade("--set", f"image.digest={BROKEN}")
        assert release.history()[-1] == (3, "failed")
        assert release.image("web") == release.image("worker") == OTHER

    def test_changes_nothing_where_a_value_is_wrong(self, release):
        before = release.history()
        with pytest.raises(HelmRefused, match="USAGE_RAW_DAYS"):
            release.upgrade("--set", "variables.USAGE_RAW_DAYS=7")
        assert release.history() == before

    def test_goes_back_to_the_release_before_with_its_settings_and_without_migrations(
        self, release
    ):
        with release.migrations("Complete") as jobs:
            release.helm("rollback", "1")
            time.sleep(1)
        assert release.image("web") == EXAMPLES
        assert jobs == []
        assert release.history()[-1] == (4, "deployed")

    def test_can_go_on_from_there(self, release):
        with release.migrations("Complete"):
            release.upgrade("--set", f"image.digest={OTHER}")
        assert release.image("web") == OTHER

    def test_leaves_nothing_that_it_brought_but_its_hooks(self, release):
        release.helm("uninstall")
        with api_as(release.context) as api:
            for namespace in ("quartermaster", "ai-gateway"):
                for kind in ("deployments", "replicasets"):
                    path = f"/apis/apps/v1/namespaces/{namespace}/{kind}"
                    assert api.request("GET", path)["items"] == []
        assert release.image("web") is None


class TestServer:
    def test_names_a_field_that_does_not_exist(self, release):
        """Helm itself passes it: only the API server, told to be strict, does not."""
        (policy,) = [one for one in chart.kept() if one["metadata"]["name"] == "nothing"]
        with api_as(release.context) as api, pytest.raises(ApiError, match="surprise"):
            apply(api, policy | {"spec": policy["spec"] | {"surprise": 1}})


def apply(api, policy):
    path = "/apis/networking.k8s.io/v1/namespaces/quartermaster/networkpolicies/nothing"
    query = "fieldManager=test&fieldValidation=Strict&dryRun=All"
    body = json.dumps(policy).encode()
    return api.request("PATCH", f"{path}?{query}", body, "application/apply-patch+yaml")
