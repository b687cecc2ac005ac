"""Pages that change the catalog: registering a model, publishing a version. Reading it joins facts
of several apps: portal/pages.
"""

import json
from functools import partial

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.requests import SignedIn
from apps.accounts.roles import OWNS_MODELS
from apps.catalog import actions, pages
from apps.catalog.forms import RegisterModelForm
from apps.catalog.models import ModelVersion
from apps.catalog.queries import model_for
from apps.common import model_manifest
from apps.common.orders import carry_out


@require_http_methods(["GET", "POST"])
def model_create(request: SignedIn) -> HttpResponse:
    """Register a model for the person's team."""
    form = RegisterModelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.register_model(**form.cleaned_data, actor=request.user, now=now())
        except (actions.NameTaken, actions.BadName) as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"Registered {made.name}. Publish its first version now.")
            return redirect("catalog:model_detail", name=made.name)
    crumbs = [("Catalog", reverse("catalog:model_list")), ("Register a model", "")]
    context = {
        "form": form,
        "crumbs": crumbs,
        "may_register": request.user.has_role(*OWNS_MODELS),
    }
    return render(request, "catalog/model_form.html", context, status=422 if form.is_bound else 200)


@require_GET
def version_create(request: SignedIn, name: str) -> HttpResponse:
    """Show the page that uploads a folder as a new version; its script calls the API."""
    model = model_for(request.user, name)
    actions.require_owner(model, request.user)
    context = {
        "model": model,
        "crumbs": pages.crumbs(model, "Publish a version"),
        "unfinished": model.versions.filter(
            status=ModelVersion.Status.UPLOADING, created_by=request.user
        ),
        "limits": model_manifest,
    }
    return render(request, "catalog/version_form.html", context)


@require_POST
def version_check(request: SignedIn, name: str) -> JsonResponse:
    """Answer which of these file names and sizes would be refused, before anything is read or
    sent.
    """
    actions.require_owner(model_for(request.user, name), request.user)
    try:
        listed = json.loads(request.body)["files"]
        entries = [
            model_manifest.FileEntry(str(item["name"]), int(item["size"]), "0" * 64)
            for item in listed
        ]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return JsonResponse({"problems": ["The list of files cannot be read."]}, status=400)
    return JsonResponse({"problems": model_manifest.file_list_problems(entries)})


@require_POST
def version_retry(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Let the worker try a failed version again."""
    version = _version_for(request, name, number)
    order = partial(actions.retry_version, version=version, actor=request.user, now=now())
    carry_out(request, order, "The worker tries again now.")
    return redirect("catalog:version_detail", name=name, number=number)


def _version_for(request: SignedIn, name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.visible_to(request.user).select_related(
        "registered_model__owner_team", "created_by"
    )
    return get_object_or_404(rows, registered_model__name=name, number=number)
