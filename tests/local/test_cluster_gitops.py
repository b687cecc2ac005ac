"""The GitOps repository of a local stack: seeding, its hook, and the one setting that differs from
production.
"""

import json
import os
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from apps.manifests import capacity
from apps.manifests.text import to_yaml
from deploy.local.cluster import argocd, gitops, kubeconfigs, layout, refresh
from tests.local.cluster_context import ROOT, cluster_context

IDENTITY = ["-c", "user.name=Portal", "-c", "user.email=portal@example.test"]


def git(folder: Path, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commits(repository: Path) -> int:
    return int(git(repository, "rev-list", "--count", "main"))


@pytest.fixture
def context(tmp_path):
    return cluster_context(tmp_path)


@pytest.fixture
def repository(context):
    gitops.seed_gitops(context)
    return layout.gitops_repository(context)


class TestSeedGitops:
    def test_makes_a_repository_with_all_folders(self, repository):
        files = set(git(repository, "ls-tree", "-r", "--name-only", "main").splitlines())
        assert {"platform/namespaces.yaml", "platform/nodeclass.yaml"} <= files
        assert [name for name in files if name.startswith("serving/")] == ["serving/README.md"]
        assert [name for name in files if name.startswith("capacity/")] == [
            "capacity/gpu-inference.yaml"
        ]

    def test_commits_nothing_when_nothing_changed(self, context, repository):
        gitops.seed_gitops(context)
        assert commits(repository) == 1

    def test_moves_the_pool_of_an_older_repository_without_changing_it(
        self, context, repository, tmp_path
    ):
        work = tmp_path / "work"
        git(tmp_path, "clone", "--quiet", str(repository), str(work))
        pool = (work / "capacity" / "gpu-inference.yaml").read_text()
        git(work, "mv", "capacity/gpu-inference.yaml", "platform/nodepool.yaml")
        git(work, "commit", "--quiet", "-m", "As it was")
        git(work, "push", "--quiet", "origin", "HEAD:main")
        gitops.seed_gitops(context)
        files = set(git(repository, "ls-tree", "-r", "--name-only", "main").splitlines())
        assert "platform/nodepool.yaml" not in files
        assert git(repository, "show", "main:capacity/gpu-inference.yaml") == pool

    def test_leaves_the_pools_to_the_portal(self, context, repository, tmp_path):
        work = tmp_path / "work"
        git(tmp_path, "clone", "--quiet", str(repository), str(work))
        (work / "capacity" / "gpu-inference.yaml").write_text("changed: by a request\n")
        git(work, "commit", "--quiet", "-am", "Raise the limit")
        git(work, "push", "--quiet", "origin", "HEAD:main")
        gitops.seed_gitops(context)
        assert commits(repository) == 2
        assert (
            git(repository, "show", "main:capacity/gpu-inference.yaml") == "changed: by a request\n"
        )

    def test_commits_a_change_of_the_platform_and_leaves_serving_alone(
        self, context, repository, monkeypatch, tmp_path
    ):
        work = tmp_path / "work"
        git(tmp_path, "clone", "--quiet", str(repository), str(work))
        (work / "serving" / "v1.yaml").write_text("kind: InferenceService\n")
        git(work, "add", "serving")
        git(work, "commit", "--quiet", "-m", "Serve v1")
        git(work, "push", "--quiet", "origin", "HEAD:main")
        monkeypatch.setattr(
            gitops, "platform_files", lambda root: {"only.yaml": "kind: Namespace\n"}
        )
        gitops.seed_gitops(context)
        files = set(git(repository, "ls-tree", "-r", "--name-only", "main").splitlines())
        assert files == {
            "platform/only.yaml",
            "serving/README.md",
            "serving/v1.yaml",
            "capacity/gpu-inference.yaml",
        }
        assert commits(repository) == 3

    def test_leaves_a_repository_that_is_elsewhere_to_its_owners(self, tmp_path):
        gitops.seed_gitops(
            cluster_context(tmp_path, GITOPS_REMOTE="https://git.example.test/gitops.git")
        )
        assert not (tmp_path / "gitops.git").exists()

    def test_refuses_a_rewritten_history(self, repository, tmp_path):
        work = tmp_path / "work"
        git(tmp_path, "clone", "--quiet", str(repository), str(work))
        git(work, "commit", "--quiet", "--amend", "-m", "Another start")
        with pytest.raises(AssertionError, match="denying non-fast-forward|rejected"):
            git(work, "push", "--quiet", "--force", "origin", "HEAD:main")


class TestBeginningFiles:
    POOL = "capacity/gpu-inference.yaml"

    def test_differ_from_production_in_the_node_class_alone(self):
        production = yaml.safe_load((ROOT / "deploy/karpenter/nodepool.yaml").read_text())
        local = yaml.safe_load(gitops.beginning_files(ROOT)[self.POOL])
        assert local["spec"]["template"]["spec"].pop("nodeClassRef") == {
            "group": "karpenter.kwok.sh",
            "kind": "KWOKNodeClass",
            "name": "gpu-local",
        }
        production["spec"]["template"]["spec"].pop("nodeClassRef")
        assert local == production

    def test_are_laid_out_as_the_portal_writes_them(self):
        text = gitops.beginning_files(ROOT)[self.POOL]
        assert (
            to_yaml([capacity.node_pool(capacity.read_node_pool(yaml.safe_load(text)))]).decode()
            == text
        )

    def test_hold_only_kinds_that_the_capacity_project_allows(self):
        assert allowed_by("capacity") == {("karpenter.sh", "NodePool")}
        assert yaml.safe_load(gitops.beginning_files(ROOT)[self.POOL])["kind"] == "NodePool"


def allowed_by(name: str) -> set[tuple[str, str]]:
    project = next(
        manifest
        for manifest in yaml.safe_load_all((ROOT / "deploy/argocd/projects.yaml").read_text())
        if manifest["metadata"]["name"] == name
    )
    return {
        (entry["group"], entry["kind"])
        for key in ("clusterResourceWhitelist", "namespaceResourceWhitelist")
        for entry in project["spec"][key]
    }


class TestPlatformFiles:
    def test_hold_only_kinds_that_the_platform_project_allows(self):
        allowed = allowed_by("platform")
        # else it would prune a pool that moved to `capacity/`
        assert ("karpenter.sh", "NodePool") not in allowed
        for name, content in gitops.platform_files(ROOT).items():
            for manifest in yaml.safe_load_all(content):
                group, slash, _ = manifest["apiVersion"].rpartition("/")
                assert (group if slash else "", manifest["kind"]) in allowed, name


class TestProjects:
    def test_argo_cd_may_apply_what_its_projects_allow_locally(self, context):
        role = next(
            manifest
            for manifest in yaml.safe_load_all(
                (ROOT / "deploy/local/cluster/manifests/rbac/argocd.yaml").read_text()
            )
            if manifest["kind"] == "ClusterRole"
        )
        groups = {group for rule in role["rules"] for group in rule["apiGroups"]}
        included = {
            (entry["apiGroups"][0], kind)
            for manifest in argocd.objects(context)
            if manifest["kind"] == "ConfigMap"
            for entry in yaml.safe_load(manifest["data"]["resource.inclusions"])
            for kind in entry["kinds"]
        }
        for project in argocd.objects(context):
            if project["kind"] == "AppProject":
                spec = project["spec"]
                for entry in [
                    *spec["clusterResourceWhitelist"],
                    *spec["namespaceResourceWhitelist"],
                ]:
                    if entry["group"] != "karpenter.k8s.aws":
                        assert entry["group"] in groups
                        assert (entry["group"], entry["kind"]) in included

    def test_follow_the_stacks_own_repository(self, context):
        address = layout.gitops_repository(context).as_uri()
        found = {
            m["metadata"]["name"]: m for m in argocd.objects(context) if m["kind"] == "Application"
        }
        assert {name: app["spec"]["source"]["repoURL"] for name, app in found.items()} == {
            "platform": address,
            "serving": address,
            "capacity": address,
        }

    def test_never_remove_a_pool(self, context):
        found = next(
            m
            for m in argocd.objects(context)
            if (m["kind"], m["metadata"]["name"]) == ("Application", "capacity")
        )
        assert found["spec"]["syncPolicy"]["automated"] == {"prune": False, "selfHeal": True}

    def test_keep_the_portals_folder_away_from_the_cluster_and_the_gateway(self, context):
        serving = next(
            m
            for m in argocd.objects(context)
            if m["kind"] == "AppProject" and m["metadata"]["name"] == "serving"
        )
        assert serving["spec"]["clusterResourceWhitelist"] == []
        assert {entry["namespace"] for entry in serving["spec"]["destinations"]} == {
            "models",
            "evals",
        }


class TestHook:
    def push(self, repository: Path, folder: Path) -> float:
        work = folder / "work"
        git(folder, "clone", "--quiet", str(repository), str(work))
        git(work, "commit", "--quiet", "--allow-empty", "-m", "Change")
        began = time.monotonic()
        git(work, "push", "--quiet", "origin", "HEAD:main")
        return time.monotonic() - began

    def test_never_fails_or_delays_a_push_without_a_cluster(self, repository, tmp_path):
        assert self.push(repository, tmp_path) < 5
        assert commits(repository) == 2

    def test_does_not_wait_for_a_cluster_that_hangs(self, context, tmp_path):
        slow = tmp_path / "slow"
        slow.write_text("#!/bin/sh\nsleep 30\n")
        slow.chmod(0o700)
        gitops.seed_gitops(replace(context, python=str(slow)))
        assert self.push(layout.gitops_repository(context), tmp_path) < 15


class Recorder(BaseHTTPRequestHandler):
    """Keeps who asked for what."""

    seen: list[tuple[str, str, dict]] = []

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = dict(pair[0] for pair in self.connection.getpeercert()["subject"])["commonName"]
        self.seen.append((user, self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api_server(context):
    """An HTTPS server in the API server's place that wants client certificates; gives its port."""
    authority = kubeconfigs.authority(context)
    pair = authority.server("kube-apiserver")
    trust = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=str(authority.pair.certificate)
    )
    trust.verify_mode = ssl.CERT_REQUIRED
    trust.load_cert_chain(str(pair.certificate), str(pair.key))
    server = HTTPServer(("127.0.0.1", 0), Recorder)
    # each thread shakes hands itself: a client that leaves meanwhile must not hold up the server
    server.socket = trust.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


class TestRefresh:
    def test_asks_argo_cd_for_each_application_with_a_credential_of_its_own(
        self, context, api_server
    ):
        Recorder.seen.clear()
        kubeconfigs.ensure(replace(context, ports=lambda name, preferred: api_server))
        refresh.main(layout.kubeconfig(context, "hook"))
        root = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
        wanted = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}
        assert Recorder.seen == [
            ("quartermaster:hook", f"{root}/platform", wanted),
            ("quartermaster:hook", f"{root}/serving", wanted),
            ("quartermaster:hook", f"{root}/capacity", wanted),
        ]

    def test_says_nothing_when_there_is_no_cluster(self, tmp_path):
        refresh.main(tmp_path / "none")
