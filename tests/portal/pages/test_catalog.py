"""The catalog's list and a model's overview, as people meet them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from apps.access.models import AccessRequest, Grant
from apps.catalog.facts.actions import record_facts
from apps.catalog.facts.reading import Facts
from apps.chargeback.rating import Prices
from apps.common.periods import DAY
from apps.fleet.models import NodeClaim, Observation, Replica
from apps.promotions.models import Rollout
from apps.promotions.serving import State
from tests.chargeback.pricing import price
from tests.database import unguarded
from tests.factories import NOW, ModelVersionFactory, RegisteredModelFactory, UserFactory
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


@pytest.fixture
def nobody(db):
    """Signed in, without any role."""
    return UserFactory(username="nobody", team=None)


def url(view: str, *arguments) -> str:
    return reverse(f"catalog:{view}", args=arguments)


def seen_now(rollout, **facts):
    """Have the worker look at a live version just now."""
    Rollout.objects.filter(pk=rollout.pk).update(observed_at=timezone.now(), **facts)


def replica_of(model, number):
    """Have a replica of a version start on a node, and be ready at once."""
    now = timezone.now()
    times = {"created_at": now, "learned_at": now}
    node = f"node-{model.name}"
    NodeClaim.objects.create(uid=node, name=node, node_name=node, **times)
    return Replica.objects.create(
        uid=f"pod-{model.name}", name=f"pod-{model.name}", namespace="models", node_name=node,
        service=f"{model.name}-v{number}", model=model.name, ready_at=now, is_ready=True, **times,
    )  # fmt: skip


def priced(model, usd, *, output="1.10", active_to=None):
    """Give a model prices from yesterday on."""
    yesterday = (timezone.now() - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    prices = Prices(Decimal(usd), Decimal("0.04"), Decimal(output))
    return price(model, prices, yesterday, active_to=active_to)


def asked(model, person, status="PENDING"):
    """Have a person's team ask for a model."""
    now = timezone.now()
    decided = {} if status == "PENDING" else {"decided_at": now, "decided_by": UserFactory()}
    return AccessRequest.objects.create(
        registered_model=model, team=person.team, requested_by=person, requested_at=now,
        purpose="Packets", data_class="PHI", tokens_per_minute=1000, monthly_budget_usd=100,
        expires_date=now.date() + timedelta(days=30), status=status, **decided,
    )  # fmt: skip


def granted(model, person):
    """Give a person's team a model until in thirty days."""
    now = timezone.now()
    return Grant.objects.create(
        request=asked(model, person, "APPROVED"), registered_model=model, team=person.team,
        tokens_per_minute=1000, active_from=now - timedelta(days=1),
        active_to=now + timedelta(days=30),
    )  # fmt: skip


def card_of(page, model):
    """Return the card of a model on the list."""
    return next(part for part in page.split("<article")[1:] if f"/catalog/{model.name}/" in part)


