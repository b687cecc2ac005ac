"""The local identity provider, over HTTP as the portal, the gateway and curl use it."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet

from deploy.local.doubles.idp.app import COOKIE, create_app
from deploy.local.doubles.idp.personas import all_personas
from deploy.local.doubles.idp.settings import DEVICE_CODE, Settings

ISSUER = "http://127.0.0.1:8090"
PORTAL = "http://127.0.0.1:8000"
CALLBACK = f"{PORTAL}/oidc/callback/"
SCOPE = "openid profile email groups offline_access"
SECRET = "portal-secret"
BASIC = {
    "Authorization": "Basic " + base64.b64encode(f"quartermaster-portal:{SECRET}".encode()).decode()
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    state = tmp_path_factory.mktemp("idp")
    return Settings(issuer=ISSUER, state=state, portal_urls=(PORTAL,), client_secret=SECRET)


@pytest.fixture(scope="module")
def provider(settings):
    return create_app(settings)


@pytest.fixture
def browser(provider) -> FlaskClient:
    """A browser of its own; the provider is one for all tests, as one serves everybody."""
    return provider.test_client()


class Request:
    """One authorization request of the portal, with its PKCE verifier."""

    def __init__(self, **changes: object) -> None:
        self.verifier = secrets.token_urlsafe(48)
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest())
            .rstrip(b"=")
            .decode()
        )
        self.query = {
            "response_type": "code", "client_id": "quartermaster-portal", "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": "the-state", "nonce": "the-nonce", "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": ["quartermaster-api", "quartermaster-gateway"],
        } | changes  # fmt: skip
        self.query = {name: value for name, value in self.query.items() if value is not None}

    def sign_in(
        self, browser: FlaskClient, username: str = "maya", team: str = ""
    ) -> dict[str, str]:
        """Choose a person on the page; return what the portal's callback gets."""
        answer = browser.post(
            "/authorize", query_string=self.query, data={"username": username, "team": team}
        )
        assert answer.status_code == 302, answer.text
        return callback(answer.location)

    def exchange(self, browser: FlaskClient, code: str, **changes: str):
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
                "code_verifier": self.verifier} | changes  # fmt: skip
        return browser.post("/token", data=form, headers=BASIC)


def callback(location: str) -> dict[str, str]:
    assert location.startswith(CALLBACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def tokens_of(
    browser: FlaskClient, username: str = "maya", team: str = "", **changes: object
) -> dict:
    request = Request(**changes)
    answer = request.exchange(browser, request.sign_in(browser, username, team)["code"])
    assert answer.status_code == 200, answer.text
    return answer.json


def claims_of(browser: FlaskClient, token: str) -> dict:
    keys = KeySet.import_key_set(browser.get("/jwks").json)
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


class TestDiscovery:
    def test_names_only_endpoints_of_the_issuer(self, browser):
        document = browser.get("/.well-known/openid-configuration").json
        assert document["issuer"] == ISSUER
        addresses = {
            value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))
        }
        assert len(addresses) == 6 and all(
            address.startswith(f"{ISSUER}/") for address in addresses
        )
        assert document["code_challenge_methods_supported"] == ["S256"]

    def test_keeps_its_key_over_a_restart(self, browser, settings):
        assert create_app(settings).test_client().get("/jwks").json == browser.get("/jwks").json

    def test_publishes_no_private_part(self, browser):
        (key,) = browser.get("/jwks").json["keys"]
        assert key["use"] == "sig" and key["alg"] == "RS256" and not {"d", "p", "q"} & set(key)


