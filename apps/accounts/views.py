"""Pages about the person who is signed in: account, missing access, signed out."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def me(request: HttpRequest) -> HttpResponse:
    """Show who the portal takes the person for."""
    return render(request, "accounts/me.html")


def no_access(request: HttpRequest) -> HttpResponse:
    """Say what is missing for a person without a known group, and whom to ask."""
    return render(request, "accounts/no_access.html", status=403)


def signed_out(request: HttpRequest) -> HttpResponse:
    """Say that the person has signed out."""
    return render(request, "accounts/signed_out.html")
