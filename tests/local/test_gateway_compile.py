"""Objects in, tables out: what is honored, what is refused and why."""

import copy
from pathlib import Path

import pytest
import yaml

from deploy.local.gateway.clusters import cluster_resources
from deploy.local.gateway.compile import compile_gateway
from deploy.local.gateway.durations import seconds, whole_bytes
from deploy.local.gateway.listeners import listener_resource
from deploy.local.gateway.objects import Objects, read_folder
from deploy.local.gateway.refusal import Refused
from deploy.local.gateway.routes import descriptors, route_resource
from deploy.local.gateway.tables import Lookup, lookup_from_json, lookup_of
from deploy.local.gateway.wiring import Wiring
from tests.local.gateway_objects import (
    ISSUER,
    key_policy,
    pod,
    policy,
    route,
    secret,
    version,
)
from tests.local.gateway_stand import ROOT

GATEWAY = ("ai-gateway", "ai-gateway")
MODEL = "prior-auth-extract"
WIRING = Wiring(Path("/nowhere"), 1, 2, 3, 4, 5, 6, portal_url="http://portal.test")


def static():
    """The objects of deploy/gateway."""
    return read_folder(ROOT / "deploy" / "gateway")


def model_objects(weights=None, budgets=None):
    """One model as the portal writes it, with its static surroundings."""
    weights = weights or {"prior-auth-extract-v1": 70, "prior-auth-extract-v2": 30}
    found = [*static(), route(MODEL, weights), *policy(MODEL, budgets or {"claims-review": 2000})]
    for name in weights:
        found += version(name)
    return found


def compiled(objects, previous=None):
    """The tables of these objects."""
    extra = {"previous": previous} if previous else {}
    return compile_gateway(Objects(copy.deepcopy(objects)), gateway=GATEWAY, **extra)


def of(objects, kind, name=None):
    """One object out of a list."""
    return next(
        obj for obj in objects if obj["kind"] == kind and name in (None, obj["metadata"]["name"])
    )


def verdict(tables, kind, name):
    """What is said about one object."""
    return next(v for v in tables.verdicts if (v.kind, v.name) == (kind, name))


class TestRoutes:
    def test_keep_weights_and_each_versions_own_name(self):
        (found,) = compiled(model_objects()).routes
        (rule,) = found.rules
        assert [(ref.weight, ref.model, ref.prefix) for ref in rule.references] == [
            (70, "prior-auth-extract-v1", "/v1"),
            (30, "prior-auth-extract-v2", "/v1"),
        ]

    def test_name_the_backend_as_the_real_gateway_does(self):
        (found,) = compiled(model_objects()).routes
        ref = found.rules[0].references[1]
        assert (
            ref.backend_name == "models/prior-auth-extract-v2/route/prior-auth-extract/rule/0/ref/1"
        )
        assert ref.ai_service_backend == "models/prior-auth-extract-v2"

    def test_keep_a_versions_cluster_when_its_place_in_the_rule_changes(self):
        both = compiled(model_objects()).references
        one = compiled(model_objects({"prior-auth-extract-v2": 100})).references
        assert set(one) < set(both)

    def test_wait_a_minute_unless_told_otherwise(self):
        objects = model_objects()
        assert compiled(objects).routes[0].rules[0].timeout_seconds == 60
        of(objects, "AIGatewayRoute")["spec"]["rules"][0]["timeouts"] = {"request": "5m30s"}
        assert compiled(objects).routes[0].rules[0].timeout_seconds == 330

    def test_of_another_gateway_are_not_ours(self):
        objects = model_objects()
        of(objects, "AIGatewayRoute")["spec"]["parentRefs"][0]["name"] = "another"
        tables = compiled(objects)
        assert tables.routes == ()
        assert not [v for v in tables.verdicts if v.kind == "AIGatewayRoute"]

    def test_end_in_a_404(self):
        (host,) = route_resource(compiled(model_objects()))["virtual_hosts"]
        assert host["routes"][-1]["direct_response"]["status"] == 404

    def test_without_any_weight_answer_503(self):
        (host,) = route_resource(compiled(model_objects({"prior-auth-extract-v1": 0})))[
            "virtual_hosts"
        ]
        assert host["routes"][0]["direct_response"]["status"] == 503


def _first_ref(objects):
    return of(objects, "AIGatewayRoute")["spec"]["rules"][0]["backendRefs"][0]


def _costs(objects):
    return of(objects, "AIGatewayRoute")["spec"]["llmRequestCosts"]


