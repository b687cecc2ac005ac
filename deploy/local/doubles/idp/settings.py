"""What the provider is started with: its issuer, its clients, its signing key. All from the
environment.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin, scope_to_list
from joserfc.jwk import KeySet, RSAKey

SCOPES = ("openid", "profile", "email", "groups", "offline_access")
AUDIENCES = ("quartermaster-api", "quartermaster-gateway")
# As Microsoft Entra ID: an audience is asked for by a scope, which names it, and by nothing else;
# there is no scope for groups, which are written by their ids.
RFC8707, ENTRA = "rfc8707", "entra"
ENTRA_SCOPES = tuple(name for name in SCOPES if name != "groups")
AUDIENCE_OF_SCOPE = {f"api://{name}/.default": name for name in AUDIENCES}
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class Client(ClientMixin):
    """A program that may ask for tokens; without a secret it is a public one."""

    client_id: str
    grant_types: tuple[str, ...]
    secret: str = ""
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = SCOPES
    client_metadata: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.client_metadata["post_logout_redirect_uris"] = list(self.post_logout_redirect_uris)

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(name for name in scope_to_list(scope or "openid") if name in self.scopes)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.secret) and hmac.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in (
            ("client_secret_basic", "client_secret_post") if self.secret else ("none",)
        )

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and bool(self.redirect_uris)

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


@dataclass(frozen=True)
class Settings:
    """How one provider runs."""

    issuer: str  # fixed, whatever name a request was sent to
    state: Path
    portal_urls: tuple[str, ...]
    client_secret: str
    token_seconds: int = 3600
    session_seconds: int = 12 * 3600
    dialect: str = RFC8707

    @property
    def is_entra(self) -> bool:
        """Whether it plays Microsoft Entra ID."""
        return self.dialect == ENTRA

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that there are."""
        return (*ENTRA_SCOPES, *AUDIENCE_OF_SCOPE) if self.is_entra else SCOPES

    def path(self, name: str) -> str:
        """Return the path of an endpoint; its address is in the discovery document alone."""
        if not self.is_entra:
            return f"/{name}"
        return f"/oauth2/v2.0/{'devicecode' if name == 'device_authorization' else name}"

    @property
    def port(self) -> int:
        """The port to listen on: the issuer's."""
        return urlsplit(self.issuer).port or 80

    def clients(self) -> dict[str, Client]:
        """Return the clients by id: the portal, and a public one for curl."""
        after_sign_out = ("/", "/signed-out/")
        portal = Client(
            client_id="quartermaster-portal",
            grant_types=("authorization_code", "refresh_token"),
            secret=self.client_secret,
            scopes=self.scopes,
            redirect_uris=tuple(f"{url}/oidc/callback/" for url in self.portal_urls),
            post_logout_redirect_uris=tuple(
                f"{url}{path}" for url in self.portal_urls for path in after_sign_out
            ),
        )
        cli = Client(
            client_id="quartermaster-cli",
            grant_types=(DEVICE_CODE, "refresh_token"),
            scopes=self.scopes,
        )
        return {client.client_id: client for client in (portal, cli)}


def settings_from(env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of the environment. Raises KeyError naming a missing variable."""
    return Settings(
        issuer=env["IDP_ISSUER"],
        state=Path(env["IDP_STATE"]),
        portal_urls=tuple(env["IDP_PORTAL_URLS"].split()),
        client_secret=Path(env["IDP_CLIENT_SECRET_FILE"]).read_text().strip(),
        token_seconds=int(env.get("IDP_TOKEN_SECONDS", "3600")),
        dialect=env.get("IDP_DIALECT", RFC8707),
    )


def signing_keys(state: Path) -> KeySet:
    """Return the signing key kept on disk, made where missing: tokens stay good over a restart."""
    path = state / "signing-key.pem"
    if not path.exists():
        draft = path.with_suffix(".part")
        draft.touch(mode=0o600)
        draft.write_bytes(RSAKey.generate_key(2048, private=True).as_pem(private=True))
        draft.replace(path)
    key = RSAKey.import_key(path.read_bytes())
    return KeySet(
        [
            RSAKey.import_key(
                path.read_bytes(), {"kid": key.thumbprint(), "use": "sig", "alg": "RS256"}
            )
        ]
    )
