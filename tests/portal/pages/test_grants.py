"""The list of grants: whose, until which day, with what use."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from apps.access import actions
from apps.access.models import AccessRequest
from apps.accounts.models import Role
from apps.chargeback.actions import price_due_days
from portal.pages import grants as page
from portal.pages import requests
from tests.access.test_actions import WISH
from tests.chargeback.pricing import CHEAP, DEAR, price
from tests.chargeback.test_queries import START, use
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory


def granted(model, lead, owner, **changes):
    request = actions.submit_request(
        model=model, wish=replace(WISH, **changes), requester=lead, now=NOW
    )
    return actions.approve_request(request=request, approver=owner, reason="Fits.", now=NOW)


@pytest.fixture
def other(alice):
    return RegisteredModelFactory(name="clinical-summary", owner_team=alice.team)


@pytest.fixture
def lead(db):
    return UserFactory(team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD])


@pytest.fixture
def all_grants(registered_model, other, charlie, lead, alice):
    return {
        "mine": granted(registered_model, charlie, alice),
        "mine too": granted(other, charlie, alice, expires_date=date(2026, 12, 1)),
        "theirs": granted(registered_model, lead, alice),
    }


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    for module in (page, requests):
        monkeypatch.setattr(module, "now", lambda: NOW + timedelta(days=1))


def shown(client, person, **asked):
    client.force_login(person)
    return client.get(reverse("grant_list"), asked).context["table"].lines


class TestGrantList:
    def test_is_of_the_team_of_the_owned_models_or_of_all(
        self, client, all_grants, charlie, lead, alice
    ):
        seen = {
            "lead": {line.row.grant for line in shown(client, charlie)},
            "other lead": {line.row.grant for line in shown(client, lead)},
            "owner": {line.row.grant for line in shown(client, alice)},
            "stranger": {
                line.row.grant for line in shown(client, UserFactory(with_roles=[Role.MODEL_OWNER]))
            },
            "finance": {
                line.row.grant for line in shown(client, UserFactory(with_roles=[Role.FINANCE]))
            },
        }
        assert seen == {
            "lead": {all_grants["mine"], all_grants["mine too"]},
            "other lead": {all_grants["theirs"]},
            "owner": set(all_grants.values()),
            "stranger": set(),
            "finance": set(all_grants.values()),
        }

    def test_shows_this_months_use_of_each_teams_own_calls_of_the_model(
        self, client, all_grants, registered_model, other, alice
    ):
        price(registered_model, CHEAP, START)
        use(START)
        use(START, team="prior-auth", input_tokens=2000)
        use(START - timedelta(hours=1))
        use(START, model=other.name)  # without a price
        price_due_days()
        found = {line.row.grant: line.row.used_usd for line in shown(client, alice)}
        assert found == {
            all_grants["mine"]: Decimal("0.000122"),
            all_grants["mine too"]: None,
            all_grants["theirs"]: Decimal("0.000222"),
        }
        price(other, DEAR, START)
        price_due_days()
        used = {line.row.grant: line.row.used_usd for line in shown(client, alice)}
        assert used[all_grants["mine too"]] == Decimal("0.000244")

    def test_says_the_last_day_and_begins_with_what_ends_first(self, client, all_grants, charlie):
        lines = shown(client, charlie)
        assert [line.row.ends for line in lines] == [date(2026, 12, 1), date(2026, 12, 31)]
        text = client.get(reverse("grant_list")).content.decode()
        assert '<time datetime="2026-12-01"' in text and "1 Dec 2026" in text

    def test_offers_to_renew_what_is_the_teams_own_and_in_force(
        self, client, all_grants, charlie, alice
    ):
        ended = all_grants["mine too"]
        actions.revoke_grant(grant=ended, actor=alice, reason="No more.", now=NOW)
        mine = all_grants["mine"]
        urls = {line.row.grant: line.row.renew_url for line in shown(client, charlie)}
        assert urls == {mine: reverse("access:grant_renew", args=[mine.pk]), ended: ""}
        assert {line.row.renew_url for line in shown(client, alice)} == {""}
        client.force_login(charlie)
        client.post(urls[mine])
        (waits,) = [line.row for line in shown(client, charlie) if line.row.grant == mine]
        asked = AccessRequest.objects.get(renews=mine)
        assert (waits.renew_url, waits.waits_url) == ("", asked.get_absolute_url())
        assert {line.row.waits_url for line in shown(client, alice)} == {""}
        (line,) = shown(client, charlie, state="ENDED")
        assert (line.row.grant, line.row.badge.words) == (ended, "Ended")

    def test_costs_the_same_queries_for_one_grant_and_many(
        self, client, all_grants, lead, alice, django_assert_num_queries
    ):
        for person in (lead, alice):
            client.force_login(person)
            with django_assert_num_queries(10):
                client.get(reverse("grant_list"))
