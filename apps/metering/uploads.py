"""The page where files of the gateway's access log are counted, and what came of each."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_http_methods

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.common.errors import require
from apps.common.uploads import TOO_LARGE, is_too_large
from apps.metering import imports
from apps.metering.models import UsageImport

SHOWN = 20  # of the newest imports


class UploadForm(forms.Form):
    """A file of JSON lines."""

    file = forms.FileField(
        label="File",
        help_text="Lines of the gateway's access log, one JSON object each; not packed. "
        f"{TOO_LARGE}",
        widget=forms.FileInput(
            attrs={"accept": ".jsonl,.ndjson,.json,.log", "class": "file-input"}
        ),
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
    )


@require_http_methods(["GET", "POST"])
def usage_import(request: SignedIn) -> HttpResponse:
    """Show the newest imports; count the calls of a file that is sent."""
    require(
        request.user.has_role(*SEES_EVERY_TEAM), "Imports are shown to those who see every team."
    )
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if request.method == "POST":
        imports.permit(request.user)
        made = _imported(request, form)
        if made is not None:
            messages.success(request, f"{made.name}: {made.words}")
            return redirect("metering:usage_import")
    context = {
        "form": form,
        "may_import": imports.may_import(request.user),
        "crumbs": [("Usage", reverse("metering:usage_list")), ("Import", "")],
        "found": UsageImport.objects.select_related("imported_by")[:SHOWN],
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "metering/import.html", context, status=status)


def _imported(request: SignedIn, form: UploadForm) -> UsageImport | None:
    """Return what came of the file that was sent; None where the form says what is wrong."""
    if is_too_large(request):
        form.errors["file"] = form.error_class([TOO_LARGE])  # and not that no file was sent
        return None
    if not form.is_valid():
        return None
    file: Any = form.cleaned_data["file"]
    assert isinstance(file, UploadedFile)  # noqa: S101 - the field says so
    return imports.upload_usage(name=str(file.name), file=file, actor=request.user, now=now())
