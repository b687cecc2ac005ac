"""The search of the top bar: models, versions, teams, promotions and pages, by name or id."""

import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.urls import reverse

from apps.accounts.models import Team, User
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.promotions.models import Promotion
from portal.context import sections_for

SHOWN = 6


@dataclass(frozen=True)
class Hit:
    """One line of the results."""

    title: str
    detail: str
    url: str
    icon: str


def find(user: User, text: str) -> list[tuple[str, list[Hit]]]:
    """Return the hits in groups, best first; four queries at most. Nothing the person may not
    see.
    """
    text = text.strip()[:100]
    if not text:
        return [("Go to", _pages(user, ""))]
    groups = [
        ("Models", _models(user, text)),
        ("Versions", _versions(user, text)),
        ("Promotions", _promotions(user, text)),
        ("Teams", _teams(user, text)),
        ("Go to", _pages(user, text)),
    ]
    return [(name, hits) for name, hits in groups if hits]


def _pages(user: User, text: str) -> list[Hit]:
    lines = [line["section"] for line in sections_for(user, "/")]
    return [
        Hit(section.label, "Page", section.url, section.icon)  # type: ignore[attr-defined]
        for section in lines
        if text.lower() in section.label.lower()  # type: ignore[attr-defined]
    ]


def _models(user: User, text: str) -> list[Hit]:
    starts = Case(
        When(name__istartswith=text, then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    found = RegisteredModel.objects.visible_to(user).filter(
        Q(name__icontains=text) | Q(title__icontains=text)
    )
    return [
        Hit(item.name, item.title, reverse("catalog:model_detail", args=(item.name,)), "box")
        for item in found.order_by(starts, "name")[:SHOWN]
    ]


def _versions(user: User, text: str) -> list[Hit]:
    """Find by `<model>-v<n>`, "v3" after a model's name, or the manifest's digest."""
    name, _, number = text.replace(" v", "-v").rpartition("-v")
    wanted = Q(manifest_digest__startswith=text) | Q(
        manifest_digest__startswith=f"sha256:{text.lower()}"
    )
    if name and number.isdecimal() and len(number) < 7:
        wanted |= Q(registered_model__name__icontains=name.strip(), number=int(number))
    elif len(text) >= 3:
        wanted |= Q(registered_model__name__istartswith=text)
    models = RegisteredModel.objects.visible_to(user)
    found = ModelVersion.objects.filter(wanted, registered_model__in=models).select_related(
        "registered_model"
    )
    rows = found.order_by("registered_model__name", "-number")[:SHOWN]
    urls = [
        reverse("catalog:version_detail", args=(item.registered_model.name, item.number))
        for item in rows
    ]
    return [
        Hit(item.name, item.get_status_display(), url, "package")
        for item, url in zip(rows, urls, strict=True)
    ]


def _promotions(user: User, text: str) -> list[Hit]:
    found: QuerySet[Promotion] = Promotion.objects.visible_to(user)
    try:
        found = found.filter(pk=uuid.UUID(text))
    except ValueError:
        found = found.filter(
            Q(registered_model__name__icontains=text) | Q(requested_by__name__icontains=text)
        )
    rows = found.select_related("model_version__registered_model", "requested_by")[:SHOWN]
    return [
        Hit(f"{item.model_version.name} → "
        f"production", f"{item.get_status_display()} · {item.requested_by.name}",
            reverse("promotions:promotion_detail", args=(item.pk,)), "git-pull-request-arrow")
        for item in rows
    ]  # fmt: skip


def _teams(user: User, text: str) -> list[Hit]:
    """Find teams: all for those who oversee, else the person's own. A line leads to what the team
    asked for.
    """
    found = Team.objects.filter(Q(slug__icontains=text) | Q(name__icontains=text)).select_related(
        "cost_center"
    )
    if not user.has_role(*SEES_EVERY_TEAM):
        found = found.filter(pk=user.team_id)
    page = reverse("access:request_list")
    return [
        Hit(
            team.name,
            f"{team.slug} · {team.cost_center.code}",
            f"{page}?{urlencode({'q': team.slug})}",
            "users",
        )
        for team in found.order_by("slug")[:SHOWN]
    ]
