"""Telling people of a change that needs them: one in doubt, one that ServiceNow's people turned
down or closed.
"""

from datetime import datetime

from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import STEERS_ROLLOUTS
from apps.catalog.people import owners_of
from apps.notices.actions import tell
from apps.notices.models import Kind
from apps.promotions.changes.models import ChangeRecord


def tell_doubt(row: ChangeRecord, code: str, now: datetime) -> None:
    """Tell the owners of the model and whoever steers rollouts, once for each kind of doubt."""
    people = [*_owners(row), *holders(*STEERS_ROLLOUTS)]
    name = row.number or "The change"
    title = f"{name} of {_version(row)} is in doubt in ServiceNow: its rollout waits"
    _tell(row, people, Kind.ROLLOUT, title, f"doubt:{code}", now)


def tell_rejected(row: ChangeRecord, now: datetime) -> None:
    """Tell the owners of the model that its change was rejected in ServiceNow."""
    title = f"{row.number} of {_version(row)} was rejected in ServiceNow"
    _tell(row, _owners(row), Kind.DECIDED, title, "rejected", now)


def tell_closed(row: ChangeRecord, now: datetime) -> None:
    """Tell the owners of the model that somebody in ServiceNow ended its change."""
    title = f"{row.number} of {_version(row)} was closed by somebody in ServiceNow"
    _tell(row, _owners(row), Kind.DECIDED, title, "closed", now)


def _tell(
    row: ChangeRecord, people: list[User], kind: Kind, title: str, what: str, now: datetime
) -> None:
    tell(
        people,
        kind=kind,
        title=title,
        path=reverse("promotions:promotion_detail", args=[row.promotion_id]),
        key=f"change:{row.pk}:{what}",
        urgent=True,
        now=now,
    )


def _owners(row: ChangeRecord) -> list[User]:
    return owners_of(row.promotion.registered_model)


def _version(row: ChangeRecord) -> str:
    return row.promotion.model_version.name
