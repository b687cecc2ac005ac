"""The cluster's software as Argo CD Applications: shape, versions, and what of ours they must fit.

What the charts make of the values is for tests/delivery/test_software.py, where a chart is at hand.
"""

import re
from ipaddress import ip_network

import jsonschema
import pytest
import yaml

from deploy.local.platform.upstream import UPSTREAM
from tests.delivery import chart
from tests.local.test_cluster_manifests import REAL, spec_schema
from tests.manifests.objects import ROOT, named, shipped

FOLDER = ROOT / "deploy/argocd/software"
OBJECTS = shipped(["deploy/argocd/software/*.yaml"])
(PROJECT,) = [one for one in OBJECTS if one["kind"] == "AppProject"]
APPLICATIONS = {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == "Application"}
SAID = (FOLDER / "README.md").read_text()
WANTED = {
    "karpenter", "kserve", "keda", "envoy-gateway", "envoy-ai-gateway", "dcgm-exporter",
    "otel-collector", "vault", "external-secrets", "datadog", "falcon-sensor",
}  # fmt: skip
NO_RELEASE = re.compile(r"latest|main|\*|[<>~^]")


def charts(name):
    """Return an Application's charts with their versions and values."""
    sources = [one for one in APPLICATIONS[name]["spec"]["sources"] if "chart" in one]
    return {
        one["chart"]: (one["targetRevision"], one.get("helm", {}).get("valuesObject"))
        for one in sources
    }


def values(name):
    (found,) = [values for _, values in charts(name).values() if values is not None]
    return found


def built(module):
    """Return the version of a module that the local stack builds or takes definitions from."""
    found = {
        version
        for path in (ROOT / "deploy/local/platform").glob("*/go.mod")
        for version in re.findall(rf"^\s*(?:require )?{module} (v\S+)", path.read_text(), re.M)
    } | {one.version for one in UPSTREAM if one.module == module}
    assert found, module
    return found


class TestApplications:
    def test_are_all_there(self):
        assert set(APPLICATIONS) == WANTED

    @pytest.mark.skipif(not REAL.exists(), reason="the real definitions are not on this machine")
    @pytest.mark.parametrize("manifest", OBJECTS, ids=named)
    def test_have_the_shape_of_the_real_kinds(self, manifest):
        kind = "application" if manifest["kind"] == "Application" else "appproject"
        schema = spec_schema(REAL / f"argo-cd/{kind}-crd.yaml")
        jsonschema.Draft202012Validator(schema).validate(manifest["spec"])

    @pytest.mark.parametrize("name", sorted(WANTED))
    def test_come_from_where_the_project_lets_them_and_go_where_it_does(self, name):
        spec = APPLICATIONS[name]["spec"]
        assert spec["project"] == PROJECT["metadata"]["name"]
        assert {one["repoURL"] for one in spec["sources"]} <= set(PROJECT["spec"]["sourceRepos"])
        assert spec["destination"] in PROJECT["spec"]["destinations"]

    @pytest.mark.parametrize("name", sorted(WANTED))
    def test_are_of_one_version_and_prune_nothing_by_themselves(self, name):
        versions = [version for version, _ in charts(name).values()]
        assert versions
        assert not [version for version in versions if NO_RELEASE.search(version)]
        assert APPLICATIONS[name]["spec"]["syncPolicy"]["automated"]["prune"] is False

    def test_hold_no_secret(self):
        text = "".join(path.read_text() for path in FOLDER.glob("*.yaml"))
        assert not [one for one in OBJECTS if one["kind"] == "Secret"]
        assert not re.search(r"(?i)^\s*(apiKey|appKey|cid|token|password):", text, re.M)


