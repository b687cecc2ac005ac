"""What the portal says of itself to a program that wants to sign somebody in (RFC 9728): for
everybody to read, since nothing in it is secret.
"""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

PATH = ".well-known/oauth-protected-resource/api/v1"


@require_GET
def protected_resource(request: HttpRequest) -> JsonResponse:
    """Answer who signs people in for the API, as which client a command line asks there, and what a
    pipeline's own token must be meant for.
    """
    return JsonResponse(
        {
            "resource": f"{settings.PORTAL_URL}/api/v1",
            "authorization_servers": [settings.OIDC_ISSUER],
            "bearer_methods_supported": ["header"],
            "scopes_supported": settings.OIDC_API_ASKED.get("scope", settings.OIDC_SCOPES).split(),
            "resource_indicators": "resource" in settings.OIDC_API_ASKED,
            "client_id": settings.OIDC_CLI_CLIENT_ID,
            "audience": settings.OIDC_API_AUDIENCE,
            "pipeline_issuer": settings.PIPELINE_ISSUER,
            "pipeline_audience": settings.PIPELINE_AUDIENCE,
        }
    )