class TestAuthorize:
    def test_shows_everybody_and_says_what_it_is(self, browser):
        page = browser.get("/authorize", query_string=Request().query)
        assert page.status_code == 200
        assert "Local identity provider" in page.text
        assert all(person.name in page.text for person in all_personas())

    def test_loads_nothing_from_elsewhere_and_runs_no_script(self, browser):
        page = browser.get("/authorize", query_string=Request().query)
        assert "script" not in page.text and "http" not in page.text.replace("http-equiv", "")
        assert page.headers["Content-Security-Policy"].startswith(
            "default-src 'none'; style-src 'self';"
        )
        with browser.get("/static/idp.css") as styles:
            assert styles.status_code == 200

    def test_refuses_a_request_without_pkce(self, browser):
        query = Request(code_challenge=None, code_challenge_method=None).query
        answer = browser.get("/authorize", query_string=query)
        assert callback(answer.location)["error"] == "invalid_request"
        assert "PKCE is required" in callback(answer.location)["error_description"]

    @pytest.mark.parametrize("method", ["plain", None])
    def test_refuses_the_plain_method(self, browser, method):
        answer = browser.get("/authorize", query_string=Request(code_challenge_method=method).query)
        assert callback(answer.location)["error"] == "invalid_request"

    @pytest.mark.parametrize(
        "address", ["http://127.0.0.1:8000/elsewhere/", "https://evil.example/", None]
    )
    def test_never_redirects_to_an_address_that_is_not_registered(self, browser, address):
        answer = browser.get("/authorize", query_string=Request(redirect_uri=address).query)
        assert answer.status_code == 400 and "Location" not in answer.headers

    def test_refuses_an_unknown_client_and_an_unknown_person(self, browser):
        assert (
            browser.get("/authorize", query_string=Request(client_id="who").query).status_code
            == 400
        )
        assert (
            browser.post(
                "/authorize", query_string=Request().query, data={"username": "eve"}
            ).status_code
            == 400
        )

    def test_refuses_an_unknown_audience(self, browser):
        answer = browser.get("/authorize", query_string=Request(resource="payroll").query)
        assert callback(answer.location)["error"] == "invalid_target"

    def test_refuses_a_form_of_another_site(self, browser):
        answer = browser.post(
            "/authorize",
            query_string=Request().query,
            data={"username": "maya"},
            headers={"Origin": "https://evil.example"},
        )
        assert answer.status_code == 403

    def test_keeps_the_state(self, browser):
        assert Request().sign_in(browser)["state"] == "the-state"

    def test_asks_a_person_with_several_teams_which_one(self, browser):
        page = browser.post("/authorize", query_string=Request().query, data={"username": "liam"})
        assert (
            page.status_code == 200 and "prior-auth" in page.text and "claims-review" in page.text
        )

    def test_refuses_a_team_that_is_not_theirs(self, browser):
        form = {"username": "liam", "team": "finance"}
        assert (
            browser.post("/authorize", query_string=Request().query, data=form).status_code == 400
        )


class TestSession:
    def test_signs_in_again_without_asking(self, browser):
        Request().sign_in(browser)
        answer = browser.get("/authorize", query_string=Request().query)
        assert answer.status_code == 302 and "code" in callback(answer.location)

    def test_survives_a_restart(self, browser, settings):
        Request().sign_in(browser)
        again = create_app(settings).test_client()
        again.set_cookie(COOKIE, browser.get_cookie(COOKIE).value)
        assert again.get("/authorize", query_string=Request(prompt="none").query).status_code == 302

    @pytest.mark.parametrize(
        "changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}]
    )
    def test_asks_again_when_told_to(self, browser, changes, monkeypatch):
        Request().sign_in(browser)
        monkeypatch.setattr("deploy.local.doubles.idp.logins.time.time", lambda: 4_000_000_000.0)
        assert browser.get("/authorize", query_string=Request(**changes).query).status_code == 200

    def test_asks_again_for_a_way_of_signing_in_that_the_session_is_not_of(self, browser):
        confirmed = Request(acr_values="urn:local:confirmed")
        request = Request()
        token = request.exchange(browser, request.sign_in(browser)["code"]).json["id_token"]
        assert claims_of(browser, token)["acr"] == "urn:local:chosen"
        assert browser.get("/authorize", query_string=confirmed.query).status_code == 200
        token = confirmed.exchange(browser, confirmed.sign_in(browser)["code"]).json["id_token"]
        assert claims_of(browser, token)["acr"] == "urn:local:confirmed"
        for fits in ("urn:local:confirmed urn:elsewhere", "urn:elsewhere"):
            query = Request(acr_values=fits).query
            assert browser.get("/authorize", query_string=query).status_code == 302
        query = Request(acr_values="urn:local:chosen").query
        assert browser.get("/authorize", query_string=query).status_code == 200

    def test_prompt_none_asks_nobody(self, browser):
        answer = browser.get("/authorize", query_string=Request(prompt="none").query)
        assert callback(answer.location)["error"] == "login_required"
        assert callback(answer.location)["state"] == "the-state"


