"""Sizing a version as people meet it."""

import csv
import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.catalog.facts.actions import record_facts
from apps.catalog.facts.reading import Sources, read
from apps.catalog.intake.actions import shape_of
from apps.catalog.sizing import actions, queries
from apps.catalog.sizing.compute import Computed
from apps.catalog.sizing.models import EngineReport, SizingJob
from apps.fleet.pricing.models import NodePrice
from tests.catalog import configs
from tests.catalog.sizing.test_fits import figures
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.pages import joined
from tests.promotions import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def version():
    made = factories.version(RegisteredModelFactory(name="sized"), 3)
    return with_facts(made, configs.LLAMA_8B)


@pytest.fixture(autouse=True)
def moment(monkeypatch):
    monkeypatch.setattr("portal.pages.sizing.now", lambda: NOW)


def with_facts(version, config):
    files = {"config.json": json.dumps(config).encode()}
    headers = {"model.safetensors": configs.header(config)}
    record_facts(version=version, facts=read(Sources([*files], files, headers)), now=NOW)
    return version


def measured_shape(wish):
    """Work the figures of a model out that somebody wants."""
    return work_out(shape_of(wish))


def measured(version):
    """Work its figures out, as a worker does."""
    return work_out(queries.shape_of(version))


def work_out(shape):
    job = actions.ask_for_figures(shape=shape, now=NOW)
    for table, ways in job.wanted:
        found = Computed(table, ways, figures(ways, slow=1 if "h100" in table else 3))
        actions.record_figures(job=job, found=found, now=NOW)
    actions.finish(job=job, now=NOW)


def address(version, **query):
    return reverse("catalog:version_sizing", args=[version.registered_model.name, version.number])


class TestApi:
    def get(self, charlie, version, what, **query):
        client = APIClient()
        client.force_authenticate(charlie)
        where = reverse(f"api:version_{what}", args=["sized", version.number])
        return client.get(where, query)

    def test_answers_facts_and_machines(self, charlie, version):
        measured(version)
        found = self.get(charlie, version, "facts").json()
        assert (found["parameters"], found["kv_heads"]) == (8_030_261_248, 8)
        load = {"context": 2200, "answer": 200, "callers": 8}
        found = self.get(charlie, version, "sizing", **load).json()
        assert found["is_complete"] is True
        assert found["fits"][0]["usd_per_hour"]
        assert found["settings"]["instance_types"] == [found["fits"][0]["machine"]]
        unmeasured = [fit for fit in found["fits"] if fit["gpu"] == "l4"]
        assert {fit["ttft_ms"] for fit in unmeasured} == {None}

    def test_refuses_a_load_that_is_none(self, charlie, version):
        assert self.get(charlie, version, "sizing", context=5).status_code == 400


