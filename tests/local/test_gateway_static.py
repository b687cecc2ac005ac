"""The static production objects and what the stand's policies look like, against the real CRDs."""

import functools
from pathlib import Path

import jsonschema
import pytest
import yaml

from deploy.local.gateway.objects import read_folder
from tests.local.gateway_objects import policy, route, version
from tests.local.gateway_stand import ROOT

CRDS = Path(__file__).parents[3] / "shared" / "crds"
CONTRACT_KEYS = {
    *(
        "x-request-id",
        "start_time",
        "response_code",
        "response_flags",
        "response_code_details",
        "duration",
        "path",
    ),
    *("team", "cost_center", "user_id", "route_name", "upstream_cluster", "upstream_host"),
    *("gen_ai.request.model", "gen_ai.response.model", "gen_ai.request.model_override"),
    *("gen_ai.provider.name", "gen_ai.backend", "gen_ai.latency.ttft_ms"),
    *("gen_ai.usage.input_tokens", "gen_ai.usage.cached_input_tokens"),
    *("gen_ai.usage.output_tokens", "gen_ai.usage.total_tokens"),
    *("gate.basis", "gate.verdict", "gate.usage.completeness", "gate.usage.input_tokens"),
    *("gate.usage.cached_input_tokens", "gate.usage.output_tokens"),
}
FOUND = read_folder(ROOT / "deploy" / "gateway")
STATIC = {obj["kind"]: obj for obj in FOUND}


