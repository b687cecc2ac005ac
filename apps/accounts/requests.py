"""The requests that views get: the doors before them let nobody in who has not signed in."""

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from apps.accounts.models import User
from apps.common.requests import PageRequest


class SignedIn(PageRequest):
    """A page's request, behind portal.middleware.sign_in_required."""

    user: User


def caller(request: Request) -> User:
    """Return who calls the API. Raises NotAuthenticated where authentication was left out."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
