"""What Envoy does, read from its own configuration, in both shapes that it has."""

import json

import httpx
import pytest

from apps.integrations.envoy_admin.client import EnvoyAdmin
from apps.integrations.envoy_admin.reading import EnvoyRoute, routes
from apps.integrations.errors import PermanentError, TemporaryError

FILTERS = "type.googleapis.com/envoy.extensions.filters.http"


def header(name, value):
    return {"name": name, "string_match": {"exact": value}}


def rules(*teams):
    """Return who may pass as RBAC rules."""
    path = [{"key": "idp"}, {"key": "team"}]
    policies = {
        f"{at:03}-team-{team}": {
            "permissions": [{"any": True}],
            "principals": [{"and_ids": {"ids": [{"or_ids": {"ids": [{"sourced_metadata": {
                "metadata_matcher": {"filter": "envoy.filters.http.jwt_authn", "path": path,
                                     "value": {"string_match": {"exact": team}}},
            }}]}}]}}],
        }
        for at, team in enumerate(teams)
    }  # fmt: skip
    return {"rbac": {"rules": {"action": "ALLOW", "policies": policies}}}


def matchers(*teams):
    """Return the same as Envoy Gateway writes it: a list of matchers."""
    path = [{"key": "idp"}, {"key": "team"}]
    other = [{"key": "idp"}, {"key": "sub"}]

    def single(where, value):
        return {"single_predicate": {
            "input": {"name": "claim", "typed_config": {"path": where}},
            "custom_match": {"typed_config": {"value": {"string_match": {"exact": value}}}},
        }}  # fmt: skip

    listed = [
        {"predicate": {"and_matcher": {"predicate": [single(path, team), single(other, "x")]}},
         "on_match": {"action": {"name": f"team-{team}"}}}
        for team in teams
    ]  # fmt: skip
    return {"rbac": {"matcher": {"matcher_list": {"matchers": listed}}}}


def route(model, action, access, limited=(), *, of_class=""):
    wanted = [header("x-ai-eg-model", model)]
    if of_class:
        wanted.append(header("x-qm-class", of_class))
    limits = [
        {"actions": [{"header_value_match": {"headers": [header("x-team", team)]}}]}
        for team in limited
    ]
    return {
        "match": {"prefix": "/", "headers": wanted},
        "route": action,
        "typed_per_filter_config": {
            "envoy.filters.http.rbac": access,
            "envoy.filters.http.ratelimit": {"rate_limits": limits},
        },
    }


def weighted(**clusters):
    return {"weighted_clusters": {"clusters": [
        {"name": name.replace("__", "/").replace("_", "-"), "weight": weight}
        for name, weight in clusters.items()
    ]}}  # fmt: skip


def dump(*found):
    host = {"routes": [*found, {"name": "route-not-found", "match": {"prefix": "/"}}]}
    return {"configs": [{"route_config": {"virtual_hosts": [host]}}]}


def cluster(name, *places):
    """places: (weight, hostname, address) of each locality."""
    endpoints = [
        {"load_balancing_weight": weight, "lb_endpoints": [{"endpoint": {
            "hostname": hostname, "address": {"socket_address": {"address": address}}}}]}
        for weight, hostname, address in places
    ]  # fmt: skip
    return {"cluster": {"name": name, "load_assignment": {"endpoints": endpoints}}}


DNS = "extract-v{}-predictor.models.svc.cluster.local"


class TestRoutes:
    def test_read_weighted_clusters_and_rules(self):
        found = routes(
            dump(
                route("extract", weighted(models__extract__extract_v1=90,
                                          models__extract__extract_v2=10),
                      rules("claims-review", "prior-auth"), ["claims-review"]),
                route("summary", weighted(models__summary__summary_v7=100), rules()),
            ),
            {"configs": []},
        )  # fmt: skip
        assert found == {
            "extract": EnvoyRoute({"extract-v1": 90, "extract-v2": 10}, (),
                                  ("claims-review", "prior-auth"), ("claims-review",)),
            "summary": EnvoyRoute({"summary-v7": 100}, (), (), ()),
        }  # fmt: skip

    def test_read_weighted_localities_and_matchers(self):
        name = "httproute/models/extract/rule/0"
        action = {"cluster": name, "rate_limits": [
            {"actions": [{"header_value_match": {"headers": [header("x-team", "b")]}}]}
        ]}  # fmt: skip
        clusters = {"configs": [cluster(name, (90, "", DNS.format(1)), (10, "", DNS.format(2)))]}
        found = routes(dump(route("extract", action, matchers("a", "b"))), clusters)
        assert found["extract"] == EnvoyRoute(
            {"extract-v1": 90, "extract-v2": 10}, (), ("a", "b"), ("b",)
        )

    def test_name_a_version_by_its_hosts_before_its_cluster(self):
        action = weighted(httproute__models__extract__rule__0__backend__0=100)
        name = "httproute/models/extract/rule/0/backend/0"
        clusters = {"configs": [cluster(name, (1, DNS.format(3), "10.0.0.1"))]}
        found = routes(dump(route("extract", action, rules())), clusters)
        assert found["extract"].weights == {"extract-v3": 100}

    def test_know_no_weights_where_a_way_names_no_version(self):
        action = weighted(models__extract__extract_v1=90, httproute__models__extract__rule=10)
        assert routes(dump(route("extract", action, rules())), {})["extract"].weights is None

    def test_put_the_rules_of_classes_together(self):
        first = route("extract", weighted(m__extract_v1=100), rules("a"))
        batch = route("extract", weighted(m__extract_v2=100), rules("b"), of_class="batch")
        (found,) = routes(dump(first, batch), {}).values()
        assert (found.classes, found.teams) == (("batch",), ("a", "b"))
        assert found.weights == {"extract-v2": 100}  # says otherwise than the first

    def test_make_nothing_of_what_is_odd(self):
        assert routes({}, {}) == {}
        assert routes({"configs": [{"route_config": None}]}, {"configs": [{}]}) == {}
        plain = dump({"match": {"headers": [header("x-ai-eg-model", "m")]}})
        assert routes(plain, {}) == {"m": EnvoyRoute({}, (), (), ())}


class TestEnvoyAdmin:
    def admin(self, answer):
        return EnvoyAdmin("http://envoy.test", transport=httpx.MockTransport(answer))

    def test_asks_for_routes_and_clusters_alone(self):
        asked = []

        def answer(request):
            asked.append(request.url.params["resource"])
            return httpx.Response(200, json=dump(route("m", weighted(m__m_v1=100), rules())))

        assert set(self.admin(answer).routes()) == {"m"}
        assert asked == ["dynamic_route_configs", "dynamic_active_clusters"]

    @pytest.mark.parametrize(("answer", "error"), [
        (httpx.Response(503), TemporaryError), (httpx.Response(200, text="<html>"), PermanentError),
        (httpx.Response(200, text=json.dumps([])), PermanentError),
    ])  # fmt: skip
    def test_says_what_is_wrong(self, answer, error):
        with pytest.raises(error, match="Envoy's admin"):
            self.admin(lambda _: answer).routes()
