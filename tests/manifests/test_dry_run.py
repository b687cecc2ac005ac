"""Everything rendered and shipped against a real API server with the real CRDs and KServe's
webhooks on.

`dryRun=All` runs validation, CEL rules and admission and stores nothing; `fieldValidation=Strict`
refuses what no field is. Each trap that one of them holds has a test that falls into it.
"""

import copy
import json
from functools import reduce

import pytest
import yaml

from apps.manifests import gateway, serving
from deploy.local.cluster import definitions, kserve
from deploy.local.cluster.api import ApiError
from tests.delivery import chart
from tests.local.running import api_as, control_plane_of, missing, own_context
from tests.manifests.objects import CRDS, GATEWAY, MODEL, VERSION, named, rendered, shipped
from tests.manifests.schemas import LOADER
from tests.manifests.test_capacity import OBJECTS as CAPACITY

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not CRDS.is_dir(), reason="the folder ../shared/crds with the real CRDs is not here"
    ),
]
PROGRAMS = ("etcd", "kube-apiserver", "kserve-manager")
KINDS = (
    "envoy-ai-gateway/*_aigatewayroutes",
    "envoy-ai-gateway/*_aiservicebackends",
    "envoy-ai-gateway/*_backendsecuritypolicies",
    "envoy-gateway/*",
    "gateway-api/*_gateways",
    "gateway-api/*_gatewayclasses",
    "gateway-api/*_httproutes",
    "karpenter/*_nodepools",
    "karpenter/*_nodeclaims",
    "karpenter/*nodeclasses",
    "keda/*_scaledobjects",
    "kserve/*_inferenceservices",
    "kserve/*_servingruntimes",
    "kserve/*_clusterstoragecontainers",
    "argo-cd/*",
)
# the last are of Kubernetes itself, which no definition of ours describes
SOFTWARE = shipped(["deploy/argocd/software/*.yaml"])
# of a namespace that Envoy Gateway's own chart makes
ELSEWHERE = [
    one | {"metadata": one["metadata"] | {"namespace": "ai-gateway"}}
    for one in shipped(["deploy/envoy-gateway/networkpolicy.yaml"])
]
OURS = [*rendered(), *shipped(), *SOFTWARE, *ELSEWHERE, *chart.kept()]
INFERENCE_SERVICE = serving.inference_service(VERSION)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """An API server whose definitions are the vendors' own, with KServe's manager answering its
    webhooks.
    """
    absent = missing(*PROGRAMS)
    if absent:
        pytest.skip(f"not built yet: {', '.join(absent)}; run make up once")
    context = own_context(tmp_path_factory.mktemp("dry-run"))
    with (
        control_plane_of(context.state, context=context, more=kserve.parts(context)),
        api_as(context) as found,
    ):
        for crd in real_definitions():
            found.replace(crd)
        yield found


def real_definitions():
    for pattern in KINDS:
        paths = sorted(CRDS.glob(f"{pattern}.yaml"))
        assert paths, pattern
        for path in paths:
            yield from map(
                definitions.prepared, filter(None, yaml.load_all(path.read_text(), Loader=LOADER))
            )


def dry_run(api, manifest):
    """Return the object as the API server would store it, applied as Argo CD does. Raises ApiError
    where it refuses.
    """
    version, metadata = manifest["apiVersion"], manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    inside = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    query = "dryRun=All&fieldValidation=Strict&fieldManager=argocd-controller&force=true"
    path = f"{root}{inside}/{plural(manifest['kind'])}/{metadata['name']}?{query}"
    return api.request("PATCH", path, json.dumps(manifest).encode(), "application/apply-patch+yaml")


def plural(kind):
    if kind[-1] == "y" and kind[-2] not in "aeiou":
        return kind.lower()[:-1] + "ies"
    return kind.lower() + ("es" if kind.endswith("s") else "s")


def changed(manifest, path, value):
    """Return a copy with one value put at `a.b.0.c`."""
    made = copy.deepcopy(manifest)
    *way, last = (int(word) if word.isdecimal() else word for word in path.split("/"))
    reduce(lambda found, key: found[key], way, made)[last] = value
    return made


def added(stored, rendered_, path=""):
    """Yield the paths that are stored and were not rendered, below what was."""
    if isinstance(stored, dict) and isinstance(rendered_, dict):
        for key, value in stored.items():
            yield from (
                added(value, rendered_[key], f"{path}/{key}")
                if key in rendered_
                else [f"{path}/{key}"]
            )
    elif isinstance(stored, list) and isinstance(rendered_, list):
        assert len(stored) == len(rendered_), path
        for position, (left, right) in enumerate(zip(stored, rendered_, strict=True)):
            yield from added(left, right, f"{path}/{position}")
    else:
        assert stored == rendered_, path


