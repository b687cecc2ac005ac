"""What an identity provider publishes about itself."""

from dataclasses import dataclass

from joserfc.jwk import KeySet


@dataclass(frozen=True)
class Provider:
    """What the discovery document says. end_session_endpoint: "" where it names none."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str


@dataclass(frozen=True)
class Published:
    """The provider and the keys that it signs with, read at one time."""

    provider: Provider
    keys: KeySet
