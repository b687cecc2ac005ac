# Fixtures of other files stand as arguments here.
# ruff: noqa: F811
"""Asking for access: the form with what the work comes to, what is kept of it, and renewals."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from apps.access import actions
from apps.access.models import AccessRequest, Grant
from apps.access.work import estimate_of, seen_of_data, use_of_data
from apps.accounts.models import Role
from apps.chargeback.actions import price_due_days
from apps.chargeback.rating import Prices
from portal.pages import estimates
from portal.pages import requests as page
from tests.access.test_actions import WISH, request_  # noqa: F401
from tests.access.test_views import FORM as LIMITS
from tests.access.test_views import api, as_  # noqa: F401
from tests.chargeback.pricing import CHEAP, DEAR, price
from tests.chargeback.test_queries import use
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory
from tests.pages import joined
from tests.trail import trail

WORK = {"packets_a_day": "1200", "pages_a_packet": "8", "hours_a_day": "10", "days_a_week": "5"}
STATED = {"input_tokens_a_page": "600", "output_tokens_a_page": "120"}
FORM = LIMITS | WORK | STATED
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
YESTERDAY = datetime(2026, 11, 1, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Let the clock of the doors stand at the tests' moment."""
    for module in (page, "apps.access.api"):
        where = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{where}.now", lambda: NOW)


class TestRequestCreate:
    def test_asks_and_shows_the_request(self, as_, charlie, registered_model):
        url = reverse("access:request_create", args=[registered_model.name])
        response = as_(charlie).post(url, FORM | {"expires_date": "2026-12-31"})
        request = AccessRequest.objects.get()
        assert (response.status_code, response.url) == (
            302,
            reverse("access:request_detail", args=[request.pk]),
        )

    def test_says_what_is_wrong_and_keeps_what_was_typed(self, as_, charlie, registered_model):
        url = reverse("access:request_create", args=[registered_model.name])
        response = as_(charlie).post(
            url, FORM | {"tokens_per_minute": "0", "expires_date": "2020-01-01"}
        )
        assert response.status_code == 422
        assert FORM["purpose"] in response.content.decode()
        assert not AccessRequest.objects.exists()

    def test_says_everything_that_is_wrong_at_once_in_our_words(
        self, as_, charlie, registered_model
    ):
        url = reverse("access:request_create", args=[registered_model.name])
        typed = {"purpose": "", "data_class": "", "tokens_per_minute": "many"}
        response = as_(charlie).post(
            url, typed | {"monthly_budget_usd": "0", "expires_date": "2026-11-01"}
        )
        assert response.status_code == 422
        assert {name: list(words) for name, words in response.context["form"].errors.items()} == {
            "purpose": ["Say in a sentence or two what your team will do with it."],
            "data_class": ["Choose the most sensitive data you will send."],
            "tokens_per_minute": ["Write a number, such as 20000."],
            "monthly_budget_usd": ["The monthly budget must be more than 0 USD."],
            "expires_date": ["1 Nov 2026 has passed. Access must end after today."],
        }

    def test_says_the_same_last_day_everywhere(self, as_, charlie, alice, registered_model):
        url = reverse("access:request_create", args=[registered_model.name])
        as_(charlie).post(url, FORM | {"expires_date": "2026-12-31"})
        request = AccessRequest.objects.get()
        grant = actions.approve_request(request=request, approver=alice, reason="Fits.", now=NOW)
        client = as_(charlie)
        words = "at the end of 31 Dec 2026, UTC"
        for name, item in (("request_detail", request), ("grant_detail", grant)):
            assert words in client.get(reverse(f"access:{name}", args=[item.pk])).content.decode()
        text = client.get(url).content.decode()
        assert "It ends at the end of" in text and 'datetime="2026-12-31"' in text
        (told,) = api(charlie).get("/api/v1/grants").json()["results"]
        assert told["last_day"] == "2026-12-31"
        assert told["active_to"].startswith("2027-01-01T00:00")

    def test_renews_with_what_the_grant_was_asked_with(
        self,
        as_,
        charlie,
        alice,
        request_,
    ):
        old = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        url = reverse("access:request_create", args=[old.registered_model.name])
        url = f"{url}?renew={old.pk}"
        shown = as_(charlie).get(url)
        initial = shown.context["form"].initial
        assert (initial["purpose"], initial["tokens_per_minute"]) == (WISH.purpose, 5000)
        assert (initial["data_class"], initial["monthly_budget_usd"]) == ("PHI", 100)
        assert initial["expires_date"] == WISH.expires_date
        used = reverse("chargeback:grant_use", args=[old.pk])
        assert used in shown.content.decode()
        response = as_(charlie).post(url, FORM | {"expires_date": "2027-06-30"})
        renewal = AccessRequest.objects.get(renews=old)
        assert response.url == reverse("access:request_detail", args=[renewal.pk])
        assert used in as_(alice).get(response.url).content.decode()

    def test_renews_no_grant_of_others(self, as_, charlie, alice, request_):
        old = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        url = reverse("access:request_create", args=[old.registered_model.name])
        assert as_(alice).get(f"{url}?renew={old.pk}").status_code == 404
        assert as_(charlie).get(f"{url}?renew=nothing").status_code == 404

    def test_refuses_a_person_who_leads_no_team(self, as_, carol, registered_model):
        url = reverse("access:request_create", args=[registered_model.name])
        response = as_(carol).post(url, FORM | {"expires_date": "2026-12-31"})
        assert response.status_code == 403

    def test_is_not_found_for_a_model_that_is_not_there(self, as_, charlie):
        assert (
            as_(charlie).get(reverse("access:request_create", args=["nothing"])).status_code == 404
        )

    def test_says_what_is_wrong_with_the_work_beside_its_fields(
        self, as_, charlie, registered_model
    ):
        url = reverse("access:request_create", args=[registered_model.name])
        odd = LIMITS | WORK | {"packets_a_day": "", "hours_a_day": "25"}
        response = as_(charlie).post(url, odd | {"expires_date": "2026-12-31"})
        assert response.status_code == 422
        assert set(response.context["work"].errors) == {
            "packets_a_day", "hours_a_day", "input_tokens_a_page", "output_tokens_a_page",
        }  # fmt: skip
        assert not AccessRequest.objects.exists()

    def test_says_which_data_the_model_may_see(self, as_, charlie, alice, registered_model):
        internal = RegisteredModelFactory(owner_team=alice.team, data_class="INTERNAL", name="low")
        url = reverse("access:request_create", args=[internal.name])
        words = "low is approved for internal data at most."
        assert words in joined(as_(charlie).get(url).content)
        answer = as_(charlie).post(url, FORM | {"expires_date": "2026-12-31"})
        assert answer.context["form"].errors["data_class"] == [words]
        of_both = reverse("access:request_create", args=[registered_model.name])
        assert "member data (PHI) at most" in joined(as_(charlie).get(of_both).content)