class TestToken:
    def test_says_who_it_is_for_which_team(self, browser):
        answer = tokens_of(browser, "liam", "claims-review")
        for token in (answer["access_token"], answer["id_token"]):
            claims = claims_of(browser, token)
            assert claims["iss"] == ISSUER
            assert claims["name"] == "Liam Brandt" and claims["preferred_username"] == "liam"
            assert claims["email"] == "liam@example.com" and claims["groups"] == ["qm-team-leads"]
            assert claims["team"] == "claims-review" and claims["cost_center"] == "CC-4100"
            assert isinstance(claims["auth_time"], int) and claims["exp"] - claims["iat"] == 3600

    def test_the_id_token_is_for_the_client_and_carries_the_nonce(self, browser):
        claims = claims_of(browser, tokens_of(browser)["id_token"])
        assert (
            claims["aud"] == "quartermaster-portal"
            and claims["nonce"] == "the-nonce"
            and claims["at_hash"]
        )

    @pytest.mark.parametrize(
        ("resource", "audiences"),
        [
            (None, ["quartermaster-api"]),
            (["quartermaster-gateway"], ["quartermaster-gateway"]),
            (
                ["quartermaster-api", "quartermaster-gateway"],
                ["quartermaster-api", "quartermaster-gateway"],
            ),
            (
                ["quartermaster-api quartermaster-gateway"],
                ["quartermaster-api", "quartermaster-gateway"],
            ),
        ],
    )
    def test_the_access_token_is_for_the_audiences_that_were_asked(
        self, browser, resource, audiences
    ):
        assert (
            claims_of(browser, tokens_of(browser, resource=resource)["access_token"])["aud"]
            == audiences
        )

    def test_a_person_without_groups_gets_none_invented(self, browser):
        claims = claims_of(browser, tokens_of(browser, "nora")["access_token"])
        assert claims["groups"] == [] and "team" not in claims and "cost_center" not in claims

    def test_scopes_limit_what_is_said(self, browser):
        claims = claims_of(browser, tokens_of(browser, scope="openid")["access_token"])
        assert not {"name", "email", "groups", "team", "cost_center"} & set(claims)

    def test_refuses_a_wrong_verifier_and_the_code_is_then_used_up(self, browser):
        request = Request()
        code = request.sign_in(browser)["code"]
        wrong = request.exchange(browser, code, code_verifier=secrets.token_urlsafe(48))
        assert wrong.status_code == 400 and wrong.json["error"] == "invalid_grant"
        assert request.exchange(browser, code).status_code == 400

    def test_refuses_a_missing_verifier(self, browser):
        request = Request()
        answer = request.exchange(browser, request.sign_in(browser)["code"], code_verifier="")
        assert answer.status_code == 400

    def test_a_code_works_once_and_its_second_use_revokes_what_came_from_it(self, browser):
        request = Request()
        code = request.sign_in(browser)["code"]
        first = request.exchange(browser, code).json
        again = request.exchange(browser, code)
        assert again.status_code == 400 and again.json["error"] == "invalid_grant"
        assert refresh(browser, first["refresh_token"]).status_code == 400

    def test_refuses_another_redirect_address(self, browser):
        request = Request()
        code = request.sign_in(browser)["code"]
        answer = request.exchange(browser, code, redirect_uri=f"{PORTAL}/")
        assert answer.status_code == 400 and answer.json["error"] == "invalid_grant"

    def test_refuses_a_wrong_client_secret(self, browser):
        request = Request()
        code = request.sign_in(browser)["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        form |= {
            "code_verifier": request.verifier,
            "client_id": "quartermaster-portal",
            "client_secret": "guess",
        }
        assert browser.post("/token", data=form).status_code == 401

    def test_lives_as_long_as_the_settings_say(self, settings):
        browser = create_app(replace(settings, token_seconds=2)).test_client()
        answer = tokens_of(browser)
        claims = claims_of(browser, answer["access_token"])
        assert answer["expires_in"] == 2 and claims["exp"] - claims["iat"] == 2


def refresh(browser: FlaskClient, token: str, **changes: str):
    return browser.post(
        "/token",
        data={"grant_type": "refresh_token", "refresh_token": token} | changes,
        headers=BASIC,
    )


class TestRefresh:
    def test_rotates_and_keeps_team_and_sign_in_time(self, browser):
        first = tokens_of(browser, "liam", "prior-auth")
        second = refresh(browser, first["refresh_token"]).json
        before, after = (claims_of(browser, answer["access_token"]) for answer in (first, second))
        assert second["refresh_token"] != first["refresh_token"]
        assert after["team"] == "prior-auth" and after["auth_time"] == before["auth_time"]
        assert after["aud"] == before["aud"]
        assert claims_of(browser, second["id_token"])["auth_time"] == before["auth_time"]

    def test_a_used_one_revokes_the_whole_chain(self, browser):
        first = tokens_of(browser)
        second = refresh(browser, first["refresh_token"]).json
        assert refresh(browser, first["refresh_token"]).status_code == 400
        assert refresh(browser, second["refresh_token"]).status_code == 400

    def test_can_narrow_the_audience_and_never_widen_it(self, browser):
        first = tokens_of(browser)
        narrow = refresh(browser, first["refresh_token"], resource="quartermaster-gateway").json
        assert claims_of(browser, narrow["access_token"])["aud"] == ["quartermaster-gateway"]
        both = refresh(browser, narrow["refresh_token"]).json
        assert len(claims_of(browser, both["access_token"])["aud"]) == 2
        api_only = tokens_of(browser, resource="quartermaster-api")
        assert (
            refresh(
                browser, api_only["refresh_token"], resource="quartermaster-gateway"
            ).status_code
            == 400
        )

    def test_is_given_for_offline_access_only(self, browser):
        assert "refresh_token" not in tokens_of(browser, scope="openid profile")


