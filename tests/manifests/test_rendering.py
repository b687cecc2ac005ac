"""Every rendered object against the real CRDs: no field unknown, none missing, enums and patterns
kept.
"""

import json
from dataclasses import replace

import jsonschema
import pytest
import yaml

from apps.manifests import gateway, names, scaling, serving
from apps.manifests.schedules import is_schedule
from apps.manifests.serving_settings import ServingSettings
from apps.manifests.text import to_yaml
from tests.manifests.objects import (
    ANSWERS,
    CRDS,
    DIGEST,
    GATEWAY,
    ISSUER,
    LARGE,
    MODEL,
    OFFICE_HOURS,
    SCALING,
    SLEEPER,
    VERSION,
    named,
    rendered,
    shipped,
)
from tests.manifests.schemas import validate

FIRST = {"argocd.argoproj.io/sync-wave": "-1"}
BUILT_IN = ("v1", "networking.k8s.io/v1")  # the API server's own kinds have no CRD
OURS = [
    manifest for manifest in [*rendered(), *shipped()] if manifest["apiVersion"] not in BUILT_IN
]


@pytest.mark.skipif(
    not CRDS.is_dir(), reason="the folder ../shared/crds with the real CRDs is not here"
)
@pytest.mark.parametrize("manifest", OURS, ids=named)
class TestAgainstTheRealCrds:
    def test_fits_the_schema_without_an_unknown_field(self, manifest):
        validate(manifest)

    def test_an_unknown_field_would_be_noticed(self, manifest):
        broken = manifest | {"spec": manifest.get("spec", {}) | {"surprise": 1}}
        with pytest.raises(jsonschema.ValidationError):
            validate(broken)


class TestEverything:
    @pytest.mark.parametrize("manifest", rendered(), ids=lambda manifest: manifest["kind"])
    def test_carries_the_owner_label_and_a_namespace(self, manifest):
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "quartermaster"
        account = manifest["kind"] == "ServiceAccount"
        assert manifest["metadata"]["namespace"] in ({"models", "evals"} if account else {"models"})

    def test_renders_to_the_same_bytes_and_reads_back(self):
        text = to_yaml(rendered())
        assert text == to_yaml(rendered())
        assert list(yaml.safe_load_all(text)) == rendered()
        assert b"&id" not in text

    def test_is_text_that_people_read_in_a_diff(self):
        long = {"b": "Größe " + "x " * 70, "a": [1]}
        lines = to_yaml([long, {"c": {}}]).decode().splitlines()
        assert lines[0] == "---" and lines[1].startswith("b: 'Größe x x")
        assert 110 < len(lines[1]) < 130
        assert lines[3:] == ["a:", "- 1", "---", "c: {}"]


