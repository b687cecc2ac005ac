"""Who may do what in the cluster: the roles, read as the deny list that they must be."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from apps.integrations.kubernetes.types import Kind
from deploy.local.cluster import kubeconfigs, layout
from deploy.local.stack import product
from tests.local.cluster_context import ROOT, cluster_context

PORTAL = ROOT / "deploy/portal/chart/templates/rbac.yaml"
RBAC = ROOT / "deploy/local/cluster/manifests/rbac"
READING = {"get", "list", "watch"}
ENTRANCES = {
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/proxy",
    "services/proxy",
    "nodes/proxy",
}


def documents(path: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def rules(path: Path) -> Iterator[dict]:
    for document in documents(path):
        yield from document.get("rules", [])


def every_file() -> list[Path]:
    return [PORTAL, *sorted(RBAC.glob("*.yaml"))]


class TestEveryRole:
    @pytest.mark.parametrize("path", every_file(), ids=lambda path: path.stem)
    def test_names_its_verbs_and_resources(self, path):
        for rule in rules(path):
            named = [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            assert "*" not in named, rule

    @pytest.mark.parametrize("path", every_file(), ids=lambda path: path.stem)
    def test_cannot_grant_rights_or_act_as_somebody_else(self, path):
        for rule in rules(path):
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), rule

    @pytest.mark.parametrize("path", every_file(), ids=lambda path: path.stem)
    def test_opens_no_way_into_a_pod(self, path):
        for rule in rules(path):
            assert not ENTRANCES & set(rule["resources"]), rule

    def test_reads_secrets_in_known_places_only(self):
        readers = {
            path.stem
            for path in every_file()
            for rule in rules(path)
            if "secrets" in rule["resources"]
        }
        assert readers == {"argocd", "gateway", "kserve", "keda", "kubelet"}
        for rule in rules(RBAC / "kserve.yaml"):
            if "secrets" in rule["resources"]:
                assert rule["resourceNames"] == ["storage-config"]
                assert rule["verbs"] == ["get"]

    @pytest.mark.parametrize(
        ("name", "places"), [("gateway", ["models"]), ("kubelet", ["models", "evals"])]
    )
    def test_reads_the_engines_key_and_no_other_secret_where_it_must(self, name, places):
        found = [
            (document["metadata"]["namespace"], rule["resourceNames"])
            for document in documents(RBAC / f"{name}.yaml")
            for rule in document.get("rules", [])
            if "secrets" in rule["resources"]
        ]
        assert found == [(place, ["engine-key"]) for place in places]


class TestPortal:
    def test_only_reads(self):
        for rule in rules(PORTAL):
            assert set(rule["verbs"]) <= READING, rule

    def test_sees_neither_secrets_nor_settings(self):
        hidden = {"secrets", "configmaps", "serviceaccounts", "serviceaccounts/token"}
        for rule in rules(PORTAL):
            assert not hidden & set(rule["resources"]), rule

    def test_reads_logs_where_models_run_and_nowhere_else(self):
        for document in documents(PORTAL):
            for rule in document.get("rules", []):
                if "pods/log" in rule["resources"]:
                    assert document["kind"] == "Role"
                    assert document["metadata"]["namespace"] in {"models", "evals"}

    def test_sees_exactly_the_kinds_that_the_product_reads(self):
        granted = {
            (group, resource)
            for rule in rules(PORTAL)
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        assert granted - {("", "pods/log")} == {
            (kind.value.group, kind.value.plural) for kind in Kind
        }
        for rule in rules(PORTAL):
            assert set(rule["verbs"]) == (READING if rule["resources"] != ["pods/log"] else {"get"})

    @pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
    def test_grants_nothing_that_nobody_reads(self, kind):
        sources = [*(ROOT / "apps").rglob("*.py"), *(ROOT / "worker").rglob("*.py")]
        assert any(re.search(rf"\bKind\.{kind.name}\b", path.read_text()) for path in sources)

    def test_is_bound_to_the_service_accounts_of_its_own_namespace_alone(self):
        """Which of its processes those are, the tests of its chart say."""
        for document in documents(PORTAL):
            if document["kind"].endswith("Binding"):
                assert "portal" in {subject["name"] for subject in document["subjects"]}
                for subject in document["subjects"]:
                    assert (subject["kind"], subject["namespace"]) == (
                        "ServiceAccount", "quartermaster",
                    )  # fmt: skip


class TestThePortalsCredential:
    def test_is_the_service_account_of_that_file_and_no_administrator(self):
        identity = kubeconfigs.CLIENTS["portal"]
        assert identity.user == "system:serviceaccount:quartermaster:portal"
        assert set(identity.groups) == {
            "system:serviceaccounts",
            "system:serviceaccounts:quartermaster",
        }

    def test_is_what_the_product_of_the_local_stack_gets(self, tmp_path):
        context = cluster_context(tmp_path)
        given = product.environment(context)["KUBECONFIG"]
        assert Path(given) == layout.kubeconfig(context, "portal")

    def test_is_bound_by_no_other_file(self):
        for path in sorted(RBAC.glob("*.yaml")):
            for document in documents(path):
                assert not {"portal", "system:serviceaccounts:quartermaster"} & {
                    subject["name"] for subject in document.get("subjects", [])
                }


class TestHook:
    def test_may_patch_the_three_applications_and_nothing_else(self):
        assert list(rules(RBAC / "hook.yaml")) == [
            {
                "apiGroups": ["argoproj.io"],
                "resources": ["applications"],
                "resourceNames": ["platform", "serving", "capacity"],
                "verbs": ["patch"],
            }
        ]


class TestEngineer:
    def test_only_reads(self):
        for rule in rules(RBAC / "engineer.yaml"):
            assert set(rule["verbs"]) <= READING, rule


class TestGateway:
    def test_writes_only_status_and_the_routes_it_generates(self):
        for rule in rules(RBAC / "gateway.yaml"):
            if not set(rule["verbs"]) <= READING:
                assert all(
                    name.endswith("/status") or name == "httproutes" for name in rule["resources"]
                ), rule


class TestKeda:
    def test_reads_secrets_of_its_own_namespace_alone(self):
        for document in documents(RBAC / "keda.yaml"):
            if any("secrets" in rule["resources"] for rule in document.get("rules", [])):
                assert (document["kind"], document["metadata"]["namespace"]) == ("Role", "keda")

    def test_changes_nothing_but_replicas_and_its_own_objects(self):
        changed = {
            name
            for rule in rules(RBAC / "keda.yaml")
            if not set(rule["verbs"]) <= READING
            for name in rule["resources"]
        }
        assert changed == {
            "clustertriggerauthentications", "clustertriggerauthentications/status",
            "scaledobjects",
            "scaledobjects/finalizers", "scaledobjects/status", "deployments/scale",
            "horizontalpodautoscalers",
            "events",
        }  # fmt: skip


class TestKubelet:
    def test_creates_no_pods_and_changes_no_nodes(self):
        for rule in rules(RBAC / "kubelet.yaml"):
            if "pods" in rule["resources"]:
                assert "create" not in rule["verbs"]
            if "nodes" in rule["resources"]:
                assert set(rule["verbs"]) <= READING
