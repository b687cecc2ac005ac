"""What is made up is marked on every page that shows a figure resting on it, and nowhere else."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.chargeback.actions import price_due_days
from apps.evals.models import EvalRun
from apps.fleet.models import Node, NodeClaim, Replica
from apps.metering.models import HourlyUsage
from apps.promotions.models import Promotion, Rollout
from tests.database import unguarded
from tests.factories import RegisteredModelFactory, TeamFactory, UserFactory, create_event
from tests.pages import joined
from tests.promotions import factories

pytestmark = pytest.mark.django_db
STAND_IN = "A labeled stand-in answers calls here instead of a model"
MACHINES = "The machines are simulated"
PRICES = "Spot prices are simulated."


@pytest.fixture
def visitor(client):
    """Sees every page: finance of the team that calls, and a platform engineer."""
    roles = [Role.FINANCE, Role.PLATFORM_ENGINEER, Role.MODEL_OWNER]
    client.force_login(UserFactory(team=TeamFactory(slug="claims-review"), with_roles=roles))
    return client


def world(name, *, engine, provider="", basis=""):
    """Return what stands behind the figures of a model: rollout, claim, replica, calls."""
    now = timezone.now()
    model = RegisteredModelFactory(name=name)
    rollout = factories.live(model, 1)
    Rollout.objects.filter(pk=rollout.pk).update(engine=engine, observed_at=now)
    with unguarded():
        EvalRun.objects.filter(model_version=rollout.model_version).update(engine=engine)
    machine = {"created_at": now, "learned_at": now, "price_basis": basis, "gpu_count": 1}
    claim = NodeClaim.objects.create(
        uid=f"claim-{name}", name=f"claim-{name}", node_name=f"node-{name}", provider_id=provider,
        **machine,
    )  # fmt: skip
    Node.objects.create(uid=f"node-{name}", name=f"node-{name}", **machine)
    version = f"{name}-v1"
    Replica.objects.create(
        uid=f"pod-{name}", name=f"pod-{name}", namespace="models", service=version, model=name,
        node_name=claim.node_name, engine=engine, created_at=now, learned_at=now,
    )  # fmt: skip
    called = {"team": "claims-review", "model": name, "version": version}
    tokens = {"input_tokens": 10, "cached_input_tokens": 0, "output_tokens": 5}
    create_event(
        event_id=f"00000000-0000-4000-8000-{model.pk:012}", occurred_at=now, received_at=now,
        received_via="OTLP", outcome="METERED", response_code=200, **called, **tokens,
    )  # fmt: skip
    HourlyUsage.objects.create(
        hour=now.replace(minute=0, second=0, microsecond=0), metered_calls=1, unmetered_calls=0,
        refused_calls=0, failed_calls=0, rolled_up_at=now, **called, **tokens,
    )  # fmt: skip
    price_due_days()
    return rollout, claim


def pages(rollout, claim):
    """Return page → its address, of those that show figures of a version and its machine."""
    model = rollout.registered_model.name
    return {
        "home": reverse("home"),
        "usage": reverse("metering:usage_list"),
        "chargeback": reverse("chargeback:month") + "?by=line",
        "overview": reverse("catalog:model_detail", args=[model]),
        "model usage": reverse("metering:model_usage", args=[model]),
        "version": reverse("catalog:version_detail", args=[model, 1]),
        "dossier": reverse("promotions:promotion_detail", args=[rollout.promotion_id]),
        "proposal": reverse("promotions:promotion_create", args=[model, 1]),
        "rollout": reverse("promotions:rollout_detail", args=[rollout.pk]),
        "capacity": reverse("capacity:pool_list"),
        "nodes": reverse("fleet:node_list"),
        "claims": reverse("fleet:claim_list"),
        "claim": reverse("fleet:claim_detail", args=[claim.pk]),
        "replicas": reverse("fleet:replica_list"),
    }


def marks(visitor, addresses):
    """Return page → which of the three it names."""
    found = {}
    for name, address in addresses.items():
        text = joined(visitor.get(address).content)
        found[name] = {words for words in (STAND_IN, MACHINES, PRICES) if words in text}
    return found


def test_names_the_stand_in_and_simulated_machines_on_every_page(visitor):
    made_up = world("played", engine="stand-in", provider="kwok://node", basis="simulated-spot")
    found = marks(visitor, pages(*made_up))
    fleet = {"capacity", "nodes", "claims", "claim", "replicas"}
    assert found == {name: {MACHINES, PRICES} if name in fleet else {STAND_IN} for name in found}


def test_says_nothing_of_the_kind_where_all_is_real(visitor):
    real = world(
        "real", engine="vllm 0.11.0", provider="aws:///us-east-1a/i-1", basis="on-demand-list"
    )
    assert marks(visitor, pages(*real)) == {name: set() for name in pages(*real)}


def test_marks_the_lines_of_what_was_played_beside_what_was_not(visitor):
    real, claim = world("real", engine="vllm 0.11.0", provider="aws:///i-1")
    world("played", engine="stand-in", provider="kwok://node")
    for name in ("usage", "chargeback"):
        text = joined(visitor.get(pages(real, claim)[name]).content)
        rows = [row for row in text.split("<tr ") if "-v1" in row]
        assert {("played-v1" in row, ">simulated<" in row) for row in rows} == {
            (True, True),
            (False, False),
        }
    own = {key: pages(real, claim)[key] for key in ("overview", "model usage", "version", "claim")}
    assert marks(visitor, own) == {name: set() for name in own}


def test_a_machine_that_is_gone_says_nothing_about_those_that_are_there(visitor):
    _, claim = world("played", engine="vllm 0.11.0", provider="kwok://node", basis="simulated-spot")
    NodeClaim.objects.filter(pk=claim.pk).update(ended_at=timezone.now() + timedelta(seconds=1))
    found = marks(visitor, {"capacity": reverse("capacity:pool_list")})
    assert found == {"capacity": set()}


def test_typical_times_say_on_what_they_rest(visitor):
    rollout, _ = world("real", engine="vllm 0.11.0")
    page = visitor.get(reverse("promotions:rollout_detail", args=[rollout.pk])).content
    assert "typical times were measured on simulated nodes" in joined(page)
    assert Promotion.objects.count() == 1
