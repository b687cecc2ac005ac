"""Sign-in for people and bearer tokens for pipelines, over one identity provider."""

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from rest_framework.authentication import BaseAuthentication


class ClaimsBackend(OIDCAuthenticationBackend):
    """Signs people in by (issuer, subject)."""

    def __init__(self) -> None:
        self.UserModel = get_user_model()


class BearerAuthentication(BaseAuthentication):
    """Checks a bearer JWT of the API's audience."""

    def authenticate(self, request):
        return None


def gateway_token(request: HttpRequest) -> str | None:
    """Return the signed-in person's access token for the gateway; None where they must sign in again."""
    return None
