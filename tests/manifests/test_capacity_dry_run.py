"""Pools and node classes against the real API server: strict fields, and the CEL rules that no schema test has."""

import json
from copy import deepcopy

import pytest
import yaml

from deploy.local.cluster import layout
from deploy.local.cluster.api import Api, ApiError
from tests.local.test_cluster_running import context, trust_of  # noqa: F401 (a fixture: the running control plane)
from tests.manifests.test_capacity import CRDS, OBJECTS

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not CRDS.is_dir(), reason="the folder ../shared/crds with the real CRDs is not here"),
]
PLURALS = {"NodePool": "nodepools", "EC2NodeClass": "ec2nodeclasses", "KWOKNodeClass": "kwoknodeclasses"}
NODE_POOL = OBJECTS[0]


@pytest.fixture(scope="module")
def api(context):  # noqa: F811 (the fixture)
    """The API server with the real EC2NodeClass definition besides those that the local cluster has."""
    with Api(layout.address(context, "kube-apiserver"), trust_of(context, "admin")) as found:
        found.replace(yaml.safe_load((CRDS / "karpenter.k8s.aws_ec2nodeclasses.yaml").read_text()))
        for _ in range(100):
            if found.serves("karpenter.k8s.aws", "v1", "ec2nodeclasses"):
                break
        yield found


def dry_run(api, manifest):
    """Send an object that is checked as a real one and not stored."""
    path = f"/apis/{manifest['apiVersion']}/{PLURALS[manifest['kind']]}?dryRun=All&fieldValidation=Strict"
    return api.request("POST", path, json.dumps(manifest).encode())


@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda manifest: manifest["metadata"]["name"] + manifest["kind"])
def test_the_api_server_takes_what_is_rendered(api, manifest):
    assert dry_run(api, manifest)["metadata"]["name"] == manifest["metadata"]["name"]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("template.spec.nodeClassRef", {"name": "gpu-bottlerocket"}, "group"),
        ("template.spec.requirements", [{"key": "karpenter.k8s.aws/gpu", "operator": "Exists"}], "restricted"),
        ("template.spec.requirements", [{"key": "karpenter.sh/nodepool", "operator": "Exists"}], "restricted"),
        ("disruption", {"budgets": [{"nodes": "1"}]}, "consolidateAfter"),
        ("disruption.budgets", [{"nodes": "1", "schedule": "0 12 * * *"}], "must be set with"),
        ("disruption.consolidateAfter", "2 minutes", "consolidateAfter"),
        ("expireAfter", "720h", "unknown field"),
    ],
)
def test_the_api_server_refuses_each_trap(api, path, value, words):
    """What apps/manifests/capacity.py holds is not our idea of Karpenter: the real rules say the same."""
    broken = deepcopy(NODE_POOL)
    *parents, last = path.split(".")
    place = broken["spec"]
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises(ApiError, match=words):
        dry_run(api, broken)
