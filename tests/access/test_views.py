"""The pages of access, as people meet them."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.access import actions
from apps.access.models import AccessRequest, Grant
from tests.access.test_actions import WISH, request_  # noqa: F401
from tests.factories import NOW

FORM = {
    "purpose": "Read codes from prior-authorization packets.",
    "data_class": "PHI",
    "tokens_per_minute": "5000",
    "monthly_budget_usd": "100",
}


@pytest.fixture
def as_(client):
    """Sign a person in."""

    def sign_in(user):
        client.force_login(user)
        return client

    return sign_in


def api(person):
    """Return a client of the API that calls as a person."""
    client = APIClient()
    client.force_authenticate(person)
    return client


@pytest.fixture
def soon(monkeypatch):
    """Let the clock of the doors stand at the tests' moment."""
    for module in ("views", "api", "grants.views", "grants.api"):
        monkeypatch.setattr(f"apps.access.{module}.now", lambda: NOW)


@pytest.mark.usefixtures("soon")
class TestApi:
    def test_refuses_a_last_day_that_has_passed(self, charlie, registered_model):
        body = FORM | {"model": registered_model.name, "expires_date": "2026-11-01"}
        answer = api(charlie).post("/api/v1/access-requests", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "cannot_request")
        assert "1 Nov 2026 has passed" in answer.json()["detail"]
        assert not AccessRequest.objects.exists()

    def test_renews_a_grant_of_ones_own_team(
        self,
        charlie,
        alice,
        request_,  # noqa: F811
    ):
        old = actions.approve_request(request=request_, approver=alice, reason="Fits.", now=NOW)
        body = FORM | {"model": old.registered_model.name, "expires_date": "2027-06-30"}
        url = "/api/v1/access-requests"
        refused = api(charlie).post(url, body, format="json")
        assert refused.status_code == 409
        made = api(charlie).post(url, body | {"renews": str(old.pk)}, format="json")
        assert (made.status_code, made.json()["renews"]) == (201, str(old.pk))
        others = api(alice).post(url, body | {"renews": str(old.pk)}, format="json")
        assert others.status_code == 404


@pytest.mark.usefixtures("soon")
class TestTerms:
    """The class of a team's calls, and how many may be under way: asked for, decided, shown."""

    def test_go_from_the_form_to_the_pages_of_the_request_and_the_grant(
        self, as_, charlie, alice, registered_model, monkeypatch
    ):
        monkeypatch.setattr("portal.pages.requests.now", lambda: NOW)
        work = {"packets_a_day": "10", "pages_a_packet": "2", "hours_a_day": "10",
                "days_a_week": "5", "input_tokens_a_page": "500",
                "output_tokens_a_page": "100"}  # fmt: skip
        typed = FORM | work | {"expires_date": "2027-02-01"}
        url = reverse("access:request_create", args=[registered_model.name])
        for wrong in ({"calls_at_once": "0"}, {"service_class": "URGENT"}):
            assert as_(charlie).post(url, typed | wrong).status_code == 422
        made = as_(charlie).post(url, typed | {"service_class": "BATCH", "calls_at_once": "1200"})
        asked = AccessRequest.objects.get()
        assert (made.status_code, asked.service_class, asked.calls_at_once) == (302, "BATCH", 1200)
        as_(alice).post(reverse("access:request_approve", args=[asked.pk]), {"reason": "Fits."})
        grant = Grant.objects.get()
        for page in ("request_detail", "grant_detail"):
            item = grant if page == "grant_detail" else asked
            shown = as_(alice).get(reverse(f"access:{page}", args=[item.pk])).text
            assert "batch: answers may wait" in shown
            assert "1,200 at most: one more is refused until another has ended" in shown
        rows = as_(charlie).get(reverse("access:request_list"), {"service_class": "BATCH"}).text
        assert str(registered_model) in rows

    def test_are_interactive_and_any_number_where_nothing_is_said(
        self, charlie, alice, registered_model
    ):
        body = FORM | {"model": registered_model.name, "expires_date": "2027-06-30"}
        made = api(charlie).post("/api/v1/access-requests", body, format="json").json()
        assert (made["service_class"], made["calls_at_once"]) == ("INTERACTIVE", None)
        wrong = api(charlie).post(
            "/api/v1/access-requests", body | {"service_class": "batch"}, format="json"
        )
        assert wrong.status_code == 400
        actions.approve_request(
            request=AccessRequest.objects.get(), approver=alice, reason="Fits.", now=NOW
        )
        grants = "/api/v1/grants"
        (found,) = api(charlie).get(grants).json()["results"]
        assert (found["service_class"], found["calls_at_once"]) == ("INTERACTIVE", None)
        assert api(charlie).get(grants, {"service_class": "BATCH"}).json()["results"] == []


