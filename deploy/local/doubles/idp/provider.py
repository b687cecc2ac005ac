"""The provider: Authlib's server with what our grants need, and the tokens it writes."""

from __future__ import annotations

import time
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from authlib.common.security import generate_token
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError, OAuth2Error
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core.grants import OpenIDCode, OpenIDToken
from flask import Flask
from joserfc.jwk import KeySet

from .logins import Login
from .settings import AUDIENCE_OF_SCOPE, AUDIENCES, ENTRA_SCOPES, SCOPES, Client, Settings
from .store import Store

REFRESH_SECONDS = 12 * 3600
GRAPH = "https://graph.microsoft.com"


class InvalidTargetError(OAuth2Error):
    """The token was asked for an audience that does not exist, or was not granted (RFC 8707)."""

    error = "invalid_target"


class Provider(AuthorizationServer):
    """Authlib's server for one Flask application; grants reach store, keys and settings as
    `self.server.…`.
    """

    def __init__(self, app: Flask, settings: Settings, store: Store, keys: KeySet) -> None:
        self.settings, self.store, self.keys = settings, store, keys
        super().__init__(
            app, query_client=settings.clients().get, save_token=self.remember_refresh_token
        )
        self.scopes_supported = None if settings.is_entra else list(SCOPES)
        self.register_token_generator("default", AccessTokens(settings, keys))

    def remember_refresh_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Store the refresh token of an answer; narrowing an access token does not narrow what
        follows.
        """
        if "refresh_token" not in token:
            return
        before = getattr(request, "refresh_token", None)
        login: Login = (
            before.login if before else (getattr(request, "granted", None) or request.user)
        )
        row = {
            "login": login.as_data(),
            "scope": token["scope"],
            "client_id": request.client.client_id,
        }
        self.store.put(
            "refresh", token["refresh_token"], row, seconds=REFRESH_SECONDS, family=login.family
        )


class AccessTokens(JWTBearerTokenGenerator):
    """Access tokens are JWT (RFC 9068) that the API and the gateway check by themselves."""

    def __init__(self, settings: Settings, keys: KeySet) -> None:
        self.settings = settings
        super().__init__(
            issuer=settings.issuer,
            refresh_token_generator=lambda **_: generate_token(48),
            expires_generator=lambda client, grant_type: settings.token_seconds,
        )
        self.keys = keys

    def get_jwks(self) -> KeySet:
        return self.keys

    def get_audiences(self, client: Client, user: Login, scope: str) -> list[str]:
        return list(user.audiences)

    def get_extra_claims(
        self, client: Client, grant_type: str, user: Login, scope: str
    ) -> dict[str, Any]:
        return claims_of(user, scope, self.settings)

    def generate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the answer of the token endpoint; a refresh token only where offline_access was
        asked for.
        """
        token: dict[str, Any] = super().generate(*args, **kwargs)
        if "offline_access" not in token.get("scope", "").split():
            token.pop("refresh_token", None)
        return token


class IdToken(OpenIDToken):
    """The id_token of refresh and device answers."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def resolve_client_private_key(self, client: Client) -> KeySet:
        return self.provider.keys

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        settings = self.provider.settings
        return {
            "iss": settings.issuer,
            "aud": client.client_id,
            "exp": int(time.time()) + settings.token_seconds,
        }

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": self.provider.keys.keys[0].kid or ""}

    def generate_user_info(self, user: Login, scope: str) -> dict[str, Any]:
        return claims_of(user, scope, self.provider.settings)


class IdTokenOfCode(IdToken, OpenIDCode):
    """The id_token of an authorization code, with its nonce; the prompt rules of the authorization
    request.
    """

    require_nonce = False

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:
        # replay is for the client to see: going back and choosing another person is fine
        return False

    def __call__(self, grant: Any) -> None:
        OpenIDCode.__call__(self, grant)


def claims_of(login: Login, scope: str, settings: Settings) -> dict[str, Any]:
    """Return what a token says of the person; Entra ID names groups in each token, by their ids."""
    if not settings.is_entra:
        return login.claims(scope)
    said = login.claims(f"{scope} groups")
    return said | {"groups": [group_id(name) for name in said["groups"]]}


def group_id(name: str) -> str:
    """Return the id by which Entra ID would name a group."""
    return str(uuid5(NAMESPACE_URL, f"urn:quartermaster:group:{name}"))


def requested_audiences(request: OAuth2Request, settings: Settings) -> tuple[str, ...]:
    """Return the audiences that a request names, in the provider's dialect. Raises OAuth2Error."""
    return _audiences_of_scope(request) if settings.is_entra else _audiences_of_resource(request)


def _audiences_of_scope(request: OAuth2Request) -> tuple[str, ...]:
    """Return the one audience that the scope names, Graph where it names none; refuse as Entra ID
    does.
    """
    if request.payload.datalist.get("resource"):
        raise InvalidRequestError(
            "AADSTS901002: The 'resource' request parameter is not supported."
        )
    asked = (request.payload.scope or "").split()
    named = [AUDIENCE_OF_SCOPE[scope] for scope in asked if scope in AUDIENCE_OF_SCOPE]
    unknown = [scope for scope in asked if scope not in (*ENTRA_SCOPES, *AUDIENCE_OF_SCOPE)]
    if unknown:
        raise InvalidScopeError(
            f"AADSTS650053: The application asked for scope '{unknown[0]}' that doesn't exist."
        )
    if len(named) > 1:
        raise InvalidScopeError(
            "AADSTS28000: The scope names more than one resource, and a token is for one."
        )
    return tuple(named) or (GRAPH,)


def _audiences_of_resource(request: OAuth2Request) -> tuple[str, ...]:
    """Return the audiences of the `resource` parameters, the API where none was sent. Raises
    InvalidTargetError.
    """
    asked = tuple(
        name for value in request.payload.datalist.get("resource", []) for name in value.split()
    )
    unknown = set(asked) - set(AUDIENCES)
    if unknown:
        raise InvalidTargetError(f"unknown resource: {', '.join(sorted(unknown))}")
    return tuple(dict.fromkeys(asked)) or AUDIENCES[:1]


def narrowed(login: Login, request: OAuth2Request, settings: Settings) -> Login:
    """Return the sign-in for the audiences that a token request names, never for more than were
    granted.
    """
    named = "scope" if settings.is_entra else "resource"
    if not any(request.payload.datalist.get(name) for name in (named, "resource")):
        return login
    asked = requested_audiences(request, settings)
    if set(asked) - set(login.audiences):
        raise InvalidTargetError("that resource was not granted at sign-in")
    return login.for_audiences(asked)
