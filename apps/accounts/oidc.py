"""Sign-in for people (authorization code with PKCE) and bearer tokens for programs: those of the
identity provider, and those that runs of pipelines got here.

mozilla-django-oidc carries state, nonce and PKCE; every token is checked by tokens.py, and what a
token means is decided by claims.py alone, for both doors.
"""

import time
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils import timezone
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from apps.accounts import actions, sessions
from apps.accounts.claims import ClaimsRefused, Identity, identify
from apps.accounts.models import RoleBinding, User
from apps.accounts.pipelines import doors
from apps.accounts.provider import ProviderUnavailable, request_tokens
from apps.accounts.recertification.models import withheld_from
from apps.accounts.sessions import gateway_token
from apps.accounts.step_up import sign_in_of
from apps.accounts.tokens import TokenRefused, verify
from apps.common.errors import NotPermitted, require

__all__ = ["BearerAuthentication", "ClaimsBackend", "gateway_token"]


class ClaimsBackend(OIDCAuthenticationBackend):  # type: ignore[misc]
    """Signs people in by (issuer, subject). The callback view tells people what it raises."""

    def __init__(self) -> None:
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID
        self.OIDC_RP_CLIENT_SECRET = settings.OIDC_RP_CLIENT_SECRET
        self.UserModel = get_user_model()

    def get_token(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the token endpoint's answer. Raises GrantRefused or ProviderUnavailable."""
        self.answer = request_tokens(
            **{name: payload[name] for name in payload if not name.startswith("client_")}
        )
        return self.answer

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        """Return the id_token's claims: everything of tokens.py, and the nonce of this sign-in."""
        claims = verify(token or "", audience=settings.OIDC_RP_CLIENT_ID)
        if not kwargs.get("nonce") or claims.get("nonce") != kwargs["nonce"]:
            raise TokenRefused(
                "wrong_nonce", "This answer does not belong to a sign-in that this browser started."
            )
        return claims

    def store_tokens(self, access_token: str, id_token: str) -> None:
        """Keep nothing yet: the session gets a new id first (get_or_create_user's caller keeps
        them).
        """

    def get_user(self, user_id: int) -> User | None:
        """Return who a session belongs to; nobody once the person was deactivated: their sessions
        end at once.
        """
        return User.objects.filter(pk=user_id, is_active=True).first()

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User:
        """Sync the person and hand the callback view what the session must keep."""
        identity = identify(payload)
        user = actions.sign_in(identity=identity, now=timezone.now())
        self.request.signed_in = (identity, payload, self.answer)
        return user


class _Unavailable(APIException):
    status_code = 503
    default_code = "identity_provider_unavailable"
    default_detail = (
        "The identity provider does not answer, so the token cannot be checked. Try again."
    )

    def __init__(self, *, wait: int) -> None:
        super().__init__()
        self.wait = wait  # REST framework makes Retry-After of it


class BearerAuthentication(BaseAuthentication):
    """Checks a bearer JWT of the API's audience. Session cookies mean nothing to the API."""

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]] | None:
        """Return the token's person and claims; None without a token. Raises AuthenticationFailed
        with the reason.
        """
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            if doors.is_pipeline_token(token.strip()):
                return _pipeline(request, token.strip()), {}
            claims = verify(token.strip(), audience=settings.OIDC_API_AUDIENCE)
            identity = identify(claims)
        except TokenRefused as error:
            request.token_refused = str(error)  # type: ignore[attr-defined]
            raise AuthenticationFailed(str(error), code=error.reason) from error
        except ClaimsRefused as error:
            request.token_refused = str(error)  # type: ignore[attr-defined]
            raise AuthenticationFailed(str(error), code="missing_claim") from error
        except ProviderUnavailable as error:
            raise _Unavailable(wait=error.retry_after) from error
        if identity.problems:
            raise NotPermitted(
                " ".join(f"{problem.what} {problem.todo}" for problem in identity.problems)
            )
        user = _person(identity)
        if not user.is_active:
            raise AuthenticationFailed("This person was deactivated.", code="deactivated")
        _require_role(user)
        user.sign_in = sign_in_of(claims.get("auth_time"), claims.get("acr"), now=time.time())
        return user, claims

    def authenticate_header(self, request: Request) -> str:
        """Return the 401's WWW-Authenticate (RFC 6750)."""
        refused = getattr(request, "token_refused", "")
        why = f', error="invalid_token", error_description="{refused}"' if refused else ""
        return f'Bearer realm="quartermaster"{why}'


class PageSession(SessionAuthentication):
    """The session of a page, for what the page's own script calls. It ends here as it does there;
    the next page that is opened records that, and leads to the sign-in.
    """

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        """Return the session's person; None without one. Raises AuthenticationFailed where the
        session is over, NotPermitted for somebody without a role.
        """
        found: tuple[User, None] | None = super().authenticate(request)
        if found is None:
            return None
        if sessions.expiry(request.session, found[0], now=time.time()):
            raise AuthenticationFailed(
                "Your session has ended. Sign in again.", code="session_over"
            )
        _require_role(found[0])
        if request.method != "GET":
            sessions.note_activity(request.session, now=time.time())
        return found


# What a page's own script calls with its session and CSRF header, and a program with its token.
EITHER_DOOR = (BearerAuthentication, PageSession)


def _pipeline(request: Request, token: str) -> User:
    """Return the account of a pipeline's run, for this address alone."""
    match = request.resolver_match
    door = match.view_name if match else ""
    return doors.account_of(token, method=str(request.method), door=door, now=timezone.now())


def _require_role(user: User) -> None:
    """Hold people without a role, as pages do: also those whose every role was taken away."""
    require(bool(user.roles), "The API is for people with a role here.")


def _person(identity: Identity) -> User:
    """Return the person as this token says they are, but for roles that somebody took away, for
    this request; a browser session of theirs stays as it is.
    """
    user = (
        User.objects.select_related("team")
        .filter(issuer=identity.issuer, subject=identity.subject)
        .first()
    )
    if user is None or user.team is None or user.team.slug != identity.team:
        user = _person_of_other_team(identity, user)
    user.remember_roles({str(role) for role in identity.roles} - withheld_from(user))
    return user


def _person_of_other_team(identity: Identity, user: User | None) -> User:
    """Make the row of somebody who is new; let a known person act for the token's team in this
    request only.
    """
    if user is None or not RoleBinding.objects.filter(user=user).exists():
        return actions.sync_user_from_claims(identity=identity, now=timezone.now())
    user.team = actions.team_of(identity=identity, user=user, now=timezone.now())
    return user


def session_of_sign_in(request: HttpRequest, user: User) -> None:
    """Fill the session that was just made for a sign-in, from what the backend handed over."""
    identity, claims, answer = request.signed_in  # type: ignore[attr-defined]
    sessions.begin(
        request.session,
        user=user,
        identity=identity,
        auth_time=claims.get("auth_time"),
        acr=claims.get("acr"),
        now=time.time(),
    )
    sessions.keep_tokens(request.session, answer, now=time.time())