class TestVersions:
    @pytest.mark.parametrize(
        ("name", "chart", "module"),
        [
            ("karpenter", "karpenter", "github.com/aws/karpenter-provider-aws"),
            ("karpenter", "karpenter-crd", "github.com/aws/karpenter-provider-aws"),
            ("kserve", "kserve-resources", "github.com/kserve/kserve"),
            ("kserve", "kserve-crd", "github.com/kserve/kserve"),
            ("envoy-gateway", "gateway-helm", "github.com/envoyproxy/gateway"),
        ],
    )
    def test_are_those_that_the_local_stack_runs(self, name, chart, module):
        version, _ = charts(name)[chart]
        assert {version.removeprefix("v")} == {one.removeprefix("v") for one in built(module)}

    def test_of_keda_is_that_of_the_operator(self):
        text = (ROOT / "deploy/local/platform/keda/go.mod").read_text()
        (version,) = re.findall(r"^\tgithub.com/kedacore/keda/v2 (v\S+)", text, re.M)
        assert f"v{charts('keda')['keda'][0]}" == version

    def test_of_the_collector_is_that_which_runs_the_same_configuration(self):
        contrib = "github.com/open-telemetry/opentelemetry-collector-contrib"
        module = f"{contrib}/extension/storage/filestorage"
        assert {f"v{values('otel-collector')['image']['tag']}"} == built(module)

    def test_of_the_ai_gateway_is_that_whose_definitions_check_our_objects(self):
        sources = REAL / "SOURCES.md"
        if not sources.exists():
            pytest.skip("the real definitions are not on this machine")
        (version,) = re.findall(r"\| envoyproxy/ai-gateway \| (v\S+) \|", sources.read_text())
        assert {version} == {version for version, _ in charts("envoy-ai-gateway").values()}

    @pytest.mark.parametrize("name", sorted(WANTED))
    def test_are_told_in_the_readme(self, name):
        (row,) = [line for line in SAID.splitlines() if line.startswith(f"| `{name}` |")]
        main = [chart for chart in charts(name) if not re.search("-crds?(-|$)", chart)]
        assert main
        for one in main:
            assert f"{one} {charts(name)[one][0]}" in row

    def test_of_every_chart_the_readme_says_whether_it_was_rendered(self):
        table = SAID.partition("## What was checked")[2]
        rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")]
        told = {
            chart.strip(): verdict.strip() for names, verdict in rows for chart in names.split(",")
        }
        wanted = {chart for name in WANTED for chart in charts(name)}
        assert set(told) - {"chart"} == wanted
        rendered = {chart for chart, verdict in told.items() if verdict == "yes"}
        assert rendered == {"karpenter", "kserve-resources", "gateway-helm", "ai-gateway-helm"}


