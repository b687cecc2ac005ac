"""A decision asks for a fresh sign-in: the way to the provider and back, and what can go wrong on
it.
"""

import re
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone

from apps.access.models import AccessRequest
from apps.accounts import step_up, views
from apps.accounts.models import Role, User
from apps.accounts.sessions import AUTH_TIME
from apps.common.sign_ins import Lack
from tests.accounts.conftest import sign_in_as
from tests.factories import RegisteredModelFactory, TeamFactory, UserFactory
from tests.pages import joined
from tests.trail import trail

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stale_by_default")]
TYPED = "It stays within “packets” & the <plan>."


def _request(model, lead):
    return AccessRequest.objects.create(
        registered_model=model, team=lead.team, requested_by=lead, requested_at=timezone.now(),
        purpose="Reads packets", data_class="PHI", tokens_per_minute=1000, monthly_budget_usd=100,
        expires_date=timezone.now().date() + timedelta(days=30),
    )  # fmt: skip


@pytest.fixture
def owner_name():
    """A persona of the provider who owns models."""
    from deploy.local.doubles.idp.personas import all_personas

    return next(one.username for one in all_personas() if "qm-model-owners" in one.groups)


@pytest.fixture
def owner(client, idp, settings, owner_name):
    """An owner of models who has signed in, and decides within a quarter of an hour of that."""
    settings.STEP_UP_SECONDS = 900
    sign_in_as(client, owner_name)
    return User.objects.get(username=owner_name)


@pytest.fixture
def waiting(owner):
    """Two requests that wait for the owner."""
    lead = UserFactory(with_roles=[Role.TEAM_LEAD], team=TeamFactory())
    models = [RegisteredModelFactory(owner_team=owner.team) for _ in range(2)]
    return [_request(model, lead) for model in models]


@pytest.fixture
def provider_login(owner):
    """The browser at the provider, where the owner signed in an hour ago."""
    with httpx.Client() as browser:
        yield browser


def age(client, seconds=3600, **more):
    """Let the browser's sign-in have been that long ago."""
    session = client.session
    session[AUTH_TIME] = int(time.time()) - seconds
    session.update(more)
    session.save()


def approve(client, item, **headers):
    url = reverse("access:request_approve", args=[item.pk])
    page = f"http://testserver{item_url(item)}"
    sent = {"reason": TYPED, "csrfmiddlewaretoken": "not kept"}
    return client.post(url, sent, headers={"Referer": page} | headers)


def item_url(item):
    return reverse("access:request_detail", args=[item.pk])


def come_back(client, answer, browser, username):
    """Follow the redirect to the provider, sign in there as somebody and come back."""
    start = client.get(answer.headers.get("HX-Redirect") or answer["Location"])
    page = browser.post(start["Location"], data={"username": username})
    assert page.status_code == 302, page.text
    return client.get(page.headers["Location"].removeprefix("http://testserver"))


def decided(item):
    item.refresh_from_db()
    return item.status != "PENDING"


class TestAFreshSignIn:
    def test_decides_at_once(self, client, waiting):
        answer = approve(client, waiting[0])
        assert answer["Location"] == item_url(waiting[0])
        assert (decided(waiting[0]), decided(waiting[1])) == (True, False)

    def test_is_announced_on_the_page_only_where_it_will_be_asked_for(self, client, waiting):
        words = "You will be asked to sign in again; what you write is kept."
        assert words not in client.get(item_url(waiting[0])).content.decode()
        age(client, 2520)
        page = client.get(item_url(waiting[0])).content.decode()
        assert "You signed in 42 minutes ago, and a decision needs a sign-in of the last 15 "
        assert words in page