class TestEstimate:
    """The fragment that says what the work comes to while somebody types."""

    def shown(self, client, model, **typed):
        answer = client.get(reverse("access:request_estimate", args=[model.name]), typed)
        return dict(answer.context["rows"]), joined(answer.content), answer

    def test_comes_to_tokens_and_the_real_price_of_this_model(
        self, as_, charlie, alice, registered_model
    ):
        other = RegisteredModelFactory(owner_team=alice.team)
        price(registered_model, CHEAP, OCTOBER)
        price(other, DEAR, OCTOBER)
        rows, text, _ = self.shown(as_(charlie), registered_model, **WORK, **STATED)
        # 125.142858 M at $0.10 and 25.028572 M at $0.40
        assert rows["Cost a month"] == "about $23, without a discount for cached tokens"
        assert rows["Price"] == "$0.10 in · $0.40 out / M tokens, on 2 Nov 2026"
        assert rows["Tokens a minute"].startswith("23,100 when it is busiest")
        assert "<strong>23,100 tokens a minute and $23.00 a month</strong>" in text
        rows, _, _ = self.shown(as_(charlie), other, **WORK, **STATED)
        assert rows["Cost a month"].startswith("about $45")

    def test_takes_the_tokens_of_the_teams_own_calls_or_of_all(
        self, as_, charlie, registered_model
    ):
        use(YESTERDAY, team="prior-auth", metered_calls=3, input_tokens=3100, output_tokens=100)
        use(YESTERDAY - timedelta(days=29), metered_calls=500, input_tokens=10**9)
        use(NOW.replace(minute=0), metered_calls=500, input_tokens=10**9)  # of today
        use(YESTERDAY, model="other", metered_calls=500, input_tokens=10**9)
        rows, _, _ = self.shown(as_(charlie), registered_model, **WORK)
        assert rows["A page takes"] == (
            "1,034 tokens read and 34 written, as an average call (3 calls of all teams, "
            "5 Oct 2026 to 1 Nov 2026)"
        )
        use(YESTERDAY, metered_calls=110, rerank_requests=10, input_tokens=2000, output_tokens=100)
        rows, _, _ = self.shown(as_(charlie), registered_model, **WORK)
        assert rows["A page takes"].startswith("20 tokens read and 1 written")
        assert "(100 calls of the team, " in rows["A page takes"]

    def test_says_that_a_price_or_a_measurement_is_missing_and_never_0(
        self, as_, charlie, registered_model
    ):
        rows, text, _ = self.shown(as_(charlie), registered_model, **WORK, **STATED)
        assert (rows["Price"], rows["Cost a month"]) == (
            "no price is set for this model",
            "not known: no price",
        )
        assert "<strong>23,100 tokens a minute</strong>" in text
        price(registered_model, Prices(input=Decimal("0.1")), OCTOBER)
        rows, _, _ = self.shown(as_(charlie), registered_model, **WORK, **STATED)
        assert rows["Cost a month"] == "not known: some of it has no price"
        rows, text, _ = self.shown(as_(charlie), registered_model, **WORK)
        assert rows == {}

    def test_prices_what_a_model_reads_for_embeddings(self, as_, charlie, registered_model):
        price(registered_model, Prices(embedding_input=Decimal("0.02")), OCTOBER)
        typed = WORK | {"input_tokens_a_page": "600", "output_tokens_a_page": "0"}
        rows, _, _ = self.shown(as_(charlie), registered_model, **typed)
        assert rows["Cost a month"].startswith("about $2.50")
        assert rows["Price"].startswith("$0.02 embedded")

    def test_says_what_is_wrong_and_before_anything_is_told_the_price(
        self, as_, charlie, registered_model
    ):
        assert "No price set yet" in self.shown(as_(charlie), registered_model)[1]
        price(registered_model, Prices(Decimal("0.1"), image=Decimal(2)), OCTOBER)
        price(registered_model, DEAR, datetime(2026, 12, 1, tzinfo=UTC))
        text = self.shown(as_(charlie), registered_model)[1]
        assert "$0.10 in" in text and "$2.00 / image" in text and "cached" not in text
        assert "Give 1 to 24." in self.shown(as_(charlie), registered_model, hours_a_day=30)[1]