REFUSALS = {
    "16 rules": (
        lambda o: of(o, "AIGatewayRoute")["spec"].update(
            rules=of(o, "AIGatewayRoute")["spec"]["rules"] * 16
        ),
        "16 rules: at most 15",
    ),
    "no Gateway": (
        lambda o: o.remove(of(o, "Gateway")),
        "Gateway ai-gateway/ai-gateway does not exist",
    ),
    "no backend": (
        lambda o: o.remove(of(o, "AIServiceBackend")),
        "AIServiceBackend models/prior-auth-extract-v1",
    ),
    "no Backend": (
        lambda o: o.remove(of(o, "Backend", "prior-auth-extract-v1")),
        "Backend models/prior-auth-extract-v1 does not exist",
    ),
    "an unknown cost": (
        lambda o: _costs(o)[0].update(type="AudioToken"),
        "type AudioToken is not played",
    ),
    "a cost that does not type-check": (
        lambda o: _costs(o)[-1].update(cel="output_tokens * 3"),
        "does not type-check: ERROR: <input>:1:15: found no matching overload",
    ),
    "a cost of no expression": (lambda o: _costs(o)[-1].pop("cel"), "does not type-check"),
    "a cost that is no number": (
        lambda o: _costs(o)[-1].update(cel="model"),
        "gives STRING, not an integer",
    ),
    "another schema": (
        lambda o: of(o, "AIServiceBackend")["spec"]["schema"].update(name="Anthropic"),
        "Anthropic",
    ),
    "a Service": (
        lambda o: of(o, "AIServiceBackend")["spec"]["backendRef"].pop("kind"),
        "must be of kind Backend",
    ),
    "fallback": (lambda o: _first_ref(o).update(priority=1), "priority"),
    "header mutation": (
        lambda o: _first_ref(o).update(headerMutation={"remove": ["x"]}),
        "headerMutation",
    ),
    "a body's inner field": (
        lambda o: _first_ref(o).update(bodyMutation={"remove": ["a.b"]}),
        "bodyMutation of 'a.b' is not played",
    ),
    "a value that is no JSON": (
        lambda o: _first_ref(o).update(bodyMutation={"set": [{"path": "a", "value": "1.2.3"}]}),
        "sets a to what is no JSON",
    ),
    "a mutation of another kind": (
        lambda o: _first_ref(o).update(bodyMutation={"add": ["a"]}),
        "bodyMutation has no add",
    ),
    "17 mutations": (
        lambda o: _first_ref(o).update(bodyMutation={"remove": [f"f{n}" for n in range(17)]}),
        "at most 16 fields of a kind",
    ),
    "InferencePool": (lambda o: _first_ref(o).update(kind="InferencePool"), "InferencePool"),
    "another namespace": (lambda o: _first_ref(o).update(namespace="evals"), "ReferenceGrant"),
    "no backends": (
        lambda o: of(o, "AIGatewayRoute")["spec"]["rules"][0].update(backendRefs=[]),
        "names no backend",
    ),
    "hostnames": (
        lambda o: of(o, "AIGatewayRoute")["spec"].update(hostnames=["a.test"]),
        "hostnames",
    ),
}


def by_class(objects):
    """Give the route a rule for batch calls, after the one for all."""
    rules = of(objects, "AIGatewayRoute")["spec"]["rules"]
    batch = copy.deepcopy(rules[0])
    batch["matches"][0]["headers"].append({"type": "Exact", "name": "X-Qm-Class", "value": "batch"})
    batch["backendRefs"][0]["bodyMutation"] = {
        "remove": ["user", "absent"],
        "set": [
            {"path": "priority", "value": "10"},
            {"path": "service_tier", "value": "later"},
            {"path": "user", "value": '"again"'},
        ],
    }
    rules.append(batch)
    return objects


class TestRulesByClass:
    def test_come_in_the_order_of_how_much_they_ask_for(self):
        tables = compiled(by_class(model_objects()))
        (host,) = route_resource(tables)["virtual_hosts"]
        asked = [
            [(each["name"], each["string_match"]["exact"]) for each in found["match"]["headers"]]
            for found in host["routes"][:-1]
        ]
        model, batch = ("x-ai-eg-model", MODEL), ("x-qm-class", "batch")
        assert asked == [[model, batch], [model]]
        names = [found["name"] for found in host["routes"][:-1]]
        assert names == [f"httproute/models/{MODEL}/rule/{n}/match/0/*" for n in (1, 0)]

    def test_change_the_body_last_and_for_their_own_calls_alone(self):
        lookup = lookup_from_json(lookup_of(compiled(by_class(model_objects()))).to_json())
        body = {"model": "x", "user": "u", "priority": 0, "n": 1}
        for rule, mutated in ((0, {}), (1, {"priority": 10, "service_tier": "later"})):
            upstreams = lookup.destinations[f"httproute/models/{MODEL}/rule/{rule}"].upstreams
            first, second = (upstreams[f"models/{MODEL}/{MODEL}-v{n}"] for n in (1, 2))
            found = first.mutation.applied(body)
            assert found == body | mutated | ({"user": "again"} if rule else {})
            assert second.mutation.applied(body) == body


