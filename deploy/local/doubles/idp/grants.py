"""The grants: authorization code with PKCE, refresh token, device code; and what each of them
stores.

Stricter than Authlib's defaults where the product relies on it: PKCE with S256 is required of every
client, a code is used up by its first use whether that succeeds or not, a refresh token by its use,
and a second use of either ends everything that came from that sign-in.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, OAuth2Error, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import (
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    DeviceCredentialDict,
)
from authlib.oidc.rpinitiated import EndSessionEndpoint
from joserfc.jwk import KeySet

from .logins import Login, login_from
from .provider import (
    REFRESH_SECONDS,
    IdToken,
    IdTokenOfCode,
    Provider,
    narrowed,
    requested_audiences,
)
from .settings import Client
from .store import Store

CODE_SECONDS, DEVICE_SECONDS = 300, 900
AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]


def register(provider: Provider) -> None:
    """Add the grants and endpoints to the provider."""
    provider.register_grant(CodeGrant, [RequiredS256(required=True), IdTokenOfCode(provider)])
    provider.register_grant(RefreshGrant, [IdToken(provider)])
    provider.register_grant(DeviceGrant, [IdToken(provider)])
    provider.register_endpoint(DeviceAuthorization)
    provider.register_endpoint(EndSession)


class RequiredS256(CodeChallenge):
    """PKCE for every client, S256 only."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError(
                "PKCE is required: send code_challenge with code_challenge_method=S256"
            )
        super().validate_code_challenge(grant, redirect_uri)


class Record:
    """A stored code or refresh token, with the names that Authlib asks for."""

    code_challenge_method = "S256"

    def __init__(self, data: dict[str, Any]) -> None:
        self.data, self.login, self.code_challenge = (
            data,
            login_from(data["login"]),
            data.get("code_challenge"),
        )

    def get_redirect_uri(self) -> str:
        return str(self.data["redirect_uri"])

    def get_scope(self) -> str:
        return str(self.data["scope"])

    def get_nonce(self) -> str | None:
        return self.data.get("nonce")

    def get_auth_time(self) -> int:
        return self.login.auth_time

    def get_acr(self) -> str:
        return self.login.acr

    def get_amr(self) -> list[str]:
        return ["persona"]

    def check_client(self, client: Client) -> bool:
        return bool(self.data["client_id"] == client.client_id)


def _use_up(store: Store, kind: str, key: str, seconds: float) -> Record | None:
    """Return a stored code or token and use it up; its second use revokes the sign-in's family."""
    data = store.take(kind, key)
    if data is not None:
        record = Record(data)
        store.put(f"used-{kind}", key, {"family": record.login.family}, seconds=seconds)
        return record
    used = store.get(f"used-{kind}", key)
    if used is not None:
        store.forget_family(used["family"])
        raise InvalidGrantError(
            "It was used before: everything that came from that sign-in is revoked."
        )
    return None


class CodeGrant(grants.AuthorizationCodeGrant):
    """The authorization code."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def validate_authorization_request(self) -> str:
        redirect_uri: str = super().validate_authorization_request()
        try:
            requested_audiences(self.request, self.server.settings)
        except OAuth2Error as error:
            error.redirect_uri = redirect_uri
            raise
        return redirect_uri

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        login = request.user.for_audiences(requested_audiences(request, self.server.settings))
        fields = {
            name: request.payload.data.get(name)
            for name in ("nonce", "code_challenge", "redirect_uri", "client_id")
        }
        row = fields | {"login": login.as_data(), "scope": request.scope}
        self.server.store.put("code", code, row, seconds=CODE_SECONDS, family=login.family)

    def query_authorization_code(self, code: str, client: Client) -> Record | None:
        record = _use_up(self.server.store, "code", code, CODE_SECONDS)
        return record if record and record.check_client(client) else None

    def delete_authorization_code(self, authorization_code: Record) -> None:
        """It was taken when it was read."""

    def authenticate_user(self, authorization_code: Record) -> Login:
        self.request.granted = authorization_code.login
        return narrowed(authorization_code.login, self.request, self.server.settings)


class RefreshGrant(grants.RefreshTokenGrant):
    """The refresh token: each use gives a new one."""

    INCLUDE_NEW_REFRESH_TOKEN = True
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def authenticate_refresh_token(self, refresh_token: str) -> Record | None:
        return _use_up(self.server.store, "refresh", refresh_token, REFRESH_SECONDS)

    def authenticate_user(self, refresh_token: Record) -> Login:
        return narrowed(refresh_token.login, self.request, self.server.settings)

    def revoke_old_credential(self, refresh_token: Record) -> None:
        """It was taken when it was read."""


class DeviceGrant(DeviceCodeGrant):
    """The device code: the person answers on the page, the program asks until then."""

    def query_device_credential(self, device_code: str) -> DeviceCredentialDict | None:
        data = self.server.store.get("device", device_code)
        return DeviceCredentialDict(data) if data else None

    def query_user_grant(self, user_code: str) -> tuple[Login, bool] | None:
        data = self.server.store.take("device-answer", user_code)
        if data is None:
            return None
        self.server.store.take("device", self.request.payload.data["device_code"])
        return login_from(data["login"]), bool(data["approved"])

    def should_slow_down(self, credential: DeviceCredentialDict) -> bool:
        return False


class DeviceAuthorization(DeviceAuthorizationEndpoint):
    """Hands out a device code and the code that the person types."""

    EXPIRES_IN = DEVICE_SECONDS
    INTERVAL = 2

    def get_verification_uri(self) -> str:
        return f"{self.server.settings.issuer}/device"

    def create_endpoint_response(self, request: OAuth2Request) -> Any:
        requested_audiences(request, self.server.settings)  # refused before anything is stored
        status, data, headers = super().create_endpoint_response(request)
        row = {"client_id": request.client.client_id, "scope": request.payload.scope or "openid"}
        question = row | {"audiences": requested_audiences(request, self.server.settings)}
        store: Store = self.server.store
        store.put(
            "device",
            data["device_code"],
            row | {"user_code": data["user_code"]},
            seconds=DEVICE_SECONDS,
        )
        store.put("device-question", data["user_code"], question, seconds=DEVICE_SECONDS)
        return status, data, headers

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        """It is stored above, with the audiences."""


class EndSession(EndSessionEndpoint):
    """Checks a sign-out request; the page ends the browser's session (app.py)."""

    def get_server_jwks(self) -> KeySet:
        keys: KeySet = self.server.keys
        return keys

    def get_algorithms(self) -> list[str]:
        return ["RS256"]

    def end_session(self, end_session_request: Any) -> None:
        """Nothing of Authlib's is kept in the session."""
