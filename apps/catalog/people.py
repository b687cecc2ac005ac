"""Whom what becomes of a model concerns."""

from apps.accounts.models import Role, User
from apps.accounts.people import holders
from apps.accounts.roles import MENDS_MODELS, OWNS_MODELS
from apps.catalog.models import RegisteredModel


def owners_of(model: RegisteredModel) -> list[User]:
    """Return those who own the model; two queries."""
    return holders(*OWNS_MODELS, team=model.owner_team)


def menders_of(model: RegisteredModel) -> list[User]:
    """Return those who are told of what failed: owners of the model, platform engineers of all; two
    queries.
    """
    return [one for one in holders(*MENDS_MODELS) if mends(model, one)]


def mends(model: RegisteredModel, user: User) -> bool:
    """Tell whether this person is told of what failed with the model."""
    return user.has_role(Role.PLATFORM_ENGINEER) or model.is_owned_by(user)
