"""A provider that speaks as Microsoft Entra ID does: an audience is a scope, `resource` is refused,
groups are ids, and every endpoint lies elsewhere.
"""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.conf import settings as django_settings
from joserfc import jwt

from apps.accounts import provider as provider_module
from apps.accounts import sessions
from apps.accounts.models import User
from apps.cli.sign_in import Provider
from deploy.local.doubles.idp.provider import group_id
from tests.accounts.conftest import CLIENT_SECRET, provider_of_dialect, sign_in_as

pytestmark = pytest.mark.django_db
GROUPS = {"qm-team-leads": "TEAM_LEAD", "qm-reviewers": "REVIEWER", "qm-platform": "REVIEWER"}
GATEWAY, API = (f"api://quartermaster-{name}/.default" for name in ("gateway", "api"))
READ = (
    "OIDC_RP_SCOPES", "OIDC_AUTH_REQUEST_EXTRA_PARAMS", "OIDC_SCOPES", "OIDC_API_ASKED",
    "OIDC_GATEWAY_ASKED", "ROLE_OF_GROUP",
)  # fmt: skip


@pytest.fixture(scope="module")
def running_entra(tmp_path_factory):
    with provider_of_dialect(tmp_path_factory.mktemp("entra"), "entra") as found:
        yield found


def settings_of(**given):
    """Return the settings of sign-in that a portal with this environment has."""
    program = (
        "import json; from portal import settings; "
        f"print(json.dumps({{name: getattr(settings, name) for name in {READ!r}}}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | given,
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(said.stdout)


@pytest.fixture
def entra(running_entra, settings):
    """The provider, and a portal that knows that it speaks so."""
    groups = ", ".join(f"{group_id(name)}={role}" for name, role in GROUPS.items())
    for name, value in settings_of(OIDC_AUDIENCE_BY="scope", OIDC_ROLE_GROUPS=groups).items():
        setattr(settings, name, value)
    settings.OIDC_ISSUER = running_entra.url
    settings.OIDC_RP_CLIENT_SECRET = CLIENT_SECRET
    provider_module.forget()
    yield running_entra
    provider_module.forget()


def claims_of(idp, token):
    return jwt.decode(token, idp.keys, algorithms=["RS256"]).claims


class TestSignIn:
    def test_asks_for_the_gateways_token_by_a_scope(self, client, entra):
        asked = parse_qs(urlsplit(client.get("/oidc/authenticate/")["Location"]).query)
        assert "resource" not in asked
        assert asked["scope"] == [f"openid profile email offline_access {GATEWAY}"]

    def test_brings_a_person_with_the_role_of_a_groups_id(self, client, entra):
        sign_in_as(client, "maya")
        assert User.objects.get(username="maya").roles == {"TEAM_LEAD"}
        sign_in_as(client, "pete")
        assert User.objects.get(username="pete").roles == {"REVIEWER"}
        sign_in_as(client, "fiona")
        assert User.objects.get(username="fiona").roles == set()

    def test_keeps_a_token_that_the_gateway_takes_and_renews_it(self, client, entra):
        sign_in_as(client, "maya")
        kept = sessions.stored_tokens(client.session)
        assert claims_of(entra, kept["access_token"])["aud"] == ["quartermaster-gateway"]
        session = client.session
        sessions.keep_tokens(session, kept | {"expires_in": 1}, now=time.time())
        session.save()
        renewed = sessions.gateway_token(SimpleNamespace(session=session))
        assert renewed != kept["access_token"]
        assert claims_of(entra, renewed)["aud"] == ["quartermaster-gateway"]

    def test_a_portal_that_asks_by_resource_is_refused(self, client, entra, settings):
        for name, value in settings_of().items():
            setattr(settings, name, value)
        start = client.get("/oidc/authenticate/")
        with httpx.Client() as browser:
            page = browser.post(start["Location"], data={"username": "maya"})
        said = parse_qs(urlsplit(page.headers["Location"]).query)
        assert "AADSTS901002" in said["error_description"][0]
        assert User.objects.count() == 0

    def test_a_portal_that_asks_for_groups_is_refused(self, client, entra, settings):
        settings.OIDC_RP_SCOPES = f"openid groups {GATEWAY}"
        start = client.get("/oidc/authenticate/")
        with httpx.Client() as browser:
            page = browser.post(start["Location"], data={"username": "maya"})
        said = parse_qs(urlsplit(page.headers["Location"]).query)
        assert "AADSTS650053" in said["error_description"][0]


class TestCommandLine:
    def test_signs_in_at_the_endpoints_that_are_published(self, client, entra):
        said = client.get("/.well-known/oauth-protected-resource/api/v1").json()
        assert said["scopes_supported"] == ["openid", "profile", "email", "offline_access", API]
        assert said["resource_indicators"] is False
        portal = SimpleNamespace(asked=[])

        def handle(request):
            if request.url.host == "testserver":
                return httpx.Response(200, json=said)
            portal.asked.append(request.url.path)
            with httpx.Client() as real:
                return real.send(request)

        def allow(question):
            with httpx.Client() as browser:
                answer = {"user_code": question.code, "username": "maya", "decision": "allow"}
                assert browser.post(f"{entra.url}/device", data=answer).status_code == 200

        provider = Provider(transport=httpx.MockTransport(handle), sleep=lambda seconds: None)
        found = provider.sign_in("http://testserver", allow)
        held = {"Authorization": f"Bearer {found.access_token}"}
        assert client.get("/api/v1/me", headers=held).json()["username"] == "maya"
        assert claims_of(entra, found.access_token)["aud"] == ["quartermaster-api"]
        renewed = provider.renewed(found)
        held = {"Authorization": f"Bearer {renewed.access_token}"}
        assert client.get("/api/v1/me", headers=held).status_code == 200
        assert "/oauth2/v2.0/devicecode" in portal.asked

    def test_a_page_shows_a_call_in_the_same_words(self, client, entra):
        from apps.gateway import samples

        asked = {"scope": django_settings.OIDC_SCOPES} | django_settings.OIDC_GATEWAY_ASKED
        text = samples.token_text(entra.url, "quartermaster-cli", asked)
        assert "resource=" not in text
        assert f"-d scope='openid profile email offline_access {GATEWAY}'" in text


class TestSettings:
    def test_by_themselves_they_are_those_of_rfc_8707(self):
        found = settings_of()
        assert found["OIDC_RP_SCOPES"] == "openid profile email groups offline_access"
        assert found["OIDC_AUTH_REQUEST_EXTRA_PARAMS"] == {"resource": "quartermaster-gateway"}
        assert found["ROLE_OF_GROUP"]["qm-platform"] == "PLATFORM_ENGINEER"
        assert len(found["ROLE_OF_GROUP"]) == 7

    def test_scopes_may_be_named(self):
        found = settings_of(
            OIDC_AUDIENCE_BY="scope",
            OIDC_SCOPES="openid offline_access",
            OIDC_GATEWAY_SCOPE="api://g/all",
        )
        assert found["OIDC_RP_SCOPES"] == "openid offline_access api://g/all"
