"""Serving settings that are proposed with a version: refused, bound, rendered, shown."""

from dataclasses import replace
from datetime import timedelta

import pytest
import yaml
from django.db import DatabaseError, transaction
from django.urls import reverse
from rest_framework.test import APIClient

from apps.capacity.records import record_found
from apps.manifests.serving_settings import USUAL
from apps.promotions import actions, dossier
from apps.promotions.binding import writes
from apps.promotions.models import Promotion
from apps.promotions.rollouts import render
from apps.promotions.settings.forms import SettingsForm
from tests.capacity import samples
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory
from tests.manifests import objects
from tests.promotions import factories
from tests.promotions.seeing import seen

TWO = replace(USUAL, gpus=2, tensor_parallelism=2, memory="24Gi", drain_seconds=30)
SCALED = replace(TWO, replicas_most=3)
FILE = "serving/models/prior-auth-extract/v7.yaml"
WHY = "It reads longer notes."


@pytest.fixture
def version(registered_model):
    made = factories.version(registered_model, 7)
    factories.run(made)
    return made


def evaluated(version, settings):
    """Let a version have passed with settings, against what serves."""
    later = NOW + timedelta(minutes=version.eval_runs.count())
    return factories.run(version, at=later, serving_settings=settings.as_json())


def propose(version, requester, settings=TWO, **more):
    evaluated(version, settings)
    return actions.request_promotion(
        version=version, requester=requester, justification=WHY, settings=settings, now=NOW, **more
    )


@pytest.mark.django_db
class TestProposing:
    def test_keeps_and_binds_them(self, version, alice):
        promotion = propose(version, alice)
        promotion.refresh_from_db()
        assert promotion.settings == TWO
        assert promotion.binding["settings"]["serving"] == TWO.as_json()
        as_usual = propose_other(version, alice)
        assert as_usual.settings == USUAL
        assert as_usual.binding["settings"]["serving"] == USUAL.as_json()

    def test_writes_what_was_proposed(self, version, alice):
        promotion = propose(version, alice, SCALED)
        serve = writes.steps_to_show(promotion, render.surroundings())["SERVE"]
        found = {each["kind"]: each for each in yaml.safe_load_all(serve[FILE])}
        model = found["InferenceService"]["spec"]["predictor"]["model"]
        assert model["resources"]["limits"] == {
            "cpu": "3",
            "memory": "24Gi",
            "nvidia.com/gpu": "2",
        }
        assert {"--tensor-parallel-size=2", "--shutdown-timeout=30"} <= set(model["args"])
        assert found["ScaledObject"]["spec"]["maxReplicaCount"] == 3

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            (replace(USUAL, gpus=2), "would use 1 GPU of the 2"),
            (replace(USUAL, engine_args={"--trust-remote-code": ""}), "may set"),
            (replace(USUAL, replicas_least=2), "least comes first"),
        ],
    )
    def test_refuses_what_nothing_would_serve(self, version, alice, settings, words):
        with pytest.raises(actions.NotEligible, match=words):
            propose(version, alice, settings)
        assert not Promotion.objects.exists()

    def test_asks_for_an_evaluation_with_what_may_change_its_answers(self, version, alice):
        evaluated(version, replace(TWO, cpu="8", replicas_most=2))
        half = replace(TWO, engine_args={"--dtype": "half"})
        with pytest.raises(actions.NotEligible, match="Engine arguments: evaluated with none"):
            actions.request_promotion(
                version=version, requester=alice, justification=WHY, settings=half, now=NOW
            )
        made = actions.request_promotion(
            version=version, requester=alice, justification=WHY, settings=TWO, now=NOW
        )
        assert made.settings == TWO

    def test_refuses_what_no_pool_can_buy_and_says_which_would(self, version, alice):
        samples.seen(gpus=2)
        with pytest.raises(actions.NotEligible, match="No NodePool can buy it") as refused:
            propose(version, alice)
        assert "The limits of gpu-inference are below one g" in str(refused.value)
        assert propose(version, alice, USUAL).status == "PENDING"

    def test_takes_what_a_pool_can_buy(self, version, alice):
        samples.seen()
        promotion = propose(version, alice)
        found = {each["name"]: each for each in shown(promotion)["conditions"]}
        assert found["NodePool"]["words"] == "gpu-inference buys g6.12xlarge for it"
        assert found["Serving settings"]["words"] == ("2 GPUs, 3 CPUs, 24Gi a replica; 1 replica")

    def test_a_pool_that_shrank_stops_the_approval(self, version, alice, carol):
        samples.seen()
        promotion = propose(version, alice)
        record_found(
            pool="gpu-inference", text=samples.text_of(replace(samples.POOL, gpus=1)), now=NOW
        )
        with pytest.raises(actions.NotEligible, match="No NodePool can buy it"):
            approve(promotion, carol)

    def test_the_database_lets_nobody_change_them(self, version, alice):
        promotion = propose(version, alice)
        with pytest.raises(DatabaseError), transaction.atomic():
            Promotion.objects.filter(pk=promotion.pk).update(serving_settings={})

    def test_other_settings_than_were_bound_let_nobody_approve(self, version, alice, carol):
        promotion = propose(version, alice)
        with unguarded():
            kept = TWO.as_json() | {"gpus": 4, "tensor_parallelism": 4}
            Promotion.objects.filter(pk=promotion.pk).update(serving_settings=kept)
        promotion.refresh_from_db()
        with pytest.raises(actions.NotEligible, match="GPUs a replica: was 2, is 4"):
            approve(promotion, carol)


