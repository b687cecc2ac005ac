"""What every page's shell needs: the sections the person may use, the environment's name, and
whether a sample is shown.
"""

from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.roles import (
    EVERYBODY,
    OVERSEES_PIPELINES,
    OVERSEES_PROMPTS,
    OVERSEES_RECORD,
    SEES_FLEET,
    SEES_REGISTRY,
)
from apps.common.requests import PageRequest


@dataclass(frozen=True)
class Section:
    """One line of the sidebar. roles: who may use it. prefix: the addresses it stands for."""

    label: str
    icon: str
    url_name: str
    prefixes: tuple[str, ...]
    roles: tuple[str, ...]
    group: str = ""

    @property
    def url(self) -> str:
        """Return the section's address."""
        return reverse(self.url_name)


SECTIONS = (
    Section("Home", "house", "home", (), EVERYBODY),
    Section("Catalog", "boxes", "catalog:model_list", ("/catalog/",), EVERYBODY, "Models"),
    Section("Access", "key-round", "access:request_list", ("/access/",), EVERYBODY, "Models"),
    Section(
        "Registry", "shield-check", "registry:overview", ("/registry/",), SEES_REGISTRY, "Models"
    ),
    Section(
        "Evaluations", "flask-conical", "evals:run_list", ("/evaluations/",), EVERYBODY, "Delivery"
    ),
    Section(
        "Promotions",
        "git-pull-request-arrow",
        "promotions:promotion_list",
        ("/promotions/", "/rollouts/", "/emergencies/"),
        EVERYBODY,
        "Delivery",
    ),
    Section(
        "Incidents",
        "triangle-alert",
        "incidents:episode_list",
        ("/incidents/",),
        EVERYBODY,
        "Delivery",
    ),  # fmt: skip
    Section("Objectives", "gauge", "slo:objective_list", ("/objectives/",), EVERYBODY, "Delivery"),
    Section(
        "Pipelines",
        "terminal",
        "accounts:pipeline_list",
        ("/pipelines/",),
        OVERSEES_PIPELINES,
        "Delivery",
    ),
    Section(
        "Fleet",
        "server",
        "fleet:node_list",
        ("/fleet/",),
        SEES_FLEET,
        "Platform",
    ),
    Section("Gateway", "waypoints", "gateway:routes", ("/gateway/",), EVERYBODY, "Platform"),
    Section("Usage", "activity", "metering:usage_list", ("/usage/",), EVERYBODY, "Cost"),
    Section("Chargeback", "receipt-text", "chargeback:month", ("/chargeback/",), EVERYBODY, "Cost"),
    Section(
        "Audit",
        "scroll-text",
        "oversight:event_list",
        ("/audit/",),
        OVERSEES_RECORD,
        "Oversight",
    ),
    Section(
        "Prompt record",
        "lock",
        "prompts:overview",
        ("/prompts/",),
        OVERSEES_PROMPTS,
        "Oversight",
    ),
)


def sections_for(user: User, path: str) -> list[dict[str, object]]:
    """Return the sidebar's lines for this person, in groups; nothing for somebody without a
    role.
    """
    lines: list[dict[str, object]] = []
    group = ""
    for section in SECTIONS:
        if not user.has_role(*section.roles):
            continue
        here = path == "/" if section.url_name == "home" else path.startswith(section.prefixes)
        lines.append(
            {
                "section": section,
                "current": here,
                "opens": section.group if section.group != group else "",
            }
        )
        group = section.group
    return lines


def shell(request: PageRequest) -> dict[str, object]:
    """Return the context of templates/base.html."""
    user = getattr(request, "user", None)
    signed_in = isinstance(user, User)
    return {
        "environment_name": settings.ENVIRONMENT_NAME,
        "sections": sections_for(user, request.path)
        if isinstance(user, User) and not request.htmx
        else [],
        "signed_in": signed_in,
        "sample": getattr(request, "sample", None) if signed_in and not request.htmx else None,
    }
