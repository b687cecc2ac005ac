"""What every page's shell needs: the navigation the person may use, the environment, how fresh the figures are."""

from django.conf import settings
from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, object]:
    """Return the context of templates/base.html."""
    return {"environment_name": settings.ENVIRONMENT_NAME}