class TestSeen:
    """What the person saw is what is kept."""

    def asked(self, client, model, **typed):
        url = reverse("access:request_create", args=[model.name])
        return client.post(url, FORM | {"expires_date": "2026-12-31"} | typed)

    def seen(self, client, model):
        answer = client.get(reverse("access:request_estimate", args=[model.name]), WORK | STATED)
        return answer.context["seen"]

    def test_is_kept_with_the_request_and_in_the_record(
        self, as_, charlie, alice, registered_model
    ):
        price(registered_model, CHEAP, OCTOBER)
        client = as_(charlie)
        seen = self.seen(client, registered_model)
        assert self.asked(client, registered_model, seen=seen).status_code == 302
        request = AccessRequest.objects.get()
        kept = estimate_of(request.expected)
        assert (kept.digest, kept.seen_at) == (seen, NOW)
        assert kept.monthly_usd == Decimal("22.5257146")
        assert kept.prices["INPUT"] == "0.1"
        assert trail(request)[0][2]["expected"] == request.expected
        price(registered_model, DEAR, datetime(2026, 11, 2, 9, tzinfo=UTC))
        text = joined(as_(alice).get(request.get_absolute_url()).content)
        assert "about $23, without a discount" in text, "as it was seen"
        assert "$100.00 a month: 4.4 times what the work costs" in text
        assert "5,000 tokens a minute: fewer than the work needs" in text
        today = reverse("access:request_today", args=[request.pk])
        assert today in text
        assert "about $45" in joined(as_(alice).get(today).content)

    def test_is_shown_once_more_where_the_price_changed_meanwhile(
        self, as_, charlie, registered_model
    ):
        price(registered_model, CHEAP, OCTOBER)
        client = as_(charlie)
        seen = self.seen(client, registered_model)
        price(registered_model, DEAR, datetime(2026, 11, 1, tzinfo=UTC))
        answer = self.asked(client, registered_model, seen=seen)
        assert (answer.status_code, AccessRequest.objects.exists()) == (422, False)
        assert page.NOT_SEEN in joined(answer.content) and "about $45" in joined(answer.content)
        again = self.asked(client, registered_model, seen=answer.context["seen"])
        assert again.status_code == 302

    def test_is_shown_first_to_who_has_no_script(self, as_, charlie, registered_model):
        client = as_(charlie)
        first = client.get(reverse("access:request_create", args=[registered_model.name]))
        answer = self.asked(client, registered_model, seen=first.context["seen"])
        assert (first.context["seen"], answer.status_code) == ("", 422)

    def test_fills_in_the_limits_that_the_work_needs_and_asks_for_nothing(
        self, as_, charlie, registered_model
    ):
        price(registered_model, CHEAP, OCTOBER)
        answer = self.asked(as_(charlie), registered_model, fill="limits")
        initial = answer.context["form"].initial
        assert (initial["tokens_per_minute"], initial["monthly_budget_usd"]) == (23_100, 23)
        assert (initial["purpose"], initial["data_class"]) == (FORM["purpose"], "PHI")
        assert (answer.status_code, AccessRequest.objects.exists()) == (200, False)
        odd = self.asked(as_(charlie), registered_model, fill="limits", hours_a_day="0")
        assert (odd.status_code, odd.context["form"].initial["tokens_per_minute"]) == (422, "5000")