class TestInferenceService:
    def test_sets_what_the_cluster_would_otherwise_decide(self):
        manifest = serving.inference_service(VERSION)
        assert manifest["metadata"]["annotations"] == {
            "serving.kserve.io/deploymentMode": "Standard",
            "serving.kserve.io/autoscalerClass": "none",
            "quartermaster.dev/manifest-digest": DIGEST,
        }
        predictor = manifest["spec"]["predictor"]
        assert predictor["serviceAccountName"] == "reader-prior-auth-extract"
        assert predictor["tolerations"] == [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ]
        limits = predictor["model"]["resources"]["limits"]
        assert limits == {"cpu": "3", "memory": "12Gi", "nvidia.com/gpu": "1"}
        assert predictor["model"]["resources"]["requests"] == limits
        assert "name" not in predictor["model"]

    def test_the_runtime_serves_its_format_and_protocol(self):
        runtime = serving.serving_runtime("evals", "image:1")
        assert "v2" in runtime["spec"]["protocolVersions"]
        assert "--served-model-name={{.Name}}" in runtime["spec"]["containers"][0]["args"]

    def test_the_engine_continues_the_trace_of_a_call_where_spans_are_wanted(self):
        endpoint = "http://otel-collector.ai-gateway:4318/v1/traces"
        quiet = serving.serving_runtime("models", "image:1")["spec"]["containers"][0]
        told = serving.serving_runtime("models", "image:1", traces_endpoint=endpoint)
        told = told["spec"]["containers"][0]
        assert set(told["args"]) - set(quiet["args"]) == {f"--otlp-traces-endpoint={endpoint}"}
        more = [entry for entry in told["env"] if entry not in quiet["env"]]
        assert {entry["name"]: entry["value"] for entry in more} == {
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "{{.Name}}",
        }

    @pytest.mark.parametrize(("seconds", "failures"), [(1800, 180), (25, 3), (1, 1)])
    def test_the_engine_may_take_as_long_as_the_setting_says_to_start(self, seconds, failures):
        runtime = serving.serving_runtime("models", "image:1", start_seconds=seconds)
        probe = runtime["spec"]["containers"][0]["startupProbe"]
        assert (probe["periodSeconds"], probe["failureThreshold"]) == (10, failures)

    def test_the_service_accounts_know_their_models_role_and_its_endpoint(self):
        accounts = serving.service_accounts(
            "claims-summary", "arn:aws:iam::1:role/reads-{model}", "127.0.0.1:17070"
        )
        for account in accounts:
            assert account["metadata"]["name"] == "reader-claims-summary"
            assert account["metadata"]["labels"]["quartermaster.dev/model"] == "claims-summary"
            assert account["metadata"]["annotations"] == FIRST | {
                "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/reads-claims-summary",
                "serving.kserve.io/s3-endpoint": "127.0.0.1:17070",
                "serving.kserve.io/s3-usehttps": "0",
            }
        for bare in serving.service_accounts("claims-summary"):
            assert bare["metadata"]["annotations"] == FIRST

    def test_two_models_read_by_two_accounts(self):
        named_after = {
            account["metadata"]["name"]
            for model in ("claims-summary", "prior-auth-extract")
            for account in serving.service_accounts(model)
        }
        assert named_after == {"reader-claims-summary", "reader-prior-auth-extract"}

    def test_the_service_accounts_read_an_endpoint_over_https(self):
        for account in serving.service_accounts(MODEL, s3_endpoint="https://s3.test/"):
            assert account["metadata"]["annotations"] == FIRST | {
                "serving.kserve.io/s3-endpoint": "s3.test",
                "serving.kserve.io/s3-usehttps": "1",
            }

    @pytest.mark.parametrize(
        ("start", "longest"), [(0, 2700), (1800, 2700), (1801, 2701), (3600, 4500)]
    )
    def test_has_a_quarter_of_an_hour_before_its_engine_starts(self, start, longest):
        assert serving.longest_start(start).total_seconds() == longest
        assert serving.longest_start().total_seconds() == 2700

    def test_the_runtime_is_applied_before_what_needs_it(self):
        accounts = serving.service_accounts(MODEL)
        for manifest in (*accounts, serving.serving_runtime("models", "image:1")):
            assert manifest["metadata"]["annotations"] == FIRST


