"""A model's tab Usage: two teams, two models, two days, added up by hand."""

import csv
import io
from datetime import date
from decimal import Decimal

import pytest

from apps.accounts.models import Role
from apps.chargeback.actions import allocate_day, price_due_days
from apps.chargeback.rating import Prices
from tests.chargeback.pricing import price
from tests.chargeback.test_queries import START, use
from tests.factories import RegisteredModelFactory, TeamFactory, UserFactory
from tests.fleet.machines import at, machine, replica

pytestmark = pytest.mark.django_db
URL = "/catalog/prior-auth-extract/usage/"
MILLION = 1_000_000


@pytest.fixture(autouse=True)
def usage(registered_model, monkeypatch):
    """On Monday a GPU of $8 an hour is ready for two hours, with calls in one of them: a part of
    four by claims-review, three by prior-auth. On Tuesday prior-auth calls while no machine of it
    is seen. Input is $1 for a million tokens. Another model costs another machine.
    """
    monkeypatch.setattr("portal.pages.model_usage.now", lambda: at(50))
    price(registered_model, Prices(Decimal(1), Decimal(1), Decimal(1)), START)
    RegisteredModelFactory(name="embed")
    replica(machine("a", 0, 2, price="8", gpus=1), "prior-auth-extract-v1", 0, 2)
    replica(machine("b", 0, 2, price="99", gpus=1), "embed-v1", 0, 2)
    call(1, "claims-review", MILLION)
    call(1, "prior-auth", 3 * MILLION)
    call(25, "prior-auth", MILLION)
    call(1, "prior-auth", 7 * MILLION, model="embed", version="embed-v1")
    call(-31 * 24, "claims-review", 50 * MILLION)
    call(3, "stranger", 0, version="", metered_calls=0, refused_calls=4)
    price_due_days()
    for day in (2, 3):
        allocate_day(day=date(2026, 11, day), now=at(60))


def call(hour, team, tokens, **more):
    use(at(hour), team=team, input_tokens=tokens, cached_input_tokens=0, output_tokens=0, **more)


def shown(client, person, **asked):
    client.force_login(person)
    return client.get(URL, asked)


def stats(answer):
    return {stat.label: stat.amount_usd for stat in answer.context["stats"] if stat.is_money}


def lines(answer):
    rows = csv.DictReader(io.StringIO(b"".join(answer).decode()))
    return {row["team"]: (row.get("list_usd"), row.get("real_usd")) for row in rows}


@pytest.fixture
def fiona():
    return UserFactory(with_roles=[Role.FINANCE], team=TeamFactory(slug="finance"))


class TestFinance:
    def test_sees_both_bases_whole(self, client, fiona, django_assert_num_queries):
        client.force_login(fiona)
        with django_assert_num_queries(20):
            answer = client.get(URL)
        assert stats(answer) == {"Price list": 5, "Real cost": 16, "Margin": -11}
        assert lines(shown(client, fiona, format="csv")) == {
            "claims-review": ("1", "2"),
            "prior-auth": ("4", "6"),
            "stranger": ("0", "0"),
        }

    def test_sees_days_with_what_is_not_known_left_out(self, client, fiona):
        listed, real = shown(client, fiona).context["cost"].series
        assert [listed.values[-3:], real.values[-3:]] == [[4, 1, 0], [16, 0, None]]
        tokens = {
            each.name: each.values[-3:] for each in shown(client, fiona).context["tokens"].series
        }
        assert tokens == {"claims-review": [MILLION, 0, 0], "prior-auth": [3 * MILLION, MILLION, 0]}

    def test_sees_the_small_teams_together(self, client, fiona, monkeypatch):
        monkeypatch.setattr("apps.chargeback.model_use.SHOWN", 1)
        series = shown(client, fiona).context["tokens"].series
        tokens = {each.name: each.values[-3:] for each in series}
        assert tokens == {
            "prior-auth": [3 * MILLION, MILLION, 0],
            "Other teams": [MILLION, 0, 0],
        }


class TestATeam:
    def test_sees_its_own(self, client, charlie):
        answer = shown(client, charlie)
        assert stats(answer) == {"Price list": 1, "Real cost": 2, "Margin": -1}
        assert [each.name for each in answer.context["tokens"].series] == ["claims-review"]
        assert answer.context["whose_money"] == ""
        assert lines(shown(client, charlie, format="csv")) == {"claims-review": ("1", "2")}

    def test_that_owns_the_model_sees_everybodys_calls_and_its_own_money(self, client, alice):
        answer = shown(client, alice)
        assert [each.name for each in answer.context["tokens"].series] == [
            "claims-review",
            "prior-auth",
        ]
        assert stats(answer) == {"Price list": 0, "Real cost": 0, "Margin": 0}
        assert answer.context["whose_money"] == "Of your team ml-platform alone."
        found = lines(shown(client, alice, format="csv"))
        assert found == dict.fromkeys(("claims-review", "prior-auth", "stranger"), (None, None))


def test_shows_no_money_to_somebody_without_a_team(client):
    answer = shown(client, UserFactory(with_roles=[Role.REVIEWER], team=None))
    assert (answer.context["stats"], answer.context["cost"]) == ([], None)
    assert answer.context["table"].count == 0