class TestToday:
    def test_says_where_nothing_has_changed_and_nothing_of_what_was_not_told(
        self, as_, alice, charlie, registered_model, request_
    ):
        today = reverse("access:request_today", args=[request_.pk])
        assert joined(as_(alice).get(today).content) == ""
        lead = UserFactory(team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD])
        url = reverse("access:request_create", args=[registered_model.name])
        price(registered_model, CHEAP, OCTOBER)
        as_(lead).post(url, FORM | {"expires_date": "2026-12-31"})
        told = AccessRequest.objects.get(team=lead.team)
        today = reverse("access:request_today", args=[told.pk])
        assert "costs the same" in joined(as_(alice).get(today).content)
        assert as_(charlie).get(today).status_code == 404


class TestRenew:
    """One click: the same again, with its use before whoever decides."""

    @pytest.fixture
    def grants(self, as_, charlie, alice, registered_model):
        """Grants of two teams; charlie's came with its expected work."""
        price(registered_model, CHEAP, OCTOBER)
        url = reverse("access:request_create", args=[registered_model.name])
        lead = UserFactory(team=TeamFactory(slug="prior-auth"), with_roles=[Role.TEAM_LEAD])
        made = []
        for person, more in ((charlie, WORK | STATED), (lead, WORK | STATED)):
            as_(person).post(url, LIMITS | more | {"expires_date": "2026-12-31"})
            asked = AccessRequest.objects.get(team=person.team)
            made.append(
                actions.approve_request(request=asked, approver=alice, reason="Fits.", now=NOW)
            )
        return made

    def test_asks_for_the_same_with_its_use_and_todays_price(
        self, as_, charlie, alice, grants, registered_model, monkeypatch
    ):
        mine, theirs = grants
        use(NOW + timedelta(hours=1))
        use(NOW + timedelta(hours=1), team="prior-auth", input_tokens=5000)
        later = NOW + timedelta(days=30)
        price(registered_model, DEAR, later - timedelta(days=1))
        price_due_days()
        monkeypatch.setattr(f"{page.__name__}.now", lambda: later)
        answer = as_(charlie).post(reverse("access:grant_renew", args=[mine.pk]))
        request = AccessRequest.objects.get(renews=mine)
        assert answer.url == request.get_absolute_url()
        assert (request.purpose, request.tokens_per_minute) == (FORM["purpose"], 5000)
        assert request.monthly_budget_usd == 100
        assert request.expires_date == later.date() + timedelta(days=59)
        seen = use_of_data(request.use)
        assert (seen.since, seen.until, seen.metered_calls) == (NOW, later, 1)
        assert (seen.input_tokens, seen.list_cost_usd) == (1000, Decimal("0.000122"))
        assert estimate_of(request.expected).monthly_usd == Decimal("45.0514292")
        data = trail(request)[0][2]
        assert (data["renews"], data["use"]) == (str(mine.pk), request.use)
        text = joined(as_(alice).get(answer.url).content)
        assert "What the grant to be renewed has used" in text
        assert "1 metered · 0 unmetered · 0 refused · 0 failed" in text
        assert Grant.objects.get(pk=mine.pk).is_active(later), "asking ends nothing"
        assert not AccessRequest.objects.filter(renews=theirs).exists()

    def test_is_for_those_who_ask_for_the_team_and_once(self, as_, charlie, alice, carol, grants):
        mine, theirs = (reverse("access:grant_renew", args=[grant.pk]) for grant in grants)
        assert as_(charlie).post(theirs).status_code == 404
        assert as_(alice).post(mine).status_code == 403
        assert as_(carol).post(mine).status_code == 404
        for _ in range(2):
            as_(charlie).post(mine)
        assert AccessRequest.objects.pending().count() == 1

    def test_of_a_grant_that_somebody_ended_is_refused(self, as_, charlie, alice, grants):
        actions.revoke_grant(grant=grants[0], actor=alice, reason="No more.", now=NOW)
        url = reverse("access:grant_renew", args=[grants[0].pk])
        answer = as_(charlie).post(url, follow=True)
        assert "Somebody ended this grant" in joined(answer.content)
        assert not AccessRequest.objects.pending().exists()