@functools.cache
def schema_of(api_version, kind):
    """The kind's schema in its CRD, unknown fields forbidden as a strict API server does."""
    group, version = api_version.split("/")
    for path in CRDS.glob(f"*/{group}_*.yaml"):
        if f"    kind: {kind}\n" not in path.read_text():
            continue
        # safe, and ten times faster
        crd = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["spec"]  # noqa: S506
        if crd["names"]["kind"] == kind:
            (entry,) = [entry for entry in crd["versions"] if entry["name"] == version]
            schema = _closed(entry["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            return schema
    raise LookupError(kind)


def _closed(schema):
    if isinstance(schema, list):
        return [_closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if (
        "properties" in closed
        and closed.get("type") == "object"
        and "additionalProperties" not in closed
    ):
        closed["additionalProperties"] = False
    return closed


def check(obj):
    """Fail where the real API server would refuse the object for its shape."""
    jsonschema.Draft202012Validator(schema_of(obj["apiVersion"], obj["kind"])).validate(obj)


needs_crds = pytest.mark.skipif(not CRDS.exists(), reason="the real CRDs are not on this machine")


@needs_crds
class TestStaticObjects:
    @pytest.mark.parametrize(
        "obj", FOUND, ids=lambda obj: f"{obj['kind']}-{obj['metadata']['name']}"
    )
    def test_have_the_shape_of_the_real_kinds(self, obj):
        check(obj)

    def test_that_are_wrong_are_noticed(self):
        with pytest.raises(jsonschema.ValidationError):
            check({**STATIC["Gateway"], "spec": {**STATIC["Gateway"]["spec"], "lisssteners": []}})

    def test_of_the_tests_have_the_shape_of_the_real_kinds(self):
        groups = {"AIGatewayRoute": "aigateway.envoyproxy.io/v1beta1"}
        groups["AIServiceBackend"] = groups["AIGatewayRoute"]
        for obj in (route("m", {"m-v1": 1}), *policy("m", {"a": 1}), *version("m-v1")):
            check({"apiVersion": groups.get(obj["kind"], "gateway.envoyproxy.io/v1alpha1"), **obj})


class TestEnvoyGatewaysOwnSettings:
    def test_have_what_the_objects_need(self):
        """Backends, Envoy AI Gateway's hooks and a store for the limits are off unless they are
        asked for.
        """
        config = yaml.safe_load((ROOT / "deploy" / "envoy-gateway" / "values.yaml").read_text())[
            "config"
        ]["envoyGateway"]
        assert config["extensionApis"]["enableBackend"] is True
        hooks = config["extensionManager"]["hooks"]["xdsTranslator"]
        assert set(hooks["post"]) == {"Translation", "Cluster", "Route"}
        assert all(each == {"includeAll": True} for each in hooks["translation"].values())
        assert config["rateLimit"]["failClosed"] is True
        assert (
            config["gateway"]["controllerName"] == STATIC["GatewayClass"]["spec"]["controllerName"]
        )


class TestOverTls:
    """The Gateway that stands in the place of the local stack's on EKS."""

    @pytest.fixture
    def secured(self):
        (found,) = read_folder(ROOT / "deploy" / "gateway" / "tls")
        return found

    @needs_crds
    def test_has_the_shape_of_the_real_kind(self, secured):
        check(secured)

    def test_listens_for_nothing_in_plain_text(self, secured):
        (listener,) = secured["spec"]["listeners"]
        assert (listener["protocol"], listener["port"]) == ("HTTPS", 443)
        assert listener["tls"]["mode"] == "Terminate"
        (certificate,) = listener["tls"]["certificateRefs"]
        assert certificate["kind"] == "Secret"
        # without a hostname cert-manager has nothing to ask a certificate for
        assert listener["hostname"]
        assert secured["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]

    def test_takes_the_same_routes_under_the_same_policies(self, secured):
        plain = STATIC["Gateway"]
        for place in ("namespace", "name"):
            assert secured["metadata"][place] == plain["metadata"][place]
        ours, theirs = secured["spec"], plain["spec"]
        assert ours["gatewayClassName"] == theirs["gatewayClassName"]
        assert ours["infrastructure"]["parametersRef"] == theirs["infrastructure"]["parametersRef"]
        (first,), (second,) = ours["listeners"], theirs["listeners"]
        assert first["allowedRoutes"] == second["allowedRoutes"]


class TestTheGate:
    def test_is_attached_once_to_the_gateway_and_never_fails_open(self):
        """At a route, the gate of any route but the oldest would never be asked."""
        policies = [obj for obj in FOUND if obj["kind"] == "EnvoyExtensionPolicy"]
        (policy,) = policies
        (target,) = policy["spec"]["targetRefs"]
        assert (target["kind"], target["name"]) == (
            "Gateway",
            STATIC["Gateway"]["metadata"]["name"],
        )
        (gate,) = policy["spec"]["extProc"]
        assert (gate["failOpen"], gate["statusOnError"]) == (False, 502)
        assert gate["processingMode"] == {
            "request": {"body": "Buffered"},
            "response": {"body": "Buffered"},
            "allowModeOverride": True,
        }

    def test_comes_after_the_grants_where_an_anchor_always_is(self):
        """An anchor that no route has is skipped without a word; closed-by-default is on all."""
        order = STATIC["EnvoyProxy"]["spec"]["filterOrder"]
        assert order[1] == {
            "name": "envoy.filters.http.ext_proc",
            "after": "envoy.filters.http.rbac",
        }
        assert STATIC["SecurityPolicy"]["spec"]["authorization"] == {"defaultAction": "Deny"}

    def test_has_a_buffer_for_every_body_that_a_client_may_send(self):
        (gate,) = STATIC["EnvoyExtensionPolicy"]["spec"]["extProc"]
        taken = STATIC["ClientTrafficPolicy"]["spec"]["connection"]["bufferLimit"]
        assert gate["backendSettings"]["connection"]["bufferLimit"] == taken

    def test_is_never_what_carries_the_fewest_calls(self):
        """Each has a stream to it while it lasts, and 1,024 is what every way has by default."""
        (gate,) = STATIC["EnvoyExtensionPolicy"]["spec"]["extProc"]
        assert min(gate["backendSettings"]["circuitBreaker"].values()) > 1024


class TestAccessLog:
    def test_has_exactly_the_keys_that_usage_is_counted_from(self):
        (setting,) = STATIC["EnvoyProxy"]["spec"]["telemetry"]["accessLog"]["settings"]
        assert set(setting["format"]["json"]) == CONTRACT_KEYS

    def test_needs_no_service_for_the_gateway_to_be_accepted(self):
        """Without the Service, Envoy Gateway refuses the Gateway and writes no access log at all:
        nobody is charged.
        """
        (setting,) = STATIC["EnvoyProxy"]["spec"]["telemetry"]["accessLog"]["settings"]
        (ref,) = next(
            sink["openTelemetry"] for sink in setting["sinks"] if "openTelemetry" in sink
        )["backendRefs"]
        backend = next(obj for obj in FOUND if obj["metadata"]["name"] == "otel-collector")
        assert (ref["group"], ref["kind"], ref["name"]) == (
            "gateway.envoyproxy.io",
            "Backend",
            "otel-collector",
        )
        assert backend["metadata"] == {
            "name": ref["name"],
            "namespace": STATIC["EnvoyProxy"]["metadata"]["namespace"],
        }
        assert [set(endpoint) for endpoint in backend["spec"]["endpoints"]] == [{"fqdn"}]

    def test_carries_nothing_of_the_prompt(self):
        (setting,) = STATIC["EnvoyProxy"]["spec"]["telemetry"]["accessLog"]["settings"]
        for form in setting["format"]["json"].values():
            assert not form.startswith(("%REQ(AUTHORIZATION", "%REQ_BODY", "%RESP_BODY"))
