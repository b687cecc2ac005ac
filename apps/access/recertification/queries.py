"""Whose grants somebody looks at again, and how often that is."""

from datetime import timedelta

from django.conf import settings

from apps.access.models import Grant, GrantQuerySet
from apps.accounts.models import User
from apps.accounts.roles import OWNS_MODELS, SEES_EVERY_TEAM


def period() -> timedelta:
    """Return after how long a grant is to be looked at again."""
    return timedelta(days=settings.ACCESS_RECERTIFICATION_DAYS)


def looked_after_by(user: User) -> GrantQuerySet:
    """Return the grants whose recertification a person sees: of the models that their team owns, or
    all for those who oversee.
    """
    grants = Grant.objects.visible_to(user)
    if user.has_role(*SEES_EVERY_TEAM):
        return grants
    if not user.has_role(*OWNS_MODELS):
        return grants.none()
    return grants.filter(registered_model__owner_team=user.team_id)