class TestSleepingInferenceService:
    def test_leaves_its_replicas_to_keda(self):
        manifest = serving.inference_service(SLEEPER)
        assert (
            manifest["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
        )
        assert manifest["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
        predictor = manifest["spec"]["predictor"]
        assert (predictor["minReplicas"], predictor["maxReplicas"]) == (0, 1)
        assert not {"scaleMetric", "scaleTarget", "autoScaling"} & set(predictor)

    def test_prefers_spot_and_takes_on_demand(self):
        affinity = serving.inference_service(SLEEPER)["spec"]["predictor"]["affinity"][
            "nodeAffinity"
        ]
        (term,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
        assert term["preference"]["matchExpressions"][0]["values"] == ["spot"]
        assert "requiredDuringSchedulingIgnoredDuringExecution" not in affinity

    def test_so_does_a_candidate_under_evaluation(self):
        """Nobody waits for it, and it starts again where its machine is taken back."""
        candidate = serving.inference_service(replace(VERSION, namespace="evals"))
        affinity = candidate["spec"]["predictor"]["affinity"]
        assert affinity == serving.inference_service(SLEEPER)["spec"]["predictor"]["affinity"]


class TestWarmInferenceService:
    def test_runs_on_no_spot_machine(self):
        """`NotIn` leaves on-demand and reserved machines, and nodes that Karpenter did not make and
        label.
        """
        affinity = serving.inference_service(VERSION)["spec"]["predictor"]["affinity"][
            "nodeAffinity"
        ]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert term["matchExpressions"] == [
            {"key": "karpenter.sh/capacity-type", "operator": "NotIn", "values": ["spot"]}
        ]
        assert set(affinity) == {"requiredDuringSchedulingIgnoredDuringExecution"}


class TestScaledObject:
    def test_scales_the_deployment_that_kserve_makes_between_none_and_one(self):
        spec = scaling.scaled_object(SLEEPER, SCALING)["spec"]
        target = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "prior-auth-extract-v7-predictor",
        }
        assert spec["scaleTargetRef"] == target
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 1)

    def test_asks_the_portal_with_a_credential_that_git_does_not_hold(self):
        (trigger,) = scaling.scaled_object(SLEEPER, SCALING)["spec"]["triggers"]
        url = "http://portal.quartermaster.svc/v1/scaling/models/prior-auth-extract-v7"
        assert (trigger["type"], trigger["metadata"]["url"]) == ("metrics-api", url)
        assert trigger["metadata"]["authMode"] == "bearer"
        assert trigger["authenticationRef"] == {
            "kind": "ClusterTriggerAuthentication",
            "name": scaling.CREDENTIAL,
        }
        assert "Secret" not in str(trigger)

    def test_names_in_every_triggers_metadata_only_text(self):
        triggers = scaling.scaled_object(SLEEPER, replace(SCALING, pre_warm=OFFICE_HOURS))["spec"][
            "triggers"
        ]
        assert [trigger["type"] for trigger in triggers] == ["metrics-api", "cron"]
        values = [value for trigger in triggers for value in trigger["metadata"].values()]
        assert {type(value) for value in values} == {str}

    def test_of_several_replicas_goes_by_their_requests(self):
        spec = scaling.scaled_object(LARGE, SCALING)["spec"]
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 6)
        (load,) = spec["triggers"]
        asked = load["metadata"]
        assert (asked["valueLocation"], asked["targetValue"]) == ("load", "24")
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior == {"scaleDown": {"stabilizationWindowSeconds": 900}}

    def test_asks_prometheus_for_the_same_where_there_is_one(self):
        around = replace(SCALING, prometheus_url="http://prometheus:9090")
        (load,) = scaling.scaled_object(LARGE, around)["spec"]["triggers"]
        of_it = '{model_name="prior-auth-extract-v7",namespace="models"}'
        assert load["metadata"]["query"] == (
            f"sum(vllm:num_requests_running{of_it}) + sum(vllm:num_requests_waiting{of_it})"
        )
        assert load["metadata"]["threshold"] == "24"

    def test_of_one_that_sleeps_wakes_it_by_demand_and_scales_it_by_load(self):
        several = replace(SLEEPER, settings=ServingSettings(replicas_most=3))
        spec = scaling.scaled_object(several, SCALING)["spec"]
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 3)
        assert [each["metadata"]["valueLocation"] for each in spec["triggers"]] == [
            "demand",
            "load",
        ]

    def test_keeps_what_runs_while_the_portal_is_away(self):
        spec = scaling.scaled_object(LARGE, SCALING)["spec"]
        assert spec["fallback"]["replicas"] == 2
        spec = scaling.scaled_object(SLEEPER, SCALING)["spec"]
        assert spec["fallback"] == {
            "failureThreshold": 3,
            "replicas": 1,
            "behavior": "currentReplicasIfHigher",
        }

    def test_gives_a_name_whose_autoscaler_still_fits_a_label(self):
        longest = replace(SLEEPER, name="a" * names.LONGEST)
        assert len("keda-hpa-" + scaling.scaled_object(longest, SCALING)["metadata"]["name"]) <= 63

    def test_takes_the_least_of_each_and_an_address_with_a_slash(self):
        least = scaling.Scaling("http://portal/scaling/", 1, 0)
        spec = scaling.scaled_object(SLEEPER, least)["spec"]
        assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (1, 0)
        asked = spec["triggers"][0]["metadata"]
        assert asked["url"] == "http://portal/scaling/models/prior-auth-extract-v7"

    @pytest.mark.parametrize(
        "change",
        [
            {"polling_seconds": 0},
            {"cooldown_seconds": -1},
        ],
    )
    def test_refuses_what_keda_would_not_take(self, change):
        with pytest.raises(scaling.BadScaling):
            scaling.scaled_object(SLEEPER, replace(SCALING, **change))


