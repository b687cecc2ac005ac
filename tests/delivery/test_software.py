"""The vendors' charts that Go modules carry, rendered by Helm with the values of our Applications.

A chart takes a value that it does not have without a word, so each is looked for in the chart's
own; and what comes of it is shown to a real API server.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from deploy.local.platform.cache import cache_folder
from tests.delivery.chart import helm, run
from tests.local.running import api_as, control_plane_of, missing, own_context
from tests.manifests.objects import ROOT
from tests.manifests.test_dry_run import dry_run
from tests.manifests.test_software import APPLICATIONS, values

MODULES = cache_folder(os.environ) / "go" / "mod" / "github.com"
CHARTS = {
    "karpenter": "aws/karpenter-provider-aws@v1.14.1/charts/karpenter",
    "kserve": "kserve/kserve@v0.20.0/charts/kserve-resources",
    "envoy-gateway": "envoyproxy/gateway@v1.9.0/charts/gateway-helm",
    "envoy-ai-gateway": "envoyproxy/ai-gateway@v1.0.0/manifests/charts/ai-gateway-helm",
}
# what a chart leaves to whoever fills it in: any key may stand there
OPEN = {"annotations", "resources", "config"}
WHOLE_CLUSTER = {
    "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}  # fmt: skip
# of cert-manager and KServe, whose definitions this API server does not have
UNKNOWN = {"Certificate", "Issuer", "ClusterStorageContainer"}
absent = [name for name, path in CHARTS.items() if not (MODULES / path).is_dir()]
pytestmark = [
    pytest.mark.delivery,
    pytest.mark.timeout(600),
    pytest.mark.skipif(helm() is None, reason="Helm is not built: make check-delivery builds it"),
    pytest.mark.skipif(
        bool(absent),
        reason=f"modules not downloaded: {', '.join(absent)} (make check-gateway brings the last)",
    ),
]


def chart_of(name: str, folder: Path) -> Path:
    """Return a chart that Helm can read. Envoy Gateway's lies in its module as a template."""
    found = MODULES / CHARTS[name]
    if name != "envoy-gateway":
        return found
    copied = folder / name
    shutil.copytree(found, copied)
    for path in (copied, *copied.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    version = APPLICATIONS[name]["spec"]["sources"][0]["targetRevision"]
    filled = {"GatewayImage": f"docker.io/envoyproxy/gateway:{version}"}
    filled["GatewayImagePullPolicy"] = "IfNotPresent"
    text = (copied / "values.tmpl.yaml").read_text()
    made = re.sub(r"\$\{(\w+)\}", lambda match: filled[match.group(1)], text)
    (copied / "values.yaml").write_text(made)
    return copied


def given(name: str) -> dict:
    """Return the values of an Application; Envoy Gateway's are a file of their own."""
    if name == "envoy-gateway":
        return yaml.safe_load((ROOT / "deploy/envoy-gateway/values.yaml").read_text())
    return values(name)


def unknown(ours: dict, theirs: object, place: str = "") -> list[str]:
    """Return the keys of ours that the chart does not have."""
    if not isinstance(theirs, dict):
        return [place]
    found = []
    for key, value in ours.items():
        if key not in theirs:
            found.append(f"{place}.{key}")
        elif isinstance(value, dict) and key not in OPEN:
            found += unknown(value, theirs[key], f"{place}.{key}")
    return found


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Application → the objects that its chart makes of our values."""
    folder = tmp_path_factory.mktemp("charts")
    found = {}
    for name in CHARTS:
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(given(name)))
        namespace = APPLICATIONS[name]["spec"]["destination"]["namespace"]
        chart = str(chart_of(name, folder))
        text = run("template", name, chart, "--skip-crds", "-n", namespace, "-f", str(path))
        found[name] = [one for one in yaml.safe_load_all(text) if one]
    return found


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    lacking = missing("etcd", "kube-apiserver")
    if lacking:
        pytest.skip(f"not built yet: {', '.join(lacking)}; run make up once")
    context = own_context(tmp_path_factory.mktemp("software"))
    with control_plane_of(context.state, context=context), api_as(context) as found:
        yield found


@pytest.mark.parametrize("name", sorted(CHARTS))
class TestEach:
    def test_has_every_value_that_it_is_given(self, name, tmp_path):
        theirs = yaml.safe_load((chart_of(name, tmp_path) / "values.yaml").read_text())
        assert unknown(given(name), theirs) == []
        assert unknown({"replicass": 2}, theirs) == [".replicass"]

    def test_makes_objects_that_the_api_server_takes(self, name, rendered, api):
        tried = 0
        for one in rendered[name]:
            if one["kind"] in UNKNOWN:
                continue
            if one["kind"] not in WHOLE_CLUSTER:
                one["metadata"]["namespace"] = "models"  # the vendor's is not there
            # the server has some of these already, pointing elsewhere
            one["metadata"]["name"] = f"check-{one['metadata']['name']}"
            dry_run(api, one)
            tried += 1
        assert tried > 5


class TestWhatComesOfIt:
    def only(self, rendered, name, kind):
        (found,) = [one for one in rendered[name] if one["kind"] == kind]
        return found

    def test_karpenter_is_told_its_cluster_and_its_queue(self, rendered):
        pod = self.only(rendered, "karpenter", "Deployment")["spec"]["template"]["spec"]
        told = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
        settings = values("karpenter")["settings"]
        assert told["CLUSTER_NAME"] == settings["clusterName"]
        assert told["INTERRUPTION_QUEUE"] == settings["interruptionQueue"]

    def test_kserve_makes_no_ingress_and_serves_in_mode_standard(self, rendered):
        config = self.only(rendered, "kserve", "ConfigMap")["data"]
        assert '"defaultDeploymentMode": "Standard"' in config["deploy"]
        assert '"disableIngressCreation": true' in config["ingress"]

    def test_the_gateway_refuses_calls_whose_budget_nobody_checks(self, rendered):
        config = self.only(rendered, "envoy-gateway", "ConfigMap")["data"]["envoy-gateway.yaml"]
        assert yaml.safe_load(config)["rateLimit"]["failClosed"] is True
        assert yaml.safe_load(config)["extensionApis"]["enableBackend"] is True

    def test_the_ai_gateway_has_two_copies_that_write_no_prompt_to_a_log(self, rendered):
        spec = self.only(rendered, "envoy-ai-gateway", "Deployment")["spec"]
        assert spec["replicas"] == 2
        assert "--extProcEnableRedaction=true" in spec["template"]["spec"]["containers"][0]["args"]
