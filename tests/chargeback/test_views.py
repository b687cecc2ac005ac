"""The pages of money."""

import csv
import io
from decimal import Decimal

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.accounts.models import Role
from tests.chargeback.test_queries import CHEAP, START, rate, use
from tests.factories import TeamFactory, UserFactory


@pytest.fixture
def fiona(db):
    return UserFactory(
        username="fiona", team=TeamFactory(slug="finance"), with_roles=[Role.FINANCE]
    )


@pytest.fixture
def november(registered_model):
    rate(registered_model, CHEAP, START)
    use(START)
    use(START, team="prior-auth", cost_center="CC-4200", version="prior-auth-extract-v2")


@pytest.mark.usefixtures("november")
class TestMonth:
    def test_shows_the_total_and_every_line_to_finance(
        self, client, fiona, django_assert_max_num_queries
    ):
        client.force_login(fiona)
        with django_assert_max_num_queries(14):
            page = client.get(reverse("chargeback:month"), {"month": "2026-11"}).content.decode()
        assert '<td class="num" data-total="input_tokens">2,000</td>' in page
        assert "CC-4100" in page and "CC-4200" in page

    def test_shows_a_team_lead_their_own_team(self, client, charlie):
        client.force_login(charlie)
        page = client.get(reverse("chargeback:month"), {"month": "2026-11"}).content.decode()
        assert "CC-4100" in page and "CC-4200" not in page

    def test_exports_exactly_the_lines(self, client, fiona):
        client.force_login(fiona)
        answer = client.get(reverse("chargeback:month"), {"month": "2026-11", "format": "csv"})
        rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
        assert sum(int(row["input_tokens"]) for row in rows) == 2000
        assert {row["team"] for row in rows} == {"claims-review", "prior-auth"}

    def test_is_not_found_for_a_month_that_cannot_be(self, client, fiona):
        client.force_login(fiona)
        assert client.get(reverse("chargeback:month"), {"month": "2026-13"}).status_code == 404


class TestRateList:
    def test_lets_finance_set_a_price(self, client, fiona, registered_model):
        client.force_login(fiona)
        form = {
            "model": registered_model.name,
            "input_usd": "0.1",
            "cached_input_usd": "0.01",
            "output_usd": "0.4",
        }
        answer = client.post(
            reverse("chargeback:rate_list"), form | {"active_from": "2026-12-01T00:00"}
        )
        assert answer.status_code == 302
        assert registered_model.rates.count() == 1

    def test_refuses_others(self, client, charlie, registered_model):
        client.force_login(charlie)
        form = {
            "model": registered_model.name,
            "input_usd": "0",
            "cached_input_usd": "0",
            "output_usd": "0",
        }
        answer = client.post(
            reverse("chargeback:rate_list"), form | {"active_from": "2026-12-01T00:00"}
        )
        assert answer.status_code == 403
        assert registered_model.rates.count() == 0


@pytest.mark.usefixtures("november")
class TestApi:
    def test_answers_whole_tokens_and_exact_money(self, fiona):
        client = APIClient()
        client.force_authenticate(fiona)
        answer = client.get("/api/v1/chargeback/2026-11").json()
        line = answer["lines"][0]
        assert type(line["input_tokens"]) is int
        assert Decimal(line["list_cost_usd"]) > 0
        assert not line["list_cost_usd"].endswith("0")
