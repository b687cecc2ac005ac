"""Telling people of budgets that burn and of versions without room: those who mend the model. Who
is paged is told at once; a ticket waits until they look.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from django.db.models import QuerySet
from django.urls import reverse

from apps.accounts.models import Role, User
from apps.accounts.roles import MENDS_MODELS
from apps.catalog.people import menders_of
from apps.incidents.models import Episode
from apps.notices.models import Kind
from apps.notices.news import News, tell_news

TOLD = (Episode.Kind.BURN, Episode.Kind.SATURATED)
TITLES = {
    Episode.Kind.BURN: "The error budget of {} burns",
    Episode.Kind.SATURATED: "{} has no room for its callers",
}


def title(episode: Episode) -> str:
    """Return an incident in a line, as those who mend the model read it."""
    is_burn = episode.kind == Episode.Kind.BURN
    version = episode.model_version
    name = version.registered_model.name if is_burn else version.name
    said = TITLES[Episode.Kind(episode.kind)].format(name)
    return f"{said} fast" if is_burn and episode.is_page else said


def path_of(episode: Episode) -> str:
    """Return an incident's page."""
    return reverse("incidents:episode_detail", args=[episode.pk])


def open_for(user: User) -> QuerySet[Episode]:
    """Return the open ones that this person is told of, those with people paged first."""
    if not user.has_role(*MENDS_MODELS):
        return Episode.objects.none()
    rows = _open()
    if not user.has_role(Role.PLATFORM_ENGINEER):
        rows = rows.filter(model_version__registered_model__owner_team=user.team_id)
    return rows.order_by("-is_page", "opened_at")


def tell(*, now: datetime) -> int:
    """Tell of what is open; return how many notices. What comes to page people is told again."""
    return tell_news(_news(), now=now)


def _news() -> Iterator[News]:
    for row in _open():
        yield News(
            key=f"episode:{row.pk}:{'page' if row.is_page else 'ticket'}",
            kind=Kind.INCIDENT,
            title=title(row),
            path=path_of(row),
            people=partial(menders_of, row.model_version.registered_model),
            urgent=row.is_page,
        )


def _open() -> QuerySet[Episode]:
    rows = Episode.objects.open().filter(kind__in=TOLD)
    return rows.select_related("model_version__registered_model__owner_team")
