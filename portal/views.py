"""Home, search, what needs a person, how fresh the figures are, and health."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from apps.accounts.requests import SignedIn
from apps.metering import store
from apps.notices.queries import bell_of
from portal.home import models_of, team_month
from portal.needs.queries import needs_of, waits_of
from portal.notice import notice
from portal.search import find


def home(request: SignedIn) -> HttpResponse:
    """Show what needs this person, their team's month and their models."""
    now = timezone.now()
    context = {
        "needs": needs_of(request.user, now),
        "waits": waits_of(request.user),
        "month": team_month(request.user, now),
        "models": models_of(request.user, now),
        "now": now,
    }
    return render(request, "home.html", context)


def search(request: SignedIn) -> HttpResponse:
    """Find models, versions, teams and promotions by name or id; as a page, or as the top bar's
    panel.
    """
    text = request.GET.get("q", "")
    template = "search.html" + ("#panel" if request.htmx else "")
    return render(request, template, {"groups": find(request.user, text), "text": text.strip()})


def needs(request: SignedIn) -> HttpResponse:
    """Show what this person has not read, what needs them and what they wait for: the bell's
    list.
    """
    found, waits = needs_of(request.user, timezone.now()), waits_of(request.user)
    bell = bell_of(request.user)
    context = {"needs": found[:8], "count": len(found), "waits": waits[:4], "bell": bell}
    return render(request, "needs.html", context)


def freshness(request: HttpRequest) -> HttpResponse:
    """Say until when usage is metered, and what there is to say to everybody, for the footer."""
    return render(
        request, "freshness.html", {"metered_until": store.latest_call_at(), "notice": notice()}
    )


def alive(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as this process answers at all, whatever is away: one that is started
    again would not bring the database back.
    """
    return JsonResponse({"status": "alive"})


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})