class TestRefusedRoutes:
    @pytest.mark.parametrize("name", REFUSALS)
    def test_say_why(self, name):
        objects = model_objects()
        change, words = REFUSALS[name]
        change(objects)
        tables = compiled(objects)
        said = verdict(tables, "AIGatewayRoute", MODEL)
        assert not said.accepted
        assert words in said.message
        assert tables.routes == ()

    def test_keep_serving_what_was_good(self):
        before = compiled(model_objects())
        objects = model_objects({"prior-auth-extract-v1": 10, "prior-auth-extract-v2": 90})
        objects.remove(of(objects, "AIServiceBackend", "prior-auth-extract-v2"))
        after = compiled(objects, previous=before)
        assert after.routes == before.routes
        assert not verdict(after, "AIGatewayRoute", MODEL).accepted

    def test_are_gone_when_deleted(self):
        before = compiled(model_objects())
        assert compiled(static(), previous=before).routes == ()


class TestBackends:
    def test_with_an_ip_are_refused_all_the_way_up(self):
        objects = model_objects()
        ip = {"ip": {"address": "10.0.0.1", "port": 80}}
        of(objects, "Backend", "prior-auth-extract-v2")["spec"]["endpoints"] = [ip]
        tables = compiled(objects)
        for kind, name in (
            ("Backend", "prior-auth-extract-v2"),
            ("AIServiceBackend", "prior-auth-extract-v2"),
            ("AIGatewayRoute", MODEL),
        ):
            said = verdict(tables, kind, name)
            assert not said.accepted
            assert "10.0.0.1" in said.message
            assert "wrong version" in said.message
        assert verdict(tables, "Backend", "prior-auth-extract-v1").accepted

    @pytest.mark.parametrize(
        "host", ["{}.evals.svc.cluster.local", "{}.EVALS.svc", "x.{}.evals.svc."]
    )
    def test_of_another_namespace_are_refused_all_the_way_up(self, host):
        """Candidates under evaluation live in evals: no route may lead there."""
        objects, name = model_objects(), "prior-auth-extract-v2"
        of(objects, "Backend", name)["spec"]["endpoints"][0]["fqdn"]["hostname"] = host.format(name)
        tables = compiled(objects)
        for kind in ("Backend", "AIServiceBackend"):
            said = verdict(tables, kind, name)
            assert not said.accepted
            assert "namespace evals" in said.message
        assert not verdict(tables, "AIGatewayRoute", MODEL).accepted
        assert tables.routes == ()

    def test_of_candidates_cannot_be_named_from_beside_them(self):
        objects = model_objects()
        for obj in objects:
            if obj["metadata"].get("namespace") == "models":
                obj["metadata"]["namespace"] = "evals"
        for name in ("prior-auth-extract-v1", "prior-auth-extract-v2"):
            fqdn = of(objects, "Backend", name)["spec"]["endpoints"][0]["fqdn"]
            fqdn["hostname"] = f"{name}-predictor.evals.svc.cluster.local"
        tables = compiled(objects)
        said = verdict(tables, "AIGatewayRoute", MODEL)
        assert (said.accepted, said.reason) == (False, "NotAllowedByListeners")
        assert tables.routes == ()

    def test_listen_where_the_ready_pods_say(self):
        name = "prior-auth-extract-v1"
        host = (f"{name}-predictor.models.svc.cluster.local", 80)
        assert compiled(model_objects()).endpoints[host] == ()
        assert compiled([*model_objects(), *pod(name, 4242)]).endpoints[host] == ("127.0.0.1:4242",)
        assert compiled([*model_objects(), *pod(name, 4242, ready=False)]).endpoints[host] == ()

    def test_listen_at_their_own_address_where_no_pod_says_otherwise(self):
        name = "prior-auth-extract-v1"
        objects = [*model_objects(), *pod(name, 4242)]
        objects.remove(of(objects, "Pod"))
        assert compiled(objects).endpoints[(f"{name}-predictor.models.svc.cluster.local", 80)] == (
            "10.244.0.9:8080",
        )

    def test_outside_the_cluster_are_left_to_dns(self):
        objects = [obj for obj in model_objects({"ext": 1}) if obj["metadata"]["name"] != "ext"]
        tables = compiled([*objects, *version("ext", host="models.example.test")])
        assert tables.endpoints == {}
        assert tables.references["models/prior-auth-extract/ext"].hostname == "models.example.test"


