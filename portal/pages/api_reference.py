"""The page on which people read what the API can do, and try it with a token of their own."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn


@require_GET
def api_reference(request: SignedIn) -> HttpResponse:
    """Show Swagger UI, from drf-spectacular's own files, around the API's document."""
    return render(request, "api_reference.html")