class TestWhatTheyMustFit:
    def test_the_collector_is_found_by_the_gateway_and_by_its_policy(self):
        found = values("otel-collector")
        backends = shipped(["deploy/gateway/backend.yaml"])
        (endpoint,) = backends[0]["spec"]["endpoints"]
        assert endpoint["fqdn"] == {
            "hostname": f"{found['fullnameOverride']}.ai-gateway.svc.cluster.local",
            "port": found["ports"]["otlp"]["servicePort"],
        }
        policies = shipped(["deploy/argocd/platform/networkpolicies.yaml"])
        (policy,) = [one for one in policies if one["metadata"]["name"] == "otel-collector"]
        label = policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        assert label == found["nameOverride"]
        open_ports = {
            entry["port"] for rule in policy["spec"]["ingress"] for entry in rule["ports"]
        }
        served = {one["containerPort"] for one in found["ports"].values() if one["enabled"]}
        assert served == open_ports

    def test_the_collector_runs_our_configuration_with_all_that_it_asks_for(self):
        found = values("otel-collector")
        asked = set(
            re.findall(r"\$\{env:(\w+)", (ROOT / "deploy/collector/config.yaml").read_text())
        )
        told = {one["name"]: one["value"] for one in found["extraEnvs"]}
        assert set(told) == asked
        (disk,) = found["statefulset"]["volumeClaimTemplates"]
        size = disk["spec"]["resources"]["requests"]["storage"]
        assert int(told["QUEUE_BYTES"]) * 3 <= int(size.removesuffix("Gi")) * 1024**3
        made = yaml.safe_load((ROOT / "deploy/collector/kustomization.yaml").read_text())
        (config,) = made["configMapGenerator"]
        assert config["name"] == found["configMap"]["existingName"]
        assert config["files"] == ["relay=config.yaml"]
        assert (
            made["namespace"] == APPLICATIONS["otel-collector"]["spec"]["destination"]["namespace"]
        )

    def test_the_collector_delivers_to_the_portals_service_and_is_let_in_there(self):
        told = {one["name"]: one["value"] for one in values("otel-collector")["extraEnvs"]}
        service = chart.of_kind("Service", chart.kept())["portal"]
        (port,) = service["spec"]["ports"]
        place = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
        assert told["PORTAL_URL"] == f"http://{place}.svc.cluster.local:{port['port']}"
        web = chart.of_kind("NetworkPolicy", chart.kept())["web"]
        let_in = [
            (
                peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
                peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"],
            )
            for rule in web["spec"]["ingress"]
            for peer in rule["from"]
            if "podSelector" in peer
        ]
        namespace = APPLICATIONS["otel-collector"]["spec"]["destination"]["namespace"]
        assert (namespace, values("otel-collector")["nameOverride"]) in let_in

    def test_karpenter_knows_the_cluster_by_the_name_that_its_machines_look_for(self):
        (node_class,) = shipped(["deploy/karpenter/ec2nodeclass.yaml"])
        cluster = values("karpenter")["settings"]["clusterName"]
        for term in ("subnetSelectorTerms", "securityGroupSelectorTerms"):
            (one,) = node_class["spec"][term]
            assert one["tags"] == {"karpenter.sh/discovery": cluster}

    def test_karpenter_is_who_terraform_gives_its_role_and_its_queue(self):
        made = (ROOT / "deploy/terraform/modules/karpenter/main.tf").read_text()
        (account,) = re.findall(r'accounts\s+= \["(\S+)"\]', made)
        namespace = APPLICATIONS["karpenter"]["spec"]["destination"]["namespace"]
        assert account == f"{namespace}:karpenter"
        queue = re.search(r'"aws_sqs_queue" "interruptions" \{\s+name\s+= (\S+)', made)
        assert queue.group(1) == "var.cluster_name"
        settings = values("karpenter")["settings"]
        assert settings["interruptionQueue"] == settings["clusterName"]

    def test_the_endpoints_that_engines_reach_are_where_terraform_puts_them(self):
        network = (ROOT / "deploy/terraform/modules/network/main.tf").read_text()
        cut = re.search(
            r'"aws_subnet" "endpoints".*?cidrsubnet\(var.cidr, 8, (\d+) \+ count.index\)',
            network,
            re.S,
        )
        production = (ROOT / "deploy/terraform/environments/production/main.tf").read_text()
        cidr = ip_network(re.search(r'home = \{.*?cidr\s+= "(\S+)"', production, re.S).group(1))
        subnets = list(cidr.subnets(prefixlen_diff=8))[int(cut.group(1)) :][:4]
        policies = shipped(["deploy/argocd/platform/networkpolicies.yaml"])
        blocks = [
            ip_network(peer["ipBlock"]["cidr"])
            for policy in policies
            for rule in policy["spec"].get("egress", [])
            for peer in rule["to"]
            if "ipBlock" in peer
        ]
        inside = {block for block in blocks if block.overlaps(cidr)}
        assert len(inside) == 1
        assert list(inside.pop().subnets(new_prefix=24)) == subnets

    @pytest.mark.parametrize(
        ("name", "place"),
        [
            ("dcgm-exporter", ("tolerations",)),
            ("datadog", ("agents", "tolerations")),
            ("falcon-sensor", ("node", "daemonset", "tolerations")),
        ],
    )
    def test_what_runs_on_every_machine_runs_on_those_with_gpus(self, name, place):
        (pool,) = shipped(["deploy/karpenter/nodepool.yaml"])
        found = values(name)
        for key in place:
            found = found[key]
        for taint in pool["spec"]["template"]["spec"]["taints"]:
            assert {"key": taint["key"], "operator": "Exists", "effect": taint["effect"]} in found

    def test_kserve_is_what_our_inference_services_ask_for(self):
        found = values("kserve")["kserve"]
        assert found["controller"]["deploymentMode"] == "Standard"
        assert found["controller"]["gateway"]["disableIngressCreation"] is True

    def test_keda_sees_models_alone_and_no_secret_elsewhere(self):
        assert values("keda")["watchNamespace"] == "models"
        assert values("keda")["permissions"]["operator"]["restrict"] == {"secret": True}

    def test_the_ai_gateway_is_where_envoy_gateway_asks_for_it(self):
        settings = yaml.safe_load((ROOT / "deploy/envoy-gateway/values.yaml").read_text())
        service = settings["config"]["envoyGateway"]["extensionManager"]["service"]["fqdn"]
        namespace = APPLICATIONS["envoy-ai-gateway"]["spec"]["destination"]["namespace"]
        name = values("envoy-ai-gateway")["controller"]["fullnameOverride"]
        assert service["hostname"] == f"{name}.{namespace}.svc.cluster.local"