def propose_other(version, requester):
    """Propose a version of another model of the same team, as usual."""
    model = RegisteredModelFactory(name="denial-letters", owner_team=requester.team)
    other = factories.version(model, 3)
    return propose(other, requester, USUAL)


def approve(promotion, approver):
    return actions.approve_promotion(
        promotion=promotion, approver=approver, seen=seen(promotion), reason="Good", now=NOW
    )


def shown(promotion):
    return dossier.evidence(promotion, actions.NOT_SHOWN, NOW)


@pytest.mark.django_db
class TestDossier:
    def test_says_what_changes_against_the_live_version(self, version, alice, registered_model):
        usual = USUAL.as_json() | {"shm": "4Gi"}
        factories.live(registered_model, 6, serving_settings=usual)
        promotion = propose(version, alice)
        assert shown(promotion)["settings_changes"] == [
            ["GPUs a replica", "1", "2"],
            ["Tensor parallelism", "1", "2"],
            ["Memory", "12Gi", "24Gi"],
            ["/dev/shm", "4Gi", "2Gi"],  # noqa: S108 (in the container)
            ["Drain", "0 s", "30 s"],
        ]
        assert ["GPUs a replica", "2"] in shown(promotion)["settings"]

    def test_is_on_the_page(self, version, alice, carol, registered_model, client):
        factories.live(registered_model, 6)
        promotion = propose(version, alice)
        client.force_login(carol)
        page = client.get(reverse("promotions:promotion_detail", args=[promotion.pk]))
        text = " ".join(page.content.decode().split())
        assert 'GPUs a replica: <del class="muted">1</del> 2' in text

    def test_stays_on_the_pages_of_what_serves(self, carol, registered_model, client):
        live = factories.live(registered_model, 6, serving_settings=SCALED.as_json())
        client.force_login(carol)
        words = "2 GPUs, 3 CPUs, 24Gi a replica; 1 to 3 replicas"
        page = client.get(reverse("promotions:rollout_detail", args=[live.pk])).content.decode()
        assert words in page
        assert "ScaledObject" in page
        where = reverse("catalog:version_detail", args=["prior-auth-extract", 6])
        assert words in client.get(where).content.decode()


