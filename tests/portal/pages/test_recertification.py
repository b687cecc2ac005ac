"""The list of grants to look at again, and keeping one from its page."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from apps.access import actions
from apps.access.recertification.models import Recertification
from apps.access.work import use_of_data
from apps.accounts.models import Role
from apps.chargeback.actions import price_due_days
from apps.common.periods import DAY
from portal.needs.queries import needs_of
from portal.pages import recertification as page
from tests.access.test_actions import WISH
from tests.access.test_views import api
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import use
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory
from tests.pages import joined

LOOK = NOW + 31 * DAY  # a grant of NOW is overdue, one of ten days later due


@pytest.fixture(autouse=True)
def clock(monkeypatch, settings):
    settings.ACCESS_RECERTIFICATION_DAYS = 30
    for module in (page.__name__, "apps.access.grants.views", "apps.access.grants.api"):
        monkeypatch.setattr(f"{module}.now", lambda: LOOK)


@pytest.fixture
def grants(registered_model, charlie, alice, bob):
    """By the name of who asked: of two teams for alice's model, and one of another owner's."""
    lead = UserFactory(
        username="lead", team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD]
    )
    elsewhere = RegisteredModelFactory(name="elsewhere")
    owner = UserFactory(
        username="stranger", team=elsewhere.owner_team, with_roles=[Role.MODEL_OWNER]
    )
    wish, made = replace(WISH, expires_date=date(2027, 6, 30)), {}
    for person, model, decides, began in (
        (charlie, registered_model, alice, NOW),
        (lead, registered_model, alice, NOW + 10 * DAY),
        (bob, registered_model, alice, NOW),
        (charlie, elsewhere, owner, NOW),
    ):
        asked = actions.submit_request(model=model, wish=wish, requester=person, now=began)
        grant = actions.approve_request(request=asked, approver=decides, reason="Fits.", now=began)
        made[person.username if model == registered_model else "other model"] = grant
    return made


def lines(client, person, **asked):
    client.force_login(person)
    return client.get(reverse("recertification_list"), asked)


class TestRecertificationList:
    def test_shows_each_grant_with_its_state_and_what_its_team_used_of_its_model(
        self, client, grants, registered_model, alice
    ):
        price(registered_model, CHEAP, NOW.replace(hour=0))
        use(NOW + DAY)
        use(NOW + DAY, team="prior-auth", model="elsewhere")
        use(NOW - 100 * DAY, team="prior-auth")
        price_due_days()
        found = [line.row for line in lines(client, alice).context["table"].lines]
        told = {
            line.grant: (line.state, line.used.calls, line.used.usd, line.note) for line in found
        }
        assert told == {
            grants["bob"]: ("OVERDUE", 0, 0, "not used"),
            grants["charlie"]: ("OVERDUE", 1, Decimal("0.000122"), ""),
            grants["lead"]: ("DUE", 0, 0, "not used"),
        }
        assert found[2].grant == grants["lead"], "what is due last stands last"
        context = lines(client, alice).context
        assert (context["overdue"], context["due"], context["unused"]) == (2, 1, 2)
        (only,) = lines(client, alice, state="DUE").context["table"].lines
        assert only.row.grant == grants["lead"]

    def test_is_of_the_owned_models_or_of_all_and_never_of_ones_own_team(
        self, client, grants, alice, charlie
    ):
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        seen = {
            person.username: {
                line.row.grant for line in lines(client, person).context["table"].lines
            }
            for person in (alice, charlie, auditor)
        }
        mine = set(grants.values()) - {grants["other model"]}
        assert seen == {
            "alice": mine,
            "charlie": set(),
            auditor.username: set(grants.values()),
        }

    def test_costs_the_same_queries_for_one_grant_and_many(
        self, client, grants, alice, django_assert_num_queries
    ):
        stranger = grants["other model"].request.decided_by
        for person in (stranger, alice):
            client.force_login(person)
            with django_assert_num_queries(5):
                client.get(reverse("recertification_list"))


class TestKeep:
    def test_is_offered_to_who_decides_with_the_use_beside_it(self, client, grants, alice, bob):
        client.force_login(alice)
        address = reverse("access:grant_detail", args=[grants["charlie"].pk])
        text = joined(client.get(address).content)
        assert "Keep the access of claims-review" in text and "Refuse claims-review" in text
        assert "overdue since 2 Dec 2026" in text
        client.force_login(bob)
        own = joined(client.get(reverse("access:grant_detail", args=[grants["bob"].pk])).content)
        assert "Keep the access of" not in own
        assert "Another model owner of ml-platform keeps or ends it." in own

    def test_keeps_the_use_with_the_reason(self, client, grants, alice):
        use(NOW + timedelta(hours=1))
        client.force_login(alice)
        address = reverse("access:grant_keep", args=[grants["charlie"].pk])
        assert client.post(address, {"reason": ""}).status_code == 422
        client.post(address, {"reason": "Read every day."})
        made = Recertification.objects.get()
        assert (made.grant, made.decided_by) == (grants["charlie"], alice)
        kept = use_of_data(made.use)
        assert (kept.metered_calls, kept.list_cost_usd, kept.until) == (1, None, LOOK)
        text = joined(client.get(reverse("access:grant_detail", args=[made.grant_id])).content)
        assert "kept last" in text and "Read every day." in text
        assert "Keep the access of" not in text


class TestApi:
    """The same orders for programs."""

    def test_keeps_a_grant_and_tells_when_it_is_due_again(self, grants, alice, bob):
        address = f"/api/v1/grants/{grants['bob'].pk}/keep"
        body = {"reason": "Read every day."}
        assert api(bob).post(address, body, format="json").status_code == 403
        assert api(alice).post(address, {}, format="json").status_code == 400
        answer = api(alice).post(address, body, format="json")
        due = LOOK + 30 * DAY
        assert answer.json()["look_due_at"] == due.isoformat().replace("+00:00", "Z")
        assert Recertification.objects.get().grant == grants["bob"]
        again = api(alice).post(address, body, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "not_due")
        told = api(alice).get("/api/v1/grants").json()["results"]
        assert {row["id"]: row["look_due_at"][:10] for row in told} == {
            str(grants["bob"].pk): "2027-01-02",
            str(grants["charlie"].pk): "2026-12-02",
            str(grants["lead"].pk): "2026-12-12",
        }

    def test_ends_a_grant(self, grants, alice):
        address = f"/api/v1/grants/{grants['charlie'].pk}/revoke"
        answer = api(alice).post(address, {"reason": "Not used."}, format="json").json()
        assert (answer["revoked_at"] is not None, answer["look_due_at"]) == (True, None)
        assert not Recertification.objects.exists()

    def test_asks_to_renew_a_grant_of_the_own_team(self, grants, charlie, alice):
        address = f"/api/v1/grants/{grants['charlie'].pk}/renew"
        assert api(alice).post(address).status_code == 403
        made = api(charlie).post(address).json()
        assert (made["renews"], made["status"]) == (str(grants["charlie"].pk), "PENDING")
        assert made["use"]["metered_calls"] == 0
        assert api(charlie).post(address).status_code == 409


class TestNeeds:
    def test_name_what_is_due_but_not_what_one_asked_for(self, grants, alice, bob, charlie):
        def titles(person):
            return [need.title for need in needs_of(person, LOOK) if need.title.startswith("Keep")]

        words = "Keep or end the access of {} to prior-auth-extract"
        names = [words.format(team) for team in ("Claims Review", "Prior Auth")]
        assert titles(bob) == names
        assert sorted(titles(alice)) == sorted([*names, words.format("Ml Platform")])
        assert titles(charlie) == []


def test_the_page_and_the_table_name_the_same_days():
    assert f"{page.USED_DAYS} days" in page.LOOKS.column("calls").head