class TestModelList:
    def test_says_all_of_each_model_in_the_first_answer(self, as_, charlie, registered_model):
        drifted = RegisteredModelFactory(name="drifted")
        sleeping = RegisteredModelFactory(name="sleeping")
        Observation.objects.create(feed="pods", seen_at=timezone.now(), heard_at=timezone.now())
        live = factories.live(registered_model, 7)
        live.promotion.eval_run.metrics |= {"tokens_per_second": 31.04}
        live.promotion.eval_run.instance_type = "g6.xlarge"
        with unguarded():
            live.promotion.eval_run.save()
        seen_now(live)
        seen_now(factories.live(drifted, 2), reason="DRIFT")
        seen_now(factories.live(sleeping, 3, serving_class="SCALE_TO_ZERO"))
        priced(registered_model, "0.38")
        priced(drifted, "0.55", active_to=timezone.now() - timedelta(hours=1))
        priced(sleeping, "0.77")
        granted(registered_model, charlie)
        asked(drifted, charlie)
        page = joined(as_(charlie).get(url("model_list")).content)
        for model, told, untold in (
            (
                registered_model,
                ("Live v7", "$0.38 in", "$0.04 cached", "Your team has it"),
                "asked",
            ),
            (
                registered_model,
                ("TTFT p95 0.42 s · 31.0 tokens/s on g6.xlarge",),
                "simulated",
            ),
            (drifted, ("v2 drifted", "No price set yet", "Your request waits"), "Live"),
            (sleeping, ("Idle, wake-up", "$0.77 in", "Request access"), "Live"),
        ):
            card = card_of(page, model)
            assert [words for words in told if words not in card] == []
            assert untold not in card
        cards = page[page.index("<article") : page.rindex("</article>")]
        assert "hx-get" not in cards, "no request per card"
        answer = as_(charlie).get(url("model_list"), {"view": "table", "format": "csv", "q": "dri"})
        lines = answer.getvalue().decode().splitlines()
        assert [line.split(",")[0] for line in lines] == ["Model", "drifted"]
        assert "asked" in lines[1]
        table = joined(as_(charlie).get(url("model_list") + "?view=table").content)
        for words in ("Live v7", "v2 drifted", "$0.77 in", "Your request waits", "31.0 tokens/s"):
            assert words in table, words

    def test_says_that_a_state_is_not_known(self, as_, charlie, registered_model):
        factories.live(registered_model, 7)
        page = as_(charlie).get(url("model_list")).content.decode()
        assert "v7, not seen since 2 Nov 09:00 UTC" in page

    def test_another_teams_grant_is_not_ours(self, as_, alice, charlie, registered_model):
        granted(registered_model, alice)
        page = as_(charlie).get(url("model_list")).content.decode()
        assert "Your team has it" not in page
        assert "Request access" in page

    def test_a_page_of_models_asks_a_fixed_number_of_queries(
        self, as_, charlie, registered_model, django_assert_num_queries
    ):
        for count in range(24):
            model = RegisteredModelFactory(name=f"much-{count}")
            kind = "SCALE_TO_ZERO" if count % 2 else "WARM"
            seen_now(factories.live(model, 1, serving_class=kind))
            replica_of(model, 1)
            priced(model, "0.38")
            granted(model, charlie)
        visitor = as_(charlie)
        # The nine of every list, four for what sleeps, one for evaluations.
        with django_assert_num_queries(17):
            visitor.get(url("model_list"))

    def test_shows_cards_and_a_table(self, as_, charlie, registered_model):
        for query in ("", "?view=table"):
            page = as_(charlie).get(url("model_list") + query)
            assert registered_model.name in page.content.decode()

    def test_answers_htmx_with_the_rows_alone(self, as_, charlie, registered_model):
        part = {"HX-Request": "true", "HX-Target": "table-models"}
        for query in ("", "?view=table"):
            page = as_(charlie).get(url("model_list") + query, headers=part).content.decode()
            assert registered_model.name in page
            assert ("<article" in page) is (query == "")
            assert "<html" not in page

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("q=prior-auth", True),
            ("q=codes", True),
            ("q=nothing-like-it", False),
            ("data_class=PHI", True),
            ("data_class=PUBLIC", False),
            ("family=SmolLM2", True),
            ("version=none", True),
            ("version=verified", False),
            ("page=99", True),
            ("page=x", True),
        ],
    )
    def test_filters(self, as_, charlie, registered_model, query, found):
        page = as_(charlie).get(f"{url('model_list')}?{query}").content.decode()
        assert (url("model_detail", registered_model.name) in page) is found

    @pytest.fixture
    def market(self, registered_model):
        """Models in several states and at several prices."""
        names = ("drifted", "failed", "failed-live", "free", "never")
        made = {name: RegisteredModelFactory(name=name) for name in names}
        for model in (registered_model, made["free"], made["failed-live"]):
            seen_now(factories.live(model, 7))
        seen_now(factories.live(made["drifted"], 2), reason="DRIFT")
        for name in ("failed", "failed-live"):
            failed = factories.rolled(made[name], 8, status="FAILED")
            with unguarded():
                Rollout.objects.filter(pk=failed.pk).update(started_at=F("started_at") + DAY)
        priced(registered_model, "0.38")
        priced(made["drifted"], "3.10", output="5.00")
        priced(made["failed"], "0", output="0.50")
        priced(made["never"], "9", active_to=timezone.now() - timedelta(hours=1))

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("state=LIVE", {"prior-auth-extract", "free"}),
            ("state=DRIFTED", {"drifted"}),
            ("state=FAILED", {"failed", "failed-live"}),
            ("state=NOT_SERVING", {"never"}),
            ("state=WAKING", set()),
            ("price=set", {"prior-auth-extract", "drifted", "failed"}),
            ("price=none", {"failed-live", "free", "never"}),
            ("price=0.50", {"failed"}),
            ("price=1", {"failed"}),
            ("price=2", {"prior-auth-extract", "failed"}),
            ("price=5", {"prior-auth-extract", "drifted", "failed"}),
            ("price=none&state=LIVE", {"free"}),
            ("price=2&q=fail", {"failed"}),
        ],
    )
    def test_is_narrowed_by_state_and_price(self, as_, charlie, market, query, names):
        page = as_(charlie).get(f"{url('model_list')}?{query}").context["table"]
        assert {line.row.model.name for line in page.lines} == names
        assert page.notes == []
        csv = as_(charlie).get(f"{url('model_list')}?{query}&format=csv").getvalue().decode()
        assert {line.split(",")[0] for line in csv.splitlines()[1:]} == names

    def test_offers_the_states_by_their_words_and_what_occurs_of_the_rest(
        self, as_, charlie, registered_model
    ):
        RegisteredModelFactory(name="other", family="Llama", task="Translation")
        page = as_(charlie).get(url("model_list"), {"state": "IDLE"}).context["table"]
        [chip] = page.chips
        assert chip.words == "State: Idle"
        choices = {field.name: [key for key, _ in field.field.choices] for field in page.fields}
        assert choices["family"] == ["", "Llama", "SmolLM2"]
        assert choices["task"] == ["", "Information extraction", "Translation"]
        assert choices["state"] == ["", *State]

    def test_is_sorted_by_price_and_by_what_serves(self, as_, charlie, market):
        for sort, names in {
            "-price": ["drifted", "prior-auth-extract", "failed"],
            "serving": ["free", "prior-auth-extract", "never"],
        }.items():
            page = as_(charlie).get(url("model_list"), {"sort": sort}).context["table"]
            assert [line.row.model.name for line in page.lines][:3] == names

    def test_says_what_to_do_when_it_is_empty(self, as_, alice, charlie):
        assert "Register a model" in as_(alice).get(url("model_list")).content.decode()
        assert "Register a model" not in as_(charlie).get(url("model_list")).content.decode()

    def test_takes_as_many_queries_for_many_models_as_for_one(
        self, as_, charlie, registered_model, django_assert_num_queries
    ):
        visitor = as_(charlie)
        visitor.get(url("model_list"))
        RegisteredModelFactory.create_batch(60, owner_team=registered_model.owner_team)
        # session, person, roles, models; rollouts, freshness, prices, grants, asked, facts
        for query in ("", "?page=2&view=table", "?state=LIVE&price=1", "?format=csv"):
            with django_assert_num_queries(11):
                visitor.get(url("model_list") + query)

    def test_is_narrowed_by_what_the_files_of_the_newest_version_say(self, as_, charlie):
        for name, parameters, context in (
            ("small", 900_000_000, 8192), ("large", 70_000_000_000, 131072), ("odd", None, None),
        ):  # fmt: skip
            model = RegisteredModelFactory(name=name)
            version = ModelVersionFactory(registered_model=model)
            facts = Facts(parameters=parameters, context=context)
            record_facts(version=version, facts=facts, now=NOW)
        visitor = as_(charlie)

        def found(query):
            page = visitor.get(f"{url('model_list')}?view=table&{query}").content.decode()
            return {
                n
                for n in ("small", "large", "odd")
                if reverse("catalog:model_detail", args=[n]) in page
            }

        assert found("parameters=1000000000") == {"small"}
        assert found("parameters=80000000000") == {"small", "large"}
        assert found("context=131072") == {"large"}
        assert found("context=unknown") == {"odd"}

    def test_shows_nothing_to_people_without_a_role(self, as_, nobody, registered_model):
        answer = as_(nobody).get(url("model_list"))
        assert registered_model.name not in answer.content.decode()