@pytest.mark.usefixtures("soon")
class TestRequestDecision:
    def test_approving_makes_a_grant(self, as_, alice, request_):  # noqa: F811
        response = as_(alice).post(
            reverse("access:request_approve", args=[request_.pk]), {"reason": "Fits."}
        )
        assert response.status_code == 302
        assert Grant.objects.active(NOW).count() == 1

    def test_needs_a_reason(self, as_, alice, request_):  # noqa: F811
        response = as_(alice).post(
            reverse("access:request_approve", args=[request_.pk]), {"reason": ""}
        )
        assert response.status_code == 422
        assert not Grant.objects.exists()

    def test_of_ones_own_request_is_refused(self, as_, alice, registered_model):
        own = actions.submit_request(model=registered_model, wish=WISH, requester=alice, now=NOW)
        response = as_(alice).post(
            reverse("access:request_approve", args=[own.pk]), {"reason": "Mine."}
        )
        assert response.status_code == 403
        assert not Grant.objects.exists()

    def test_twice_makes_one_grant(self, as_, alice, request_):  # noqa: F811
        url = reverse("access:request_approve", args=[request_.pk])
        for _ in range(2):
            assert as_(alice).post(url, {"reason": "Fits."}).status_code == 302
        assert Grant.objects.count() == 1

    def test_is_hidden_from_other_teams(self, as_, carol, request_):  # noqa: F811
        assert (
            as_(carol).get(reverse("access:request_detail", args=[request_.pk])).status_code == 404
        )


class TestRequestDetail:
    def page(self, client, request):
        return client.get(reverse("access:request_detail", args=[request.pk])).content.decode()

    def test_has_the_decision_for_owners_with_its_consequence(self, as_, bob, request_):  # noqa: F811
        text = self.page(as_(bob), request_)
        assert "Your decision" in text
        assert "Give claims-review access to prior-auth-extract" in text
        assert 'href="#decide"' in text
        assert "Withdraw the request" not in text

    def test_lets_whoever_asked_follow_and_withdraw_it(self, as_, charlie, request_):  # noqa: F811
        text = self.page(as_(charlie), request_)
        assert "You asked for this, so a model owner of ml-platform decides." in text
        assert "Withdraw the request" in text
        assert "Your decision" not in text

    def test_says_to_an_owner_who_asked_that_another_one_decides(
        self, as_, alice, registered_model
    ):
        own = actions.submit_request(model=registered_model, wish=WISH, requester=alice, now=NOW)
        text = self.page(as_(alice), own)
        assert "You asked for this, so another model owner of ml-platform decides." in text
        assert "Your decision" not in text

    def test_asks_nothing_once_it_is_decided(self, as_, alice, bob, request_):  # noqa: F811
        actions.reject_request(request=request_, approver=bob, reason="Too much.", now=NOW)
        text = self.page(as_(alice), request_)
        assert "Too much." in text
        assert "Your decision" not in text


class TestRequestList:
    def test_shows_what_waits_for_the_person_first(self, as_, bob, charlie, request_):  # noqa: F811
        url = reverse("access:request_list")
        assert list(as_(bob).get(url).context["needs_me"]) == [request_]
        assert list(as_(charlie).get(url).context["needs_me"]) == []

    def test_costs_the_same_queries_for_one_row_and_many(
        self,
        as_,
        charlie,
        alice,
        request_,  # noqa: F811
        django_assert_max_num_queries,
    ):
        client = as_(alice)
        with django_assert_max_num_queries(12):
            page = client.get(reverse("access:request_list"))
        assert page.status_code == 200
        assert request_.registered_model.name in page.content.decode()

    def test_answers_the_rows_alone_to_htmx(self, as_, charlie, request_):  # noqa: F811
        part = {"HX-Request": "true", "HX-Target": "table-requests"}
        page = as_(charlie).get(reverse("access:request_list"), headers=part)
        assert "<html" not in page.content.decode()
        assert str(request_.pk) in page.content.decode()
