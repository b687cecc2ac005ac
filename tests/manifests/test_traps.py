"""What the vendors' systems accept and then do something else with: one test per trap that
rendering has to avoid.

Each is a fact of their releases (KServe 0.20, Envoy AI Gateway 1.1, Envoy Gateway 1.9, KEDA 2.20,
Argo CD 3.5); Karpenter's are in test_karpenter_traps.py; what a schema or a webhook refuses by
itself is in test_rendering.py and test_dry_run.py.
"""

import base64
import json
import re
from dataclasses import replace

import pytest
import yaml
from cel_expr_python import cel

from apps.manifests import gateway, names, scaling, serving
from apps.manifests.names import (
    ENGINE_KEY,
    ENGINE_KEY_FORMER,
    ENGINE_KEY_NEXT,
    ENGINE_KEY_SHOWN,
    EVALS,
    MODELS,
)
from apps.manifests.serving_settings import TUNABLE, ServingSettings
from deploy.local.cluster import engine_key
from deploy.local.gateway import keys
from tests.local.cluster_context import cluster_context
from tests.manifests.objects import (
    ANSWERS,
    GATEWAY,
    ISSUER,
    LARGE,
    MODEL,
    OFFICE_HOURS,
    ROOT,
    SCALING,
    SLEEPER,
    VERSION,
    named,
    rendered,
    shipped,
)

SERVICE = serving.inference_service(VERSION)
PREDICTOR = SERVICE["spec"]["predictor"]
ACCOUNTS = serving.service_accounts(MODEL)
RUNTIME = serving.serving_runtime("models", "vllm/vllm-openai:v0.32.0")
OWN_RUNTIME = serving.serving_runtime("models", "vllm/vllm-openai:v0.32.0", name=VERSION.name)
ENGINE = RUNTIME["spec"]["containers"][0]
ROUTE = gateway.route(
    model=MODEL, weights=[gateway.Weight(7, 90), gateway.Weight(6, 10)], **GATEWAY
)
SCALED = scaling.scaled_object(SLEEPER, replace(SCALING, pre_warm=OFFICE_HOURS))
STORED = {
    "InferenceService": "serving.kserve.io/v1beta1",
    "ServingRuntime": "serving.kserve.io/v1alpha1",
    "ServiceAccount": "v1",
    "AIGatewayRoute": "aigateway.envoyproxy.io/v1beta1",
    "AIServiceBackend": "aigateway.envoyproxy.io/v1beta1",
    "Backend": "gateway.envoyproxy.io/v1alpha1",
    "SecurityPolicy": "gateway.envoyproxy.io/v1alpha1",
    "BackendTrafficPolicy": "gateway.envoyproxy.io/v1alpha1",
    "ScaledObject": "keda.sh/v1alpha1",
    "BackendSecurityPolicy": "aigateway.envoyproxy.io/v1beta1",
}
BACKEND_SERVICE, BACKEND = gateway.backend_objects(model=MODEL, number=7)


def option(argument):
    return argument.partition("=")[0]


def found(kind, name):
    return next(
        item for item in shipped() if (item["kind"], item["metadata"]["name"]) == (kind, name)
    )


class TestEverything:
    @pytest.mark.parametrize("manifest", rendered(), ids=named)
    def test_is_written_in_the_version_that_is_stored(self, manifest):
        """An older one that is still served comes back changed, which Argo CD would see as drift
        for ever.
        """
        assert manifest["apiVersion"] == STORED[manifest["kind"]]

    @pytest.mark.parametrize("manifest", rendered(), ids=named)
    def test_has_no_status(self, manifest):
        assert "status" not in manifest