class TestVersionSizing:
    def test_names_what_serves_a_load_with_its_price_and_why_others_do_not(
        self, client, charlie, version
    ):
        measured(version)
        NodePrice.objects.create(
            source="SPOT", instance_type="p5.4xlarge", region="us-east-1", zone="us-east-1b",
            usd_per_hour=Decimal("2.51"), active_from=NOW - timedelta(hours=1), learned_at=NOW,
        )  # fmt: skip
        client.force_login(charlie)
        load = {"context": 9000, "answer": 200, "callers": 8, "ttft_ms": 800, "itl_ms": 40}
        page = joined(client.get(address(version), load).content)
        for words in (
            "p5.4xlarge", "$6.88", "$2.51", "1 replica of one GPU", "Measured tables",
            "Not measured", "one request has 9,000", "Serving settings that follow",
        ):  # fmt: skip
            assert words in page, words

    def test_leads_its_owner_to_a_proposal_with_these_settings(self, client, charlie, version):
        measured(version)
        factories.run(version)
        owner = UserFactory(
            username="olga",
            team=version.registered_model.owner_team,
            with_roles=[Role.MODEL_OWNER],
        )
        load = "context=9000&answer=200&callers=8&ttft_ms=800&itl_ms=40"
        client.force_login(owner)
        page = joined(client.get(f"{address(version)}?{load}").content)
        where = reverse("promotions:promotion_create", args=["sized", 3])
        assert f'href="{where}?{load.replace("&", "&amp;")}"' in page
        form = client.get(f"{where}?{load}")
        assert "The settings below come from sizing" in joined(form.content)
        assert "p5.4xlarge" in str(form.context["form"].initial)
        plain = joined(client.get(f"{where}?context=nonsense").content)
        assert "come from sizing" not in plain
        client.force_login(charlie)
        assert where not in joined(client.get(f"{address(version)}?{load}").content)

    def test_is_the_same_as_csv_and_keeps_the_load_in_its_address(self, client, charlie, version):
        measured(version)
        client.force_login(charlie)
        load = {"context": 2200, "answer": 200, "rate": 2, "format": "csv"}
        text = b"".join(client.get(address(version), load).streaming_content).decode()
        rows = list(csv.DictReader(StringIO(text)))
        cheapest = [
            Decimal(row["On demand (an hour)"]) for row in rows if row["On demand (an hour)"]
        ]
        assert cheapest == sorted(cheapest)
        assert rows[0]["Machine"]
        assert "g5.xlarge" not in {row["Machine"] for row in rows}  # nobody measured how many

    def test_shows_both_figures_where_an_engine_reported(self, client, charlie, version):
        measured(version)
        start = actions.Start(
            "models/pod-1", "vllm 0.26.0", "h100", 1, round(79.18 * 1024**3), 0.9, 449_968
        )
        actions.record_engine_reports(starts=[(version, start), (version, start)], now=NOW)
        assert EngineReport.objects.count() == 1
        client.force_login(charlie)
        page = joined(client.get(address(version)).content)
        assert "449,96" in page
        assert "by the library" in page
        assert "As vllm 0.26.0 reported it at the start of sized-v3" in page

    def test_counts_no_stand_in_and_nothing_that_cannot_be(self, version):
        def start(name, engine="vllm 0.26.0", tokens=100, fraction=0.9):
            return version, actions.Start(name, engine, "h100", 1, 10**11, fraction, tokens)

        made = [
            start("a", engine="stand-in"), start("b", engine=""), start("c", tokens=0),
            start("d", fraction=1.5),
        ]  # fmt: skip
        assert actions.record_engine_reports(starts=made, now=NOW) == 0
        assert EngineReport.objects.count() == 0

    def test_asks_a_worker_once_and_says_how_far_it_is(self, client, charlie, version):
        client.force_login(charlie)
        before = joined(client.get(address(version)).content)
        assert "Its speed is not worked out yet" in before
        assert "Not measured" in before  # memory is known already
        ask = reverse("catalog:version_sizing_ask", args=["sized", 3])
        for _ in range(2):
            answer = client.post(f"{ask}?context=900&answer=10&callers=1")
            assert answer.url.endswith("/v3/sizing/?context=900&answer=10&callers=1")
        job = SizingJob.objects.get()
        actions.record_figures(job=job, found=Computed("l40s", 1, figures()), now=NOW)
        page = joined(client.get(address(version)).content)
        assert f"1 of {len(job.wanted)}" in page
        assert 'hx-trigger="load delay:2s"' in page

    @pytest.mark.parametrize(
        ("load", "words"),
        [
            ({"context": 100, "answer": 100, "callers": 1}, "leave room for a prompt"),
            ({"context": 100, "answer": 10}, "how many callers there are"),
            ({"context": 100, "answer": 10, "callers": 1, "rate": 1}, "not both"),
            ({"context": "x", "answer": 10, "callers": 1}, "Enter a whole number"),
            ({"context": 10**12, "answer": 10, "callers": 1}, "less than or equal to"),
            ({"context": 100, "answer": 10, "rate": "NaN"}, "Enter a number"),
            ({"context": 100, "answer": 10, "rate": "-1"}, "greater than or equal"),
        ],
    )
    def test_refuses_a_load_that_is_none(self, client, charlie, version, load, words):
        client.force_login(charlie)
        answer = client.get(address(version), load)
        assert answer.status_code == 200
        assert words in joined(answer.content)

    def test_says_that_a_context_is_too_long_for_the_model(self, client, charlie, version):
        client.force_login(charlie)
        load = {"context": 200_000, "answer": 10, "callers": 1}
        assert "takes 131,072 tokens at most" in joined(client.get(address(version), load).content)

    def test_of_a_version_without_facts_says_what_is_missing(self, client, charlie):
        made = factories.version(RegisteredModelFactory(name="sized"), 1)
        client.force_login(charlie)
        page = joined(client.get(address(made)).content)
        assert "Its facts are not known yet" in page
        client.post(reverse("catalog:version_sizing_ask", args=["sized", 1]))
        assert not SizingJob.objects.exists()

    def test_of_an_unknown_architecture_says_what_is_not_known(self, client, charlie):
        made = factories.version(RegisteredModelFactory(name="sized"), 1)
        with_facts(made, configs.LLAMA_8B | {"architectures": []})
        client.force_login(charlie)
        page = joined(client.get(address(made)).content)
        assert "names no architecture" in page
        assert "Not measured" in page
