"""The real API server with everything installed: who gets in, what it refuses, and that a second
install is quick.

Starts etcd and the API server from the built programs; skipped until `make up` has built them once.
"""

import json
import time
from collections.abc import Iterator

import pytest

from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.connection import connection_from_kubeconfig
from apps.integrations.kubernetes.types import Kind
from apps.manifests import scaling, serving
from deploy.local.cluster import install, kubeconfigs, layout, probes
from deploy.local.cluster.api import ApiError
from deploy.local.stack.part import Context
from tests.local.running import api_as, control_plane_of, missing

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> Iterator[Context]:
    """A running control plane with everything installed."""
    if missing("etcd", "kube-apiserver"):
        pytest.skip("the control plane is not built yet: run make up once")
    with control_plane_of(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def allowed(
    context: Context, client: str, verb: str, resource: str, namespace: str = "models"
) -> bool:
    group, _, name = resource.rpartition("|")
    kind, _, subresource = name.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": kind,
        "subresource": subresource,
        "namespace": namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    with api_as(context, client) as api:
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(api.request("POST", path, json.dumps(review).encode())["status"]["allowed"])


def patiently(read, seconds: float = 60):
    """Return what `read` gives. An API server that has just taken a definition says 429 for it for
    a while.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return read()
        except TemporaryError as error:
            if "429" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.5)


class TestInstall:
    def test_is_quick_the_second_time(self, context):
        began = time.monotonic()
        install.install(context)
        assert time.monotonic() - began < 5

    def test_lets_nobody_in_without_a_certificate(self, context):
        trust = probes.tls(kubeconfigs.authority(context).pair.certificate)
        status, _ = probes.get(
            layout.address(context, "kube-apiserver"), "/api/v1/namespaces", trust
        )
        assert status == 401

    def test_refuses_fields_that_no_kind_has(self, context):
        route = {
            "apiVersion": "aigateway.envoyproxy.io/v1beta1",
            "kind": "AIGatewayRoute",
            "metadata": {"name": "m", "namespace": "models"},
            "spec": {"rules": [], "parentReffs": []},
        }
        with api_as(context) as api:
            path = "/apis/aigateway.envoyproxy.io/v1beta1/namespaces/models/aigatewayroutes?fieldValidation=Strict"  # noqa: E501
            with pytest.raises(ApiError, match="parentReffs"):
                api.request("POST", path, json.dumps(route).encode())


class TestScaledObject:
    def dry_run(self, context, change):
        version = serving.ServedVersion(
            "extract", 7, "extract-v7", "models", "s3://registry/extract/v7/", "sha256:" + "a" * 64,
            serving_class=serving.ServingClass.SCALE_TO_ZERO,
        )  # fmt: skip
        hours = scaling.pre_warm_of("mon-fri 07:30-19:00 America/New_York")
        manifest = scaling.scaled_object(
            version, scaling.Scaling("http://portal.test/v1/scaling", pre_warm=hours)
        )
        change(manifest["spec"])
        path = "/apis/keda.sh/v1alpha1/namespaces/models/scaledobjects?dryRun=All&fieldValidation=Strict"  # noqa: E501
        with api_as(context, "argocd") as api:
            return api.request("POST", path, json.dumps(manifest).encode())

    def test_is_taken_as_rendered(self, context):
        assert self.dry_run(context, lambda spec: None)["spec"]["minReplicaCount"] == 0

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda spec: spec["triggers"][0]["metadata"].update(targetValue=60), "targetValue"),
            (lambda spec: spec.update(minReplicaCount=2), "minReplicaCount"),
            (lambda spec: spec.update(coolDownPeriod=1), "coolDownPeriod"),
        ],
    )
    def test_is_refused_with_what_keda_could_not_use(self, context, change, words):
        with pytest.raises(ApiError, match=words):
            self.dry_run(context, change)


class TestRoles:
    @pytest.mark.parametrize(
        ("client", "verb", "resource", "expected"),
        [
            ("portal", "list", "pods", True),
            ("portal", "watch", "karpenter.sh|nodeclaims", True),
            ("portal", "get", "pods/log", True),
            ("portal", "get", "secrets", False),
            ("portal", "list", "configmaps", False),
            ("portal", "list", "apps|deployments", False),
            ("portal", "create", "pods", False),
            ("portal", "patch", "serving.kserve.io|inferenceservices", False),
            ("portal", "delete", "pods", False),
            ("portal", "create", "pods/exec", False),
            ("portal", "create", "pods/portforward", False),
            ("engineer", "list", "pods", True),
            ("engineer", "get", "pods/log", True),
            ("engineer", "get", "secrets", False),
            ("kubelet", "patch", "pods/status", True),
            ("kubelet", "create", "pods", False),
            ("gateway", "patch", "aigateway.envoyproxy.io|aigatewayroutes/status", True),
            ("gateway", "patch", "aigateway.envoyproxy.io|aigatewayroutes", False),
            ("gateway", "get", "secrets", False),  # none but one by its name
            ("kubelet", "get", "secrets", False),
            ("hook", "patch", "serving.kserve.io|inferenceservices", False),
            ("keda", "patch", "apps|deployments/scale", True),
            ("keda", "patch", "apps|deployments", False),
            ("keda", "get", "secrets", False),
            ("kserve", "list", "keda.sh|scaledobjects", True),
            ("kserve", "create", "keda.sh|scaledobjects", False),
            ("argocd", "patch", "keda.sh|scaledobjects", True),
        ],
    )
    def test_allow_what_they_say(self, context, client, verb, resource, expected):
        assert allowed(context, client, verb, resource) is expected

    def test_keep_logs_of_other_namespaces_from_the_portal(self, context):
        assert not allowed(context, "portal", "get", "pods/log", "kube-system")

    @pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
    def test_let_the_portal_read_each_kind_with_its_own_kubeconfig(self, context, kind):
        connection = connection_from_kubeconfig(layout.kubeconfig(context, "portal"))
        try:
            assert isinstance(
                patiently(lambda: KubernetesReader(lambda: connection).list(kind)), list
            )
        finally:
            connection.close()
