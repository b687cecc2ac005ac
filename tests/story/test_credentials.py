"""What the portal's own credential may do in the cluster: read what the pages show, and nothing
else.

Every resource that the API server serves is tried with every verb it offers, as a dry run: would
one of them be allowed, nothing would happen, but the test would say so.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]
# Anybody who is signed in may ask the API server what they may do. Asking stores nothing.
QUESTIONS = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
WRITES = ("create", "update", "patch", "delete", "deletecollection")
DRY_RUN = {"dryRun": "All"}


@dataclass(frozen=True)
class Resource:
    """One served resource or subresource ("pods", "pods/exec")."""

    base: str  # "/api/v1" or "/apis/<group>/<version>"
    name: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]

    def collection(self) -> str:
        """Return the address of all its objects in `models`."""
        plural = self.name.partition("/")[0]
        return (
            f"{self.base}/namespaces/models/{plural}"
            if self.namespaced
            else f"{self.base}/{plural}"
        )

    def one(self) -> str:
        """Return the address of one object, or of its subresource."""
        _, _, sub = self.name.partition("/")
        return f"{self.collection()}/anything" + (f"/{sub}" if sub else "")


@pytest.fixture(scope="session")
def api(stack, tmp_path_factory) -> Iterator[httpx.Client]:
    """The API server, as the portal's own kubeconfig reaches it."""
    with client(
        stack.state / "cluster" / "kubeconfigs" / "portal", tmp_path_factory.mktemp("kube")
    ) as http:
        yield http


def client(kubeconfig: Path, folder: Path) -> httpx.Client:
    """Return an HTTP client with the certificate of a kubeconfig."""
    config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {}
    for part, field in (
        (cluster, "certificate-authority"),
        (user, "client-certificate"),
        (user, "client-key"),
    ):
        files[field] = folder / field
        data = part.get(f"{field}-data")
        files[field].write_bytes(base64.b64decode(data) if data else Path(part[field]).read_bytes())
    context = ssl.create_default_context(cafile=str(files["certificate-authority"]))
    context.load_cert_chain(str(files["client-certificate"]), str(files["client-key"]))
    return httpx.Client(base_url=cluster["server"], verify=context, timeout=60, trust_env=False)


def served(api: httpx.Client) -> list[Resource]:
    """Return every resource of every group and version that the API server serves."""
    groups = api.get("/apis").raise_for_status().json()["groups"]
    bases = [
        "/api/v1",
        *(f"/apis/{version['groupVersion']}" for group in groups for version in group["versions"]),
    ]
    return [
        Resource(base, entry["name"], entry["kind"], entry["namespaced"], tuple(entry["verbs"]))
        for base in bases
        for entry in api.get(base).raise_for_status().json()["resources"]
    ]


def attempt(api: httpx.Client, resource: Resource, verb: str) -> int:
    """Try a verb on a resource as a dry run; return the status."""
    body = {
        "apiVersion": resource.base.removeprefix("/apis/").removeprefix("/api/"),
        "kind": resource.kind,
    }
    body = {**body, "metadata": {"name": "anything"}}
    is_sub = "/" in resource.name
    if verb == "create":
        return api.post(
            resource.one() if is_sub else resource.collection(), params=DRY_RUN, json=body
        ).status_code
    if verb == "update":
        return api.put(resource.one(), params=DRY_RUN, json=body).status_code
    if verb == "patch":
        patch = {"Content-Type": "application/merge-patch+json"}
        return api.patch(resource.one(), params=DRY_RUN, content=b"{}", headers=patch).status_code
    address = resource.collection() if verb == "deletecollection" else resource.one()
    return api.delete(address, params=DRY_RUN).status_code


class TestPortalCredential:
    def test_reads_what_the_pages_show(self, api):
        for path in (
            "/api/v1/nodes",
            "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices",
        ):
            assert api.get(path).status_code == 200

    def test_cannot_write_any_served_resource(self, api):
        found = served(api)
        groups = {resource.base.split("/")[2] for resource in found}
        assert {
            "v1",
            "apps",
            "serving.kserve.io",
            "karpenter.sh",
            "argoproj.io",
            "gateway.envoyproxy.io",
        } <= groups
        tried, allowed = 0, []
        for resource in found:
            for verb in WRITES:
                if verb in resource.verbs and resource.name not in QUESTIONS:
                    status = attempt(api, resource, verb)
                    tried += 1
                    if status != 403:
                        allowed.append(f"{verb} {resource.base}/{resource.name}: {status}")
        assert allowed == []
        assert tried > 300

    def test_may_only_ask_what_it_may_do(self, api):
        questions = [resource for resource in served(api) if resource.name in QUESTIONS]
        assert questions and all(resource.verbs == ("create",) for resource in questions)

    @pytest.mark.parametrize("way", ["exec", "attach", "portforward", "proxy"])
    def test_cannot_get_into_a_pod(self, api, way):
        pods = api.get("/api/v1/namespaces/models/pods").raise_for_status().json()["items"]
        name = pods[0]["metadata"]["name"] if pods else "anything"
        address = f"/api/v1/namespaces/models/pods/{name}/{way}"
        parameters = {"command": "id", "container": "kserve-container", "stdout": "true"}
        assert api.get(address, params=parameters).status_code == 403
        assert api.post(address, params=parameters).status_code == 403

    @pytest.mark.parametrize("kind", ["secrets", "configmaps", "serviceaccounts"])
    @pytest.mark.parametrize("namespace", ["models", "argocd", "kube-system", ""])
    def test_cannot_read_secrets_or_settings(self, api, kind, namespace):
        where = f"/api/v1/namespaces/{namespace}/{kind}" if namespace else f"/api/v1/{kind}"
        assert api.get(where).status_code == 403
        assert api.get(where, params={"watch": "true", "timeoutSeconds": "1"}).status_code == 403
        if namespace:
            assert api.get(f"{where}/anything").status_code == 403

    def test_cannot_act_as_somebody_else(self, api):
        assert (
            api.get(
                "/api/v1/nodes", headers={"Impersonate-User": "quartermaster:admin"}
            ).status_code
            == 403
        )