class TestApi:
    def test_keeps_what_the_work_comes_to(self, charlie, registered_model):
        price(registered_model, CHEAP, OCTOBER)
        body = LIMITS | {"model": registered_model.name, "expires_date": "2026-12-31"}
        work = {"packets_a_day": 1200, "pages_a_packet": 8}
        told = work | {"input_tokens_a_page": 600, "output_tokens_a_page": 120}
        url = "/api/v1/access-requests"
        unknown = api(charlie).post(url, body | {"expected_work": work}, format="json")
        assert (unknown.status_code, AccessRequest.objects.exists()) == (400, False)
        odd = told | {"hours_a_day": 25}
        assert (
            api(charlie).post(url, body | {"expected_work": odd}, format="json").status_code == 400
        )
        made = api(charlie).post(url, body | {"expected_work": told}, format="json").json()
        assert made["expected"]["monthly_usd"] == "22.5257146"
        assert made["expected"]["work"]["hours_a_day"] == 10
        assert made["use"] is None

    def test_keeps_the_use_of_what_it_renews(self, charlie, alice, request_):
        old = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        body = LIMITS | {"model": old.registered_model.name, "expires_date": "2027-06-30"}
        body |= {"renews": str(old.pk)}
        made = api(charlie).post("/api/v1/access-requests", body, format="json").json()
        assert made["use"]["metered_calls"] == 0
        assert made["expected"] is None


class TestDecision:
    """What lay before whoever decided is kept with the decision, by the page and by the API."""

    @pytest.fixture
    def renewal(self, as_, charlie, alice, registered_model):
        """Charlie's renewal, asked for at NOW with its work, of a grant that was used once."""
        price(registered_model, CHEAP, OCTOBER)
        form = reverse("access:request_create", args=[registered_model.name])
        as_(charlie).post(form, FORM | {"expires_date": "2026-12-31"})
        grant = actions.approve_request(
            request=AccessRequest.objects.get(), approver=alice, reason="Fits.", now=NOW
        )
        as_(charlie).post(reverse("access:grant_renew", args=[grant.pk]))
        use(NOW + timedelta(hours=1))
        price(registered_model, DEAR, NOW + timedelta(hours=2))
        return AccessRequest.objects.get(renews=grant)

    @pytest.fixture(params=["page", "api"])
    def decide(self, request, as_, alice, monkeypatch):
        """Decide as alice, three hours later."""
        for module in ("apps.access.views", "apps.access.api"):
            monkeypatch.setattr(f"{module}.now", lambda: NOW + timedelta(hours=3))
        body = {"reason": "Read every day."}

        def by_page(item, decision):
            as_(alice).post(reverse(f"access:request_{decision}", args=[item.pk]), body)

        def by_api(item, decision):
            api(alice).post(f"/api/v1/access-requests/{item.pk}/{decision}", body, format="json")

        return by_page if request.param == "page" else by_api

    @pytest.mark.parametrize("decision", ["approve", "reject"])
    def test_keeps_the_use_and_the_cost_of_that_moment(self, as_, alice, renewal, decide, decision):
        decide(renewal, decision)
        renewal.refresh_from_db()
        seen = seen_of_data(renewal.decision_seen)
        assert seen.use and (seen.use.until, seen.use.metered_calls) == (
            NOW + timedelta(hours=3),
            1,
        )
        assert seen.expected and seen.expected.monthly_usd == Decimal("45.0514292")
        assert use_of_data(renewal.use).is_none, "as it was when it was asked"
        facts = {"reason": "Read every day.", "seen": renewal.decision_seen}
        assert trail(renewal)[1][2] == facts
        text = joined(as_(alice).get(renewal.get_absolute_url()).content)
        assert "What lay before whoever decided" in text
        assert "about $23" in text and "about $45" in text

    def test_of_what_told_nothing_keeps_that(self, request_, decide):
        decide(request_, "reject")
        request_.refresh_from_db()
        assert request_.decision_seen == {"expected": None, "use": None}


class TestUseOf:
    def test_is_not_known_where_nothing_that_was_used_has_a_price(self, charlie, alice, request_):
        grant = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        later = NOW + timedelta(hours=3)
        assert estimates.use_of(grant, later).list_cost_usd == 0, "nothing used costs nothing"
        use(NOW + timedelta(hours=1))
        found = estimates.use_of(grant, later)
        assert (found.list_cost_usd, found.unpriced) == (None, "1,100 tokens have no price")
