"""Signing in at the provider of the local stack, in this process; and renewing what it gave."""

import re
import threading

import httpx
import pytest

from apps.cli.exits import Away, BadUse, NotSignedIn
from apps.cli.sign_in import Provider, StoredTokens
from apps.cli.store import SignedIn, Store
from deploy.local.doubles.idp.app import create_app
from deploy.local.doubles.idp.settings import Settings

PORTAL, ISSUER = "http://127.0.0.1:8000", "http://127.0.0.1:8090"
METADATA = {
    "authorization_servers": [ISSUER], "client_id": "quartermaster-cli",
    "audience": "quartermaster-api", "pipeline_audience": PORTAL,
}  # fmt: skip


class World(httpx.BaseTransport):
    """The portal's word of itself, and the provider."""

    def __init__(self, provider):
        self.provider = httpx.WSGITransport(app=provider)
        self.metadata = METADATA

    def handle_request(self, request):
        if request.url.port == 8090:
            return self.provider.handle_request(request)
        assert request.url.path == "/.well-known/oauth-protected-resource/api/v1"
        return httpx.Response(200, json=self.metadata)


@pytest.fixture
def idp(tmp_path):
    return create_app(
        Settings(issuer=ISSUER, state=tmp_path, portal_urls=(PORTAL,), client_secret="s")
    )


@pytest.fixture
def world(idp):
    return World(idp)


@pytest.fixture
def provider(world):
    return Provider(transport=world, sleep=lambda seconds: None)


def answering(idp, decision="allow"):
    """Return what a person at a browser does with the question."""

    def ask(question):
        assert question.code in question.url
        said = {"user_code": question.code, "username": "maya", "decision": decision}
        assert idp.test_client().post("/device", data=said).status_code == 200

    return ask


class TestSignIn:
    def test_brings_a_token_for_the_api_and_one_to_renew_it_with(self, idp, provider):
        found = provider.sign_in(PORTAL, answering(idp))
        assert found.token_endpoint == f"{ISSUER}/token"
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", found.access_token)
        renewed = provider.renewed(found)
        assert renewed.access_token != found.access_token
        assert renewed.refresh_token != found.refresh_token

    def test_says_that_the_person_said_no(self, idp, provider):
        with pytest.raises(NotSignedIn, match="refused at the browser"):
            provider.sign_in(PORTAL, answering(idp, "deny"))

    def test_gives_up_when_nobody_answers(self, world):
        clock = iter(range(0, 100_000, 600))
        slow = Provider(transport=world, sleep=lambda seconds: None, clock=lambda: next(clock))
        with pytest.raises(NotSignedIn, match="Nobody signed in"):
            slow.sign_in(PORTAL, lambda question: None)

    def test_asks_no_provider_without_encryption_elsewhere(self, world, provider):
        world.metadata = METADATA | {"authorization_servers": ["http://idp.example"]}
        with pytest.raises(Exception, match="not encrypted"):
            provider.sign_in(PORTAL, lambda question: None)

    @pytest.mark.parametrize("name", ["token_endpoint", "device_authorization_endpoint"])
    def test_sends_nothing_unencrypted_elsewhere(self, world, provider, name, monkeypatch):
        known = {
            "token_endpoint": f"{ISSUER}/token",
            "device_authorization_endpoint": f"{ISSUER}/device_authorization",
        } | {name: "http://elsewhere.example/x"}
        document = Provider._document

        def told(self, method, url, form=None):
            discovery = url.endswith("openid-configuration")
            return known if discovery else document(self, method, url, form)

        monkeypatch.setattr(Provider, "_document", told)
        with pytest.raises(BadUse, match="not encrypted"):
            provider.sign_in(PORTAL, lambda question: None)

    def test_says_that_the_provider_gave_no_code(self, provider, monkeypatch):
        document = Provider._document

        def told(self, method, url, form=None):
            return {} if method == "POST" else document(self, method, url, form)

        monkeypatch.setattr(Provider, "_document", told)
        with pytest.raises(Away, match="without a code"):
            provider.sign_in(PORTAL, lambda question: None)

    def test_says_that_this_is_no_portal(self, world, provider):
        world.metadata = {}
        with pytest.raises(Away, match="is it a portal"):
            provider.sign_in(PORTAL, lambda question: None)


class TestStoredTokens:
    @pytest.fixture
    def store(self, tmp_path):
        return Store(tmp_path / "config")

    def test_are_renewed_before_they_end_and_kept(self, idp, provider, store):
        first = provider.sign_in(PORTAL, answering(idp))
        store.keep(PORTAL, first)
        tokens = StoredTokens(store, PORTAL, provider, clock=lambda: first.expires_at - 30)
        token = tokens.current()
        assert token != first.access_token
        assert store.signed_in(PORTAL).access_token == token

    def test_are_renewed_once_by_two_commands(self, idp, provider, store):
        """A refresh token that is used twice ends the whole sign-in."""
        store.keep(PORTAL, provider.sign_in(PORTAL, answering(idp)))
        both = [StoredTokens(store, PORTAL, provider) for _ in range(2)]
        threads = [threading.Thread(target=one.renew) for one in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert both[0].current() == both[1].current() == store.signed_in(PORTAL).access_token

    def test_end_with_the_sign_in(self, provider, store):
        over = SignedIn(f"{ISSUER}/token", "quartermaster-cli", "a", 0.0, "never given")
        store.keep(PORTAL, over)
        with pytest.raises(NotSignedIn, match="quartermaster login"):
            StoredTokens(store, PORTAL, provider).current()

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_outlive_a_provider_that_is_busy(self, store, status):
        busy = httpx.MockTransport(lambda request: httpx.Response(status))
        kept = SignedIn(f"{ISSUER}/token", "quartermaster-cli", "a", 0.0, "refresh")
        store.keep(PORTAL, kept)
        with pytest.raises(Away, match=str(status)):
            StoredTokens(store, PORTAL, Provider(transport=busy)).current()
        assert store.signed_in(PORTAL) == kept

    def test_say_how_to_sign_in(self, provider, store):
        with pytest.raises(NotSignedIn, match="login --portal"):
            StoredTokens(store, PORTAL, provider)