class TestModelDetail:
    def test_says_what_serves_what_it_costs_and_whether_my_team_has_it(
        self, as_, charlie, registered_model
    ):
        other = RegisteredModelFactory(name="other-model")
        live = factories.live(registered_model, 7)
        seen_now(live, reason="DRIFT", message="Other pods answer.")
        seen_now(factories.live(other, 2), engine="stand-in")
        priced(registered_model, "0.38")
        granted(registered_model, charlie)
        page = joined(as_(charlie).get(url("model_detail", registered_model.name)).content)
        rollout = reverse("promotions:rollout_detail", args=[live.pk])
        for words in ("v7 drifted", "Other pods answer.", "$0.38 in", "Your team has it", rollout):
            assert words in page, words
        assert "stand-in" not in page
        page = joined(as_(charlie).get(url("model_detail", "other-model")).content)
        for words in ("Live v2", "No price set yet", "Request access", "labeled stand-in answers"):
            assert words in page, words

    def test_asks_a_fixed_number_of_queries(
        self, as_, charlie, registered_model, django_assert_num_queries
    ):
        visitor = as_(charlie)
        address = url("model_detail", registered_model.name)
        # session, person, roles, model, newest, facts; rollouts, freshness, price, grant, request;
        # objectives
        with django_assert_num_queries(13):
            visitor.get(address)
        seen_now(factories.live(registered_model, 7, serving_class="SCALE_TO_ZERO"))
        replica_of(registered_model, 7)
        with django_assert_num_queries(19):
            visitor.get(address)

    def test_shows_beside_what_was_registered_what_the_files_of_a_version_say(
        self, as_, charlie, registered_model
    ):
        for number, parameters in ((3, 1_000_000_000), (4, 7_240_000_000)):
            version = ModelVersionFactory(registered_model=registered_model, number=number)
            facts = Facts(parameters=parameters, context=32768)
            record_facts(version=version, facts=facts, now=NOW)
        ModelVersionFactory(registered_model=registered_model, number=5)  # without facts
        page = joined(as_(charlie).get(url("model_detail", registered_model.name)).content)
        assert "registered; 7.24 B in the files of v4" in page
        assert "registered; 32,768 tokens in the files of v4" in page

    def test_shows_purpose_owner_and_newest_version(self, as_, charlie, registered_model):
        ModelVersionFactory(registered_model=registered_model, number=3)
        page = as_(charlie).get(url("model_detail", registered_model.name)).content.decode()
        for words in (registered_model.description, "v3", "Verified", "Member data (PHI)"):
            assert words in page
        assert "Publish a version" not in page

    def test_lets_its_owner_publish(self, as_, alice, registered_model):
        page = as_(alice).get(url("model_detail", registered_model.name)).content.decode()
        assert "Publish a version" in page

    def test_is_404_for_people_without_a_role_and_for_wrong_names(
        self, as_, nobody, charlie, registered_model
    ):
        assert as_(nobody).get(url("model_detail", registered_model.name)).status_code in (
            302,
            403,
            404,
        )
        assert as_(charlie).get(url("model_detail", "no-such-model")).status_code == 404
