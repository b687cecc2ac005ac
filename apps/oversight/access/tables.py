"""Everybody who may sign in, as a table. Declarations only."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from apps.accounts.models import Role, User
from apps.accounts.roles import abilities_of, both_parts_of
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table
from apps.oversight.access.report import role_words


class PeopleFilters(Filters):
    """What the report is narrowed by."""

    role = django_filters.ChoiceFilter(
        label="Role", choices=Role.choices, empty_label="Any role", method="with_role"
    )
    team = django_filters.CharFilter(label="Team", field_name="team__slug", max_length=63)

    def with_role(self, people: QuerySet[User], name: str, value: str) -> QuerySet[User]:
        """Return the people who have a role."""
        return people.filter(role_bindings__role=value)


def roles_of(person: Any) -> frozenset[str]:
    """Return a person's roles, as they were fetched with the page."""
    return frozenset(binding.role for binding in person.role_bindings.all())


def roles_in_words(person: Any) -> str | None:
    """Return a person's roles in words; None for none."""
    return role_words(roles_of(person)) or None


def may(person: Any) -> str | None:
    """Return what a person may see or do, in words; None for nothing."""
    found = abilities_of(roles_of(person))
    words = [f"{one.words} ({one.limit})" if one.limit else one.words for one in found]
    return "; ".join(words) or None


def both_parts(person: Any) -> Badge | None:
    """Return of which decisions a person could take either part; None for none."""
    found = both_parts_of(roles_of(person))
    if not found:
        return None
    words = ", ".join(one.words for one in found)
    return Badge("warn", "", counted(len(found), "decision"), f"{words}, but never on one's own")


def both_parts_in_words(person: Any) -> str:
    """Return the same for CSV files."""
    return "; ".join(one.words for one in both_parts_of(roles_of(person)))


PEOPLE = Table(
    name="people",
    noun=("person", "people"),
    columns=(
        Column("name", "Name", "name", sort="name", sub="username", place="name", css="nowrap",
               csv_head="name"),
        Column("account", "Account", "username", kind="mono", sort="username",
               csv_head="username", optional=True, at_first=False),
        Column("team", "Team", "team.slug", sort="team__slug", unknown="no team",
               csv_head="team", css="nowrap"),
        Column("center", "Cost center", "team.cost_center.code", unknown="—",
               csv_head="cost_center", optional=True, at_first=False),
        Column("roles", "Roles", roles_in_words, unknown="no role", csv_head="roles",
               css="nowrap"),
        Column("both", "Could ask and decide", both_parts, kind="badge",
               csv=both_parts_in_words, csv_head="could_ask_and_decide", unknown="—"),
        Column("may", "May", may, unknown="nothing", csv_head="may", css="wide muted"),
        Column("seen", "Last signed in", "last_login", kind="time", sort="last_login",
               csv_head="last_login", unknown="never", place="figure", css="nowrap"),
        Column("issuer", "Identity provider", "issuer", optional=True, at_first=False),
    ),
    search=("name", "username", "team__slug"),
    search_words="Name, account or team",
    filters=PeopleFilters,
    order="name",
    empty=Empty("Nobody has signed in yet", "People appear with their first sign-in.",
                icon="users"),
)  # fmt: skip
