"""Both doors: people through the browser, pipelines with a bearer token."""

import base64
import hmac
import json
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.utils.timezone import now
from joserfc import jwt

from apps.accounts import provider as provider_module
from apps.accounts import sessions
from apps.accounts.models import Role, User
from apps.accounts.recertification import actions as recertification
from apps.accounts.recertification.models import RoleReview
from apps.audit.models import Action, AuditEvent
from tests.accounts.conftest import sign_in_as
from tests.database import as_owner
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def get_me(client, token):
    return client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


class TestSignIn:
    def test_asks_with_pkce_state_nonce_and_the_gateways_audience(self, client, idp):
        asked = parse_qs(urlsplit(client.get("/oidc/authenticate/")["Location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["resource"] == ["quartermaster-gateway"]
        assert {"state", "nonce", "code_challenge"} < set(asked)

    def test_signs_in_and_leads_back_to_where_the_person_wanted_to_go(self, client, idp):
        before = client.get("/oidc/authenticate/").cookies["session"].value
        answer = sign_in_as(client, "maya", next_url="/account/?a=1")
        assert (answer.status_code, answer["Location"]) == (302, "/account/?a=1")
        assert client.cookies["session"].value != before
        maya = User.objects.get(username="maya")
        assert (maya.team.slug, maya.roles) == ("claims-review", {"TEAM_LEAD"})
        assert (
            AuditEvent.objects.filter(action=Action.SIGNED_IN, actor="maya")
            .exclude(request_id="")
            .count()
            == 1
        )

    def test_a_person_of_two_teams_acts_for_the_one_they_chose(self, client, idp):
        sign_in_as(client, "liam", team="claims-review")
        page = client.get("/account/").content.decode()
        assert "claims-review" in page
        assert "CC-4100" in page

    def test_never_leads_to_another_site(self, client, idp):
        answer = sign_in_as(client, "maya", next_url="https://evil.example/")
        assert answer["Location"] == "/"

    def test_a_person_without_a_known_group_sees_what_is_missing(self, client, idp):
        sign_in_as(client, "nora")
        answer = client.get("/catalog/")
        assert (answer.status_code, answer["Location"]) == (302, "/account/no-access/")
        page = client.get("/account/no-access/")
        assert page.status_code == 403
        for words in (
            "You are in no group yet",
            "qm-team-leads",
            "Nora Blank",
            "Sign out",
            "names no team",
        ):
            assert words in page.content.decode()

    def test_a_reused_code_is_answered_with_a_way_to_start_again(self, client, idp):
        start = client.get("/oidc/authenticate/")
        with httpx.Client() as browser:
            page = browser.post(start["Location"], data={"username": "maya"})
        back = page.headers["Location"].removeprefix("http://testserver")
        client.get(back)
        again = client.get(back)
        assert again.status_code == 400
        assert "This sign-in was not finished" in again.content.decode()

    def test_a_callback_that_nobody_asked_for_is_refused(self, client, idp):
        assert client.get("/oidc/callback/?code=x&state=y").status_code == 400
        assert client.get("/oidc/callback/?error=access_denied&state=y").status_code == 403
        assert client.get("/oidc/callback/").status_code == 400
        assert User.objects.count() == 0

    def test_an_id_token_for_another_nonce_is_refused(self, client, idp):
        start = client.get("/oidc/authenticate/")
        with httpx.Client() as browser:
            page = browser.post(start["Location"], data={"username": "maya"})
        session = client.session
        for entry in session["oidc_states"].values():
            entry["nonce"] = "another"
        session.save()
        answer = client.get(page.headers["Location"].removeprefix("http://testserver"))
        assert answer.status_code == 400
        assert User.objects.count() == 0

    def test_says_so_when_the_provider_is_down(self, client, no_idp):
        answer = client.get("/oidc/authenticate/")
        assert answer.status_code == 503
        assert "You cannot sign in right now" in answer.content.decode()


class TestSignOut:
    def test_ends_the_session_here_and_at_the_provider(self, client, idp):
        sign_in_as(client, "maya")
        answer = client.post("/sign-out/")
        asked = parse_qs(urlsplit(answer["Location"]).query)
        assert answer["Location"].startswith(f"{idp.url}/end_session")
        assert asked["post_logout_redirect_uri"] == ["http://testserver/signed-out/"]
        with httpx.Client() as browser:
            assert (
                browser.get(answer["Location"]).headers["Location"]
                == "http://testserver/signed-out/"
            )
        assert client.get("/account/").status_code == 302
        assert AuditEvent.objects.get(action=Action.SIGNED_OUT).data == {"reason": "asked"}
        assert client.get("/signed-out/").status_code == 200

    def test_works_here_while_the_provider_is_down(self, client, idp, settings):
        sign_in_as(client, "maya")
        settings.OIDC_ISSUER = "http://127.0.0.1:2"
        provider_module.forget()
        assert client.post("/sign-out/")["Location"] == "http://testserver/signed-out/"

    def test_takes_no_get(self, client, idp):
        sign_in_as(client, "maya")
        assert client.get("/sign-out/").status_code == 405


class TestSession:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"seen_at": -3601}, "idle"),
            ({"started_at": -8 * 3600 - 1, "seen_at": -1}, "too_long"),
            ({"team_id": None}, "other_team"),
        ],
    )
    def test_ends_by_itself_and_says_why(self, client, idp, change, reason):
        sign_in_as(client, "maya")
        session = client.session
        session.update({name: value and time.time() + value for name, value in change.items()})
        session.save()
        answer = client.get("/account/")
        assert answer["Location"] == "/oidc/authenticate/?next=%2Faccount%2F"
        assert AuditEvent.objects.get(action=Action.SIGNED_OUT).data == {"reason": reason}

    def test_polling_is_not_presence(self, client, idp):
        sign_in_as(client, "maya")
        session = client.session
        session["seen_at"] = time.time() - 1800
        session.save()
        client.get("/account/", headers={"HX-Request": "true"})
        assert client.session["seen_at"] == session["seen_at"]
        client.get("/account/")
        assert client.session["seen_at"] > session["seen_at"]

    def test_keeps_tokens_encrypted(self, client, idp):
        sign_in_as(client, "maya")
        token = sessions.stored_tokens(client.session)["access_token"]
        assert token not in json.dumps(dict(client.session))

    def test_htmx_is_led_to_the_sign_in(self, client):
        answer = client.get(
            "/needs/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/audit/"}
        )
        assert answer.status_code == 401
        assert answer["HX-Redirect"].startswith("/oidc/authenticate/?next=http")


