"""About whom people may ask what the gateway does: their own team; everybody for those who
oversee.
"""

from django.http import Http404

from apps.accounts.models import User
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.metering.store import sees_calls_of


def sees_all(user: User) -> bool:
    """Tell whether a person sees every team's calls."""
    return user.has_role(*SEES_EVERY_TEAM)


def own_team(user: User) -> str:
    """Return the slug of a person's team; "" for somebody without a team or a role, who sees
    nothing.
    """
    return user.team.slug if user.team and user.roles else ""


def team_asked_for(user: User, wanted: str | None) -> str | None:
    """Return whose calls a person is shown; None: every team's. wanted: what the address asks for,
    None where it names none. Raises Http404 for a team that is not theirs to see.
    """
    if wanted is None:
        return None if sees_all(user) else own_team(user)
    if not sees_calls_of(user, wanted):
        raise Http404("Calls of another team are not shown.")
    return wanted
