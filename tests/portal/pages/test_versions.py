"""A model's versions and the page of one, as people meet them."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse

from apps.catalog import actions as catalog
from apps.catalog.facts.actions import record_facts
from apps.catalog.facts.reading import Sources, read
from apps.evals.models import EvalRun
from apps.promotions import actions
from apps.promotions.models import Promotion
from tests.catalog import configs
from tests.catalog.test_actions import add
from tests.database import unguarded
from tests.factories import NOW, ModelVersionFactory, RegisteredModelFactory
from tests.pages import joined
from tests.promotions import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_(client):
    """Sign a person in."""

    def sign_in(user):
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture(autouse=True)
def moment(monkeypatch):
    """Let the doors' clock stand."""
    monkeypatch.setattr("portal.pages.versions.now", lambda: NOW)


def url(view: str, *arguments) -> str:
    return reverse(f"catalog:{view}", args=arguments)


class TestVersionList:
    def test_lists_versions_with_size_and_state(self, as_, charlie, registered_model, alice):
        version = add(registered_model, alice, note="First try")
        page = as_(charlie).get(url("version_list", registered_model.name)).content.decode()
        assert f"v{version.number}" in page
        assert "First try" in page
        assert "Uploading" in page

    def test_takes_as_many_queries_for_many_versions_as_for_one(
        self, as_, charlie, registered_model, django_assert_num_queries
    ):
        visitor = as_(charlie)
        ModelVersionFactory.create_batch(6, registered_model=registered_model)
        visitor.get(url("version_list", registered_model.name))
        # session, person, roles, model, versions; runs; twice rollouts and freshness
        with django_assert_num_queries(10):
            visitor.get(url("version_list", registered_model.name))

    def test_tells_of_each_its_stage_evaluation_signature_and_lock(
        self, as_, charlie, registered_model
    ):
        live = factories.live(registered_model, 7)
        facts = {"status": "PROGRESSING", "weight": 25, "finished_at": None}
        moving = factories.rolled(registered_model, 8, baseline=live.model_version, **facts)
        with unguarded():
            EvalRun.objects.filter(model_version=moving.model_version).update(engine="stand-in")
        factories.version(registered_model, 9, signer="release-ci", locked_until=NOW)
        factories.live(RegisteredModelFactory(name="other-model"), 10)
        address = url("version_list", registered_model.name)
        page = joined(as_(charlie).get(address).content)
        rows = page[page.index("<tbody") :].split("<tr")[1:]
        told = {
            "v9": ("Not serving yet", "Not evaluated", "release-ci", "2 Nov 2026"),
            "v8": ("Rolling out · 25 %", "F1 0.900 (simulated)", "Not signed", "not locked"),
            "v7": ("Live · 75 %", "F1 0.900", "Not signed", "not locked"),
        }
        assert len(rows) == len(told)
        for row, (version, words) in zip(rows, told.items(), strict=True):
            assert [each for each in (version, *words) if each not in row] == []
        assert "simulated" not in rows[2]
        answer = as_(charlie).get(address, {"format": "csv", "sort": "stage"})
        lines = answer.getvalue().decode()
        stages = [line.split(",")[:2] for line in lines.splitlines()[1:]]
        assert stages == [
            ["v9", "Not serving yet"],
            ["v8", "Rolling out · 25 %"],
            ["v7", "Live · 75 %"],
        ]


