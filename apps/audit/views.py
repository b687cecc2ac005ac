"""The audit record, for those who oversee."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def event_list(request: HttpRequest) -> HttpResponse:
    """Search the record."""
    return render(request, "audit/event_list.html")


def event_detail(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """Show one event."""
    return render(request, "audit/event_detail.html")