class TestKeys:
    """BackendSecurityPolicy: what an engine is shown in place of the caller's token."""

    FIRST, SECOND = "prior-auth-extract-v1", "prior-auth-extract-v2"

    def objects(self, *more):
        return [*model_objects(), key_policy(self.FIRST), *more]

    def keys(self, tables):
        (found,) = tables.routes
        return [ref.key for ref in found.rules[0].references]

    def test_are_those_of_the_backends_that_a_policy_names(self):
        tables = compiled(self.objects(secret(" k-1\n", formerKey="k-0")))
        assert self.keys(tables) == ["k-1", ""]
        assert verdict(tables, "BackendSecurityPolicy", self.FIRST).accepted
        upstreams = lookup_of(tables).destinations.popitem()[1].upstreams
        assert sorted(upstream.key for upstream in upstreams.values()) == ["", "k-1"]

    def test_stay_out_of_everything_that_envoy_gets_and_of_what_is_printed(self):
        tables = compiled(self.objects(secret("k-secret")))
        assert self.keys(tables) == ["k-secret", ""]
        files = [cluster_resources(tables, WIRING), route_resource(tables)]
        assert "k-secret" not in f"{files}{listener_resource(tables, WIRING)}"
        assert "k-secret" not in f"{tables}{lookup_of(tables)}"

    def test_follow_the_secret(self):
        before = compiled(self.objects(secret("k-1")))
        after = compiled(self.objects(secret("k-2", formerKey="k-1")), before)
        assert self.keys(after) == ["k-2", ""]

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ([], "secret engine-key"),
            ([secret("k", name="another")], "secret engine-key"),
            ([secret("  ")], "empty"),
            ([{**secret("k"), "data": {"key": "aw=="}}], "does not contain key apiKey"),
            ([{**secret("k"), "data": {"apiKey": "%"}}], "no text"),
        ],
        ids=["none", "another", "empty", "no such key", "broken"],
    )
    def test_that_are_missing_close_the_route(self, more, words):
        tables = compiled(self.objects(*more))
        assert tables.routes == ()
        for kind, name in (("BackendSecurityPolicy", self.FIRST), ("AIGatewayRoute", MODEL)):
            assert not verdict(tables, kind, name).accepted
            assert words in verdict(tables, kind, name).message

    def test_of_two_policies_for_one_backend_are_refused(self):
        second = copy.deepcopy(key_policy(self.SECOND))
        second["spec"]["targetRefs"] = key_policy(self.FIRST)["spec"]["targetRefs"]
        tables = compiled(self.objects(secret("k"), second))
        assert "multiple" in verdict(tables, "AIGatewayRoute", MODEL).message

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"type": "AWSCredentials"}, "AWSCredentials"),
            ({"credentialOverride": {}}, "credentialOverride"),
            ({"apiKey": {"secretRef": {"name": "engine-key", "namespace": "evals"}}}, "namespace"),
            (
                {
                    "targetRefs": [
                        {
                            "group": "inference.networking.k8s.io",
                            "kind": "InferencePool",
                            "name": "p",
                        }
                    ]
                },
                "AIServiceBackends",
            ),
        ],
    )
    def test_that_would_be_played_otherwise_are_refused(self, change, words):
        odd = key_policy(self.FIRST)
        odd["spec"] |= change
        tables = compiled([*model_objects(), odd, secret("k")])
        found = verdict(tables, "BackendSecurityPolicy", self.FIRST)
        assert (found.accepted, words in found.message) == (False, True)


class TestAccess:
    def test_allows_the_granted_teams_only(self):
        (found,) = compiled(model_objects(budgets={"claims-review": 1, "prior-auth": 1})).routes
        assert found.access.default_action == "Deny"
        assert [rule.claims[0].values for rule in found.access.rules] == [
            ("claims-review",),
            ("prior-auth",),
        ]

    def test_is_closed_where_a_route_has_no_policy(self):
        objects = model_objects()
        objects.remove(of(objects, "SecurityPolicy", MODEL))
        (found,) = compiled(objects).routes
        assert found.access.default_action == "Deny"
        assert found.access.rules == ()

    def test_is_closed_where_the_policy_cannot_be_honored(self):
        objects = model_objects()
        of(objects, "SecurityPolicy", MODEL)["spec"]["apiKeyAuth"] = {}
        tables = compiled(objects)
        assert tables.routes[0].access.rules == ()
        said = verdict(tables, "SecurityPolicy", MODEL)
        assert (said.accepted, said.ancestor) == (False, GATEWAY)
        assert "apiKeyAuth" in said.message

    def test_shares_one_issuer_between_policies_that_describe_it_alike(self):
        second = [route("other", {"other-v1": 1}), *version("other-v1"), *policy("other", {"a": 1})]
        tables = compiled([*model_objects(), *second])
        (provider,) = tables.providers
        assert (provider.key, provider.issuer, provider.cache_seconds) == ("idp", ISSUER, 300)

    def test_keeps_issuers_that_differ_apart(self):
        second = [route("other", {"other-v1": 1}), *version("other-v1")]
        second += policy("other", {"a": 1}, jwks="http://elsewhere.test/jwks")
        tables = compiled([*model_objects(), *second])
        assert [provider.key for provider in tables.providers] == ["idp", "idp-2"]
        assert tables.routes[1].access.rules[0].provider == "idp-2"
        first, second = (found.access.rules[0].condition for found in tables.routes)
        assert "has(" in first and "]['idp'].exp" in first
        assert "]['idp-2'].exp" in second and ".idp." not in second

    def test_is_closed_where_a_condition_does_not_compile(self):
        objects = model_objects()
        rule = of(objects, "SecurityPolicy", MODEL)["spec"]["authorization"]["rules"][0]
        rule["cel"] = "metadata.x ==="
        tables = compiled(objects)
        assert tables.routes[0].access.rules == ()
        assert "does not compile" in verdict(tables, "SecurityPolicy", MODEL).message

    def test_says_when_nothing_is_there_to_protect(self):
        tables = compiled([*static(), *policy("ghost", {"a": 1})])
        assert verdict(tables, "SecurityPolicy", "ghost").reason == "TargetNotFound"
        assert verdict(tables, "BackendTrafficPolicy", "ghost").reason == "TargetNotFound"

    def test_says_when_two_policies_claim_a_route(self):
        objects = model_objects()
        copied = copy.deepcopy(of(objects, "SecurityPolicy", MODEL))
        copied["metadata"]["name"] = "zzz"
        said = verdict(compiled([*objects, copied]), "SecurityPolicy", "zzz")
        assert said.reason == "Conflicted"


