"""What identity providers answer, as recorded, and the two errors that come of it."""

import httpx
import pytest
from joserfc.jwk import RSAKey

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.oidc.client import MOST_BYTES, GrantRefused, OidcClient

ISSUER = "https://idp.example"
DOCUMENT = {
    "issuer": f"{ISSUER}/",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "end_session_endpoint": f"{ISSUER}/logout",
}
KEY = RSAKey.generate_key(2048, {"kid": "one"}, private=True).as_dict(private=False)


def client(handler):
    return OidcClient(
        issuer=ISSUER, client_id="portal", client_secret="s3cret", timeout=1.0,
        transport=httpx.MockTransport(handler),
    )  # fmt: skip


def publishing(discovery=DOCUMENT, keys=None):
    def handler(request):
        if request.url.path == "/keys":
            return httpx.Response(200, json={"keys": [KEY]} if keys is None else keys)
        return httpx.Response(200, json=discovery)

    return client(handler)


class TestPublished:
    def test_reads_the_endpoints_and_the_keys(self):
        found = publishing().published()
        assert found.provider.token_endpoint == f"{ISSUER}/token"
        assert found.provider.end_session_endpoint == f"{ISSUER}/logout"
        assert [key.kid for key in found.keys.keys] == ["one"]

    def test_needs_no_end_of_session(self):
        rest = {name: url for name, url in DOCUMENT.items() if name != "end_session_endpoint"}
        assert publishing(rest).published().provider.end_session_endpoint == ""

    @pytest.mark.parametrize(
        ("discovery", "keys", "words"),
        [
            (DOCUMENT | {"issuer": "https://other.example"}, None, "another name"),
            ({"issuer": ISSUER}, None, "incomplete"),
            ([], None, "not a JSON object"),
            (DOCUMENT, {"keys": []}, "keys cannot be read"),
            (DOCUMENT, {"keys": "none"}, "keys cannot be read"),
            (DOCUMENT, {"keys": [{"kty": "new"}, 7]}, "keys cannot be read"),
        ],
    )
    def test_says_what_is_wrong_with_an_answer(self, discovery, keys, words):
        with pytest.raises(PermanentError, match=words):
            publishing(discovery, keys).published()

    def test_is_tried_once_and_bounded(self):
        asked = []

        def broken(request):
            asked.append(request.url.path)
            return httpx.Response(503)

        with pytest.raises(TemporaryError, match="busy or broken"):
            client(broken).published()
        assert len(asked) == 1
        with pytest.raises(PermanentError, match="more than 1 MiB"):
            client(lambda _: httpx.Response(200, content=b" " * (MOST_BYTES + 1))).published()


class TestTokens:
    def test_sends_the_grant_as_this_client(self):
        def handler(request):
            assert b"grant_type=refresh_token" in request.content
            assert b"client_secret=s3cret" in request.content
            return httpx.Response(200, json={"access_token": "a"})

        answer = client(handler).tokens(f"{ISSUER}/token", {"grant_type": "refresh_token"})
        assert answer == {"access_token": "a"}

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_tells_a_refused_grant(self, status):
        with pytest.raises(GrantRefused) as refused:
            client(lambda _: httpx.Response(status, json={"error": "invalid_grant"})).tokens(
                f"{ISSUER}/token", {}
            )
        assert "s3cret" not in str(refused.value)

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (httpx.Response(502), TemporaryError),
            (httpx.Response(429), TemporaryError),
            (httpx.Response(200, content=b"<html>"), PermanentError),
            (httpx.Response(200, json=[]), PermanentError),
        ],
    )
    def test_tells_a_broken_provider_from_a_refused_grant(self, answer, error):
        with pytest.raises(error) as broken:
            client(lambda _: answer).tokens(f"{ISSUER}/token", {})
        assert not isinstance(broken.value, GrantRefused)
