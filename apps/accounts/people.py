"""Who has a role: the accounts that a rule about roles speaks of."""

from apps.accounts.models import Team, User


def holders(*roles: str, team: Team | None = None) -> list[User]:
    """Return the active accounts with at least one of `roles`, of `team` where it is named, in the
    order of their first sign-in. Their roles are read with them: two queries.
    """
    found = User.objects.filter(is_active=True, role_bindings__role__in=roles).distinct()
    if team is not None:
        found = found.filter(team=team)
    people = list(found.select_related("team").prefetch_related("role_bindings").order_by("pk"))
    for one in people:
        one.remember_roles(binding.role for binding in one.role_bindings.all())
    return people