@pytest.mark.django_db
class TestForm:
    WHERE = ("prior-auth-extract", 7)

    def post(self, client, person, **fields):
        client.force_login(person)
        where = reverse("promotions:promotion_create", args=self.WHERE)
        return client.post(where, {"justification": WHY} | fields)

    def test_proposes_what_was_typed(self, client, version, alice):
        fields = {
            "gpus": 2, "tensor_parallelism": 2, "cpu": "3.5", "memory": 24, "shm": 4,
            "replicas_least": 1, "replicas_most": 3, "concurrency_target": 8, "drain_seconds": 30,
            "pre_stop_seconds": 5, "prefix_caching": "off", "priority_scheduling": "on",
            "quantization": "fp8", "instance_types": "g6.12xlarge, g6e.12xlarge",
            "engine_args": "--max-num-seqs=64\n--enforce-eager\n--seed 7\n"
            '--override-generation-config {"stop": "a=b"}',
        }  # fmt: skip
        wanted = replace(
            USUAL, gpus=2, tensor_parallelism=2, cpu="3500m", memory="24Gi", shm="4Gi",
            replicas_most=3, concurrency_target=8, drain_seconds=30, pre_stop_seconds=5,
            prefix_caching=False, priority_scheduling=True, quantization="fp8",
            instance_types=("g6.12xlarge", "g6e.12xlarge"),
            engine_args={
                "--max-num-seqs": "64", "--enforce-eager": "", "--seed": "7",
                "--override-generation-config": '{"stop": "a=b"}',
            },
        )  # fmt: skip
        evaluated(version, wanted)
        assert self.post(client, alice, **fields).status_code == 302
        made = Promotion.objects.get().settings
        assert made == wanted

    def test_left_empty_is_as_usual(self, client, version, alice):
        assert self.post(client, alice, gpus="", cpu="").status_code == 302
        assert Promotion.objects.get().settings == USUAL

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"gpus": "17"}, "less than or equal to 16"),
            ({"gpus": "2"}, "would use 1 GPU of the 2"),
            ({"cpu": "many"}, "Enter a number"),
            ({"engine_args": "--model=/etc/passwd"}, "may set"),
            ({"instance_types": "g6"}, "is no instance type"),
            ({"replicas_least": "3", "replicas_most": "2"}, "least comes first"),
        ],
    )
    def test_says_what_is_wrong(self, client, version, alice, fields, words):
        answer = self.post(client, alice, **fields)
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert not Promotion.objects.exists()

    @pytest.mark.parametrize(
        "settings", [USUAL, objects.LARGE.settings, replace(USUAL, cpu="3250m")]
    )
    def test_shows_settings_as_they_are(self, settings):
        form = SettingsForm(SettingsForm.showing(settings))
        assert form.is_valid(), form.errors
        assert form.settings() == settings

    def test_begins_with_those_of_the_live_version(self, client, version, alice, registered_model):
        factories.live(registered_model, 6, serving_settings=TWO.as_json())
        client.force_login(alice)
        page = client.get(reverse("promotions:promotion_create", args=self.WHERE))
        assert page.context["form"]["memory"].value() == 24


@pytest.mark.django_db
class TestApi:
    def post(self, person, settings):
        client = APIClient()
        client.force_authenticate(person)
        body = {"model": "prior-auth-extract", "version": 7, "justification": WHY}
        body["serving_settings"] = settings
        return client.post("/api/v1/promotions", body, format="json")

    def test_takes_and_answers_them(self, version, alice):
        evaluated(version, TWO)
        answer = self.post(alice, {"gpus": 2, "tensor_parallelism": 2, "memory": "24Gi"})
        assert answer.status_code == 201
        assert answer.json()["serving_settings"] == (replace(TWO, drain_seconds=0).as_json())

    @pytest.mark.parametrize(
        ("settings", "status", "words"),
        [
            ({"gpu": 2}, 400, "no serving setting"),
            ({"gpus": "2"}, 400, "does not have the form"),
            ([], 400, "are an object"),
            ({"gpus": 2}, 409, "would use 1 GPU of the 2"),
            ({"gpus": 0}, 409, "1 to 16 GPUs"),
            ({"cpu": "three"}, 409, "no number of CPUs"),
        ],
    )
    def test_refuses_in_words(self, version, alice, settings, status, words):
        samples.seen()
        answer = self.post(alice, settings)
        assert answer.status_code == status
        assert words in answer.content.decode()