class TestAStaleSignIn:
    def test_is_led_to_the_provider_and_back_to_what_was_typed(
        self, client, owner, waiting, provider_login
    ):
        age(client)
        answer = approve(client, waiting[0])
        assert not decided(waiting[0]) and trail(waiting[0]) == []
        assert TYPED not in answer["Location"] and "packets" not in answer["Location"]
        start = client.get(answer["Location"])
        asked = parse_qs(urlsplit(start["Location"]).query)
        assert asked["max_age"] == ["450"] and "acr_values" not in asked
        back = come_back(client, answer, provider_login, owner.username)
        assert (back.status_code, back["Location"]) == (302, item_url(waiting[0]))
        page = client.get(back["Location"])
        assert [str(one) for one in get_messages(page.wsgi_request)] == [views.SIGNED_IN_AGAIN]
        assert "packets” &amp; the &lt;plan&gt;.</textarea>" in page.content.decode()
        assert "autofocus" in page.content.decode()
        # the decision that they had begun is marked as begun: Ctrl+Enter sends that one
        (begun,) = re.findall(r'data-choose="(.)"\s+data-chosen', page.content.decode())
        assert begun == "a"
        assert "not kept" not in str(dict(client.session))
        other = client.get(item_url(waiting[1])).content.decode()
        assert "packets” &amp;" not in other
        assert not decided(waiting[0])
        approve(client, waiting[0])
        assert decided(waiting[0])
        assert client.session[step_up.KEPT]["forms"] == {}

    def test_goes_the_same_way_where_htmx_sent_the_form(
        self, client, owner, waiting, provider_login
    ):
        age(client)
        url = f"http://testserver{item_url(waiting[0])}?tab=2#decide"
        more = {"HX-Request": "true", "HX-Current-URL": url, "Referer": "http://testserver/"}
        answer = approve(client, waiting[0], **more)
        assert (answer.status_code, decided(waiting[0])) == (401, False)
        back = come_back(client, answer, provider_login, owner.username)
        assert back["Location"] == f"{item_url(waiting[0])}?tab=2"
        assert "packets” &amp;" in client.get(back["Location"]).content.decode()

    @pytest.mark.parametrize("referer", ["", "https://evil.example/x"])
    def test_finds_the_page_without_the_browsers_help(self, client, waiting, referer):
        age(client)
        answer = approve(client, waiting[0], Referer=referer)
        query = parse_qs(urlsplit(answer["Location"]).query)
        assert query["next"] == [item_url(waiting[0])]

    def test_is_asked_again_when_it_is_stale_once_more(
        self, client, owner, waiting, provider_login
    ):
        age(client)
        come_back(client, approve(client, waiting[0]), provider_login, owner.username)
        age(client, 901)
        answer = approve(client, waiting[0])
        assert "step_up=1" in answer["Location"] and not decided(waiting[0])
        back = come_back(client, answer, provider_login, owner.username)
        assert "packets” &amp;" in client.get(back["Location"]).content.decode()

    def test_keeps_what_was_typed_for_an_hour_and_five_forms(self, client, owner, waiting):
        age(client)
        for item in waiting:
            approve(client, item)
        kept = client.session[step_up.KEPT]
        assert len(kept["forms"]) == 2
        for form in kept["forms"].values():
            form["at"] -= 3601
        session = client.session
        session[step_up.KEPT] = kept
        session.save()
        assert "packets” &amp;" not in client.get(item_url(waiting[0])).content.decode()
        items = [_request(waiting[0].registered_model, UserFactory()) for _ in range(6)]
        for item in items:
            approve(client, item)
        urls = [reverse("access:request_approve", args=[item.pk]) for item in items]
        assert len(client.session[step_up.KEPT]["forms"]) == 5
        assert urls[-1] in client.session[step_up.KEPT]["forms"]

    def test_of_somebody_who_may_not_decide_leads_nowhere(self, client, owner, waiting):
        own = _request(waiting[0].registered_model, owner)
        age(client)
        answer = approve(client, own)
        assert answer.status_code == 403
        assert "Nobody decides on their own request" in answer.content.decode()