class TestLimits:
    def test_count_each_team_on_each_model_apart(self):
        tables = compiled(model_objects(budgets={"claims-review": 2000, "prior-auth": 500}))
        found = descriptors(tables)["descriptors"]
        assert len({entry["value"] for entry in found}) == 2
        assert [entry["descriptors"][0]["rate_limit"] for entry in found] == [
            {"unit": "minute", "requests_per_unit": 2000},
            {"unit": "minute", "requests_per_unit": 500},
        ]

    def test_check_at_no_cost_and_charge_after_the_answer(self):
        (host,) = route_resource(compiled(model_objects()))["virtual_hosts"]
        policies = host["routes"][0]["typed_per_filter_config"]["envoy.filters.http.ratelimit"]
        before, after = policies["rate_limits"]
        assert before["hits_addend"] == {"number": 0}
        assert after["apply_on_stream_done"]
        assert after["hits_addend"] == {
            "format": "%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_total_token)%"
        }

    def test_agree_in_names_with_what_the_routes_send(self):
        tables = compiled(model_objects())
        (host,) = route_resource(tables)["virtual_hosts"]
        policies = host["routes"][0]["typed_per_filter_config"]["envoy.filters.http.ratelimit"]
        generic, match = policies["rate_limits"][0]["actions"]
        (entry,) = descriptors(tables)["descriptors"]
        assert generic["generic_key"]["descriptor_value"] == entry["value"]
        header = match["header_value_match"]
        assert (header["descriptor_key"], header["descriptor_value"]) == (
            entry["descriptors"][0]["key"],
            entry["descriptors"][0]["value"],
        )

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda rule: rule.update(shared=True), "shared"),
            (
                lambda rule: rule["limit"].update(fromMetadata={"namespace": "a", "key": "b"}),
                "fromMetadata",
            ),
            (
                lambda rule: rule["cost"]["response"]["metadata"].update(namespace="x"),
                "io.envoy.ai_gateway",
            ),
            (
                lambda rule: rule["clientSelectors"][0].update(sourceCIDR={"value": "10.0.0.0/8"}),
                "sourceCIDR",
            ),
        ],
    )
    def test_that_cannot_be_honored_are_refused(self, change, words):
        objects = model_objects()
        change(of(objects, "BackendTrafficPolicy")["spec"]["rateLimit"]["global"]["rules"][0])
        assert words in verdict(compiled(objects), "BackendTrafficPolicy", MODEL).message