class TestPreWarm:
    @pytest.mark.parametrize(
        ("text", "start", "end", "hours", "words"),
        [
            (
                "mon-fri 07:30-19:00 America/New_York", "30 7 * * 1-5", "0 19 * * 1-5", 250,
                "Monday to Friday, 07:30 to 19:00, America/New_York",
            ),
            ("daily 00:00-12:00 "
            "UTC", "0 0 * * *", "0 12 * * *", 365, "Every day, 00:00 to 12:00, UTC"),
            (
                "mon-fri 22:00-06:00 UTC", "0 22 * * 1-5", "0 6 * * 2-6", 174,
                "Monday to Friday, 22:00 to 06:00 of the next day, UTC",
            ),
            ("daily 23:59-00:01 "
            "Asia/Tokyo", "59 23 * * *", "1 0 * * *", 1, "Every day, 23:59 to 00:01 of the next"),
        ],
    )  # fmt: skip
    def test_is_hours_in_a_zone_rendered_as_two_crons(self, text, start, end, hours, words):
        found = scaling.pre_warm_of(text)
        assert str(found) == text
        assert round(found.hours_per_month) == hours
        assert words in found.words
        trigger = scaling.scaled_object(SLEEPER, replace(SCALING, pre_warm=found))["spec"][
            "triggers"
        ][1]
        assert (trigger["metadata"]["start"], trigger["metadata"]["end"]) == (start, end)
        assert trigger["metadata"]["timezone"] == found.timezone
        assert is_schedule(start) and is_schedule(end)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "names no hours"),
            ("weekends 07:30-19:00 UTC", "mon-fri or daily"),
            ("mon-fri 7:30-19:00 UTC", "names no hours"),
            ("mon-fri 07:30-19:00", "names no hours"),
            ("mon-fri 07:30-19:00 Mars/Olympus", "is not a time zone"),
            ("mon-fri 07:30-24:00 UTC", "00:00 to 23:59"),
            ("mon-fri 07:60-19:00 UTC", "00:00 to 23:59"),
            ("daily 07:30-07:30 UTC", "choose warm"),
        ],
    )
    def test_refuses_in_words_what_are_no_hours(self, text, words):
        with pytest.raises(scaling.BadScaling, match=words):
            scaling.pre_warm_of(text)


class TestNames:
    def test_refuses_what_no_service_could_be_called(self):
        for name in ("7b", "Upper", "a" * 54, "a.b", "-a"):
            with pytest.raises(names.BadName):
                names.checked(name)
        for name in ("a-", "a_b", "a\n"):
            with pytest.raises(names.BadName):
                names.checked(name)
        assert names.serving_name("a" * 40, 999999999) == "a" * 40 + "-v999999999"
        assert names.checked("a" * 53) == "a" * 53
        assert names.checked("a") == "a"

    def test_tell_whose_and_which_everything_is(self):
        ours = {"app.kubernetes.io/managed-by": "quartermaster", "quartermaster.dev/model": "m"}
        assert names.labels("m") == ours
        assert names.labels("m", 0) == ours | {"quartermaster.dev/version": "0"}

    def test_say_where_each_file_is(self):
        """Argo CD's Applications read these folders; a file elsewhere is never applied."""
        assert names.runtime_path("evals") == "serving/evals/runtime.yaml"
        assert names.version_path("m", 7) == "serving/models/m/v7.yaml"
        assert names.route_path("m") == "serving/models/m/route.yaml"
        assert names.policy_path("m") == "serving/models/m/policy.yaml"
        assert names.candidate_path("m-v7-0c1d") == "serving/evals/m-v7-0c1d.yaml"


class TestRoute:
    def test_never_names_the_namespace_of_candidates(self):
        with pytest.raises(gateway.BadRoute):
            gateway.route(model="m", weights=[gateway.Weight(1, 100)], namespace="evals", **GATEWAY)

    def test_weights_sum_to_100(self):
        for weights in (
            [],
            [gateway.Weight(1, 90)],
            [gateway.Weight(1, 90), gateway.Weight(2, 20)],
        ):
            with pytest.raises(gateway.BadRoute):
                gateway.route(model="m", weights=weights, **GATEWAY)

    def test_has_a_rule_for_batch_calls_where_an_engine_takes_calls_by_their_priority(self):
        weights = [gateway.Weight(7, 90, by_priority=True), gateway.Weight(6, 10)]
        other, batch = gateway.route(model="m", weights=weights, **GATEWAY)["spec"]["rules"]
        model = {"type": "Exact", "name": "x-ai-eg-model", "value": "m"}
        of_class = {"type": "Exact", "name": "x-qm-class", "value": "batch"}
        assert other["matches"] == [{"headers": [model]}]
        assert batch["matches"] == [{"headers": [model, of_class]}]
        plain = [
            {"name": "m-v7", "weight": 90, "modelNameOverride": "m-v7"},
            {"name": "m-v6", "weight": 10, "modelNameOverride": "m-v6"},
        ]
        assert other["backendRefs"] == plain
        # vLLM takes the lower value first, and refuses any where it does not schedule by it
        later = {"bodyMutation": {"set": [{"path": "priority", "value": "10"}]}}
        assert batch["backendRefs"] == [plain[0] | later, plain[1]]

    def test_says_for_how_many_versions_it_has_room(self):
        def weights(count, by_priority):
            first = gateway.Weight(1, 100, by_priority)
            return [first, *(gateway.Weight(number, 0) for number in range(2, count + 1))]

        for count, by_priority in ((15, False), (7, True)):
            assert gateway.route(model="m", weights=weights(count, by_priority), **GATEWAY)
        for count, by_priority, words in (
            (16, False, "16 versions in 1 rule: a route has room for 15 ways"),
            (8, True, "8 versions in 2 rules: a route has room for 15 ways"),
        ):
            with pytest.raises(gateway.BadRoute, match=words):
                gateway.route(model="m", weights=weights(count, by_priority), **GATEWAY)

    def test_tells_each_version_its_own_name(self):
        rule = gateway.route(model="m", weights=[gateway.Weight(2, 100)], **GATEWAY)["spec"][
            "rules"
        ][0]
        assert rule["backendRefs"] == [{"name": "m-v2", "weight": 100, "modelNameOverride": "m-v2"}]


