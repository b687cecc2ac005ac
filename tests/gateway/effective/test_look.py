"""What the gateway does, held against what the portal says: two models, two teams, both places."""

from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from apps.access import actions as access
from apps.gateway.effective import compare, declared
from apps.gateway.effective.compare import Declared
from apps.gateway.effective.look import NOT_CONFIGURED, look
from apps.gateway.effective.models import GatewayDrift, GatewayLook, RouteReading
from apps.integrations.envoy_admin.reading import EnvoyRoute
from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes.types import Kind
from apps.manifests.gateway import TeamLimit
from apps.promotions.models import Rollout
from apps.promotions.rollouts import render
from tests.access.test_actions import WISH
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=10)


class Cluster:
    """A cluster with these objects. problem: it is away."""

    def __init__(self, problem=""):
        self.objects, self.problem = [], problem

    def list(self, kind, namespace=None, labels=None, fields=None):
        if self.problem:
            raise TemporaryError(self.problem)
        plural = {Kind.AI_GATEWAY_ROUTE: "AIGatewayRoute", Kind.SECURITY_POLICY: "SecurityPolicy",
                  Kind.TRAFFIC_POLICY: "BackendTrafficPolicy",
                  Kind.EXTENSION_POLICY: "EnvoyExtensionPolicy"}[kind]  # fmt: skip
        return [obj for obj in self.objects
                if (obj["kind"], obj["metadata"]["namespace"]) == (plural, namespace)]  # fmt: skip

    def has(self, model, version, limits):
        """Apply what the portal renders for a model."""
        around = render.surroundings()
        made = render.policy(model.name, [TeamLimit(*each) for each in limits], around)
        self.objects += yaml.safe_load_all(made.text)
        for text in render.shift(version, around).values():
            self.objects += yaml.safe_load_all(text)


class Envoy:
    """An Envoy that was configured so, or is away."""

    def __init__(self, problem="", **routes):
        self.problem, self.by_model = problem, routes

    def routes(self):
        if self.problem:
            raise TemporaryError(self.problem)
        return {name.replace("_", "-"): route for name, route in self.by_model.items()}

    def close(self):
        pass


@pytest.fixture
def model(registered_model, charlie, alice):
    """A model that serves, and that claims-review may call."""
    factories.live(registered_model, 1)
    asked = access.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)
    access.approve_request(request=asked, approver=alice, reason="Fits.", now=NOW)
    return registered_model


@pytest.fixture
def other(alice):
    """A model that serves and that nobody may call."""
    found = RegisteredModelFactory(name="summary", owner_team=alice.team)
    factories.live(found, 7)
    return found


LIMIT = WISH.tokens_per_minute
RIGHT = EnvoyRoute({"prior-auth-extract-v1": 100}, (), ("claims-review",), ("claims-review",))
RIGHT_OTHER = EnvoyRoute({"summary-v7": 100}, (), (), ())


@pytest.fixture
def cluster(model, other):
    """A cluster that has everything as it should be."""
    found = Cluster()
    found.has(model, Rollout.objects.get(registered_model=model).model_version,
              [("claims-review", LIMIT)])  # fmt: skip
    found.has(other, Rollout.objects.get(registered_model=other).model_version, [])
    return found


def envoy(**changed):
    return Envoy(**({"prior_auth_extract": RIGHT, "summary": RIGHT_OTHER} | changed))


def differences():
    rows = GatewayDrift.objects.present().order_by("registered_model__name", "place", "what")
    return [
        (row.registered_model.name, row.place, row.what, row.subject, row.declared, row.found)
        for row in rows
    ]


