"""Home, search, what needs a person, and health."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render


def home(request: HttpRequest) -> HttpResponse:
    """Show what needs this person."""
    return render(request, "home.html")


def search(request: HttpRequest) -> HttpResponse:
    """Find models, versions, teams and promotions by name or id."""
    return render(request, "home.html")


def needs(request: HttpRequest) -> HttpResponse:
    """Show what needs this person, for the bell."""
    return HttpResponse("")


def freshness(request: HttpRequest) -> HttpResponse:
    """Say until when usage is metered, for the footer."""
    return HttpResponse("")


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