class TestBackends:
    @pytest.mark.parametrize("address", ["10.0.0.1", "::1", "127.0.0.1"])
    def test_refuses_an_ip_address(self, address):
        with pytest.raises(gateway.BadRoute, match="needs a DNS name: with an IP address calls"):
            gateway.backend_objects(model="m", number=1, hostname=address)

    @pytest.mark.parametrize(
        "place",
        [
            {"namespace": "evals"},
            {"hostname": "m-v1-predictor.evals.svc.cluster.local"},
            {"hostname": "a.test"},
        ],
    )
    def test_refuses_candidates_under_evaluation(self, place):
        with pytest.raises(gateway.BadRoute):
            gateway.backend_objects(model="m", number=1, **place)

    def test_points_at_the_predictor(self):
        _, backend = gateway.backend_objects(model="m", number=3)
        assert backend["spec"]["endpoints"] == [
            {"fqdn": {"hostname": "m-v3-predictor.models.svc.cluster.local", "port": 80}}
        ]


def override_of(status):
    """What callers hear instead of this status."""
    policy = gateway.traffic_policy(
        model="m", limits=[gateway.TeamLimit("claims", 50)], answers=ANSWERS
    )
    (found,) = [
        each
        for each in policy["spec"]["responseOverride"]
        if each["match"]["statusCodes"][0]["value"] == status
    ]
    return found


class TestPolicies:
    def test_nobody_may_call_without_a_grant(self):
        spec = gateway.security_policy(model="m", issuer=ISSUER, teams=[])["spec"]
        assert spec["authorization"] == {"defaultAction": "Deny"}
        assert (
            "rateLimit" not in gateway.traffic_policy(model="m", limits=[], answers=ANSWERS)["spec"]
        )

    def test_tell_a_caller_who_finds_no_replica_when_to_come_again(self):
        override = override_of(503)
        assert override["source"] == "Local"
        headers = {each["name"]: each["value"] for each in override["response"]["header"]["set"]}
        assert headers == {"x-request-id": "%REQ(X-REQUEST-ID)%", "Retry-After": "45"}
        error = json.loads(override["response"]["body"]["inline"])["error"]
        assert error["code"] == "no_replica"
        assert "in 45 seconds" in error["message"]
        assert "statusCode" not in override["response"]

    def test_tell_a_team_whose_tokens_are_used_up_when_they_are_back(self):
        """One time in both places, which the gate notes of each call: Envoy fills a body from the
        answer that it replaces, but not a header.
        """
        response = override_of(429)["response"]
        seconds = "%DYNAMIC_METADATA(quartermaster.usage:retry_after)%"
        assert {"name": "Retry-After", "value": seconds} in response["header"]["set"]
        assert f"resets in {seconds} seconds" in response["body"]["inline"]

    def test_tell_a_team_without_a_grant_where_to_ask(self):
        assert "https://portal.test" in override_of(403)["response"]["body"]["inline"]

    def test_a_call_costs_its_tokens_and_nothing_else(self):
        policy = gateway.traffic_policy(
            model="m", limits=[gateway.TeamLimit("claims", 50)], answers=ANSWERS
        )
        rule = policy["spec"]["rateLimit"]["global"]["rules"][0]
        assert rule["limit"] == {"requests": 50, "unit": "Minute"}
        assert rule["cost"]["request"] == {"from": "Number", "number": 0}
        assert rule["cost"]["response"]["metadata"]["key"] == "llm_total_token"