class TestInferenceService:
    def test_names_a_runtime_that_serves_its_format_and_protocol(self):
        """A format that no runtime lists exactly is InvalidSpec; so is a protocol: the webhook's
        default is v2.
        """
        model, spec = PREDICTOR["model"], RUNTIME["spec"]
        assert model["runtime"] == RUNTIME["metadata"]["name"]
        listed = [(each["name"], each["version"]) for each in spec["supportedModelFormats"]]
        assert (model["modelFormat"]["name"], model["modelFormat"]["version"]) in listed
        assert model["protocolVersion"] in spec["protocolVersions"]

    def test_chooses_among_several_runtimes_by_name_alone(self):
        """KServe's webhook refuses a second runtime that may be chosen by itself with the same
        priority; a runtime that is named needs neither.
        """
        own = serving.inference_service(replace(VERSION, runtime=VERSION.name))
        assert own["spec"]["predictor"]["model"]["runtime"] == OWN_RUNTIME["metadata"]["name"]
        for runtime in (RUNTIME, OWN_RUNTIME):
            (listed,) = runtime["spec"]["supportedModelFormats"]
            assert not {"autoSelect", "priority"} & set(listed)

    def test_runs_as_the_account_that_may_read_the_weights(self):
        """Without one the pod is the namespace's default account, which has no role."""
        assert {
            account["metadata"]["namespace"]
            for account in ACCOUNTS
            if account["metadata"]["name"] == PREDICTOR["serviceAccountName"]
        } == {"models", "evals"}

    def test_asks_for_a_gpu_with_memory_and_processor(self):
        """Resources that it leaves out stay the runtime's 2 GiB; without a GPU the image becomes
        another one.
        """
        for kind in ("requests", "limits"):
            asked = PREDICTOR["model"]["resources"][kind]
            assert set(asked) >= {"cpu", "memory", serving.GPU}
            assert int(asked[serving.GPU]) >= 1
            assert asked["memory"] != ENGINE["resources"]["limits"]["memory"]

    def test_splits_the_model_over_as_many_gpus_as_it_asks_for(self):
        for gpus in (1, 4):
            wanted = ServingSettings(gpus=gpus, tensor_parallelism=gpus)
            version = replace(VERSION, settings=wanted)
            model = serving.inference_service(version)["spec"]["predictor"]["model"]
            assert f"--tensor-parallel-size={gpus}" in model["args"]
            assert model["resources"]["limits"][serving.GPU] == str(gpus)

    def test_waits_longer_than_it_drains(self):
        """The grace period covers the preStop hook too; at its end the kubelet kills what still
        answers.
        """
        spec = serving.inference_service(LARGE)["spec"]["predictor"]
        runtime = serving.serving_runtime("models", "i:v1", settings=LARGE.settings)
        (engine,) = runtime["spec"]["containers"]
        (drains,) = (each for each in spec["model"]["args"] if "--shutdown-timeout" in each)
        takes = int(drains.partition("=")[2]) + engine["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] > takes

    def test_is_never_spot_whatever_its_machines(self):
        """Two terms would be alternatives; the expressions of one hold together."""
        chosen = serving.inference_service(LARGE)["spec"]["predictor"]["affinity"]["nodeAffinity"]
        (term,) = chosen["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert [each["key"] for each in term["matchExpressions"]] == [
            "karpenter.sh/capacity-type",
            "node.kubernetes.io/instance-type",
        ]

    @pytest.mark.parametrize(
        ("version", "scaler"), [(VERSION, "none"), (SLEEPER, "external"), (LARGE, "external")]
    )
    def test_has_one_autoscaler(self, version, scaler):
        """KServe's own would fight KEDA's; with none of both it keeps minReplicas."""
        made = serving.inference_service(version)["metadata"]["annotations"]
        assert made["serving.kserve.io/autoscalerClass"] == scaler

    def test_gives_no_argument_that_the_runtime_gives(self):
        """Arguments of both are put one after the other: the same one twice would depend on the
        order.
        """
        given = [option(argument) for argument in [*ENGINE["args"], *PREDICTOR["model"]["args"]]]
        assert len(given) == len(set(given))

    def test_leaves_the_image_to_the_runtime(self):
        """runtimeVersion would replace the pinned tag."""
        assert "runtimeVersion" not in PREDICTOR["model"]
        assert re.search(r"(:v?\d+\.\d+|@sha256:[0-9a-f]{64}$)", ENGINE["image"])

    def test_keeps_the_names_that_everything_else_counts_on(self):
        """predictor.name would rename the Service and model.name the container."""
        assert "name" not in PREDICTOR
        assert "name" not in PREDICTOR["model"]
        assert ENGINE["name"] == "kserve-container"
        host = BACKEND["spec"]["endpoints"][0]["fqdn"]["hostname"]
        assert host.split(".")[0] == f"{SERVICE['metadata']['name']}-predictor"

    def test_fits_a_dns_label_with_the_suffix(self):
        longest = "m" * names.LONGEST
        assert names.checked(longest) == longest
        assert len(f"{longest}-predictor") == 63

    def test_scales_by_no_metric_of_its_own(self):
        """In Standard mode scaleMetric without an autoscaler's class makes one without metrics, and
        nobody says so.
        """
        assert not {"scaleMetric", "scaleTarget", "autoScaling"} & set(PREDICTOR)
        assert "serving.kserve.io/autoscalerClass" in SERVICE["metadata"]["annotations"]

    def test_says_how_many_replicas_there_may_be(self):
        """maxReplicas left out or 0 is no limit; minReplicas left out is 1 in every mode."""
        assert PREDICTOR["maxReplicas"] >= 1
        assert "minReplicas" in PREDICTOR

    def test_splits_no_traffic_by_itself(self):
        """canaryTrafficPercent is ignored in Standard mode, spec.canary starts pods that nobody
        reaches in 0.20.
        """
        assert set(SERVICE["spec"]) == {"predictor"}
        assert "canaryTrafficPercent" not in PREDICTOR

    def test_uses_the_present_name_of_its_mode(self):
        """The aliases are rewritten by the webhook, which would be drift; without one the cluster's
        default decides.
        """
        assert SERVICE["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] in (
            "Standard",
            "Knative",
        )
        assert "serving.kserve.io/stop" not in SERVICE["metadata"]["annotations"]

    def test_loads_from_one_place_that_is_a_folder(self):
        assert PREDICTOR["model"]["storageUri"].endswith("/")
        assert "storageUris" not in PREDICTOR


class TestServingRuntime:
    def test_gives_a_large_model_half_an_hour_to_load(self):
        """Kubernetes' own start-up probe would kill it after 30 s, and start it again for ever."""
        probe = ENGINE["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 30 * 60
        assert (
            ENGINE["readinessProbe"]["httpGet"]
            == ENGINE["livenessProbe"]["httpGet"]
            == probe["httpGet"]
        )

    def test_has_memory_that_processes_share(self):
        """A container's /dev/shm has 64 MiB: NCCL fails over several GPUs."""
        mounts = {mount["mountPath"]: mount["name"] for mount in ENGINE["volumeMounts"]}
        volumes = {volume["name"]: volume["emptyDir"] for volume in RUNTIME["spec"]["volumes"]}
        assert volumes[mounts["/dev/shm"]]["medium"] == "Memory"  # noqa: S108 (in the container)

    def test_serves_where_kserve_puts_the_weights_and_the_service_looks(self):
        """The storage initializer fills /mnt/models; the Service's port 80 leads to 8080."""
        assert {"--model=/mnt/models", "--port=8080"} <= set(ENGINE["args"])
        assert [port["containerPort"] for port in ENGINE["ports"]] == [8080]

    def test_never_asks_the_internet(self):
        assert {"name": "HF_HUB_OFFLINE", "value": "1"} in ENGINE["env"]


class TestEngineKey:
    """An engine takes no call without a key, and no manifest holds one."""

    def test_comes_from_the_secret_by_variables_that_the_kubelet_fills_in(self):
        args = ENGINE["args"]
        shown = args[args.index("--api-key") + 1 :]
        assert shown == ["$(ENGINE_KEY)", "$(ENGINE_KEY_FORMER)", "$(ENGINE_KEY_NEXT)"]
        from_secret = {
            entry["name"]: entry["valueFrom"]["secretKeyRef"]
            for entry in ENGINE["env"]
            if "valueFrom" in entry
        }
        assert from_secret == {
            "ENGINE_KEY": {"name": "engine-key", "key": "apiKey"},
            "ENGINE_KEY_FORMER": {"name": "engine-key", "key": "formerKey"},
            "ENGINE_KEY_NEXT": {"name": "engine-key", "key": "nextKey"},
        }

    def test_is_followed_by_nothing_that_would_be_taken_for_a_key(self):
        """KServe puts a version's own arguments behind the runtime's."""
        assert PREDICTOR["model"]["args"][0].startswith("--")

    def test_can_be_set_by_no_proposal(self):
        assert not {"--api-key", "--middleware", "--root-path"} & TUNABLE

    def test_is_shown_by_the_gateway_to_the_engine_of_that_version(self):
        policy = gateway.key_policy(model=MODEL, number=7)
        assert policy["spec"]["targetRefs"] == [
            {
                "group": "aigateway.envoyproxy.io",
                "kind": "AIServiceBackend",
                "name": BACKEND_SERVICE["metadata"]["name"],
            }
        ]
        assert policy["spec"]["apiKey"] == {"secretRef": {"name": "engine-key"}}
        assert policy["metadata"]["namespace"] == BACKEND_SERVICE["metadata"]["namespace"]

    def test_has_one_name_in_the_product_and_in_the_local_cluster(self):
        names = (ENGINE_KEY, ENGINE_KEY_SHOWN, ENGINE_KEY_FORMER, ENGINE_KEY_NEXT)
        assert names == (engine_key.NAME, engine_key.SHOWN, engine_key.FORMER, engine_key.NEXT)
        assert engine_key.NAMESPACES == (MODELS, EVALS)
        assert keys.IN_SECRET == ENGINE_KEY_SHOWN

    def test_comes_to_a_cluster_in_one_secret_for_each_namespace(self):
        text = (ROOT / "deploy/vault/engine-key.yaml").read_text()
        brought = list(yaml.safe_load_all(text))
        assert [one["metadata"]["namespace"] for one in brought] == [MODELS, EVALS]
        for one in brought:
            assert one["spec"]["target"]["name"] == ENGINE_KEY
            fields = [entry["secretKey"] for entry in one["spec"]["data"]]
            assert fields == [ENGINE_KEY_SHOWN, ENGINE_KEY_FORMER, ENGINE_KEY_NEXT]
            place = f"engine-key/{one['metadata']['namespace']}"
            sources = [entry["remoteRef"] for entry in one["spec"]["data"]]
            assert sources == [{"key": place, "property": field} for field in fields]

    def test_is_hexadecimal_locally_and_another_one_in_each_namespace(self, tmp_path):
        made = engine_key.objects(cluster_context(tmp_path))
        values = [
            base64.b64decode(secret["data"][key]).decode()
            for secret in made
            for key in ("apiKey", "nextKey")
        ]
        assert len(set(values)) == 4
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in values)
        assert [secret["data"]["formerKey"] for secret in made] == ["", ""]
        assert made == engine_key.objects(cluster_context(tmp_path))  # kept until it is rotated


class TestLoader:
    """deploy/ may not import the renderers, nor they deploy/: here both are held together."""

    SPEC = found("ClusterStorageContainer", serving.LOADER)["spec"]
    CONTAINER = SPEC["container"]
    ENV = {item["name"]: item for item in CONTAINER["env"]}

    def test_is_the_one_that_every_version_names(self):
        """A loader that KServe chooses by itself is whichever claims s3:// first."""
        assert PREDICTOR["storageContainerName"] == serving.LOADER
        prefixes = [item["prefix"] for item in self.SPEC["supportedUriFormats"]]
        assert PREDICTOR["model"]["storageUri"].startswith(tuple(prefixes))
        assert "s3://" not in prefixes, "it would claim everybody's models"
        assert self.SPEC["workloadType"] == "initContainer"

    def test_is_told_what_was_approved_by_the_pod_itself(self):
        path = f"metadata.annotations['{names.DIGEST_ANNOTATION}']"
        field = self.ENV["APPROVED_DIGEST"]["valueFrom"]["fieldRef"]
        assert field["fieldPath"] == path
        assert names.DIGEST_ANNOTATION in SERVICE["metadata"]["annotations"]

    def test_is_told_whom_to_trust_by_nothing_that_lives_in_a_namespace_of_models(self):
        """Whoever may change a ConfigMap there would decide whose signature counts."""
        assert self.ENV["TRUSTED_KEYS"].keys() == {"name", "value"}
        assert "envFrom" not in self.CONTAINER

    def test_speaks_through_the_file_that_the_cluster_reads(self):
        """KServe's default adds the log's end where the file is empty: that is no measurement."""
        assert self.CONTAINER["name"] == "storage-initializer"
        assert self.CONTAINER["terminationMessagePolicy"] == "File"
        assert "terminationMessagePath" not in self.CONTAINER

    def test_is_pinned_and_may_nothing(self):
        assert re.search(r"@sha256:[0-9a-f]{64}$", self.CONTAINER["image"])
        rights = self.CONTAINER["securityContext"]
        assert rights["runAsNonRoot"] and rights["runAsUser"] > 0
        assert rights["readOnlyRootFilesystem"]
        assert not rights["allowPrivilegeEscalation"]
        assert rights["capabilities"] == {"drop": ["ALL"]}


class TestScaledObject:
    def test_scales_only_what_kserve_leaves_alone(self):
        """Under any other class KServe's own autoscaler fights it; in Knative mode nothing may
        scale the Deployment.
        """
        annotations = serving.inference_service(SLEEPER)["metadata"]["annotations"]
        assert annotations["serving.kserve.io/autoscalerClass"] == "external"
        assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
        assert SCALED["spec"]["scaleTargetRef"]["name"] == f"{SLEEPER.name}-predictor"

    def test_is_the_only_one_of_its_workload(self):
        """A second ScaledObject on one Deployment is refused: it is named as the version, like all
        that serves it.
        """
        assert SCALED["metadata"]["name"] == SLEEPER.name

    def test_wakes_by_what_is_counted_while_nothing_runs(self):
        """The engine's own gauges are gone with the last replica, so the portal counts calls at the
        gateway.
        """
        demand = SCALED["spec"]["triggers"][0]
        assert demand["type"] == "metrics-api"
        assert float(demand["metadata"]["activationTargetValue"]) == 0

    def test_may_fall_back(self):
        """KEDA allows `fallback` with AverageValue alone."""
        several = scaling.scaled_object(LARGE, SCALING)
        triggers = [*SCALED["spec"]["triggers"], *several["spec"]["triggers"]]
        assert {item["metricType"] for item in triggers if item["type"] != "cron"} == {
            "AverageValue"
        }

    def test_may_reach_zero_and_no_more_than_its_limit(self):
        """maxReplicaCount left out is 100; minReplicaCount above it is refused."""
        spec = SCALED["spec"]
        assert (
            0 == spec["minReplicaCount"] < spec["maxReplicaCount"] == SLEEPER.settings.replicas_most
        )

    def test_has_whole_hours(self):
        """A cron trigger needs all four, a start that is not the end, and at least one replica."""
        hours = SCALED["spec"]["triggers"][1]["metadata"]
        assert set(hours) == {"timezone", "start", "end", "desiredReplicas"}
        assert hours["start"] != hours["end"]
        assert int(hours["desiredReplicas"]) >= 1

    def test_is_not_paused(self):
        """Any autoscaling.keda.sh annotation counts as true where it cannot be read."""
        assert not any(
            "autoscaling.keda.sh" in key for key in SCALED["metadata"].get("annotations", {})
        )


class TestRoute:
    def test_is_one_rule_however_many_versions_there_are(self):
        """The gateway adds a rule of its own to at most 15, and each rule would need its own name
        of the model.
        """
        shares = [gateway.Weight(number, 50) for number in (1, 2)]
        assert len(gateway.route(model=MODEL, weights=shares, **GATEWAY)["spec"]["rules"]) == 1
        many = [gateway.Weight(number, 100 if number == 1 else 0) for number in range(1, 17)]
        with pytest.raises(gateway.BadRoute):
            gateway.route(model=MODEL, weights=many, **GATEWAY)

    def test_gives_every_backend_a_weight(self):
        """A weight left out is 1, not 0."""
        for weights in ([gateway.Weight(7, 100), gateway.Weight(6, 0)], [gateway.Weight(7, 100)]):
            made = gateway.route(model=MODEL, weights=weights, **GATEWAY)
            assert all("weight" in each for each in made["spec"]["rules"][0]["backendRefs"])

    def test_calls_each_version_by_the_name_that_its_engine_serves(self):
        """The engine serves the InferenceService's own name; the model's would be 404 there."""
        assert "--served-model-name={{.Name}}" in ENGINE["args"]
        first = ROUTE["spec"]["rules"][0]["backendRefs"][0]
        assert first["modelNameOverride"] == first["name"] == SERVICE["metadata"]["name"]

    def test_matches_the_model_exactly_and_by_no_path(self):
        """Only exact matches are listed by GET /v1/models; the header is made from the body, so a
        client sets none.
        """
        (rule,) = ROUTE["spec"]["rules"]
        assert rule["matches"] == [
            {"headers": [{"type": "Exact", "name": "x-ai-eg-model", "value": MODEL}]}
        ]
        removed = found("ClientTrafficPolicy", "ai-gateway")["spec"]["headers"][
            "earlyRequestHeaders"
        ]["remove"]
        assert {"x-ai-eg-model", "x-ai-eg-original-path"} <= set(removed)

    def test_gives_an_answer_more_than_the_default_minute(self):
        assert int(ROUTE["spec"]["rules"][0]["timeouts"]["request"].removesuffix("s")) > 60

    def test_counts_every_number_that_is_priced_or_limited(self):
        """A metadata key that no cost writes is null in the access log, and a limit on it never
        fills.
        """
        written = {cost["metadataKey"] for cost in ROUTE["spec"]["llmRequestCosts"]}
        log = yaml.safe_dump(found("EnvoyProxy", "ai-gateway"))
        assert set(re.findall(r"io\.envoy\.ai_gateway:(llm_\w+)", log)) <= written
        policy = gateway.traffic_policy(
            model=MODEL, limits=[gateway.TeamLimit("a", 1)], answers=ANSWERS
        )
        (rule,) = policy["spec"]["rateLimit"]["global"]["rules"]
        assert rule["cost"]["response"]["metadata"]["key"] in written
        assert len(ROUTE["spec"]["llmRequestCosts"]) <= 36


class TestBackend:
    def test_is_of_the_only_kind_that_the_gateway_takes(self):
        assert BACKEND_SERVICE["spec"]["backendRef"] == {
            "name": BACKEND["metadata"]["name"],
            "kind": "Backend",
            "group": "gateway.envoyproxy.io",
        }

    def test_speaks_openai_where_vllm_does(self):
        """KServe's own server has the API under /openai/v1; vLLM's is under /v1."""
        assert BACKEND_SERVICE["spec"]["schema"] == {"name": "OpenAI", "prefix": "/v1"}

    def test_carries_no_address(self):
        (endpoint,) = BACKEND["spec"]["endpoints"]
        assert set(endpoint) == {"fqdn"}


class TestPolicies:
    def test_point_at_the_route_that_the_gateway_makes_in_their_own_namespace(self):
        security = gateway.security_policy(model=MODEL, issuer=ISSUER, teams=["a"])
        traffic = gateway.traffic_policy(
            model=MODEL, limits=[gateway.TeamLimit("a", 1)], answers=ANSWERS
        )
        for policy in (security, traffic):
            assert policy["metadata"]["namespace"] == ROUTE["metadata"]["namespace"]
            (target,) = policy["spec"]["targetRefs"]
            assert (target["kind"], target["name"]) == ("HTTPRoute", ROUTE["metadata"]["name"])
            assert "targetRef" not in policy["spec"]

    def test_let_nobody_in_without_a_token(self):
        """`optional` lets calls without a token pass; `failOpen` lets bad ones pass."""
        spec = gateway.security_policy(model=MODEL, issuer=ISSUER, teams=["a", "a", "b"])["spec"]
        assert set(spec["jwt"]) == {"providers"}
        (provider,) = spec["jwt"]["providers"]
        assert "remoteJWKS" in provider and "localJWKS" not in provider
        assert spec["authorization"]["defaultAction"] == "Deny"
        rules = [rule["name"] for rule in spec["authorization"]["rules"]]
        assert rules == sorted(set(rules))

    @pytest.mark.parametrize(
        ("change", "passes"),
        [
            ({}, True),
            ({"cost_center": "a.B_c-9" + "x" * 25}, True),
            ({"exp": None}, False),
            ({"cost_center": None}, False),
            ({"cost_center": ""}, False),
            ({"cost_center": "x" * 33}, False),
            ({"cost_center": "CC 4100"}, False),
            ({"cost_center": 4100}, False),
            ({"sub": None}, False),
            ({"sub": ""}, False),
        ],
    )
    def test_ask_of_a_token_what_the_portal_asks(self, change, passes):
        """jwt.providers can ask neither for an end nor for a claim: a token without them would be
        let in, and used without anybody to charge, or for ever.
        """
        claims = {"exp": 1_800_000_000.0, "cost_center": "CC-4100", "sub": "dana"} | change
        claims = {name: value for name, value in claims.items() if value is not None}
        found = {"envoy.filters.http.jwt_authn": {"idp": claims}}
        attributes = cel.NewEnv(variables={"metadata": cel.Type.DYN})
        policy = gateway.security_policy(model=MODEL, issuer=ISSUER, teams=["a", "b"])["spec"]
        for rule in policy["authorization"]["rules"]:
            condition = attributes.compile(rule["cel"])
            result = condition.eval(data={"metadata": {"filter_metadata": found}})
            assert (result.value() is True) is passes

    def test_ask_without_a_pattern_that_counts(self):
        """Envoy refuses the whole route table for one: "regular expression exceeds max allowed
        size".
        """
        policy = gateway.security_policy(model=MODEL, issuer=ISSUER, teams=["a"])["spec"]
        (rule,) = policy["authorization"]["rules"]
        assert ".matches(" in rule["cel"] and "{" not in rule["cel"]

    def test_take_every_header_that_a_claim_sets_from_the_client(self):
        """A client's own header would stay where its token lacks the claim."""
        removed = found("ClientTrafficPolicy", "ai-gateway")["spec"]["headers"][
            "earlyRequestHeaders"
        ]["remove"]
        (provider,) = gateway.security_policy(model=MODEL, issuer=ISSUER, teams=[])["spec"]["jwt"][
            "providers"
        ]
        assert {each["header"] for each in provider["claimToHeaders"]} <= set(removed)

    def test_limit_by_the_present_shape(self):
        """rateLimit.type is deprecated; a rule takes at most 8 selectors, and Distinct ones no
        value.
        """
        traffic = gateway.traffic_policy(
            model=MODEL, limits=[gateway.TeamLimit("a", 2_000_000)], answers=ANSWERS
        )
        assert set(traffic["spec"]["rateLimit"]) == {"global"}
        (rule,) = traffic["spec"]["rateLimit"]["global"]["rules"]
        (selector,) = rule["clientSelectors"]
        assert {(each["name"], each["type"]) for each in selector["headers"]} == {
            ("x-team", "Exact"),
            ("x-ai-eg-model", "Exact"),
        }

    def test_limit_at_most_as_many_teams_as_there_may_be_rules(self):
        limits = [gateway.TeamLimit(f"team-{number:03d}", 1) for number in range(257)]
        most = gateway.traffic_policy(model=MODEL, limits=limits[:256], answers=ANSWERS)
        assert len(most["spec"]["rateLimit"]["global"]["rules"]) == 256
        with pytest.raises(gateway.BadRoute, match="257 teams are granted.*at most 256"):
            gateway.traffic_policy(model=MODEL, limits=limits, answers=ANSWERS)

    def test_count_a_call_nothing_before_its_answer(self):
        traffic = gateway.traffic_policy(
            model=MODEL, limits=[gateway.TeamLimit("a", 1)], answers=ANSWERS
        )
        (rule,) = traffic["spec"]["rateLimit"]["global"]["rules"]
        assert rule["cost"]["request"] == {"from": "Number", "number": 0}

    def test_say_the_same_to_callers_of_every_model(self):
        """The filter is chosen with the route that matches before the model is read: the oldest
        one, any model's.

        A policy without these sentences, or with others, would silence or replace those of all
        models behind it.
        """
        busy = gateway.traffic_policy(
            model="busy", limits=[gateway.TeamLimit("a", 1)], answers=ANSWERS
        )
        closed = gateway.traffic_policy(model="closed", limits=[], answers=ANSWERS)
        assert busy["spec"]["responseOverride"] == closed["spec"]["responseOverride"]
        assert "busy" not in json.dumps(busy["spec"]["responseOverride"])

    def test_leave_no_percent_sign_to_envoy_but_what_it_fills_in(self):
        """It reads a body as a format: a stray sign makes it refuse the policy, and every model's
        with it.
        """
        policy = gateway.traffic_policy(model=MODEL, limits=[], answers=ANSWERS)
        for override in policy["spec"]["responseOverride"]:
            response = override["response"]
            values = [header["value"] for header in response["header"]["set"]]
            filled_in = (
                r"%(REQ|RESP)\([A-Z-]+\)%|%DYNAMIC_METADATA\(quartermaster\.usage:[a-z_]+\)%"
            )
            for said in (response["body"]["inline"], *values):
                assert "%" not in re.sub(filled_in, "", said)

    def test_let_nobody_without_a_token_reach_the_processor(self):
        """Envoy AI Gateway puts it before custom_response, which by default comes before the token
        check.
        """
        order = found("EnvoyProxy", "ai-gateway")["spec"]["filterOrder"]
        assert order[0] == {
            "name": "envoy.filters.http.custom_response",
            "after": "envoy.filters.http.jwt_authn",
        }

    def test_give_every_caller_the_request_id(self):
        """Envoy Gateway keeps it to itself unless a policy sends it back."""
        headers = found("ClientTrafficPolicy", "ai-gateway")["spec"]["headers"]
        assert headers["lateResponseHeaders"]["set"] == [
            {"name": "x-request-id", "value": "%REQ(X-REQUEST-ID)%"}
        ]

    def test_a_buffer_holds_a_whole_prompt(self):
        """Envoy Gateway's own is 32 KiB: longer prompts would be refused."""
        assert found("ClientTrafficPolicy", "ai-gateway")["spec"]["connection"][
            "bufferLimit"
        ].endswith("Mi")


class TestArgoCd:
    APPLICATIONS = [item for item in shipped() if item["kind"] == "Application"]

    @pytest.mark.parametrize("application", APPLICATIONS, ids=named)
    def test_applies_heals_and_gives_a_failing_sync_up_quickly(self, application):
        """With the default retries a failing sync blocks newer commits for five minutes.

        A file that is gone takes no NodePool with it: that would drain every GPU machine.
        """
        policy = application["spec"]["syncPolicy"]
        assert policy["automated"] == {
            "prune": named(application) != "Application-capacity",
            "selfHeal": True,
        }
        assert {"ApplyOutOfSyncOnly=true", "ServerSideApply=true"} <= set(policy["syncOptions"])
        assert policy["retry"] == {
            "limit": 2,
            "refresh": True,
            "backoff": {"duration": "2s", "factor": 2, "maxDuration": "10s"},
        }

    @pytest.mark.parametrize("application", APPLICATIONS, ids=named)
    def test_ignores_nothing(self, application):
        """What KServe's webhooks add is no field of Git's (test_dry_run.py); what is ignored could
        be drift.
        """
        assert "ignoreDifferences" not in application["spec"]

    def test_namespaces_come_before_what_lives_in_them(self):
        """CreateNamespace would need a right on the whole cluster: the platform's folder holds them
        instead.
        """
        held = {item["metadata"]["name"] for item in yaml.safe_load_all(self.namespaces()) if item}
        assert held >= {item["spec"]["destination"]["namespace"] for item in self.APPLICATIONS}

    def namespaces(self):
        return (ROOT / "deploy/argocd/platform/namespaces.yaml").read_text()

    @pytest.mark.parametrize("manifest", rendered(), ids=named)
    def test_lets_serving_hold_exactly_what_is_rendered(self, manifest):
        spec = found("AppProject", "serving")["spec"]
        group = manifest["apiVersion"].rpartition("/")[0]
        assert {"group": group, "kind": manifest["kind"]} in spec["namespaceResourceWhitelist"]
        assert manifest["metadata"]["namespace"] in {
            place["namespace"] for place in spec["destinations"]
        }
        assert spec["clusterResourceWhitelist"] == []