class TestDeactivatedPerson:
    """Loses access at once: no session, no token and no new sign-in helps."""

    @pytest.fixture(autouse=True)
    def _deactivated(self, client, idp):
        sign_in_as(client, "maya")
        assert client.get("/account/").status_code == 200
        with as_owner():  # nothing in the portal does it yet
            User.objects.update(is_active=False)

    def test_at_pages(self, client):
        assert client.get("/account/")["Location"].startswith("/oidc/authenticate/")
        assert client.post("/sign-out/")["Location"].startswith("/oidc/authenticate/")

    def test_at_the_api(self, client, idp):
        answer = get_me(client, idp.token("maya"))
        assert (answer.status_code, answer.json()["code"]) == (401, "deactivated")
        other = idp.token("maya", team="prior-auth", cost_center="CC-4200")
        assert get_me(client, other).json()["code"] == "deactivated"

    def test_at_the_sign_in(self, client):
        assert sign_in_as(client, "maya").status_code == 400
        assert client.get("/account/").status_code == 302


class TestGatewayToken:
    def request(self, client, rf):
        request = rf.get("/")
        request.session = client.session
        return request

    def test_is_the_persons_own_for_the_gateway(self, client, idp, rf):
        sign_in_as(client, "maya")
        token = sessions.gateway_token(self.request(client, rf))
        claims = jwt.decode(token, idp.keys).claims
        assert (claims["aud"], claims["team"]) in (
            (["quartermaster-gateway"], "claims-review"),
            ("quartermaster-gateway", "claims-review"),
        )

    def test_is_renewed_before_it_ends_and_once_only(self, client, idp, rf):
        sign_in_as(client, "maya")
        session = client.session
        tokens = sessions.stored_tokens(session)
        sessions.keep_tokens(session, tokens | {"expires_in": 30}, now=time.time())
        session.save()
        first, second = self.request(client, rf), self.request(client, rf)
        renewed = sessions.gateway_token(first)
        assert renewed != tokens["access_token"]
        assert sessions.gateway_token(second) == renewed

    def test_is_none_when_the_provider_refuses_to_renew(self, client, idp, rf):
        sign_in_as(client, "maya")
        request = self.request(client, rf)
        tokens = sessions.stored_tokens(request.session) | {
            "refresh_token": "used up",
            "expires_in": 1,
        }
        sessions.keep_tokens(request.session, tokens, now=time.time())
        request.session.save()
        assert sessions.gateway_token(request) is None

    def test_is_none_without_a_sign_in(self, client, alice, rf):
        client.force_login(alice)
        assert sessions.gateway_token(self.request(client, rf)) is None


