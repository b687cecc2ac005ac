"""Who reaches whom, by the shipped NetworkPolicies read as a network plugin reads them.

No plugin runs in tests, so nothing is enforced here: the API server checks the objects
(test_dry_run.py), and this says what they let through, for every pair that matters.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import ClassVar

import pytest
import yaml

from tests.delivery import chart
from tests.manifests.objects import ROOT, rendered, shipped

FILES = ("deploy/argocd/platform/networkpolicies.yaml", "deploy/envoy-gateway/networkpolicy.yaml")
POLICIES = shipped(FILES)
COLLECTOR = yaml.safe_load((ROOT / "deploy/collector/config.yaml").read_text())
RECORDS, SPANS_GRPC, SPANS_HTTP = 4317, 4319, 4320


@dataclass(frozen=True)
class Pod:
    """A pod, as selectors see it."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)


def ours(name: str, namespace: str = "quartermaster") -> Pod:
    part = {"app.kubernetes.io/part-of": "quartermaster"}
    return Pod(namespace, part | {"app.kubernetes.io/name": name})


def engine(namespace: str) -> Pod:
    return Pod(namespace, {"serving.kserve.io/inferenceservice": "m-v7", "component": "predictor"})


ENVOY = Pod(
    "envoy-gateway-system",
    {
        "gateway.envoyproxy.io/owning-gateway-name": "ai-gateway",
        "gateway.envoyproxy.io/owning-gateway-namespace": "ai-gateway",
    },
)
ANOTHER_ENVOY = Pod(
    "envoy-gateway-system", ENVOY.labels | {"gateway.envoyproxy.io/owning-gateway-name": "shop"}
)
PRETENDER = Pod("shop", ENVOY.labels | ours("worker").labels)
GATE = ours("gate", "ai-gateway")
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
BESIDE_DNS = Pod("kube-system", {"k8s-app": "metrics-server"})
THE_COLLECTOR = Pod("ai-gateway", {"app.kubernetes.io/name": "otel-collector"})
STRANGERS = [ANOTHER_ENVOY, PRETENDER, Pod("shop"), Pod("ai-gateway"), Pod("models"), Pod("evals")]


def selects(selector: dict, labels: dict[str, str]) -> bool:
    """Tell whether a label selector matches; an empty one matches everything."""
    unknown = set(selector) - {"matchLabels", "matchExpressions"}
    assert not unknown, unknown
    plain = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    for rule in selector.get("matchExpressions", []):
        found = labels.get(rule["key"])
        assert rule["operator"] in ("In", "Exists")
        plain &= found is not None and (rule["operator"] == "Exists" or found in rule["values"])
    return plain


def is_peer(peer: dict, other: Pod | str, own_namespace: str) -> bool:
    """Tell whether a peer of a rule is this pod, or this address outside the cluster."""
    if isinstance(other, str):
        return "ipBlock" in peer and ip_address(other) in ip_network(peer["ipBlock"]["cidr"])
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        there = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    else:
        there = other.namespace == own_namespace
    return there and selects(peer.get("podSelector", {}), other.labels)