class TestVersionDetail:
    def page(self, visitor, version, **headers) -> str:
        address = url("version_detail", version.registered_model.name, version.number)
        return visitor.get(address, headers=headers).content.decode()

    def test_follows_a_version_that_moves(self, as_, charlie, alice, registered_model):
        version = add(registered_model, alice)
        page = self.page(as_(charlie), version)
        assert "every 1500ms" in page
        assert "config.json" in page

    def test_answers_htmx_with_the_live_part_alone(self, as_, charlie, alice, registered_model):
        page = self.page(as_(charlie), add(registered_model, alice), **{"HX-Request": "true"})
        assert page.lstrip().startswith('<div id="live"')
        assert page.count('id="live"') == 1

    def test_stops_following_when_verified_and_shows_the_digest(
        self, as_, charlie, registered_model
    ):
        version = ModelVersionFactory(
            registered_model=registered_model, locked_until=NOW, signer="Registry key abc"
        )
        page = self.page(as_(charlie), version)
        assert "every 1500ms" not in page
        for words in (version.manifest_digest, "Registry key abc", "02 Nov 2026"):
            assert words in page

    def test_tells_when_the_manifest_was_signed(self, as_, charlie, registered_model):
        version = ModelVersionFactory(
            registered_model=registered_model, status="SIGNING", manifest_digest="", generation=1
        )
        address = url("version_detail", registered_model.name, version.number)
        steps = as_(charlie).get(address).context["steps"]
        assert (steps[2]["label"], steps[2]["at"]) == ("Manifest signed, objects locked", None)
        at = NOW - timedelta(minutes=3)
        signed = {"manifest_digest": "sha256:a", "signature_digest": "sha256:b", "signer": "key"}
        catalog.record_signed(version=version, now=at, **signed)
        assert as_(charlie).get(address).context["steps"][2]["at"] == at

    def test_names_the_file_of_a_quarantined_version(self, as_, charlie, registered_model):
        message = "model.safetensors: expected sha256 aa, found bb."
        version = ModelVersionFactory(
            registered_model=registered_model, status="QUARANTINED", message=message
        )
        page = self.page(as_(charlie), version)
        assert message in page
        assert "can never be used" in page
        assert "Propose for production" not in page

    def test_says_that_callers_are_still_sent_to_a_quarantined_version(
        self, as_, alice, registered_model
    ):
        replaced = factories.rolled(registered_model, 6, status="REPLACED", weight=0).model_version
        live = factories.live(registered_model, 7).model_version
        for version in (replaced, live):
            catalog.quarantine_version(version=version, reason="REPLACED", message="m", now=NOW)
        pages = [joined(self.page(as_(alice), version)) for version in (replaced, live)]
        told = ["can never be used" in page for page in pages]
        warned = ["Quarantined, but callers are still sent to it" in page for page in pages]
        assert (told, warned) == ([True, False], [False, True])
        for page in pages:
            assert "Run evaluation" not in page
            assert "Propose for production" not in page
            assert "The version is quarantined. Only a verified version can serve" in page

    @pytest.mark.parametrize("number", [0, 7, 10**12])
    def test_is_404_where_there_is_none(self, as_, charlie, registered_model, number):
        assert as_(charlie).get(f"/catalog/{registered_model.name}/v{number}/").status_code == 404

    def test_is_the_hub_from_which_its_rollout_and_promotion_are_reached(
        self, as_, charlie, registered_model
    ):
        live = factories.live(registered_model, 7)
        other = factories.live(RegisteredModelFactory(name="other-model"), 7)
        page = joined(self.page(as_(charlie), live.model_version))
        for view, key in (("rollout", live.pk), ("promotion", live.promotion_id)):
            assert reverse(f"promotions:{view}_detail", args=[key]) in page
        assert str(other.pk) not in page
        assert "<span>100</span>" in page
        assert "Approved, proposed by" in page
        assert f"/evaluations/{live.promotion.eval_run_id}/" in page

    def test_can_be_proposed_where_every_gate_holds(
        self, as_, alice, bob, charlie, registered_model
    ):
        factories.live(registered_model, 6)
        version = factories.version(registered_model, 7)
        factories.run(version)
        propose = reverse("promotions:promotion_create", args=[registered_model.name, 7])
        for person, may in ((alice, True), (bob, True), (charlie, False)):
            page = self.page(as_(person), version)
            assert (propose in page) is may
            assert "Why it cannot be proposed now" not in page

    def test_says_to_its_owner_why_it_cannot_be_proposed(
        self, as_, alice, charlie, registered_model
    ):
        live = factories.live(registered_model, 6).model_version
        poor = factories.version(registered_model, 7)
        factories.run(poor, passed=False)
        ready = factories.version(registered_model, 8)
        factories.run(ready)
        said = {
            live: "already serves all callers",
            poor: "did not pass",
            factories.version(registered_model, 9): "No finished evaluation run",
        }
        for version, words in said.items():
            page = joined(self.page(as_(alice), version))
            assert words in page
            assert "Propose for production" not in page
            assert words not in joined(self.page(as_(charlie), version))
        assert "Propose for production" in self.page(as_(alice), ready)
        actions.request_promotion(version=ready, requester=alice, justification="Better", now=NOW)
        page = joined(self.page(as_(alice), ready))
        assert "prior-auth-extract-v8 waits for a reviewer" in page
        assert "Propose for production" not in page
        assert Promotion.objects.pending().count() == 1

    def test_lets_those_evaluate_who_may_while_no_run_is_open(
        self, as_, alice, charlie, registered_model
    ):
        version = ModelVersionFactory(registered_model=registered_model)
        assert "Run evaluation" in self.page(as_(alice), version)
        page = self.page(as_(charlie), version)
        assert "Run evaluation" not in page
        assert "Not evaluated yet" in page
        run = factories.run(version)
        assert f"/evaluations/{run.pk}/" in self.page(as_(charlie), version)
        EvalRun.objects.create(
            suite=run.suite, model_version=version, requested_by=alice, requested_at=NOW
        )
        assert "Run evaluation" not in self.page(as_(alice), version)

    def test_says_loudly_that_the_stand_in_was_evaluated(self, as_, charlie, registered_model):
        real, played = (factories.version(registered_model, number) for number in (7, 8))
        for version, engine in ((real, "vllm 0.11.0"), (played, "stand-in")):
            run = factories.run(version)
            with unguarded():
                EvalRun.objects.filter(pk=run.pk).update(engine=engine)
        page = joined(self.page(as_(charlie), played))
        assert "notice-warn" in page
        assert "A labeled stand-in answers calls here instead of a model" in page
        assert "labeled stand-in" not in self.page(as_(charlie), real)

    def test_shows_the_figure_of_the_result_that_decides(self, as_, charlie, registered_model):
        version, other = (factories.version(registered_model, number) for number in (7, 8))
        slow = factories.run(version, f1=0.61)
        # asked for later, but done before the other one
        quick = factories.run(version, f1=0.72, at=NOW + timedelta(hours=1))
        with unguarded():
            EvalRun.objects.filter(pk=slow.pk).update(finished_at=NOW + timedelta(hours=2))
        factories.run(other, f1=0.83, at=NOW + timedelta(hours=3))
        found = as_(charlie).get(url("version_detail", registered_model.name, 7)).context
        assert (found["result"], found["f1"]) == (slow, "0.610")
        assert quick in [line[0] for line in found["runs"]]

    def test_asks_a_fixed_number_of_queries(
        self, as_, alice, charlie, registered_model, django_assert_num_queries
    ):
        live = factories.live(registered_model, 6)
        version = factories.version(registered_model, 7)
        for _ in range(3):
            factories.run(version)
        address = url("version_detail", registered_model.name, 7)
        for person, queries in ((charlie, 13), (alice, 23)):
            visitor = as_(person)
            with django_assert_num_queries(queries):
                visitor.get(address)
        factories.rolled(
            registered_model, 8, status="REPLACED", weight=0, baseline=live.model_version
        )
        with django_assert_num_queries(queries):
            visitor.get(address)


