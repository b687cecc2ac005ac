"""Pages of the catalog: which model fits, what a version consists of, and where it stands."""

import json

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Max, Q
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.catalog import actions, manifest, pages
from apps.catalog.forms import RegisterModelForm
from apps.catalog.models import DataClass, ModelVersion, RegisteredModel, RegisteredModelQuerySet
from apps.common.errors import DomainError

PAGE = 24
FACETS = ("task", "family", "data_class", "license")


@require_GET
def model_list(request: SignedIn) -> HttpResponse:
    """Show the catalog, as cards or as a table."""
    everything = RegisteredModel.objects.visible_to(request.user)
    chosen = {name: request.GET.get(name, "") for name in (*FACETS, "version")}
    query = request.GET.get("q", "").strip()
    page = Paginator(_filtered(everything, query, chosen), PAGE).get_page(request.GET.get("page"))
    context = {
        "page_obj": page,
        "query": query,
        "chosen": chosen,
        "filtered": bool(query or any(chosen.values())),
        "facets": _facets(everything),
        "as_table": request.GET.get("view") == "table",
        "may_register": request.user.has_role(Role.MODEL_OWNER),
    }
    template = "catalog/model_list.html" + ("#rows" if request.htmx else "")
    return render(request, template, context)


def _filtered(
    rows: RegisteredModelQuerySet, query: str, chosen: dict[str, str]
) -> RegisteredModelQuerySet:
    if query:
        rows = rows.filter(
            Q(name__icontains=query) | Q(title__icontains=query) | Q(description__icontains=query)
        )
    rows = rows.filter(**{name: chosen[name] for name in FACETS if chosen[name]})
    verified = Max("versions__number", filter=Q(versions__status=ModelVersion.Status.VERIFIED))
    rows = rows.annotate(verified_number=verified).select_related("owner_team").order_by("name")
    having = Q(pk__in=ModelVersion.objects.verified().values("registered_model"))
    if chosen["version"] in ("verified", "none"):
        rows = rows.filter(having if chosen["version"] == "verified" else ~having)
    return rows


def _facets(rows: RegisteredModelQuerySet) -> list[dict[str, object]]:
    """Return each facet with the values that occur, from one query."""
    found = list(rows.values_list("task", "family", "license").distinct())
    return [
        {
            "name": "task",
            "label": "Task",
            "values": [(value, value) for value in sorted({row[0] for row in found})],
        },
        {
            "name": "family",
            "label": "Family",
            "values": [(v, v) for v in sorted({row[1] for row in found})],
        },
        {
            "name": "license",
            "label": "License",
            "values": [(v, v) for v in sorted({row[2] for row in found})],
        },
        {"name": "data_class", "label": "Data class", "values": DataClass.choices},
        {
            "name": "version",
            "label": "Versions",
            "values": [("verified", "Has a verified version"), ("none", "None")],
        },
    ]


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
        "may_register": request.user.has_role(Role.MODEL_OWNER),
    }
    return render(request, "catalog/model_form.html", context, status=422 if form.is_bound else 200)


@require_GET
def model_detail(request: SignedIn, name: str) -> HttpResponse:
    """Show what a model is for, who owns it and what it may be given."""
    model = _model_for(request, name)
    newest = model.versions.select_related("registered_model").first()
    context = _shell(model, "")
    context |= {
        "facts": pages.model_facts(model),
        "newest": newest,
        "newest_badge": pages.version_badge(newest) if newest else None,
        "may_publish": model.is_owned_by(request.user),
    }
    return render(request, "catalog/model_detail.html", context)


@require_GET
def version_list(request: SignedIn, name: str) -> HttpResponse:
    """List a model's versions, newest first."""
    model = _model_for(request, name)
    rows = (
        model.versions.with_sizes()
        .select_related("created_by", "registered_model")
        .order_by("-number")
    )
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = _shell(model, "Versions")
    context |= {
        "page_obj": page,
        "lines": [(row, pages.version_badge(row)) for row in page],
        "may_publish": model.is_owned_by(request.user),
    }
    return render(request, "catalog/version_list.html", context)


@require_GET
def version_detail(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Show a version: its files, digests, signature, lock, and how far the worker is."""
    version = _version_for(request, name, number)
    files = list(version.files.all())
    moving = version.status in ModelVersion.MOVING
    context = {
        "version": version,
        "model": version.registered_model,
        "title": f"{name} v{number}",
        "crumbs": [
            ("Catalog", reverse("catalog:model_list")),
            (name, reverse("catalog:model_detail", args=[name])),
            ("Versions", reverse("catalog:version_list", args=[name])),
            (f"v{number}", ""),
        ],
        "badge": pages.version_badge(version),
        "files": files,
        "total": sum(file.size for file in files),
        "facts": pages.version_facts(version),
        "steps": pages.version_steps(version, files),
        "progress": pages.version_progress(version, files),
        "moving": moving,
        "may_publish": version.registered_model.is_owned_by(request.user),
        "events": timeline("ModelVersion", str(version.pk)),
    }
    template = "catalog/version_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, context)


@require_GET
def version_create(request: SignedIn, name: str) -> HttpResponse:
    """Show the page that uploads a folder as a new version; its script calls the API."""
    model = _model_for(request, name)
    actions.require_owner(model, request.user)
    context = _shell(model, "Publish a version") | {
        "unfinished": model.versions.filter(
            status=ModelVersion.Status.UPLOADING, created_by=request.user
        ),
        "limits": manifest,
    }
    return render(request, "catalog/version_form.html", context)


@require_POST
def version_check(request: SignedIn, name: str) -> JsonResponse:
    """Answer which of these file names and sizes would be refused, before anything is read or
    sent.
    """
    actions.require_owner(_model_for(request, name), request.user)
    try:
        listed = json.loads(request.body)["files"]
        entries = [
            manifest.FileEntry(str(item["name"]), int(item["size"]), "0" * 64) for item in listed
        ]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return JsonResponse({"problems": ["The list of files cannot be read."]}, status=400)
    return JsonResponse({"problems": manifest.file_list_problems(entries)})


@require_POST
def version_retry(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Let the worker try a failed version again."""
    version = _version_for(request, name, number)
    try:
        actions.retry_version(version=version, actor=request.user, now=now())
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The worker tries again now.")
    return redirect("catalog:version_detail", name=name, number=number)


def _model_for(request: SignedIn, name: str) -> RegisteredModel:
    rows = RegisteredModel.objects.visible_to(request.user).select_related(
        "owner_team", "created_by"
    )
    return get_object_or_404(rows, name=name)


def _version_for(request: SignedIn, name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.visible_to(request.user).select_related(
        "registered_model__owner_team", "created_by"
    )
    return get_object_or_404(rows, registered_model__name=name, number=number)


def _shell(model: RegisteredModel, page: str) -> dict[str, object]:
    """Return the context of a page under a model's tabs; page: the last breadcrumb, "" on the
    overview.
    """
    crumbs = [("Catalog", reverse("catalog:model_list"))]
    crumbs += (
        [(model.name, reverse("catalog:model_detail", args=[model.name])), (page, "")]
        if page
        else []
    )
    return {"model": model, "crumbs": crumbs if page else [*crumbs, (model.name, "")]}
