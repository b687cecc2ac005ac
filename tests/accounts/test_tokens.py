"""What makes a token good, claim by claim, with two keys published."""

import time
from types import SimpleNamespace

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from apps.accounts import tokens
from apps.accounts.tokens import TokenRefused, verify

ISSUER, AUDIENCE = "https://idp.example", "quartermaster-api"


@pytest.fixture(scope="module")
def keys():
    return [
        RSAKey.generate_key(2048, {"kid": kid}, private=True) for kid in ("old", "new", "foreign")
    ]


@pytest.fixture(autouse=True)
def published(keys, monkeypatch):
    """The identity provider publishes the first two keys, whichever is asked for."""
    asked = []

    def signing_keys(kid):
        asked.append(kid)
        return KeySet(keys[:2])

    monkeypatch.setattr(tokens, "signing_keys", signing_keys)
    monkeypatch.setattr(tokens, "provider", lambda: SimpleNamespace(issuer=ISSUER))
    return asked


@pytest.fixture
def token(keys):
    """Make a good token with changes; None takes a claim out."""

    def make(key=0, header=None, **changes):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "maya", "iat": now, "exp": now + 60}
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(
            {"alg": "RS256", "kid": keys[key].kid} | (header or {}), claims, keys[key]
        )

    return make


def refusal(token, audience=AUDIENCE):
    """Return why a token is refused, and the words."""
    with pytest.raises(TokenRefused) as refused:
        verify(token, audience=audience)
    return refused.value.reason, str(refused.value)


class TestVerify:
    def test_returns_the_claims_of_a_token_of_each_published_key(self, token, published):
        for key in (0, 1):
            assert verify(token(key, team="prior-auth"), audience=AUDIENCE)["team"] == "prior-auth"
        assert published == ["old", "new"]

    def test_takes_one_of_several_audiences(self, token):
        assert verify(token(aud=["other", AUDIENCE]), audience=AUDIENCE)["sub"] == "maya"

    def test_forgives_clocks_a_minute_and_a_half_and_no_more(self, token):
        now = int(time.time())
        for good in ({"exp": now - 85}, {"iat": now + 85}, {"nbf": now + 85}):
            assert verify(token(**good), audience=AUDIENCE)
        assert refusal(token(exp=now - 95))[0] == "expired"
        assert refusal(token(iat=now + 95))[0] == "not_yet_valid"
        assert refusal(token(nbf=now + 95))[0] == "not_yet_valid"

    @pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "sub"])
    def test_names_a_claim_that_is_missing(self, token, claim):
        assert refusal(token(**{claim: None})) == (
            "missing_claim",
            f"The token lacks the claim {claim}.",
        )

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"iss": "https://other.example"}, "wrong_issuer"),
            ({"aud": "other"}, "wrong_audience"),
            ({"exp": "soon"}, "invalid_claim"),
        ],
    )
    def test_says_which_claim_is_wrong(self, token, changes, reason):
        assert refusal(token(**changes))[0] == reason

    def test_names_the_audience_to_ask_for(self, token):
        assert AUDIENCE in refusal(token(aud="other"))[1]

    def test_refuses_keys_that_are_not_published_and_signatures_that_do_not_fit(self, token, keys):
        assert refusal(token(2))[0] == "unknown_key"
        assert refusal(token(2, header={"kid": "old"}))[0] == "bad_signature"
        nameless = jwt.encode({"alg": "RS256"}, {"sub": "maya"}, keys[0])
        assert refusal(nameless)[0] == "unknown_key"

    def test_asks_for_no_key_where_the_algorithm_is_another(self, keys, published):
        other = jwt.encode({"alg": "RS512", "kid": "old"}, {"sub": "x"}, keys[0], ["RS512"])
        assert refusal(other)[0] == "wrong_algorithm"
        assert published == []

    def test_reads_exactly_16_kib_and_not_a_character_more(self, token, monkeypatch):
        good = token()
        monkeypatch.setattr(tokens, "LONGEST", len(good))
        assert verify(good, audience=AUDIENCE)["sub"] == "maya"
        monkeypatch.setattr(tokens, "LONGEST", len(good) - 1)
        assert refusal(good)[0] == "malformed"

    def test_reads_16_kib_and_no_more(self, token):
        room = 16_384 - len(token(pad="")) - 100
        assert verify(token(pad="x" * (room * 3 // 4)), audience=AUDIENCE)
        assert refusal(token(pad="x" * 16_384))[0] == "malformed"
        assert refusal("x" * 16_385)[0] == "malformed"