class TestEverything:
    @pytest.mark.parametrize("manifest", OURS, ids=named)
    def test_is_taken_as_it_is(self, api, manifest):
        stored = dry_run(api, manifest)
        assert stored["metadata"]["name"] == manifest["metadata"]["name"]
        list(added(stored, manifest))  # and nothing of it was changed

    @pytest.mark.parametrize("manifest", OURS, ids=named)
    def test_has_no_field_that_would_be_dropped(self, api, manifest):
        part = "spec" if "spec" in manifest else "metadata"
        with pytest.raises(ApiError, match="surprise"):
            dry_run(api, changed(manifest, f"{part}/surprise", 1))


class TestInferenceService:
    def test_gets_nothing_that_argo_cd_would_see_as_drift(self, api):
        """KServe's defaulter adds to what Argo CD applies. It changes nothing that Git sets, so
        nothing is ignored.
        """
        stored = dry_run(api, INFERENCE_SERVICE)
        found = set(added(stored, INFERENCE_SERVICE))
        assert "/metadata/annotations/modelFormat" in found
        assert {path for path in found if path.startswith("/spec")} == {
            "/spec/predictor/model/name"
        }
        assert stored["spec"]["predictor"]["model"]["name"] == ""

    @pytest.mark.parametrize(
        ("path", "value", "words"),
        [
            ("spec/predictor/model/name", "m", "name"),
            ("metadata/name", "7b", "name"),
            ("metadata/annotations/serving.kserve.io~autoscalerClass", "fast", "autoscaler"),
            ("spec/predictor/minReplicas", 2, "replicas"),
            ("spec/predictor/model/resources/limits/memory", "much", "quantity|pattern|match"),
        ],
    )
    def test_a_trap_is_refused(self, api, path, value, words):
        broken = changed(INFERENCE_SERVICE, path, value)
        annotations = broken["metadata"]["annotations"]
        broken["metadata"]["annotations"] = {
            key.replace("~", "/"): found for key, found in annotations.items()
        }
        with pytest.raises(ApiError, match=f"(?i){words}"):
            dry_run(api, broken)


class TestGateway:
    def test_a_service_is_no_backend(self, api):
        service, _ = gateway.backend_objects(model=MODEL, number=7)
        with pytest.raises(ApiError, match="Backend"):
            dry_run(
                api,
                changed(
                    service,
                    "spec/backendRef",
                    {"name": "m", "kind": "Service", "group": "", "port": 80},
                ),
            )

    def test_a_route_has_at_most_fifteen_rules(self, api):
        made = gateway.route(model=MODEL, weights=[gateway.Weight(7, 100)], **GATEWAY)
        assert dry_run(api, changed(made, "spec/rules", made["spec"]["rules"] * 15))
        with pytest.raises(ApiError, match="15"):
            dry_run(api, changed(made, "spec/rules", made["spec"]["rules"] * 16))

    @pytest.mark.parametrize(
        "endpoint",
        [
            {"ip": {"address": "10.0.0.7", "port": 80}},
            {"fqdn": {"hostname": "10.0.0.7", "port": 80}},
        ],
        ids=["ip", "hostname"],
    )
    def test_an_address_would_be_taken_so_rendering_refuses_it(self, api, endpoint):
        _, backend = gateway.backend_objects(model=MODEL, number=7)
        assert dry_run(api, changed(backend, "spec/endpoints", [endpoint]))
        with pytest.raises(gateway.BadRoute):
            gateway.backend_objects(model=MODEL, number=7, hostname="10.0.0.7")


class TestCapacity:
    @pytest.mark.parametrize("manifest", CAPACITY, ids=named)
    def test_is_taken_as_it_is(self, api, manifest):
        list(added(dry_run(api, manifest), manifest))

    @pytest.mark.parametrize(
        ("path", "value", "words"),
        [
            ("template/spec/nodeClassRef", {"name": "gpu-bottlerocket"}, "group"),
            (
                "template/spec/requirements",
                [{"key": "karpenter.k8s.aws/gpu", "operator": "Exists"}],
                "restricted",
            ),
            (
                "template/spec/requirements",
                [{"key": "karpenter.sh/nodepool", "operator": "Exists"}],
                "restricted",
            ),
            ("disruption", {"budgets": [{"nodes": "1"}]}, "consolidateAfter"),
            ("disruption/budgets", [{"nodes": "1", "schedule": "0 12 * * *"}], "must be set with"),
            ("disruption/consolidateAfter", "2 minutes", "consolidateAfter"),
            ("expireAfter", "720h", "expireAfter"),
        ],
    )
    def test_a_trap_is_refused(self, api, path, value, words):
        with pytest.raises(ApiError, match=words):
            dry_run(api, changed(CAPACITY[0], f"spec/{path}", value))