class TestDevice:
    def ask(self, browser: FlaskClient, **fields: object) -> dict:
        form = {
            "client_id": "quartermaster-cli",
            "scope": SCOPE,
            "resource": "quartermaster-gateway",
        } | fields
        answer = browser.post("/device_authorization", data=form)
        assert answer.status_code == 200, answer.text
        return answer.json

    def poll(self, browser: FlaskClient, device_code: str):
        form = {
            "grant_type": DEVICE_CODE,
            "client_id": "quartermaster-cli",
            "device_code": device_code,
        }
        return browser.post("/token", data=form)

    def test_waits_for_the_person_then_gives_tokens_once(self, browser):
        device = self.ask(browser)
        assert self.poll(browser, device["device_code"]).json["error"] == "authorization_pending"
        page = browser.get("/device", query_string={"user_code": device["user_code"]})
        assert "Maya Okafor" in page.text and "quartermaster-gateway" in page.text
        done = browser.post(
            "/device", data={"user_code": device["user_code"].lower(), "username": "maya"}
        )
        assert "acts for Maya Okafor" in done.text
        claims = claims_of(browser, self.poll(browser, device["device_code"]).json["access_token"])
        assert claims["preferred_username"] == "maya" and claims["aud"] == ["quartermaster-gateway"]
        assert self.poll(browser, device["device_code"]).status_code == 400

    def test_asks_for_the_team_on_the_way(self, browser):
        device = self.ask(browser)
        form = {"user_code": device["user_code"], "username": "liam"}
        assert "Which team" in browser.post("/device", data=form).text
        assert "Allowed" in browser.post("/device", data=form | {"team": "prior-auth"}).text
        claims = claims_of(browser, self.poll(browser, device["device_code"]).json["access_token"])
        assert claims["team"] == "prior-auth"

    def test_says_no_when_the_person_does(self, browser):
        device = self.ask(browser)
        browser.post(
            "/device",
            data={"user_code": device["user_code"], "username": "maya", "decision": "deny"},
        )
        assert self.poll(browser, device["device_code"]).json["error"] == "access_denied"

    def test_does_not_know_other_codes(self, browser):
        assert browser.get("/device", query_string={"user_code": "AAAA-AAAA"}).status_code == 404
        assert self.poll(browser, "nothing").status_code == 400

    def test_is_not_for_the_portal(self, browser):
        assert (
            browser.post(
                "/device_authorization", data={"client_id": "quartermaster-portal"}
            ).status_code
            == 401
        )


class TestUserinfo:
    def test_answers_for_a_good_token(self, browser):
        token = tokens_of(browser, "rita")["access_token"]
        info = browser.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).json
        assert (
            info["name"] == "Rita Vance"
            and info["groups"] == ["qm-reviewers"]
            and info["team"] == "model-risk"
        )

    def test_refuses_anything_else(self, browser):
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode() + ".e30."
        for token in ("", "x", none, tokens_of(browser)["access_token"][:-4] + "AAAA"):
            assert (
                browser.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code
                == 401
            )


class TestEndSession:
    def test_signs_out_and_goes_back_to_the_portal(self, browser):
        tokens = tokens_of(browser)
        query = {
            "id_token_hint": tokens["id_token"],
            "post_logout_redirect_uri": f"{PORTAL}/signed-out/",
            "state": "s",
        }
        answer = browser.get("/end_session", query_string=query)
        assert answer.status_code == 302 and answer.location == f"{PORTAL}/signed-out/?state=s"
        assert browser.get("/authorize", query_string=Request().query).status_code == 200
        assert refresh(browser, tokens["refresh_token"]).status_code == 400

    def test_asks_first_where_nothing_proves_who_sent_it(self, browser):
        Request().sign_in(browser)
        assert "Sign out?" in browser.get("/end_session").text
        assert browser.get("/authorize", query_string=Request().query).status_code == 302
        assert "You are signed out" in browser.post("/end_session").text
        assert browser.get("/authorize", query_string=Request().query).status_code == 200

    def test_never_redirects_elsewhere(self, browser):
        query = {
            "id_token_hint": tokens_of(browser)["id_token"],
            "post_logout_redirect_uri": "https://evil.example/",
        }
        assert browser.get("/end_session", query_string=query).status_code == 200

    def test_refuses_a_forged_hint(self, browser):
        Request().sign_in(browser)
        assert (
            browser.get("/end_session", query_string={"id_token_hint": "a.b.c"}).status_code == 400
        )
        assert browser.get("/authorize", query_string=Request().query).status_code == 302
