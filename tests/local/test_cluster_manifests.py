"""The shipped Karpenter and Argo CD manifests, against the real definitions."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from deploy.local.cluster import instance_types
from tests.local.cluster_context import ROOT

REAL = Path(__file__).parents[3] / "shared" / "crds"
FILES = [
    ("karpenter/nodepool.yaml", "karpenter/karpenter.sh_nodepools.yaml"),
    ("karpenter/ec2nodeclass.yaml", "karpenter/karpenter.k8s.aws_ec2nodeclasses.yaml"),
    ("karpenter/local/kwoknodeclass.yaml", "karpenter/karpenter.kwok.sh_kwoknodeclasses.yaml"),
    ("argocd/applications.yaml", "argo-cd/application-crd.yaml"),
    ("argocd/projects.yaml", "argo-cd/appproject-crd.yaml"),
]


def node_pool() -> dict:
    return yaml.safe_load((ROOT / "deploy/karpenter/nodepool.yaml").read_text())


def closed(schema: object) -> object:
    """Return the schema with unknown fields forbidden, as `fieldValidation=Strict` has it."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def spec_schema(path: Path) -> dict:
    # safe, and ten times faster
    document = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)  # noqa: S506
    version = next(entry for entry in document["spec"]["versions"] if entry["storage"])
    return closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


class TestShippedManifests:
    @pytest.mark.skipif(not REAL.exists(), reason="the real definitions are not on this machine")
    @pytest.mark.parametrize(("shipped", "real"), FILES, ids=[name for name, _ in FILES])
    def test_have_the_shape_of_the_real_kinds(self, shipped, real):
        schema = spec_schema(REAL / real)
        for manifest in yaml.safe_load_all((ROOT / "deploy" / shipped).read_text()):
            jsonschema.Draft202012Validator(schema).validate(manifest["spec"])

    def test_name_no_image_or_machine_as_latest(self):
        for shipped, _ in FILES:
            assert "latest" not in (ROOT / "deploy" / shipped).read_text().replace(
                "with @latest, every", ""
            ), shipped


class TestNodePool:
    def test_names_only_families_that_the_local_machines_have(self):
        families = {machine.family for machine in instance_types.load()}
        for requirement in node_pool()["spec"]["template"]["spec"]["requirements"]:
            if requirement["key"].endswith("instance-family"):
                assert set(requirement["values"]) <= families

    def test_keeps_other_pods_off_its_gpus(self):
        taints = node_pool()["spec"]["template"]["spec"]["taints"]
        assert [(taint["key"], taint["effect"]) for taint in taints] == [
            ("nvidia.com/gpu", "NoSchedule")
        ]

    def test_has_a_limit(self):
        assert node_pool()["spec"]["limits"] == {"nvidia.com/gpu": "64"}

    def test_removes_empty_nodes_at_any_time_and_moves_replicas_one_at_a_time(self):
        budgets = node_pool()["spec"]["disruption"]["budgets"]
        assert {"nodes": "100%", "reasons": ["Empty"]} in budgets
        assert {"nodes": "1", "reasons": ["Underutilized", "Drifted"]} in budgets