class TestFacts:
    """What a version's files say, on its page."""

    def version(self, model, number, template, **more):
        made = factories.version(model, number)
        files = {
            "config.json": json.dumps(configs.LLAMA_8B).encode(),
            "chat_template.jinja": template,
            "README.md": b"---\nlicense: llama3.1\n---\n",
        }
        headers = {"model.safetensors": configs.header(configs.LLAMA_8B)}
        record_facts(version=made, facts=read(Sources([*files], files, headers)), now=NOW)
        return made

    def page(self, client, number):
        return joined(client.get(url("version_detail", "facts", number)).content)

    def test_are_shown_with_what_contradicts_the_registration(self, as_, charlie):
        model = RegisteredModelFactory(
            name="facts", parameter_count=7_000_000_000, context_length=200_000, license="MIT"
        )
        self.version(model, 1, b"{{ messages }}")
        page = self.page(as_(charlie), 1)
        for words in (
            "LlamaForCausalLM",
            "8.03 B (8,030,261,248)",
            "14.96 GiB",
            "32 heads of 128, 8 KV heads",
            "131,072 tokens",
            "registered with 7 B parameters; its files hold 8.03 B",
            "registered with a context of 200,000 tokens; config.json allows 131,072",
            "registered under MIT; README.md states llama3.1",
        ):
            assert words in page, words

    def test_contradict_nothing_where_all_agree(self, as_, charlie):
        model = RegisteredModelFactory(
            name="facts",
            parameter_count=8_000_000_000,
            context_length=131_072,
            license="Llama3.1 License",
        )
        self.version(model, 1, b"a")
        assert "The files say otherwise" not in self.page(as_(charlie), 1)

    def test_show_what_changed_of_the_chat_template(self, as_, charlie):
        model = RegisteredModelFactory(name="facts")
        self.version(model, 1, b"system first\nthen the user")
        factories.version(model, 2)  # nobody read its files
        self.version(model, 3, b"system first\nthen whoever asks")
        self.version(model, 4, b"system first\nthen whoever asks")
        client = as_(charlie)
        changed = self.page(client, 3)
        for words in ("Compared with v1", "then the user", "then whoever asks"):
            assert words in changed, words
        assert "The same as that of v3." in self.page(client, 4)
        assert "Not read yet" in self.page(client, 2)
