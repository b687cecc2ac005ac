"""Checks a signed token of the identity provider, or of whoever signs those of pipelines: RS256
only, its signature, issuer, audience, times and subject.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from joserfc import jws, jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidClaimError,
    JoseError,
    MissingClaimError,
)
from joserfc.jwk import KeySet

from apps.accounts.provider import pipeline_keys, provider, signing_keys
from apps.common.clocks import CLOCKS_APART

ALGORITHMS = ["RS256"]
LONGEST = 16_384


class TokenRefused(Exception):
    """The token is not good. reason: short and stable; the text is for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Source:
    """Who signs tokens. name: what people call it; issuer, keys: asked for when a token comes."""

    name: str
    issuer: Callable[[], str]
    keys: Callable[[str | None], KeySet]


PEOPLE = Source("identity provider", lambda: provider().issuer, lambda key: signing_keys(key))
PIPELINES = Source(
    "issuer of pipelines' tokens",
    lambda: str(settings.PIPELINE_ISSUER),
    lambda key: pipeline_keys(key),
)
WRONG_CLAIM = {
    "iss": (
        "wrong_issuer",
        "The token was not issued by this portal's {name}.",
    ),
    "aud": (
        "wrong_audience",
        "The token is meant for another program: ask for the audience {audience}.",
    ),
    "nbf": ("not_yet_valid", "The token is not valid yet: check the clocks."),
    "iat": ("not_yet_valid", "The token was issued in the future: check the clocks."),
}


def verify(token: str, *, audience: str, source: Source = PEOPLE) -> dict[str, Any]:
    """Return the token's claims. Raises TokenRefused; ProviderUnavailable where the keys cannot be
    read.
    """
    try:
        keys = _keys(token, source)
        claims = dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
    except BadSignatureError:
        raise TokenRefused(
            "bad_signature", f"The token's signature does not match the keys of the {source.name}."
        ) from None
    except (JoseError, ValueError) as error:
        raise TokenRefused("malformed", f"This is not a token of the {source.name}.") from error
    _check(claims, audience, source)
    return claims


def _keys(token: str, source: Source) -> KeySet:
    """Return the provider's keys, once the token's algorithm is the one that is allowed and its key
    is among them.
    """
    if len(token) > LONGEST:
        raise TokenRefused("malformed", f"This is not a token of the {source.name}.")
    header = dict(jws.extract_compact(token.encode()).headers())
    if header.get("alg") not in ALGORITHMS:
        raise TokenRefused("wrong_algorithm", "The token must be signed with RS256.")
    keys = source.keys(header.get("kid"))
    if not any(key.kid == header.get("kid") for key in keys.keys):
        raise TokenRefused(
            "unknown_key",
            f"The token was signed with a key that the {source.name} does not publish.",
        )
    return keys


def _check(claims: dict[str, Any], audience: str, source: Source) -> None:
    registry = jwt.JWTClaimsRegistry(
        leeway=int(CLOCKS_APART.total_seconds()),
        iss={"essential": True, "value": source.issuer()},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(claims)
    except ExpiredTokenError:
        raise TokenRefused("expired", "The token has expired: get a new one.") from None
    except MissingClaimError as error:
        raise TokenRefused("missing_claim", f"The token lacks the claim {error.claim}.") from None
    except InvalidClaimError as error:
        reason, text = WRONG_CLAIM.get(
            error.claim, ("invalid_claim", f"The token's claim {error.claim} is wrong.")
        )
        raise TokenRefused(reason, text.format(audience=audience, name=source.name)) from None
    except ClaimError as error:
        raise TokenRefused("invalid_claim", str(error)) from None