class TestOnReturn:
    """What the provider did, or did not do, is told; nothing goes round in circles."""

    def come_back_with(self, client, waiting, monkeypatch, owner, **claims):
        """Be sent to the provider, which answers as if it had these claims to say."""
        age(client)
        answer = approve(client, waiting[0])
        real = __import__("apps.accounts.oidc", fromlist=["verify"]).verify

        def verify(token, *, audience):
            found = real(token, audience=audience) | claims
            return {name: value for name, value in found.items() if value is not None}

        monkeypatch.setattr("apps.accounts.oidc.verify", verify)
        with httpx.Client() as browser:
            return come_back(client, answer, browser, owner.username)

    @pytest.mark.parametrize(
        ("claims", "methods", "lack"),
        [
            ({"auth_time": int(time.time()) - 40_000}, (), Lack.FRESHNESS),
            ({"auth_time": None}, (), Lack.TIME),
            ({"auth_time": True}, (), Lack.TIME),
            ({"acr": None}, ("urn:local:confirmed",), Lack.METHOD),
            ({"acr": "pwd"}, ("urn:local:confirmed",), Lack.OTHER_METHOD),
        ],
    )
    def test_says_what_the_provider_left_out(
        self, client, waiting, monkeypatch, owner, settings, claims, methods, lack
    ):
        settings.STEP_UP_ACR_VALUES = methods
        back = self.come_back_with(client, waiting, monkeypatch, owner, **claims)
        page = joined(back.content)
        assert back.status_code == 403
        assert "This sign-in does not do for a decision, so nothing was decided" in page
        assert views.WHY_STILL_STALE[lack] in page
        assert "fresh=1" in page and f'href="{item_url(waiting[0])}"' in page
        assert "packets” &amp;" in client.get(item_url(waiting[0])).content.decode()
        assert "step_up=1" in approve(client, waiting[0])["Location"]
        assert not decided(waiting[0])

    def test_takes_the_method_that_was_asked_for(
        self, client, owner, waiting, settings, provider_login
    ):
        settings.STEP_UP_ACR_VALUES = ("urn:local:confirmed", "other")
        answer = approve(client, waiting[0])
        start = client.get(answer["Location"])
        asked = parse_qs(urlsplit(start["Location"]).query)
        assert asked["acr_values"] == ["urn:local:confirmed other"]
        back = come_back(client, answer, provider_login, owner.username)
        assert back["Location"] == item_url(waiting[0])
        approve(client, waiting[0])
        assert decided(waiting[0])

    def test_somebody_else_goes_on_without_what_the_first_one_typed(
        self, client, owner, waiting, provider_login
    ):
        age(client)
        back = come_back(client, approve(client, waiting[0]), provider_login, "maya")
        page = joined(back.content)
        assert back.status_code == 409
        assert "Somebody else signed in, so nothing was decided" in page
        assert owner.name in page and User.objects.get(username="maya").name in page
        assert step_up.KEPT not in client.session
        assert "packets” &amp;" not in page
        assert int(client.session["_auth_user_id"]) == User.objects.get(username="maya").pk

    def test_who_did_not_sign_in_again_stays_signed_in_with_what_they_typed(
        self, client, owner, waiting
    ):
        age(client)
        start = client.get(approve(client, waiting[0])["Location"])
        state = parse_qs(urlsplit(start["Location"]).query)["state"][0]
        back = client.get("/oidc/callback/", {"error": "access_denied", "state": state})
        assert back.status_code == 403
        assert "You did not sign in again, so nothing was decided" in back.content.decode()
        assert "packets” &amp;" in client.get(item_url(waiting[0])).content.decode()
        assert state not in client.session["oidc_states"]
        assert "step_up" not in client.session


class TestTheApi:
    def decide(self, client, item, token):
        url = reverse("api:access_request_decide", args=[item.pk, "approve"])
        headers = {"Authorization": f"Bearer {token}"}
        return client.post(url, {"reason": "Fits."}, "application/json", headers=headers)

    def test_takes_the_token_of_a_fresh_sign_in(self, client, idp, owner, waiting):
        assert self.decide(client, waiting[0], idp.token(owner.username)).status_code == 200
        assert decided(waiting[0]) and not decided(waiting[1])

    @pytest.mark.parametrize("auth_time", [-901, None])
    def test_refuses_another_and_says_what_it_needs(
        self, client, idp, owner, waiting, settings, auth_time
    ):
        settings.STEP_UP_ACR_VALUES = ("mfa",)
        at = auth_time and int(time.time()) + auth_time
        answer = self.decide(client, waiting[0], idp.token(owner.username, auth_time=at, acr="mfa"))
        assert (answer.status_code, answer.json()["code"]) == (403, "fresh_sign_in_needed")
        assert "send the token of that sign-in" in answer.json()["detail"]
        said = answer.headers["WWW-Authenticate"]
        assert said.startswith('Bearer error="insufficient_user_authentication", ')
        assert said.endswith('max_age="900", acr_values="mfa"')
        assert not decided(waiting[0])

    def test_refuses_a_token_that_does_not_say_how(self, client, idp, owner, waiting, settings):
        settings.STEP_UP_ACR_VALUES = ("mfa",)
        answer = self.decide(client, waiting[0], idp.token(owner.username))
        assert "Nothing says how you signed in" in answer.json()["detail"]
        assert not decided(waiting[0])
