"""The identity provider's double, really served on a loopback port for one test run, and the keys
to forge tokens.
"""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

from apps.accounts import provider as provider_module

CLIENT_SECRET = "only-for-tests"


@dataclass
class Idp:
    """A running provider."""

    url: str
    keys: KeySet

    def token(self, username="maya", key=None, header=None, **changes) -> str:
        """Return an API token of a persona, signed by the provider's key unless told otherwise."""
        from deploy.local.doubles.idp.personas import find_persona

        person = find_persona(username)
        team = person.teams[0] if person.teams else None
        claims: dict[str, Any] = {
            "iss": self.url, "sub": person.subject, "aud": "quartermaster-api",
            "iat": int(time.time()),
            "exp": int(time.time()) + 600, "auth_time": int(time.time()),
            "preferred_username": username, "name": person.name,
            "groups": list(person.groups),
        }  # fmt: skip
        if team:
            claims |= {"team": team.slug, "cost_center": team.cost_center}
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        own = self.keys.keys[0]
        return jwt.encode(header or {"alg": "RS256", "kid": own.kid}, claims, key or own)


@pytest.fixture(scope="session")
def running_idp(tmp_path_factory):
    with provider_of_dialect(tmp_path_factory.mktemp("idp"), "rfc8707") as found:
        yield found


@contextmanager
def provider_of_dialect(state, dialect):
    """Run the local provider, which speaks one of its dialects; give it."""
    from deploy.local.doubles.idp.app import create_app
    from deploy.local.doubles.idp.settings import Settings

    with make_server("127.0.0.1", 0, lambda *_: [], threaded=True) as probe:
        port = probe.server_port
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        issuer=url,
        state=state,
        portal_urls=("http://testserver",),
        client_secret=CLIENT_SECRET,
        dialect=dialect,
    )
    app = create_app(settings)
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield Idp(url, app.extensions["provider"].keys)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def idp(running_idp, settings):
    """The provider, and a portal that trusts it."""
    settings.OIDC_ISSUER = running_idp.url
    settings.OIDC_RP_CLIENT_SECRET = CLIENT_SECRET
    provider_module.forget()
    yield running_idp
    provider_module.forget()


@pytest.fixture
def no_idp(settings):
    """A portal whose provider is down."""
    settings.OIDC_ISSUER = "http://127.0.0.1:2"
    provider_module.forget()
    yield
    provider_module.forget()


@pytest.fixture
def foreign_key():
    """A key the provider never published."""
    return RSAKey.generate_key(2048, {"kid": "foreign"}, private=True)


def sign_in_as(client, username, team="", next_url="/account/"):
    """Walk the whole sign-in as a browser would; return the callback's answer."""
    start = client.get("/oidc/authenticate/", {"next": next_url})
    with httpx.Client() as browser:
        page = browser.post(start["Location"], data={"username": username, "team": team})
    assert page.status_code == 302, page.text
    return client.get(page.headers["Location"].removeprefix("http://testserver"))
