"""The pages and the API of prices."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.chargeback.actions import price_due_days
from apps.chargeback.models import PriceChange, Rate
from apps.chargeback.rating import Prices
from tests.chargeback.pricing import CHEAP, DEAR, WHY, finance, price, propose
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory, UserFactory
from tests.pages import joined

NOW = datetime(2026, 11, 11, 9, 20, tzinfo=UTC)
OPEN = datetime(2026, 11, 1, tzinfo=UTC)
LIST = "chargeback:rate_list"
CREATE = "chargeback:price_change_create"
DETAIL = "chargeback:price_change_detail"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    for module in ("views", "api", "filters"):
        monkeypatch.setattr(f"apps.chargeback.prices.{module}.now", lambda: NOW)


@pytest.fixture
def as_(client):
    """Sign a person of finance in, by name, or anybody."""

    def sign_in(person):
        client.force_login(finance(person) if isinstance(person, str) else person)
        return client

    return sign_in


@pytest.fixture
def typed(registered_model):
    return {
        "model": registered_model.name,
        "input": "0.1",
        "cached_input": "0.01",
        "output": "0.4",
        "active_from": "2026-12-01T00:00",
        "justification": WHY,
    }


class TestRateList:
    def test_lists_every_price_list_with_its_digits_and_state(self, as_, registered_model):
        other = RegisteredModelFactory(name="zero")
        day = timedelta(days=1)
        price(registered_model, DEAR, OPEN)
        price(registered_model, CHEAP, OPEN)
        price(registered_model, DEAR, OPEN + day)
        price(
            registered_model,
            Prices(Decimal("0.0125"), Decimal(0), image=Decimal(2)),
            OPEN + 40 * day,
        )
        price(other, CHEAP, OPEN)
        lines = as_("fiona").get(reverse(LIST)).context["table"].lines
        shown = {
            tuple(
                str(getattr(line.cells[at].value, "words", line.cells[at].value))
                for at in (0, 1, 2, 3, 6)
            )
            for line in lines
        }
        name = registered_model.name
        assert shown == {
            (name, "$0.0125", "$0.00", "no price", "Planned"),
            (name, "$0.20", "$0.02", "$0.80", "In force"),
            (name, "$0.20", "$0.02", "$0.80", "Replaced"),
            (name, "$0.10", "$0.01", "$0.40", "Ended"),
            ("zero", "$0.10", "$0.01", "$0.40", "In force"),
        }
        assert len(lines) == 5

    def test_sorts_by_the_price_and_not_by_its_letters(self, as_, registered_model):
        for name, usd in (("nine", "9"), ("ten", "10"), ("small", "0.5")):
            price(RegisteredModelFactory(name=name), Prices(Decimal(usd)), OPEN)
        page = as_("fiona").get(reverse(LIST), {"sort": "input"})
        names = [line.cells[0].value for line in page.context["table"].lines]
        assert names == ["small", "nine", "ten"]

    def test_shows_what_waits_to_those_who_see_all_money(self, as_, registered_model, charlie):
        change = propose(registered_model, CHEAP, OPEN)
        price(RegisteredModelFactory(), CHEAP, OPEN)
        page = joined(as_("fiona").get(reverse(LIST)).content)
        assert "1 proposal<" in page and reverse(DETAIL, args=[change.pk]) in page
        assert reverse(CREATE) in page
        page = joined(as_(charlie).get(reverse(LIST)).content)
        assert "proposal" not in page and "/price-changes/" not in page
        assert reverse(CREATE) not in page


class TestPriceChangeCreate:
    def test_proposes_and_changes_no_price_yet(self, as_, typed, registered_model):
        answer = as_("fiona").post(reverse(CREATE), typed | {"image": "2"})
        change = PriceChange.objects.get()
        assert answer.url == reverse(DETAIL, args=[change.pk])
        assert change.proposed == Prices(
            Decimal("0.1"), Decimal("0.01"), Decimal("0.4"), image=Decimal(2)
        )
        assert change.active_from == datetime(2026, 12, 1, tzinfo=UTC)
        assert (change.requested_by, change.requested_at) == (finance("fiona"), NOW)
        assert not Rate.objects.exists()

    def test_begins_with_the_prices_that_the_model_has(self, as_, registered_model):
        price(registered_model, CHEAP, OPEN)
        page = as_("fiona").get(reverse(CREATE), {"model": registered_model.name})
        shown = {field.name: field.value() for field in page.context["form"]}
        assert shown["model"] == registered_model.name
        assert (shown["input"], shown["cached_input"], shown["image"]) == ("0.1", "0.01", None)
        assert as_("fiona").get(reverse(CREATE), {"model": "none"}).status_code == 200

    def test_says_everything_that_is_wrong_at_once_in_our_words(self, as_):
        typed = {"model": "", "input": "-1", "cached_input": "much", "output": "", "image": "x"}
        typed |= {"active_from": "soon", "justification": "so"}
        answer = as_("fiona").post(reverse(CREATE), typed)
        assert answer.status_code == 422
        wrong = {name: list(words) for name, words in answer.context["form"].errors.items()}
        assert wrong.pop("justification")
        assert wrong == {
            "model": ["Choose the model that the prices are for."],
            "input": ["A price cannot be negative."],
            "cached_input": ["Write a price in USD, such as 0.12."],
            "output": ["Say what a million tokens cost; 0 where they cost nothing."],
            "image": ["Write a price in USD, such as 0.12."],
            "active_from": ["Write a day and an hour, such as 2026-12-01 00:00."],
        }

    def test_says_what_the_rules_refuse(self, as_, typed):
        answer = as_("fiona").post(reverse(CREATE), typed | {"active_from": "2026-10-31T23:00"})
        assert answer.status_code == 422
        assert "not before 1 Nov 2026" in joined(answer.content)
        assert not PriceChange.objects.exists()

    def test_refuses_others(self, as_, charlie, typed):
        page = joined(as_(charlie).get(reverse(CREATE)).content)
        assert "Only finance proposes prices." in page and "<textarea" not in page
        assert as_(charlie).post(reverse(CREATE), typed).status_code == 403
        assert not PriceChange.objects.exists()


class TestPriceChangeDetail:
    @pytest.fixture
    def change(self, registered_model):
        price(registered_model, CHEAP, OPEN)
        use(OPEN - timedelta(days=3))
        use(OPEN + timedelta(days=3), input_tokens=7000)
        price_due_days()
        return propose(registered_model, DEAR, OPEN + timedelta(days=2), by="fiona", now=NOW)

    def test_shows_old_and_new_what_it_does_and_what_last_month_would_have_cost(self, as_, change):
        answer = as_("felix").get(reverse(DETAIL, args=[change.pk]))
        page = joined(answer.content)
        assert answer.context["prices"][0] == ("Input", "per M tokens", "$0.10", "$0.20", "+100.0%")
        month = answer.context["last_month"]
        assert [row[1] for row in month["rows"]] == ["800 tokens", "200 tokens", "100 tokens"]
        assert ("$0.000122" in month["before"], "$0.000244" in month["proposed"]) == (True, True)
        assert (month["change"], "What has no price is in no total" in page) == ("+100.0%", False)
        again = answer.context["again"]
        assert [row[1] for row in again["rows"]][0] == "6,800 tokens"
        assert "end when these begin" in page and "October 2026" in page
        assert "Publish these prices" in page

    def test_says_to_its_author_that_somebody_else_decides(self, as_, change):
        page = joined(as_("fiona").get(reverse(DETAIL, args=[change.pk])).content)
        assert "another finance person decides" in page
        assert "Publish these prices" not in page and "Withdraw the proposal" in page

    def test_is_published_by_another_and_not_by_its_author(self, as_, change):
        publish = reverse("chargeback:price_change_approve", args=[change.pk])
        assert as_("fiona").post(publish, {"reason": "Mine."}).status_code == 403
        assert as_("felix").post(publish, {"reason": ""}).status_code == 422
        assert change.rates.count() == 0
        assert as_("felix").post(publish, {"reason": "Agreed."}).status_code == 302
        assert change.rates.count() == 3
        page = joined(as_("felix").get(reverse(DETAIL, args=[change.pk])).content)
        assert "Published" in page and "Publish these prices" not in page

    def test_is_rejected_or_withdrawn(self, as_, change, registered_model):
        reject = reverse("chargeback:price_change_reject", args=[change.pk])
        as_("felix").post(reject, {"reason": "Too dear."})
        second = propose(registered_model, DEAR, OPEN, by="fiona")
        as_("fiona").post(reverse("chargeback:price_change_withdraw", args=[second.pk]))
        found = PriceChange.objects.filter(pk__in=[change.pk, second.pk])
        assert set(found.values_list("status", flat=True)) == {"REJECTED", "WITHDRAWN"}

    def test_cannot_be_published_once_its_month_is_over(self, as_, change, monkeypatch):
        later = NOW + timedelta(days=30)
        monkeypatch.setattr("apps.chargeback.prices.views.now", lambda: later)
        page = joined(as_("felix").get(reverse(DETAIL, args=[change.pk])).content)
        assert "before the open period" in page and "disabled" in page
        publish = reverse("chargeback:price_change_approve", args=[change.pk])
        as_("felix").post(publish, {"reason": "Agreed."})
        assert change.rates.count() == 0

    def test_warns_of_what_has_no_price_any_more(self, as_, registered_model):
        price(registered_model, CHEAP, OPEN)
        change = propose(registered_model, Prices(input=Decimal(1)), OPEN, by="fiona")
        page = joined(as_("felix").get(reverse(DETAIL, args=[change.pk])).content)
        assert "Cached input has no price any more." in page
        assert "Output has no price any more." in page
        assert "What has no price is in no total" not in page  # nothing was used
        assert "are replaced by these" in page

    def test_says_no_change_of_totals_that_are_not_of_the_same_use(self, as_, registered_model):
        price(registered_model, CHEAP, OPEN)
        use(OPEN - timedelta(days=3))
        price_due_days()
        change = propose(registered_model, Prices(input=Decimal(1)), OPEN, by="fiona")
        answer = as_("felix").get(reverse(DETAIL, args=[change.pk]))
        assert answer.context["last_month"]["change"] == ""
        assert "What has no price is in no total" in joined(answer.content)

    def test_is_of_those_who_see_all_money(self, as_, change, charlie):
        assert as_(charlie).get(reverse(DETAIL, args=[change.pk])).status_code == 404
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        assert as_(auditor).get(reverse(DETAIL, args=[change.pk])).status_code == 200


class TestNeeds:
    def test_name_proposals_to_those_who_decide_and_to_their_author(self, as_, registered_model):
        propose(registered_model, CHEAP, OPEN, by="fiona")
        propose(RegisteredModelFactory(name="other"), CHEAP, OPEN, by="felix")
        page = joined(as_("fiona").get(reverse("needs")).content)
        assert f"Your prices of {registered_model.name}" in page and "New prices of other" in page
        assert f"New prices of {registered_model.name}" not in page


class TestApi:
    @pytest.fixture
    def api(self):
        def sign_in(person):
            client = APIClient()
            client.force_authenticate(finance(person) if isinstance(person, str) else person)
            return client

        return sign_in

    def test_lists_prices_as_before_and_by_sku(self, api, charlie, registered_model):
        price(registered_model, DEAR, OPEN)
        price(registered_model, Prices(Decimal("0.1"), image=Decimal(2)), OPEN)
        propose(registered_model, CHEAP, OPEN + timedelta(days=1))
        [row] = api(charlie).get("/api/v1/rates").json()["results"]
        assert row.pop("id") and row == {
            "model": registered_model.name,
            "input_usd_per_million": "0.1000000000",
            "cached_input_usd_per_million": None,
            "output_usd_per_million": None,
            "prices": {"INPUT": "0.1000000000", "IMAGE": "2.0000000000"},
            "currency": "USD",
            "active_from": "2026-11-01T00:00:00Z",
            "active_to": None,
            "set_by": "proposer",
            "set_at": "2026-11-01T00:00:00Z",
            "published_by": "publisher",
        }

    def test_narrows_prices_to_those_in_force(self, api, registered_model):
        for days in (0, 5, 20):
            price(registered_model, (CHEAP, DEAR)[days % 2], OPEN + timedelta(days=days))

        def get(**asked):
            rows = api("fiona").get("/api/v1/rates", asked).json()["results"]
            return [row["active_from"][8:10] for row in rows]

        assert get() == ["21", "06", "01"]
        assert get(active="true") == ["06"]
        assert get(active="false") == ["21", "01"]

    def test_proposes_publishes_and_reads(self, api, registered_model):
        body = {
            "model": registered_model.name,
            "prices": {"INPUT": "0.10", "RERANK_REQUEST": "2"},
            "active_from": "2026-11-05T00:00:00Z",
            "justification": WHY,
        }
        made = api("fiona").post("/api/v1/price-changes", body, format="json")
        assert made.status_code == 201
        url = f"/api/v1/price-changes/{made.json()['id']}"
        assert made.json()["status"] == "PENDING"
        own = api("fiona").post(f"{url}/approve", {"reason": "Mine."}, format="json")
        assert own.status_code == 403
        done = api("felix").post(f"{url}/approve", {"reason": "Agreed."}, format="json")
        assert (done.status_code, done.json()["decided_by"]) == (200, "felix")
        again = api("felix").post(f"{url}/reject", {"reason": "No."}, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")
        assert api("fiona").get(url).json()["prices"] == {
            "INPUT": "0.1000000000",
            "RERANK_REQUEST": "2.0000000000",
        }
        listed = api("fiona").get("/api/v1/price-changes", {"status": "PUBLISHED"}).json()
        assert [row["status"] for row in listed["results"]] == ["PUBLISHED"]
        assert Rate.objects.at(NOW).count() == 2

    @pytest.mark.parametrize(
        "odd",
        [
            {"prices": {"TOKENS": "1"}},
            {"prices": {"INPUT": "-1"}},
            {"prices": {"INPUT": "0.12345678901"}},
            {"prices": {"INPUT": None}},
            {"prices": "1"},
            {"active_from": "soon"},
            {"justification": ""},
        ],
    )
    def test_refuses_what_cannot_be(self, api, registered_model, odd):
        body = {
            "model": registered_model.name,
            "prices": {"INPUT": "0.10"},
            "active_from": "2026-11-05T00:00:00Z",
            "justification": WHY,
        }
        answer = api("fiona").post("/api/v1/price-changes", body | odd, format="json")
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == list(odd)
        assert not PriceChange.objects.exists()

    def test_refuses_a_start_in_a_month_that_is_over(self, api, registered_model):
        body = {
            "model": registered_model.name,
            "prices": {"INPUT": "0.10"},
            "active_from": "2026-10-31T23:00:00Z",
            "justification": WHY,
        }
        answer = api("fiona").post("/api/v1/price-changes", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "bad_rate")

    def test_withdraws_and_knows_no_other_decision(self, api, registered_model):
        change = propose(registered_model, CHEAP, OPEN, by="fiona")
        url = f"/api/v1/price-changes/{change.pk}"
        assert api("fiona").post(f"{url}/undo").status_code == 404
        assert api("felix").post(f"{url}/withdraw").status_code == 403
        assert api("fiona").post(f"{url}/withdraw").json()["status"] == "WITHDRAWN"