class TestBearerAuthentication:
    def test_lets_in_the_same_person_as_the_browser(self, client, idp):
        sign_in_as(client, "maya")
        client.logout()
        answer = get_me(client, idp.token("maya"))
        assert answer.status_code == 200
        assert answer.json() | {"id": 0} == {
            "id": 0, "username": "maya", "name": "Maya Okafor", "roles": ["TEAM_LEAD"],
            "team": "claims-review",
            "cost_center": "CC-4100",
        }  # fmt: skip
        assert User.objects.count() == 1

    def test_makes_a_person_who_never_used_the_browser(self, client, idp):
        assert get_me(client, idp.token("owen")).json()["roles"] == ["MODEL_OWNER"]

    def test_gives_no_role_that_somebody_took_away(self, client, idp):
        auditor = UserFactory(username="auditor", with_roles=[Role.AUDITOR])
        sign_in_as(client, "owen")
        owen = User.objects.get(username="owen")
        recertification.open_reviews(period=timedelta(0), now=now())
        review = RoleReview.objects.get(requested_by=owen, role=Role.MODEL_OWNER)
        recertification.take_role(review=review, approver=auditor, reason="Moved on.", now=now())
        both = idp.token("owen", groups=["qm-model-owners", "qm-developers"])
        assert get_me(client, both).json()["roles"] == ["DEVELOPER"]
        answer = get_me(client, idp.token("owen"))
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
        assert "people with a role here" in answer.json()["detail"]
        assert get_me(client, idp.token("maya")).json()["roles"] == ["TEAM_LEAD"]

    def test_acts_for_the_tokens_team_and_leaves_the_browsers_session_alone(self, client, idp):
        sign_in_as(client, "liam", team="prior-auth")
        body = get_me(client, idp.token("liam", team="claims-review", cost_center="CC-4100")).json()
        assert (body["team"], body["cost_center"]) == ("claims-review", "CC-4100")
        assert User.objects.get(username="liam").team.slug == "prior-auth"
        assert client.get("/account/").status_code == 200

    def test_a_session_cookie_means_nothing_to_the_api(self, client, idp):
        sign_in_as(client, "maya")
        answer = client.get("/api/v1/me")
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == 'Bearer realm="quartermaster"'

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"exp": 1}, "expired"),
            ({"exp": None}, "missing_claim"),
            ({"aud": "quartermaster-gateway"}, "wrong_audience"),
            ({"aud": None}, "missing_claim"),
            ({"iss": "http://127.0.0.1:9"}, "wrong_issuer"),
            ({"nbf": 2**33}, "not_yet_valid"),
            ({"sub": None}, "missing_claim"),
        ],
    )
    def test_says_why_a_token_is_not_good(self, client, idp, changes, code):
        answer = get_me(client, idp.token(**changes))
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer["Content-Type"] == "application/problem+json"
        assert 'error="invalid_token"' in answer["WWW-Authenticate"]

    def test_refuses_alg_none(self, client, idp):
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in (
                {"alg": "none"},
                {"sub": "x", "aud": "quartermaster-api", "iss": idp.url, "exp": 2**33},
            )
        ]
        answer = get_me(client, f"{parts[0]}.{parts[1]}.")
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_algorithm")

    def test_refuses_hs256_with_the_public_key_as_its_secret(self, client, idp):
        public = idp.keys.keys[0]
        head, body, _ = idp.token(header={"alg": "RS256", "kid": public.kid}).split(".")
        head = (
            base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": public.kid}).encode())
            .rstrip(b"=")
            .decode()
        )
        digest = hmac.digest(public.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
        token = f"{head}.{body}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
        assert get_me(client, token).json()["code"] == "wrong_algorithm"

    def test_refuses_a_key_that_was_never_published(self, client, idp, foreign_key):
        token = idp.token(key=foreign_key, header={"alg": "RS256", "kid": "foreign"})
        assert get_me(client, token).json()["code"] == "unknown_key"

    def test_refuses_a_foreign_signature_under_a_known_key_id(self, client, idp, foreign_key):
        token = idp.token(key=foreign_key, header={"alg": "RS256", "kid": idp.keys.keys[0].kid})
        assert get_me(client, token).json()["code"] == "bad_signature"

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "x" * 20_000])
    def test_refuses_what_is_no_token(self, client, idp, token):
        answer = client.get("/api/v1/me", headers={"Authorization": b"Bearer ".decode() + token})
        assert (answer.status_code, answer.json()["code"]) == (401, "malformed")

    def test_a_token_without_a_known_group_is_forbidden_in_words(self, client, idp):
        answer = get_me(client, idp.token("nora"))
        assert answer.status_code == 403
        assert "no group" in answer.json()["detail"]

    def test_says_503_when_the_keys_cannot_be_read(self, client, idp, settings):
        token = idp.token()
        settings.OIDC_ISSUER = "http://127.0.0.1:2"
        provider_module.forget()
        answer = get_me(client, token)
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_provider_unavailable")