class TestOverrides:
    def overridden(self, **change):
        objects = model_objects()
        override = {
            "match": {"statusCodes": [{"type": "Value", "value": 503}]},
            "source": "Local",
            "response": {
                "contentType": "application/json",
                "header": {"set": [{"name": "Retry-After", "value": "30"}]},
                "body": {"type": "Inline", "inline": "Asleep."},
            },
        }
        of(objects, "BackendTrafficPolicy")["spec"]["responseOverride"] = [override | change]
        return compiled(objects)

    def test_stand_beside_the_budgets(self):
        (found,) = self.overridden().routes
        (override,) = found.overrides
        assert (override.statuses, override.source, override.body) == ((503,), "Local", "Asleep.")
        assert override.headers == (("content-type", "application/json"), ("retry-after", "30"))
        assert len(found.limits) == 1

    def test_of_the_oldest_route_speak_for_all(self):
        """As with Envoy Gateway: its filter is chosen with the route that matches before the model
        is known.
        """
        objects = [
            *model_objects(),
            route("younger", {"prior-auth-extract-v1": 1}),
            *policy("younger", {"a": 1}),
        ]
        for obj in objects:
            obj["metadata"]["creationTimestamp"] = (
                f"2026-11-0{2 if obj['metadata']['name'] == 'younger' else 1}T00:00:00Z"
            )
        say = {
            "match": {"statusCodes": [{"value": 503}]},
            "source": "Local",
            "response": {"body": {"inline": "Old."}},
        }
        of(objects, "BackendTrafficPolicy", MODEL)["spec"]["responseOverride"] = [say]
        young = copy.deepcopy(say) | {"response": {"body": {"inline": "Young."}}}
        of(objects, "BackendTrafficPolicy", "younger")["spec"]["responseOverride"] = [young]
        assert [each.overrides[0].body for each in compiled(objects).routes] == ["Old.", "Old."]

    def test_are_a_filter_of_the_route_alone(self):
        (host,) = route_resource(self.overridden())["virtual_hosts"]
        settings = host["routes"][0]["typed_per_filter_config"][
            "envoy.filters.http.custom_response"
        ]
        (matcher,) = settings["custom_response_matcher"]["matcher_list"]["matchers"]
        wanted = [
            each["single_predicate"]["value_match"]["exact"]
            for each in matcher["predicate"]["and_matcher"]["predicate"]
            if "single_predicate" in each
        ]
        assert wanted == ["503", "true"]
        assert "typed_per_filter_config" not in host["routes"][-1]

    @pytest.mark.parametrize(
        "change",
        [
            {"match": {"statusCodes": [{"type": "Range", "range": {"start": 500, "end": 599}}]}},
            {"match": {"responseHeaders": [{"name": "a", "value": {"value": "b"}}]}},
            {"response": {"header": {"add": [{"name": "a", "value": "b"}]}}},
            {"response": {"body": {"type": "ValueRef"}}},
            {"redirect": {}},
        ],
    )
    def test_that_are_not_played_are_refused(self, change):
        tables = self.overridden(**change)
        assert "responseOverride 0" in verdict(tables, "BackendTrafficPolicy", MODEL).message


class TestListener:
    def test_takes_its_settings_from_the_static_objects(self):
        front = compiled(static()).listener
        assert front.buffer_bytes == 50 * 1024 * 1024
        assert set(front.removed_headers) == {
            "x-team",
            "x-cost-center",
            "x-user-id",
            "x-ai-eg-model",
            "x-ai-eg-original-path",
            *("traceparent", "tracestate", "baggage", "x-client-trace-id"),
        }
        assert set(front.removed_prefixes) == {
            "x-ai-eg-",
            "x-gateway-",
            "x-llm-d-",
            "x-slo-",
            "x-qm-",
        }
        assert front.generates_request_id
        assert front.returns_request_id
        assert [log.kind for log in front.access_logs] == ["File", "OpenTelemetry"]

    @pytest.mark.parametrize(
        ("kind", "change", "words"),
        [
            ("EnvoyProxy", {"filterOrder": []}, "filterOrder must say so too"),
            (
                "EnvoyProxy",
                {
                    "filterOrder": [
                        {
                            "name": "envoy.filters.http.ext_proc",
                            "after": "envoy.filters.http.rbac",
                        }
                    ]
                },
                "filterOrder must say so too",
            ),
            (
                "ClientTrafficPolicy",
                {"headers": {"lateResponseHeaders": {"remove": ["a"]}}},
                "only the request id",
            ),
            (
                "ClientTrafficPolicy",
                {
                    "headers": {
                        "earlyRequestHeaders": {"removeOnMatch": [{"type": "Suffix", "value": "a"}]}
                    }
                },
                "beginnings of names",
            ),
        ],
    )
    def test_refuses_what_it_would_play_otherwise(self, kind, change, words):
        objects = static()
        of(objects, kind)["spec"] |= change
        assert words in verdict(compiled(objects), kind, "ai-gateway").message

    def test_keeps_the_request_id_unless_a_policy_sends_it_back(self):
        objects = static()
        of(objects, "ClientTrafficPolicy")["spec"]["headers"].pop("lateResponseHeaders")
        assert not compiled(objects).listener.returns_request_id

    def test_logs_the_same_keys_by_both_ways(self):
        file, otlp = compiled(static()).listener.access_logs
        assert file.fields == otlp.fields
        assert "gen_ai.usage.total_tokens" in dict(file.fields)

    def test_traces_every_call_by_one_name(self):
        tracing = compiled(static()).listener.tracing
        assert (tracing.service, tracing.call, tracing.percent) == ("ai-gateway", "call", 100)
        assert dict(tracing.tags)["http.url"] == "%PATH(NQ)%"
        objects = static()
        of(objects, "EnvoyProxy")["spec"]["telemetry"]["tracing"]["provider"]["type"] = "Zipkin"
        assert "OpenTelemetry" in verdict(compiled(objects), "EnvoyProxy", "ai-gateway").message
        of(objects, "EnvoyProxy")["spec"]["telemetry"].pop("tracing")
        assert compiled(objects).listener.tracing is None

    def test_counts_the_routes_that_are_attached(self):
        assert verdict(compiled(model_objects()), "Gateway", "ai-gateway").ancestor[0] == "1"


