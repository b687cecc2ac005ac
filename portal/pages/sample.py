"""The page that says what the sample is, and how far it is brought in."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.common.progress import Progress


@require_GET
def sample(request: SignedIn) -> HttpResponse:
    """Show what is made up here, and the progress of what is still brought in."""
    found = request.sample
    progress = None
    if found and not found.is_finished:
        progress = Progress("Bringing in the sample year", done=found.stored, total=found.days)
    template = "sample.html" + ("#progress" if request.htmx else "")
    return render(request, template, {"shown": found, "progress": progress})