def lets(direction: str, pod: Pod, other: Pod | str, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a pod's policies let something pass. direction: ingress or egress. Where none
    selects the pod, everything passes.
    """
    policies = [
        policy
        for policy in POLICIES
        if policy["metadata"]["namespace"] == pod.namespace
        and selects(policy["spec"]["podSelector"], pod.labels)
        and direction.capitalize() in policy["spec"]["policyTypes"]
    ]
    if not policies:
        return True
    return any(
        any(
            is_peer(peer, other, pod.namespace)
            for peer in rule["from" if direction == "ingress" else "to"]
        )
        and any((entry["protocol"], entry["port"]) == (protocol, port) for entry in rule["ports"])
        for policy in policies
        for rule in policy["spec"].get(direction, [])
    )


class TestEngines:
    @pytest.mark.parametrize(
        ("namespace", "callers"),
        [
            ("models", [ENVOY, GATE, ours("scraper"), ours("web")]),
            ("evals", [ours("worker"), ours("scraper")]),
        ],
    )
    def test_answer_those_who_have_business_with_them_and_nobody_else(self, namespace, callers):
        everybody = [
            ENVOY,
            GATE,
            *map(ours, ("web", "worker", "beat", "observer", "scraper", "registry", "sealer")),
            *map(engine, ("models", "evals")),
            THE_COLLECTOR,
            DNS,
            *STRANGERS,
        ]
        let_in = [pod for pod in everybody if lets("ingress", engine(namespace), pod, 8080)]
        assert sorted(map(str, let_in)) == sorted(map(str, callers))
        assert not [pod for pod in everybody if lets("ingress", engine(namespace), pod, 22)]
        assert not lets("ingress", engine(namespace), "203.0.113.7", 8080)

    @pytest.mark.parametrize("namespace", ["models", "evals"])
    def test_reach_dns_s3_sts_and_the_port_of_spans_alone(self, namespace):
        pod = engine(namespace)
        assert lets("egress", pod, DNS, 53)
        assert lets("egress", pod, DNS, 53, "UDP")
        assert not lets("egress", pod, BESIDE_DNS, 53)
        assert not lets("egress", pod, DNS, 443)
        assert lets("egress", pod, "52.217.161.88", 443)  # S3 in us-east-1
        assert lets("egress", pod, "10.20.132.7", 443)
        assert lets("egress", pod, THE_COLLECTOR, SPANS_GRPC)
        for address in (
            "203.0.113.7",
            "10.20.128.7",
            "10.20.5.9",
            "169.254.169.254",
            "10.20.136.1",
        ):
            assert not lets("egress", pod, address, 443), address
        assert not lets("egress", pod, "52.217.161.88", 80)
        for other in (engine("models"), engine("evals"), ours("web"), ENVOY, GATE):
            assert not lets("egress", pod, other, 8080)
        assert not lets("egress", pod, THE_COLLECTOR, RECORDS)

    @pytest.mark.parametrize("namespace", ["models", "evals"])
    def test_have_neighbors_that_reach_nothing_and_answer_nobody(self, namespace):
        stray = Pod(namespace, {"app": "debug"})
        assert not lets("ingress", stray, ENVOY, 8080)
        assert not lets("egress", stray, DNS, 53)

    def test_listen_where_the_policies_let_callers_in(self):
        runtimes = [one for one in rendered() if one["kind"] == "ServingRuntime"]
        ports = {
            port["containerPort"]
            for runtime in runtimes
            for container in runtime["spec"]["containers"]
            for port in container["ports"]
        }
        assert ports == {8080}


class TestRateLimit:
    """The service that counts tokens, by the labels that Envoy Gateway gives its pods."""

    POD: ClassVar = Pod(
        "envoy-gateway-system",
        {
            "app.kubernetes.io/name": "envoy-ratelimit",
            "app.kubernetes.io/component": "ratelimit",
            "app.kubernetes.io/managed-by": "envoy-gateway",
        },
    )

    def test_counts_for_the_gateways_envoys_alone(self):
        assert lets("ingress", self.POD, ENVOY, 8081)
        others = [*STRANGERS, GATE, engine("models"), *map(ours, ("web", "worker"))]
        assert not [pod for pod in others if lets("ingress", self.POD, pod, 8081)]
        assert not lets("ingress", self.POD, ENVOY, 19001)


class TestTheChartsPods:
    """The pods of the portal's chart, by the labels that they really have, and by its own rules of
    whom each may ask.
    """

    PODS: ClassVar = {
        name: Pod(
            one["metadata"].get("namespace", "quartermaster"),
            one["spec"]["template"]["metadata"]["labels"],
        )
        for name, one in chart.of_kind("Deployment", chart.kept()).items()
    }

    def ports_asked(self, name, other):
        """The ports of another pod that a process may ask, by the chart."""
        policy = chart.of_kind("NetworkPolicy", chart.kept())[name]
        return {
            entry["port"]
            for rule in policy["spec"]["egress"]
            if any(is_peer(peer, other, self.PODS[name].namespace) for peer in rule["to"])
            for entry in rule["ports"]
        }

    @pytest.mark.parametrize(
        ("namespace", "asked"),
        [("models", {"gate", "scraper", "web"}), ("evals", {"scraper", "worker"})],
    )
    def test_reach_engines_where_both_sides_let_them(self, namespace, asked):
        target = engine(namespace)
        let_in = {name for name, pod in self.PODS.items() if lets("ingress", target, pod, 8080)}
        assert let_in == asked
        assert all(8080 in self.ports_asked(name, target) for name in let_in)

    def test_tell_spans_to_the_ports_that_take_no_records(self):
        for name, pod in self.PODS.items():
            assert lets("ingress", THE_COLLECTOR, pod, SPANS_HTTP)
            assert self.ports_asked(name, THE_COLLECTOR) == {SPANS_GRPC, SPANS_HTTP}, name


class TestCollector:
    def test_takes_what_is_billed_from_envoy_alone(self):
        others = [engine("models"), GATE, *map(ours, ("web", "worker")), *STRANGERS]
        assert lets("ingress", THE_COLLECTOR, ENVOY, RECORDS)
        assert not [pod for pod in others if lets("ingress", THE_COLLECTOR, pod, RECORDS)]
        assert not [pod for pod in [ENVOY, *others] if lets("ingress", THE_COLLECTOR, pod, 4318)]

    def test_takes_spans_from_engines_and_from_the_products_own(self):
        senders = [engine("models"), engine("evals"), GATE, *map(ours, ("web", "worker"))]
        for port in (SPANS_GRPC, SPANS_HTTP):
            assert all(lets("ingress", THE_COLLECTOR, pod, port) for pod in senders)
            assert not [pod for pod in STRANGERS if lets("ingress", THE_COLLECTOR, pod, port)]

    def test_makes_no_record_of_what_comes_to_the_ports_of_spans(self):
        pipelines = COLLECTOR["service"]["pipelines"]
        assert pipelines["logs"]["receivers"] == ["otlp"]
        assert pipelines["traces"]["receivers"] == ["otlp", "otlp/spans"]
        spans = COLLECTOR["receivers"]["otlp/spans"]["protocols"]
        assert {name: one["endpoint"].partition(":-")[0] for name, one in spans.items()} == {
            "grpc": "${env:OTLP_SPANS_GRPC_ENDPOINT",
            "http": "${env:OTLP_SPANS_HTTP_ENDPOINT",
        }