class TestLook:
    def test_finds_nothing_where_all_is_as_declared_and_changes_nothing_again(self, cluster):
        for at in (NOW, LATER):
            look(cluster=cluster, envoy=envoy(), now=at)
            assert differences() == []
        readings = {row.registered_model.name: row for row in RouteReading.objects.all()}
        assert readings["prior-auth-extract"].limit_of("claims-review") == LIMIT
        assert readings["summary"].envoy["weights"] == {"summary-v7": 100}
        found = GatewayLook.objects.get()
        assert (found.looked_at, found.cluster_read_at, found.envoy_read_at) == (LATER,) * 3
        assert (found.cluster_problem, found.envoy_problem, found.gate) == ("", "", "ABSENT")

    def test_names_what_differs_in_each_place_since_when_and_until_when(self, cluster, model):
        wrong = replace(RIGHT, weights={"prior-auth-extract-v1": 90, "prior-auth-extract-v2": 10},
                        teams=("claims-review", "prior-auth"), limited=())  # fmt: skip
        traffic = next(obj for obj in cluster.objects if obj["kind"] == "BackendTrafficPolicy")
        traffic["spec"]["rateLimit"]["global"]["rules"][0]["limit"]["requests"] = 7
        for at in (NOW, LATER):
            look(cluster=cluster, envoy=envoy(prior_auth_extract=wrong), now=at)
        name, limit = model.name, f"{LIMIT:,}"
        assert differences() == [
            (name, "CLUSTER", "LIMIT", "claims-review", limit, "7"),
            (name, "ENVOY", "ACCESS", "prior-auth", "may not call", "may call"),
            (name, "ENVOY", "LIMIT", "claims-review", limit, "not counted"),
            (name, "ENVOY", "WEIGHTS", "", "prior-auth-extract-v1 100 %",
             "prior-auth-extract-v1 90 %, prior-auth-extract-v2 10 %"),
        ]  # fmt: skip
        assert {row.since for row in GatewayDrift.objects.all()} == {NOW}
        assert {row.seen_at for row in GatewayDrift.objects.all()} == {LATER}
        look(cluster=cluster, envoy=envoy(), now=LATER + timedelta(minutes=1))
        assert [row[1] for row in differences()] == ["CLUSTER"]
        ended = GatewayDrift.objects.exclude(ended_at=None)
        assert {row.ended_at for row in ended} == {LATER + timedelta(minutes=1)}
        # a difference that comes back is another one
        look(cluster=cluster, envoy=envoy(prior_auth_extract=wrong), now=LATER + timedelta(hours=1))
        assert GatewayDrift.objects.filter(place="ENVOY", what="WEIGHTS").count() == 2

    def test_says_nothing_of_a_place_that_is_away_and_ends_nothing_there(self, cluster, model):
        look(cluster=cluster, envoy=Envoy(summary=RIGHT_OTHER), now=NOW)
        assert [row[1:3] for row in differences()] == [("ENVOY", "WEIGHTS")]
        look(cluster=cluster, envoy=Envoy(problem="Envoy's admin cannot be reached."), now=LATER)
        assert [row[1:3] for row in differences()] == [("ENVOY", "WEIGHTS")]
        look(cluster=Cluster(problem="The cluster cannot be reached."), envoy=None, now=LATER)
        found = GatewayLook.objects.get()
        assert found.cluster_problem == "The cluster cannot be reached."
        assert (found.envoy_problem, found.envoy_read_at) == (NOT_CONFIGURED, NOW)
        kept = RouteReading.objects.get(registered_model=model)
        assert kept.cluster["weights"] == {"prior-auth-extract-v1": 100}

    def test_names_an_object_that_the_gateway_refuses_or_that_is_missing(self, cluster, model):
        for obj in list(cluster.objects):
            if obj["metadata"]["name"] != model.name:
                continue
            if obj["kind"] == "SecurityPolicy":
                said = {"type": "Accepted", "status": "False", "message": "no such issuer"}
                obj["status"] = {"ancestors": [{"conditions": [said]}]}
            elif obj["kind"] == "BackendTrafficPolicy":
                cluster.objects.remove(obj)
        look(cluster=cluster, envoy=envoy(), now=NOW)
        assert [(what, subject, found) for _, _, what, subject, _, found in differences()] == [
            ("ACCESS", "", "no such issuer"), ("LIMIT", "", "the cluster has no such object"),
            ("LIMIT", "claims-review", "none"),
        ]  # fmt: skip

    def test_sees_the_gates_policy(self, cluster):
        for status, gate in (("True", "ACCEPTED"), ("False", "REFUSED")):
            said = {"type": "Accepted", "status": status, "message": "as it says"}
            cluster.objects.append({
                "kind": "EnvoyExtensionPolicy",
                "metadata": {"name": "gate", "namespace": "ai-gateway"},
                "status": {"ancestors": [{"conditions": [said]}]},
            })  # fmt: skip
            look(cluster=cluster, envoy=None, now=NOW)
            assert GatewayLook.objects.get().gate == gate
            cluster.objects.pop()

    def test_forgets_no_model_whose_objects_are_gone(self, cluster, other):
        look(cluster=cluster, envoy=envoy(), now=NOW)
        Rollout.objects.filter(registered_model=other).update(status="REPLACED")
        cluster.objects = [obj for obj in cluster.objects if obj["metadata"]["name"] != other.name]
        look(cluster=cluster, envoy=Envoy(prior_auth_extract=RIGHT), now=LATER)
        assert differences() == []
        kept = RouteReading.objects.get(registered_model=other)
        assert (kept.cluster["weights"], kept.envoy) == ({}, {})


class TestDeclared:
    def test_is_asked_for_all_models_at_once(self, model, other, django_assert_num_queries):
        with django_assert_num_queries(2):
            found = declared.of_models([model, other], NOW)
        assert found == {
            model.pk: Declared({"prior-auth-extract-v1": 100}, {"claims-review": LIMIT}),
            other.pk: Declared({"summary-v7": 100}, {}),
        }

    def test_splits_callers_while_a_rollout_moves(self, model):
        factories.rolled(model, 2, weight=10, status="PROGRESSING")
        found = declared.of_models([model], NOW)[model.pk]
        assert found.weights == {"prior-auth-extract-v1": 90, "prior-auth-extract-v2": 10}


class TestShares:
    @pytest.mark.parametrize(("weights", "words"), [
        (None, "not known"), ({}, "nobody"), ({"a-v1": 0}, "nobody"),
        ({"a-v2": 1, "a-v1": 3}, "a-v1 75 %, a-v2 25 %"), ({"a-v1": 1, "a-v2": 2},
        "a-v1 33.33 %, a-v2 66.67 %"),
    ])  # fmt: skip
    def test_are_of_the_whole(self, weights, words):
        assert compare.shares(weights) == words
