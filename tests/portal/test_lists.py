"""The API's lists: what narrows them, and that a wish they cannot meet is said."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.access.models import AccessRequest, Grant
from apps.capacity.models import CapacityRequest
from apps.evals.models import EvalRun
from apps.fleet.models import Node
from apps.promotions.models import Promotion
from tests.chargeback.pricing import CHEAP, price
from tests.database import unguarded
from tests.factories import ModelVersionFactory, RegisteredModelFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()
TOMORROW = (NOW + timedelta(days=1)).isoformat()
YESTERDAY = (NOW - timedelta(days=1)).isoformat()


@pytest.fixture
def world(world):
    Node.objects.bulk_create(
        Node(
            name=f"node-{zone}", uid=f"u-{zone}", node_pool="gpu-a", instance_type="g6.2xlarge",
            zone=zone, capacity_type=kind, gpu_count=1, is_ready=zone == "b", created_at=NOW,
            learned_at=NOW,
        )
        for zone, kind in (("a", "spot"), ("b", "on-demand"))
    )  # fmt: skip
    return world


def get(path, persona="platform", **query):
    where = path if path.startswith("/") else reverse(f"api:{path}")
    return Client().get(where, query, headers={"Authorization": f"Bearer {persona}"})


def ids(answer, key="id"):
    assert answer.status_code == 200, answer.content
    return {str(row[key]) for row in answer.json()["results"]}


def keys(rows):
    return {str(key) for key in rows.values_list("pk", flat=True)}


class TestEveryList:
    LISTS = (
        ("access_requests", "status", "requested_since"),
        ("grants", "active", "ends_before"),
        ("budgets", "mode", "active_since"),
        ("models", "data_class", "created_since"),
        ("versions", "status", "created_before"),
        ("rates", "active", "active_since"),
        ("fleet_nodes", "is_ready", "created_since"),
        ("capacity_requests", "status", "requested_before"),
        ("new_models", "status", "requested_before"),
        ("evaluation_runs", "version", "requested_since"),
        ("promotions", "serving_class", "requested_before"),
    )

    @pytest.mark.parametrize(("name", "choice", "moment"), LISTS)
    def test_names_each_value_that_cannot_be(self, world, name, choice, moment):
        path = reverse(f"api:{name}", args=["extract"] if name == "versions" else [])
        for parameter in (choice, moment):
            answer = get(path, **{parameter: "tomato"})
            assert answer.status_code == 400
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["code"] == "invalid"
            assert list(answer.json()["errors"]) == [parameter]

    @pytest.mark.parametrize(("name", "choice", "moment"), LISTS)
    def test_names_a_filter_that_it_does_not_have(self, world, name, choice, moment):
        path = reverse(f"api:{name}", args=["extract"] if name == "versions" else [])
        answer = get(path, misspelled="x")
        assert answer.status_code == 400
        assert answer.json()["errors"] == {"misspelled": ["This list has no such filter."]}
        assert get(path, **{choice: ""}).status_code == 200

    def test_keeps_its_filters_from_page_to_page(self, world):
        RegisteredModelFactory.create_batch(51, task="Translation")
        first = get("models", task="Translation")
        following = Client().get(first.json()["next"], headers={"Authorization": "Bearer platform"})
        assert len(ids(first, "name")) == 50
        assert len(ids(following, "name")) == 1
        assert {row["task"] for row in following.json()["results"]} == {"Translation"}


class TestFilters:
    def test_of_access_requests(self, world):
        pending = AccessRequest.objects.get(status="PENDING")
        approved = AccessRequest.objects.get(status="APPROVED")
        assert ids(get("access_requests")) == {str(pending.pk), str(approved.pk)}
        assert ids(get("access_requests", status="PENDING")) == {str(pending.pk)}
        assert ids(get("access_requests", model="extract")) == {str(approved.pk)}
        assert ids(get("access_requests", team="prior-auth")) == set()
        assert len(ids(get("access_requests", team="claims-review", requested_by="lead"))) == 2
        with unguarded():
            AccessRequest.objects.filter(pk=approved.pk).update(
                requested_at=NOW - timedelta(days=2)
            )
        assert ids(get("access_requests", requested_since=YESTERDAY)) == {str(pending.pk)}
        assert ids(get("access_requests", requested_before=YESTERDAY)) == {str(approved.pk)}

    def test_show_nobody_more_than_they_may_see(self, world):
        assert ids(get("access_requests", "other_lead", team="claims-review")) == set()
        assert ids(get("grants", "other_lead", model="extract")) == set()

    def test_of_grants(self, world):
        [grant] = keys(Grant.objects.all())
        assert ids(get("grants")) == ids(get("grants", active="true")) == {grant}
        assert ids(get("grants", active="false")) == set()
        assert ids(get("grants", model="extract", team="claims-review")) == {grant}
        assert ids(get("grants", model="other")) == set()
        Grant.objects.update(revoked_at=NOW)
        assert ids(get("grants")) == set()
        assert ids(get("grants", active="false")) == {grant}
        ends = Grant.objects.get().active_to
        assert ids(get("grants", active="false", ends_since=ends.isoformat())) == {grant}
        assert ids(get("grants", active="false", ends_before=ends.isoformat())) == set()

    def test_of_models_and_versions(self, world):
        RegisteredModelFactory(name="translate", data_class="PUBLIC", family="Other")
        assert ids(get("models", data_class="PUBLIC"), "name") == {"translate"}
        assert ids(get("models", family="Other"), "name") == {"translate"}
        assert "translate" not in ids(get("models", team="ml-platform"), "name")
        model = ModelVersionFactory(status="VERIFIED").registered_model
        ModelVersionFactory(registered_model=model, number=99, status="FAILED")
        path = reverse("api:versions", args=[model.name])
        assert ids(get(path, status="FAILED"), "number") == {"99"}

    def test_of_nodes(self, world):
        assert ids(get("fleet_nodes", is_ready="true"), "name") == {"node-b"}
        assert ids(get("fleet_nodes", is_ready="false"), "name") == {"node-a"}
        assert ids(get("fleet_nodes", capacity_type="spot", zone="a"), "name") == {"node-a"}
        assert ids(get("fleet_nodes", node_pool="gpu-b"), "name") == set()

    def test_of_capacity_requests(self, world):
        failed = keys(CapacityRequest.objects.filter(status="FAILED"))
        assert ids(get("capacity_requests", status="FAILED")) == failed != set()
        mine = keys(CapacityRequest.objects.filter(requested_by__username="platform2"))
        assert ids(get("capacity_requests", requested_by="platform2")) == mine
        assert ids(get("capacity_requests", pool="gpu-b")) == keys(
            CapacityRequest.objects.filter(pool="gpu-b")
        )

    def test_of_runs(self, world):
        run = EvalRun.objects.filter(model_version__number=2).get()
        assert str(run.pk) in ids(get("evaluation_runs"))
        assert ids(get("evaluation_runs", model="extract", version="2")) == {str(run.pk)}
        assert ids(get("evaluation_runs", model="extract", version="3")) == set()
        assert ids(get("evaluation_runs", requested_since=TOMORROW)) == set()
        assert get("evaluation_runs", version="2.5").status_code == 400

    def test_of_promotions(self, world):
        pending = keys(Promotion.objects.filter(status="PENDING"))
        assert ids(get("promotions", status="PENDING")) == pending != set()
        assert len(ids(get("promotions"))) > len(pending)
        extract = keys(Promotion.objects.filter(registered_model__name="extract"))
        assert ids(get("promotions", model="extract", team="ml-platform")) == extract
        assert ids(get("promotions", model="extract", version="2")) == pending
        assert ids(get("promotions", serving_class="SCALE_TO_ZERO")) == set()

    def test_of_prices(self, world):
        hour = NOW.replace(minute=0, second=0, microsecond=0)
        for name, days in (("old", (-2, -1)), ("present", (-1, None)), ("coming", (1, None))):
            start, end = days
            price(
                RegisteredModelFactory(name=name),
                CHEAP,
                hour + timedelta(days=start),
                active_to=None if end is None else hour + timedelta(days=end),
            )
        assert ids(get("rates"), "model") == {"old", "present", "coming", "extract"}
        assert ids(get("rates", active="true"), "model") == {"present", "extract"}
        assert ids(get("rates", active="false"), "model") == {"old", "coming"}
        assert ids(get("rates", model="old"), "model") == {"old"}
        assert ids(get("rates", active_since=NOW.isoformat()), "model") == {"coming"}