def _gate(objects):
    return of(objects, "EnvoyExtensionPolicy")["spec"]["extProc"][0]


ROUTE_TARGET = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": MODEL}
GATE_REFUSALS = {
    "at a route": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"].update(targetRefs=[ROUTE_TARGET]),
        "oldest route's calls alone",
    ),
    "at a listener": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"]["targetRefs"][0].update(sectionName="x"),
        "oldest route's calls alone",
    ),
    "at another gateway": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"]["targetRefs"][0].update(name="other"),
        "Gateway ai-gateway/other not found",
    ),
    "lua": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"].update(lua=[{"type": "Inline"}]),
        "lua is not played",
    ),
    "wasm": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"].update(wasm=[{}]),
        "wasm is not played",
    ),
    "a dynamic module": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"].update(dynamicModule=[{}]),
        "dynamicModule is not played",
    ),
    "merged": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"].update(mergeType="StrategicMerge"),
        "mergeType is not played",
    ),
    "two of them": (
        lambda o: of(o, "EnvoyExtensionPolicy")["spec"]["extProc"].append(_gate(o)),
        "2 extProc",
    ),
    "none": (lambda o: of(o, "EnvoyExtensionPolicy")["spec"].pop("extProc"), "0 extProc"),
    "failing open": (lambda o: _gate(o).update(failOpen=True), "failOpen is not played"),
    "a shadow": (lambda o: _gate(o).update(shadowMode=True), "shadowMode is not played"),
    "streamed": (
        lambda o: _gate(o)["processingMode"].update(response={"body": "Streamed"}),
        "response.body Streamed",
    ),
    "in part": (
        lambda o: _gate(o)["processingMode"].update(request={"body": "BufferedPartial"}),
        "request.body BufferedPartial",
    ),
    "no bodies": (
        lambda o: _gate(o)["processingMode"].update(request={}),
        "request.body left out",
    ),
    "a Service": (
        lambda o: _gate(o)["backendRefs"][0].update(kind="Service"),
        "of kind Backend",
    ),
    "elsewhere": (
        lambda o: _gate(o)["backendRefs"][0].update(namespace="models"),
        "needs a ReferenceGrant",
    ),
    "nowhere": (
        lambda o: o.remove(of(o, "Backend", "gate")),
        "Backend ai-gateway/gate not found",
    ),
    "by address": (
        lambda o: of(o, "Backend", "gate")["spec"].update(
            endpoints=[{"ip": {"address": "10.0.0.1", "port": 1}}]
        ),
        "exactly one fqdn",
    ),
    "by TLS": (
        lambda o: of(o, "Backend", "gate")["spec"].update(tls={"sni": "gate"}),
        "tls is not played",
    ),
    "writing for a filter": (
        lambda o: _gate(o)["metadata"].update(writableNamespaces=["envoy.filters.http.jwt_authn"]),
        "none of Envoy's own filters",
    ),
    "another setting": (
        lambda o: _gate(o)["backendSettings"].update(retry={}),
        "backendSettings retry is not played",
    ),
    "another limit": (
        lambda o: _gate(o)["backendSettings"]["circuitBreaker"].update(maxConnections=1),
        "circuitBreaker maxConnections is not played",
    ),
}


