"""Sign-in for people and bearer tokens for pipelines, over one identity provider."""

from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from rest_framework.authentication import BaseAuthentication


class ClaimsBackend(OIDCAuthenticationBackend):
    """Signs people in by (issuer, subject)."""


class BearerAuthentication(BaseAuthentication):
    """Checks a bearer JWT of the API's audience."""

    def authenticate(self, request):
        return None