class TestTheGate:
    def test_stands_between_the_grants_and_the_limits(self):
        tables = compiled(model_objects())
        listener = listener_resource(tables, WIRING)
        filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        names = [entry["name"].removeprefix("envoy.filters.http.") for entry in filters]
        assert names == [
            "jwt_authn",
            "rbac.token",
            "ext_proc/aigateway",
            "custom_response",
            "rbac",
            "ext_proc/envoyextensionpolicy/ai-gateway/gate/extproc/0",
            "ratelimit",
            "router",
        ]
        gate = filters[5]["typed_config"]
        assert gate["message_timeout"] == "10s"
        assert gate["failure_mode_allow"] is False
        assert gate["status_on_error"] == {"code": 502}
        assert gate["allow_mode_override"] is True
        assert gate["processing_mode"] == {
            "request_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "request_trailer_mode": "SKIP",
            "response_header_mode": "SEND",
            "response_body_mode": "BUFFERED",
            "response_trailer_mode": "SKIP",
        }
        read = gate["metadata_options"]["forwarding_namespaces"]["untyped"]
        assert "envoy.filters.http.jwt_authn" in read

    def test_has_a_way_of_its_own_with_room_for_whole_bodies(self):
        (cluster,) = (
            found
            for found in cluster_resources(compiled(static()), WIRING)
            if found["name"].startswith("envoyextensionpolicy/")
        )
        assert cluster["per_connection_buffer_limit_bytes"] == 50 * 1024 * 1024
        (limits,) = cluster["circuit_breakers"]["thresholds"]
        assert limits == {"max_requests": 8192, "max_pending_requests": 8192}
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        assert endpoint["address"]["socket_address"]["port_value"] == WIRING.gate_port

    @pytest.mark.parametrize(("spoil", "words"), GATE_REFUSALS.values(), ids=GATE_REFUSALS)
    def test_that_cannot_be_played_is_refused_and_closes_the_gateway(self, spoil, words):
        objects = copy.deepcopy(model_objects())
        spoil(objects)
        tables = compiled(objects)
        found = verdict(tables, "EnvoyExtensionPolicy", "gate")
        assert (found.accepted, words in found.message) == (False, True), found.message
        (host,) = route_resource(tables)["virtual_hosts"]
        assert [entry["direct_response"]["status"] for entry in host["routes"]] == [500, 404]

    def test_takes_envoy_gateways_defaults_where_nothing_is_said(self):
        objects = model_objects()
        for name in ("messageTimeout", "statusOnError", "backendSettings"):
            _gate(objects).pop(name)
        found = compiled(objects).listener.extension
        assert (found.timeout_seconds, found.error_status) == (0.2, 500)
        assert found.buffer_bytes == 32 * 1024
        assert (found.most_calls, found.most_waiting) == (1024, 1024)

    def test_is_the_oldest_policys_where_there_are_two(self):
        second = copy.deepcopy(of(static(), "EnvoyExtensionPolicy"))
        second["metadata"] |= {"name": "second", "creationTimestamp": "2026-11-27T00:00:00Z"}
        tables = compiled([*model_objects(), second])
        assert verdict(tables, "EnvoyExtensionPolicy", "second").reason == "Conflicted"
        assert tables.listener.extension.name == "envoyextensionpolicy/ai-gateway/gate/extproc/0"
        assert not tables.listener.closed


class TestLookup:
    def test_survives_being_written_down(self):
        lookup = lookup_of(compiled(model_objects()))
        assert lookup_from_json(yaml.safe_load(yaml.safe_dump(_plain(lookup.to_json())))) == lookup

    def test_lists_exact_models(self):
        assert lookup_of(compiled(model_objects())).models == (MODEL,)

    def test_still_knows_where_calls_under_way_went(self):
        old = lookup_of(compiled(model_objects()))
        new = lookup_of(compiled(model_objects({"prior-auth-extract-v2": 1}))).including(old)
        (destination,) = new.destinations.values()
        assert len(destination.upstreams) == 2
        assert Lookup().including(old).models == ()


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


class TestObjects:
    def test_are_ranked_by_age_then_name(self):
        objects = Objects()
        for name, at in (("b", "2026-01-01"), ("a", "2026-01-02"), ("c", "2026-01-01")):
            objects.put("Gateway", {"metadata": {"name": name, "creationTimestamp": at}})
        assert [obj["metadata"]["name"] for obj in objects.all("Gateway")] == ["b", "c", "a"]

    def test_do_not_change_by_their_status(self):
        objects = Objects()
        obj = {"metadata": {"name": "a", "generation": 1}, "spec": {"x": 1}}
        assert objects.put("Gateway", obj)
        assert not objects.put("Gateway", {**obj, "status": {"conditions": []}})
        assert objects.put("Gateway", {**obj, "spec": {"x": 2}})
        assert not objects.replace("Gateway", [{**obj, "spec": {"x": 2}}])
        assert objects.remove("Gateway", obj)
        assert not objects.remove("Gateway", obj)


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "value"), [("60s", 60), ("1m30s", 90), ("1h", 3600), ("250ms", 0.25)]
    )
    def test_are_seconds(self, text, value):
        assert seconds(text) == value

    @pytest.mark.parametrize("text", ["", "60", "s", "1d", "1m x"])
    def test_that_are_none_are_refused(self, text):
        with pytest.raises(Refused):
            seconds(text)

    def test_quantities_are_bytes(self):
        assert (whole_bytes("50Mi"), whole_bytes(32768), whole_bytes("1k")) == (
            52428800,
            32768,
            1000,
        )
        with pytest.raises(Refused):
            whole_bytes("many")
